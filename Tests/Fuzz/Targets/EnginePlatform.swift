import CBOR
import CTAP
import Crypto
import Policy
import Secrets

/// A key agreement of one connection, from the platform's side.
final class Agreement {
  let version: PINUVAuthProtocol
  /// The platform's.
  let point: KeyAgreementPoint
  let secret: PINUVSharedSecret
  /// Whether the authenticator still has its half.
  var isCurrent = true

  init(_ version: PINUVAuthProtocol, with peer: KeyAgreementPoint) throws {
    let own = try KeyAgreementKey()
    self.version = version
    point = KeyAgreementPoint(of: own)
    secret = try PINUVSharedSecret(version, own: own, peer: peer)
  }

  func encrypt(_ plaintext: [UInt8]) throws -> [UInt8] {
    try secret.encrypt(plaintext.span, initializationVector: [UInt8](repeating: 0x1f, count: 16))
  }
}

/// A pinUvAuthToken that was given out, and what it may still be used for.
final class Grant {
  /// nil where the platform could not read it.
  let key: Agreement.Token?
  let version: PINUVAuthProtocol
  let caller: Caller
  let isFromPIN: Bool
  let isPersistent: Bool
  let issuedAt: UInt64
  var permissions: Permissions
  var relyingPartyID: String?
  var isLive = true
  var wasUsed = false

  init(
    _ key: Agreement.Token?, _ version: PINUVAuthProtocol, _ caller: Caller, isFromPIN: Bool,
    _ permissions: Permissions, relyingPartyID: String?, issuedAt: UInt64
  ) {
    self.key = key
    self.version = version
    self.caller = caller
    self.isFromPIN = isFromPIN
    self.permissions = permissions
    self.relyingPartyID = relyingPartyID
    self.issuedAt = issuedAt
    isPersistent = permissions == .persistentCredentialManagementReadOnly
  }

  /// Whether `code` was made with it; the persistent one is of both protocols.
  func made(_ code: [UInt8], of message: [UInt8], by number: UInt64?) -> Bool {
    guard let key, let version = number.flatMap(PINUVAuthProtocol.init(rawValue:)),
      isPersistent || version == self.version
    else { return false }
    return version.verify(code, of: message, key: key.bytes)
  }

  func code(of message: [UInt8]) -> [UInt8]? {
    key.map { version.authenticate(message, key: $0.bytes) }
  }

  /// Whether its age lets it be used.
  func isFresh(at time: UInt64) -> Bool {
    isPersistent || time - issuedAt <= (wasUsed ? 600_000_000_000 : 30_000_000_000)
  }
}

extension Agreement {
  final class Token {
    let bytes: SecretBytes

    init(_ bytes: consuming SecretBytes) {
      self.bytes = bytes
    }
  }

  /// What the authenticator gave out under this secret.
  func token(_ encrypted: [UInt8]) -> Token? {
    guard let bytes = try? secret.decrypt(encrypted) else { return nil }
    return Token(bytes)
  }
}

/// What only the platform that wrote a message knows of it.
struct Authored {
  /// What was written, before anything was changed on the way.
  var request: CTAPRequest?
  var agreement: Agreement?
  /// Whose hash was sent.
  var pin: [UInt8]?
  var newPIN: [UInt8]?
  /// Of hmac-secret.
  var salts: [UInt8]?
}

/// A message and what is known of it.
struct Written {
  var message: [UInt8]
  var authored = Authored()
}

/// What pinUvAuthParam is computed over (CTAP 2.1 sections 6.1.2, 6.2.2, 6.8, 6.10.2 and 6.11); nil for what has none.
func authenticatedMessage(of request: CTAPRequest) -> [UInt8]? {
  let filler = [UInt8](repeating: 0xff, count: 32)
  switch request {
  case .makeCredential(let parameters): return parameters.clientDataHash
  case .getAssertion(let parameters): return parameters.clientDataHash
  case .credentialManagement(let parameters):
    return [UInt8(truncatingIfNeeded: parameters.subCommand)] + parameters.signedParameters
  case .config(let parameters):
    return filler + [0x0d, UInt8(truncatingIfNeeded: parameters.subCommand)] + parameters.signedParameters
  case .largeBlobs(let parameters):
    guard let fragment = parameters.set, let offset = parameters.offset else { return nil }
    return filler + [0x0c, 0] + (0..<4).map { UInt8(truncatingIfNeeded: offset >> (8 * $0)) } + SHA256.hash(fragment)
  default: return nil
  }
}

extension CTAPRequest {
  /// What it says of pinUvAuthParam.
  var authorization: (code: [UInt8], version: UInt64?)? {
    let (code, version): ([UInt8]?, UInt64?) =
      switch self {
      case .makeCredential(let parameters): (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol)
      case .getAssertion(let parameters): (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol)
      case .credentialManagement(let parameters): (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol)
      case .config(let parameters): (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol)
      case .largeBlobs(let parameters): (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol)
      default: (nil, nil)
      }
    return code.map { ($0, version) }
  }

  func authorized(_ code: [UInt8]?, _ version: UInt64?) -> CTAPRequest {
    switch self {
    case .makeCredential(var parameters):
      (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol) = (code, version)
      return .makeCredential(parameters)
    case .getAssertion(var parameters):
      (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol) = (code, version)
      return .getAssertion(parameters)
    case .credentialManagement(var parameters):
      (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol) = (code, version)
      return .credentialManagement(parameters)
    case .config(var parameters):
      (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol) = (code, version)
      return .config(parameters)
    case .largeBlobs(var parameters):
      (parameters.pinUvAuthParam, parameters.pinUvAuthProtocol) = (code, version)
      return .largeBlobs(parameters)
    default: return self
    }
  }
}
