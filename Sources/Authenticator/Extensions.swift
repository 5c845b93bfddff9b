internal import CBOR
internal import Crypto
internal import CTAP
internal import Platform
internal import Policy
internal import Secrets
internal import WebAuthn

/// Extension inputs of a makeCredential that have been checked.
struct CheckedCreationExtensions {
  let inputs: CreationExtensions
  let protection: CredentialProtection

  /// - Parameters:
  ///   - map: as it was sent
  ///   - isDiscoverable: what some extensions ask for
  /// - Throws: CTAP2_ERR_INVALID_OPTION for a level that is none, or a largeBlobKey that cannot be given
  init(_ map: CBORMap?, isDiscoverable: Bool) throws(CTAPStatus) {
    inputs = try CreationExtensions(map)
    if let level = inputs.credProtect {
      guard let known = UInt8(exactly: level).flatMap(CredentialProtection.init) else { throw .invalidOption }
      protection = known
    } else {
      protection = .userVerificationOptional
    }
    if let wanted = inputs.largeBlobKey, !wanted || !isDiscoverable { throw .invalidOption }
    // hmac-secret-mc asks for the secrets of a credential that is to have some.
    if inputs.hmacSecretMC != nil, inputs.hmacSecret != true { throw .missingParameter }
  }

  /// What is stored of credBlob: a discoverable credential's only, and only what fits.
  func storedBlob(isDiscoverable: Bool) -> [UInt8]? {
    guard let blob = inputs.credBlob, isDiscoverable, blob.count <= AuthenticatorLimits.maximumBlobLength else {
      return nil
    }
    return blob
  }
}

extension AuthenticatorEngine {
  /// The outputs of a registration's extensions in authenticator data; nil where there are none.
  func outputs(
    of extensions: CheckedCreationExtensions, for credential: Credential, hmacSecretMC: [UInt8]?
  ) async throws(Failure) -> CBORMap? {
    var outputs = CBORMap()
    if extensions.inputs.credProtect != nil {
      outputs[.text(ExtensionName.credProtect)] = .unsigned(UInt64(credential.protection.rawValue))
    }
    if extensions.inputs.hmacSecret == true {
      outputs[.text(ExtensionName.hmacSecret)] = .boolean(true)
    }
    outputs[.text(ExtensionName.hmacSecretMC)] = hmacSecretMC.map(CBORValue.bytes)
    if extensions.inputs.credBlob != nil {
      outputs[.text(ExtensionName.credBlob)] = .boolean(credential.blob != nil)
    }
    if extensions.inputs.minPINLength == true, let id = credential.relyingPartyID {
      let settings = try await pinState().settings
      if settings.minPINLengthRelyingParties.contains(where: { $0.utf8.elementsEqual(id.utf8) }) {
        outputs[.text(ExtensionName.minPINLength)] = .unsigned(UInt64(settings.minPINLength))
      }
    }
    return outputs.isEmpty ? nil : outputs
  }

  /// The outputs of an assertion's extensions in authenticator data; nil where there are none.
  func outputs(
    of extensions: AssertionExtensions, for credential: Credential, hmacSecret: [UInt8]?
  ) -> CBORMap? {
    var outputs = CBORMap()
    outputs[.text(ExtensionName.hmacSecret)] = hmacSecret.map(CBORValue.bytes)
    if extensions.credBlob == true {
      outputs[.text(ExtensionName.credBlob)] = .bytes(credential.blob ?? [])
    }
    return outputs.isEmpty ? nil : outputs
  }

  func largeBlobKey(of credential: Credential) throws(Failure) -> [UInt8] {
    do {
      let key = try environment.keys.secret.largeBlobKey(credential.key.binding)
      // It is the platform's from here on.
      return key.reveal { span in span.indices.map { span[$0] } }
    } catch {
      throw Failure(.other, "\(error)")
    }
  }

  // MARK: hmac-secret (section 12.5)

  /// Checks the input and takes the salts out of it.
  ///
  /// - Throws: CTAP2_ERR_PIN_AUTH_INVALID for a wrong saltAuth, CTAP1_ERR_INVALID_PARAMETER for a wrong point,
  ///   CTAP1_ERR_INVALID_LENGTH for other than one or two salts
  func salts(
    _ input: HMACSecretInput, on channel: ChannelState
  ) throws(CTAPStatus) -> HMACSecretSalts {
    // Absent: protocol one, as in CTAP 2.0.
    let version = input.pinUvAuthProtocol == nil ? .one : try protocolVersion(input.pinUvAuthProtocol)
    let secret = try sharedSecret(input.keyAgreement, version, on: channel)
    guard secret.verify(input.saltAuth, of: input.saltEnc) else { throw .pinAuthInvalid }
    return HMACSecretSalts(try decrypt(input.saltEnc, secret), secret)
  }

  private func decrypt(
    _ saltEnc: [UInt8], _ secret: borrowing PINUVSharedSecret
  ) throws(CTAPStatus) -> SecretBytes {
    do {
      let salts = try secret.decrypt(saltEnc)
      guard HMACSecretSalts.counts.contains(salts.count) else { throw CTAPStatus.invalidLength }
      return salts
    } catch let status as CTAPStatus {
      throw status
    } catch {
      throw .other
    }
  }

  /// The encrypted outputs for a credential, other ones for a verified user than for others.
  func hmacSecret(
    _ salts: HMACSecretSalts, of binding: KeyBinding, verified: Bool
  ) throws(Failure) -> [UInt8] {
    let vector = environment.random.bytes(AESCBC.blockCount)
    do {
      let random = try environment.keys.secret.hmacSecret(binding, verified: verified)
      return try salts.encrypted(initializationVector: vector) { salt in
        try HMACSHA256.secretCode(salt, key: random)
      }
    } catch {
      throw Failure(.other, "hmac-secret: \(error)")
    }
  }
}

/// The salts of one request, and the secret under which the outputs go back. A class, so that a walk over several
/// assertions can hold on to it.
final class HMACSecretSalts {
  private static let saltCount = 32
  /// Bytes of one salt and of two.
  static let counts = [saltCount, 2 * saltCount]

  private let salts: SecretBytes
  private let secret: PINUVSharedSecret

  init(_ salts: consuming SecretBytes, _ secret: consuming PINUVSharedSecret) {
    self.salts = salts
    self.secret = secret
  }

  /// The encrypted outputs.
  ///
  /// - Parameters:
  ///   - initializationVector: for protocol two
  ///   - output: the output of one salt, 32 bytes
  /// - Returns: one output or two, for the platform
  /// - Throws: what `output` throws, or CTAP1_ERR_OTHER
  func encrypted(
    initializationVector: [UInt8], _ output: (Span<UInt8>) throws -> SecretBytes
  ) throws -> [UInt8] {
    let size = HMACSecretSalts.saltCount
    let first = try salts.reveal { span in try output(span.extracting(0..<size)) }
    guard salts.count > size else {
      return try first.reveal { span in try secret.encrypt(span, initializationVector: initializationVector) }
    }
    let second = try salts.reveal { span in try output(span.extracting(size..<2 * size)) }
    let both = try SecretBytes(count: 2 * size) { bytes in
      first.reveal { span in
        for index in span.indices { bytes[index] = span[index] }
      }
      second.reveal { span in
        for index in span.indices { bytes[size + index] = span[index] }
      }
    }
    return try both.reveal { span in try secret.encrypt(span, initializationVector: initializationVector) }
  }
}
