import CBOR
import CTAP
import Crypto
import Secrets
import WebAuthn

/// What the authenticator in memory knows of PINs. It is no secret.
struct PINState {
  /// LEFT(SHA-256(PIN), 16).
  var hash: [UInt8]?
  var retries = 8
  var isBlockedUntilRestart = false
  /// Bytes of the last token, and what it is for.
  var token: [UInt8] = []
  var tokenRequest: ClientPINRequest?
  /// The last new PIN with the zeros at its end.
  var padded: [UInt8] = []
}

func secret(_ bytes: [UInt8]) throws(CTAPStatus) -> SecretBytes {
  do {
    return try SecretBytes(count: bytes.count) { span in for index in bytes.indices { span[index] = bytes[index] } }
  } catch {
    throw .other
  }
}

extension SecretBytes {
  borrowing func copied() -> [UInt8] { reveal { span in span.indices.map { span[$0] } } }
}

extension FakeAuthenticator {
  static func newAgreementKey() -> KeyAgreementKey {
    do {
      return try KeyAgreementKey()
    } catch {
      fatalError("\(error)")
    }
  }

  /// As after `countersign pin set`.
  func set(pin text: String) {
    pin.hash = Array(SHA256.hash([UInt8](text.utf8)).prefix(16))
    offerPINs()
  }

  /// Has getInfo speak of PINs.
  func offerPINs() {
    info.options["clientPin"] = pin.hash != nil
    info.options["pinUvAuthToken"] = true
    info.pinUvAuthProtocols = [2, 1]
    info.minPINLength = 4
    info.maxPINLength = 63
  }

  func clientPIN(_ request: ClientPINRequest) throws(CTAPStatus) -> ClientPINResponse {
    switch ClientPINSubcommand(rawValue: request.subCommand) {
    case .getPINRetries?:
      return ClientPINResponse(pinRetries: pin.retries, powerCycleState: pin.isBlockedUntilRestart)
    case .getKeyAgreement?:
      return ClientPINResponse(keyAgreement: KeyAgreementPoint(of: agreementKey))
    case .setPIN?:
      guard pin.hash == nil else { throw .pinAuthInvalid }
      try replacePIN(request, request.newPinEnc ?? [])
      return ClientPINResponse()
    case .changePIN?:
      let exchange = try exchange(request)
      try check(request, exchange)
      try replacePIN(request, (request.newPinEnc ?? []) + (request.pinHashEnc ?? []))
      return ClientPINResponse()
    case .getPinUvAuthTokenUsingPinWithPermissions?:
      let exchange = try exchange(request)
      try check(request, exchange)
      return try token(request, exchange)
    case .getPinUvAuthTokenUsingUvWithPermissions?:
      guard verifiesByRule else { throw .uvBlocked }
      return try token(request, try exchange(request))
    case .getPINToken?, .getUVRetries?, nil: throw .invalidSubcommand
    }
  }

  private func token(
    _ request: ClientPINRequest, _ exchange: borrowing PINUVSharedSecret
  ) throws(CTAPStatus) -> ClientPINResponse {
    let token = [UInt8](repeating: UInt8(truncatingIfNeeded: requests.count), count: 32)
    pin.token = token
    pin.tokenRequest = request
    return ClientPINResponse(pinUvAuthToken: try exchange.encrypt(token.span, initializationVector: vector))
  }

  private var vector: [UInt8] { [UInt8](repeating: 5, count: 16) }

  private func exchange(_ request: ClientPINRequest) throws(CTAPStatus) -> PINUVSharedSecret {
    guard let version = request.pinUvAuthProtocol.flatMap(PINUVAuthProtocol.init), let point = request.keyAgreement
    else { throw .missingParameter }
    return try exchange(version, point)
  }

  private func exchange(
    _ version: PINUVAuthProtocol, _ point: KeyAgreementPoint
  ) throws(CTAPStatus) -> PINUVSharedSecret {
    do {
      return try PINUVSharedSecret(version, own: agreementKey, peer: point)
    } catch {
      throw .invalidParameter
    }
  }

  private func decrypted(_ bytes: [UInt8], _ exchange: borrowing PINUVSharedSecret) throws(CTAPStatus) -> [UInt8] {
    do {
      return try exchange.decrypt(bytes).copied()
    } catch {
      throw .invalidParameter
    }
  }

  private func check(_ request: ClientPINRequest, _ exchange: borrowing PINUVSharedSecret) throws(CTAPStatus) {
    guard pin.retries > 0 else { throw .pinBlocked }
    guard !pin.isBlockedUntilRestart else { throw .pinAuthBlocked }
    guard let hash = pin.hash else { throw .pinNotSet }
    guard try decrypted(request.pinHashEnc ?? [], exchange) == hash else {
      pin.retries -= 1
      throw pin.retries == 0 ? .pinBlocked : .pinInvalid
    }
    pin.retries = 8
  }

  private func replacePIN(_ request: ClientPINRequest, _ signed: [UInt8]) throws(CTAPStatus) {
    let exchange = try exchange(request)
    guard exchange.verify(request.pinUvAuthParam ?? [], of: signed) else { throw .pinAuthInvalid }
    pin.padded = try decrypted(request.newPinEnc ?? [], exchange)
    guard pin.padded.count == 64 else { throw .invalidParameter }
    let text = pin.padded.prefix { $0 != 0 }
    pin.hash = Array(SHA256.hash(Array(text)).prefix(16))
    offerPINs()
  }

  /// Whether the user is verified.
  func verify(
    _ code: [UInt8]?, _ hash: [UInt8], _ options: RequestOptions, isNeeded: Bool
  ) throws(CTAPStatus) -> Bool {
    if let code {
      guard !pin.token.isEmpty, PINUVAuthProtocol.two.verify(code, of: hash, key: try secret(pin.token)) else {
        throw .pinAuthInvalid
      }
      return true
    }
    if options.uv == true { return info.options["uv"] == true }
    if isNeeded, pin.hash != nil || info.options["alwaysUv"] == true { throw .puatRequired }
    return false
  }

  // MARK: Extensions

  static func largeBlobKey(_ account: Account) -> [UInt8] { SHA256.hash([UInt8]("largeBlobKey".utf8) + account.id) }

  /// The secret of hmac-secret, another one for verified users.
  static func random(_ account: Account, isVerified: Bool) -> [UInt8] {
    SHA256.hash((isVerified ? [1] : [0]) + account.id)
  }

  func outputs(
    _ inputs: CreationExtensions, _ account: Account, _ isVerified: Bool
  ) throws(CTAPStatus) -> CBORMap? {
    var outputs = CBORMap()
    outputs["credProtect"] = inputs.credProtect.map { .unsigned($0) }
    outputs["hmac-secret"] = inputs.hmacSecret.map { .boolean($0) }
    outputs["credBlob"] = inputs.credBlob.map { _ in true }
    if let input = inputs.hmacSecretMC { outputs["hmac-secret-mc"] = try hmacSecret(input, account, isVerified) }
    return outputs.isEmpty ? nil : outputs
  }

  func outputs(
    _ inputs: AssertionExtensions, _ account: Account, _ isVerified: Bool
  ) throws(CTAPStatus) -> CBORMap? {
    var outputs = CBORMap()
    if let input = inputs.hmacSecret { outputs["hmac-secret"] = try hmacSecret(input, account, isVerified) }
    if inputs.credBlob == true { outputs["credBlob"] = .bytes([0xb1, 0x0b]) }
    return outputs.isEmpty ? nil : outputs
  }

  private func hmacSecret(
    _ input: HMACSecretInput, _ account: Account, _ isVerified: Bool
  ) throws(CTAPStatus) -> CBORValue {
    let version = input.pinUvAuthProtocol.flatMap(PINUVAuthProtocol.init) ?? .one
    let exchange = try exchange(version, input.keyAgreement)
    guard exchange.verify(input.saltAuth, of: input.saltEnc) else { throw .pinAuthInvalid }
    let salts = try decrypted(input.saltEnc, exchange)
    let key = try secret(Self.random(account, isVerified: isVerified))
    let outputs = stride(from: 0, to: salts.count, by: 32).flatMap {
      HMACSHA256.authenticate(Array(salts[$0..<$0 + 32]), key: key)
    }
    return .bytes(try exchange.encrypt(outputs.span, initializationVector: vector))
  }

  // MARK: Large blobs

  func largeBlobs(_ request: LargeBlobsRequest) throws(CTAPStatus) -> LargeBlobsResponse {
    let offset = Int(request.offset ?? 0)
    if let count = request.get {
      return LargeBlobsResponse(config: Array(largeBlobs.dropFirst(offset).prefix(Int(count))))
    }
    guard writesLargeBlobs else { throw .operationDenied }
    guard let fragment = request.set else { throw .invalidParameter }
    if pin.hash != nil || info.options["uv"] == true {
      let message =
        [UInt8](repeating: 0xff, count: 32) + [0x0c, 0, UInt8(offset & 0xff), UInt8(offset >> 8), 0, 0]
        + SHA256.hash(fragment)
      guard PINUVAuthProtocol.two.verify(request.pinUvAuthParam ?? [], of: message, key: try secret(pin.token)),
        pin.tokenRequest?.permissions.map({ $0 & 0x10 }) == 0x10
      else { throw .pinAuthInvalid }
    }
    largeBlobs = offset == 0 ? fragment : largeBlobs + fragment
    return LargeBlobsResponse()
  }
}
