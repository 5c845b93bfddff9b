internal import CTAP
internal import Crypto
internal import Secrets
internal import WebAuthn

extension WebAuthnClient {
  /// What CTAP2 messages may have where the authenticator says nothing.
  private static let leastMessageSize = 1024
  /// What the array may have at least.
  private static let leastArraySize = 1024

  /// The output of largeBlob at `get()` (WebAuthn section 10.1.5).
  func largeBlob(
    _ input: RequestExtensionsJSON.LargeBlob, key: [UInt8]?, _ verification: Verification, _ info: AuthenticatorInfo
  ) throws(CeremonyError) -> JSONValue {
    switch input {
    case .read:
      guard let key, let blob = try readLargeBlobs(info)?.blob(try secret(key)) else { return .object([:]) }
      return .object(["blob": .string(Base64URL.encode(blob))])
    case .write(let blob):
      // The assertion is good whether or not this is.
      do throws(CeremonyError) {
        guard let key else { throw .extensionUnavailable("largeBlob") }
        try write(blob, try secret(key), verification, info)
        return .object(["written": true])
      } catch {
        warn(.blobNotWritten(error))
        return .object(["written": false])
      }
    }
  }

  private func secret(_ key: [UInt8]) throws(CeremonyError) -> SecretBytes {
    guard key.count == AESGCM.keyCount else { throw .wrongAnswer("its largeBlobKey has \(key.count) bytes") }
    do {
      return try SecretBytes(count: key.count) { span in for index in key.indices { span[index] = key[index] } }
    } catch {
      throw .client(.noSecrets("\(error)"))
    }
  }

  private func fragmentCount(_ info: AuthenticatorInfo) -> Int {
    max(1, (info.maxMessageSize ?? Self.leastMessageSize) - LargeBlobsRequest.messageOverhead)
  }

  /// nil where what is stored is not an array.
  private func readLargeBlobs(_ info: AuthenticatorInfo) throws(CeremonyError) -> LargeBlobArray? {
    let size = fragmentCount(info)
    let longest = max(Self.leastArraySize, info.maxSerializedLargeBlobArray ?? 0)
    var bytes: [UInt8] = []
    do throws(AuthenticatorClient.Failure) {
      while true {
        let request = LargeBlobsRequest(get: UInt64(size), offset: UInt64(bytes.count))
        guard let fragment = try authenticator.largeBlobs(request).config, fragment.count <= size,
          bytes.count + fragment.count <= longest
        else { throw .client(.malformed("its large blobs are longer than asked for, or not there")) }
        bytes += fragment
        if fragment.count < size { return LargeBlobArray(bytes) }
      }
    } catch {
      throw CeremonyError(error)
    }
  }

  private func write(
    _ blob: [UInt8], _ key: borrowing SecretBytes, _ verification: Verification, _ info: AuthenticatorInfo
  ) throws(CeremonyError) {
    // Who cannot read what is there must not overwrite it.
    guard var array = try readLargeBlobs(info) else { throw .wrongAnswer("what is stored is not a large-blob array") }
    do {
      try array.replace(key, by: blob)
    } catch {
      throw .client(.noSecrets("\(error)"))
    }
    let bytes = array.encoded()
    guard bytes.count <= info.maxSerializedLargeBlobArray ?? Self.leastArraySize else {
      throw .status(.largeBlobStorageFull)
    }
    let token = try writingToken(verification, info)
    let size = fragmentCount(info)
    for offset in stride(from: 0, to: bytes.count, by: size) {
      let fragment = Array(bytes[offset..<min(offset + size, bytes.count)])
      try write(fragment, at: offset, of: bytes.count, token)
    }
  }

  private func write(
    _ fragment: [UInt8], at offset: Int, of count: Int, _ token: PINUVToken?
  ) throws(CeremonyError) {
    let message = LargeBlobsRequest.authenticatedMessage(writing: fragment, at: UInt64(offset))
    do {
      _ = try authenticator.largeBlobs(
        LargeBlobsRequest(
          set: fragment, offset: UInt64(offset), length: offset == 0 ? UInt64(count) : nil,
          pinUvAuthParam: token?.authenticate(message), pinUvAuthProtocol: token?.version.rawValue))
    } catch {
      throw CeremonyError(error)
    }
  }

  /// The token of the assertion, which was asked for with this in mind; else one of its own where the authenticator is
  /// protected.
  private func writingToken(
    _ verification: Verification, _ info: AuthenticatorInfo
  ) throws(CeremonyError) -> PINUVToken? {
    if case .token(let token) = verification { return token }
    guard info.isProtected || info.alwaysVerifies else { return nil }
    do throws(AuthenticatorClient.Failure) {
      if info.hasBuiltInVerification {
        do throws(AuthenticatorClient.Failure) {
          return try authenticator.tokenByVerification(.largeBlobWrite, relyingPartyID: nil, info)
        } catch {
          // The rule that verifies may not be one to manage everything.
          guard case .status = error, info.hasPIN, pin != nil else { throw error }
        }
      }
      guard let pin else { throw .status(.puatRequired) }
      return try authenticator.token(by: pin, .largeBlobWrite, relyingPartyID: nil, info)
    } catch {
      throw CeremonyError(error)
    }
  }
}
