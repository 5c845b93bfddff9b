internal import Authenticator
internal import Secrets

/// A secret that closures and jobs can hold on to.
final class SharedSecret: Sendable {
  let bytes: SecretBytes

  init(_ bytes: consuming SecretBytes) {
    self.bytes = bytes
  }
}

/// What is sealed to the TPM: the device secret (32 bytes), the authorization value of the NV indices (32), the
/// signature counter's value when the device secret was made (8, big-endian), from which its credentials' values are
/// counted, and ``SealedDevice/surroundings`` (32), so that nobody alters them in the record.
///
/// Both indices have one authorization value: both are used over the same bus from the first start on, so who hears one
/// hears the other, and a second value would keep nobody out. Each record's value is its own: a record that names the
/// indices of another cannot use them.
struct SealedPayload: Sendable {
  static let count = DeviceSecret.count + indexAuthorizationCount + 8 + surroundingsCount
  static let surroundingsCount = 32
  static let indexAuthorizationCount = 32

  let secret: DeviceSecret
  let indexAuthorization: SharedSecret
  let counterBase: UInt64
  let surroundings: [UInt8]

  /// - Throws: `SecretMemoryError`
  static func decode(_ bytes: borrowing SecretBytes) throws -> SealedPayload? {
    guard bytes.count == count else { return nil }
    let authorizationAt = DeviceSecret.count
    let baseAt = authorizationAt + indexAuthorizationCount
    return try bytes.reveal { span throws in
      var base: UInt64 = 0
      for index in baseAt..<baseAt + 8 { base = base << 8 | UInt64(span[index]) }
      return SealedPayload(
        secret: DeviceSecret(try copy(span, 0..<authorizationAt)),
        indexAuthorization: SharedSecret(try copy(span, authorizationAt..<baseAt)), counterBase: base,
        surroundings: (baseAt + 8..<count).map { span[$0] })
    }
  }

  /// - Throws: `SecretMemoryError`
  func encoded() throws -> SharedSecret {
    precondition(surroundings.count == SealedPayload.surroundingsCount, "a SHA-256")
    let surroundingsAt = SealedPayload.count - SealedPayload.surroundingsCount
    return SharedSecret(
      try SecretBytes(count: SealedPayload.count) { output in
        secret.reveal { span in
          for index in 0..<span.count { output[index] = span[index] }
        }
        indexAuthorization.bytes.reveal { span in
          for index in 0..<span.count { output[DeviceSecret.count + index] = span[index] }
        }
        for index in 0..<8 {
          output[surroundingsAt - 1 - index] = UInt8(truncatingIfNeeded: counterBase >> UInt64(8 * index))
        }
        for (index, byte) in surroundings.enumerated() { output[surroundingsAt + index] = byte }
      })
  }

  private static func copy(_ span: Span<UInt8>, _ range: Range<Int>) throws -> SecretBytes {
    try SecretBytes(count: range.count) { output in
      for index in range { output[index - range.lowerBound] = span[index] }
    }
  }
}
