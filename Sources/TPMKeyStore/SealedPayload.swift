internal import Authenticator
internal import Secrets

/// A secret that closures and jobs can hold on to.
final class SharedSecret: Sendable {
  let bytes: SecretBytes

  init(_ bytes: consuming SecretBytes) {
    self.bytes = bytes
  }
}

/// What is sealed to the TPM: the device secret (32 bytes), the authorization value of the NV indices (32) and the
/// signature counter's value when the device secret was made (8, big-endian), from which its credentials' values are
/// counted.
///
/// Both indices have one authorization value: both are used over the same bus from the first start on, so who hears one
/// hears the other, and a second value would keep nobody out. Each record's value is its own: a record that names the
/// indices of another cannot use them.
struct SealedPayload: Sendable {
  static let count = DeviceSecret.count + indexAuthorizationCount + 8
  static let indexAuthorizationCount = 32

  let secret: DeviceSecret
  let indexAuthorization: SharedSecret
  let counterBase: UInt64

  /// - Throws: `SecretMemoryError`
  static func decode(_ bytes: borrowing SecretBytes) throws -> SealedPayload? {
    guard bytes.count == count else { return nil }
    let authorizationAt = DeviceSecret.count
    let baseAt = authorizationAt + indexAuthorizationCount
    return try bytes.reveal { span throws in
      var base: UInt64 = 0
      for index in baseAt..<count { base = base << 8 | UInt64(span[index]) }
      return SealedPayload(
        secret: DeviceSecret(try copy(span, 0..<authorizationAt)),
        indexAuthorization: SharedSecret(try copy(span, authorizationAt..<baseAt)), counterBase: base)
    }
  }

  /// - Throws: `SecretMemoryError`
  func encoded() throws -> SharedSecret {
    SharedSecret(
      try SecretBytes(count: SealedPayload.count) { output in
        secret.reveal { span in
          for index in 0..<span.count { output[index] = span[index] }
        }
        indexAuthorization.bytes.reveal { span in
          for index in 0..<span.count { output[DeviceSecret.count + index] = span[index] }
        }
        for index in 0..<8 {
          output[SealedPayload.count - 1 - index] = UInt8(truncatingIfNeeded: counterBase >> UInt64(8 * index))
        }
      })
  }

  private static func copy(_ span: Span<UInt8>, _ range: Range<Int>) throws -> SecretBytes {
    try SecretBytes(count: range.count) { output in
      for index in range { output[index - range.lowerBound] = span[index] }
    }
  }
}
