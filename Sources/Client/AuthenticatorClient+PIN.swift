package import CTAP
internal import Crypto
internal import Platform
internal import Secrets

/// A pinUvAuthToken in force: what stands for a verified user until it is used up.
package final class PINUVToken: Sendable {
  package let version: PINUVAuthProtocol
  private let token: SecretBytes

  init(_ token: consuming SecretBytes, _ version: PINUVAuthProtocol) {
    self.token = token
    self.version = version
  }

  /// pinUvAuthParam of a message.
  func authenticate(_ message: [UInt8]) -> [UInt8] { version.authenticate(message, key: token) }
}

/// What the platform has after a key agreement (CTAP 2.1 section 6.5.5.4): its own point, and the shared secret.
struct KeyExchange: ~Copyable {
  let point: KeyAgreementPoint
  let secret: PINUVSharedSecret

  init(_ version: PINUVAuthProtocol, with peer: KeyAgreementPoint) throws {
    let own = try KeyAgreementKey()
    let secret = try PINUVSharedSecret(version, own: own, peer: peer)
    point = KeyAgreementPoint(of: own)
    self.secret = secret
  }

  /// Encrypts whole blocks of 16 bytes.
  borrowing func encrypt(_ plaintext: Span<UInt8>) throws(CTAPStatus) -> [UInt8] {
    try secret.encrypt(plaintext, initializationVector: SystemRandom().bytes(AESCBC.blockCount))
  }

  /// pinHashEnc.
  borrowing func encryptedHash(of pin: PIN) throws -> [UInt8] {
    let hash = try pin.text.reveal { span in try SHA256.digest(ofSecret: span) }
    return try hash.reveal { span in try encrypt(span.extracting(0..<PINFormat.hashCount)) }
  }

  /// newPinEnc.
  borrowing func encryptedText(of pin: PIN) throws -> [UInt8] {
    try pin.padded().reveal { span in try encrypt(span) }
  }
}

/// The platform's side of authenticatorClientPIN (CTAP 2.1 section 6.5.5).
extension AuthenticatorClient {
  /// How often a PIN may be tried, and whether only a restart lets the next one be tried.
  package func pinRetries() throws(Failure) -> (attemptsLeft: Int, isBlockedUntilRestart: Bool) {
    let answer = try clientPIN(.getPINRetries)
    guard let attempts = answer.pinRetries else { throw .client(.malformed("it has no pinRetries")) }
    return (attempts, answer.powerCycleState ?? false)
  }

  package func setPIN(_ pin: PIN, _ version: PINUVAuthProtocol) throws(Failure) {
    let exchange = try agree(on: version)
    let newPinEnc = try locally { try exchange.encryptedText(of: pin) }
    var request = request(.setPIN, exchange)
    request.newPinEnc = newPinEnc
    request.pinUvAuthParam = exchange.secret.authenticate(newPinEnc)
    _ = try clientPIN(request)
  }

  /// - Throws: ``Failure``, among others ``Failure/wrongPIN(attemptsLeft:)``
  package func changePIN(from old: PIN, to new: PIN, _ version: PINUVAuthProtocol) throws(Failure) {
    let exchange = try agree(on: version)
    let newPinEnc = try locally { try exchange.encryptedText(of: new) }
    let pinHashEnc = try locally { try exchange.encryptedHash(of: old) }
    var request = request(.changePIN, exchange)
    request.newPinEnc = newPinEnc
    request.pinHashEnc = pinHashEnc
    request.pinUvAuthParam = exchange.secret.authenticate(newPinEnc + pinHashEnc)
    _ = try trying(request)
  }

  /// A token by PIN.
  ///
  /// - Parameters:
  ///   - pin: is tried
  ///   - permissions: of the token
  ///   - relyingPartyID: to which the token is bound
  ///   - info: of this authenticator
  /// - Returns: the token, decrypted
  /// - Throws: ``Failure``, among others ``Failure/wrongPIN(attemptsLeft:)``
  package func token(
    by pin: PIN, _ permissions: Permissions, relyingPartyID: String?, _ info: AuthenticatorInfo
  ) throws(Failure) -> PINUVToken {
    let version = try pinProtocol(of: info)
    let exchange = try agree(on: version)
    let hasPermissions = info.options["pinUvAuthToken"] == true
    var request = request(hasPermissions ? .getPinUvAuthTokenUsingPinWithPermissions : .getPINToken, exchange)
    request.pinHashEnc = try locally { try exchange.encryptedHash(of: pin) }
    if hasPermissions {
      request.permissions = permissions.rawValue
      request.relyingPartyID = relyingPartyID
    }
    return try token(in: try trying(request), exchange)
  }

  /// A token by the authenticator's own user verification.
  package func tokenByVerification(
    _ permissions: Permissions, relyingPartyID: String?, _ info: AuthenticatorInfo
  ) throws(Failure) -> PINUVToken {
    let exchange = try agree(on: try pinProtocol(of: info))
    var request = request(.getPinUvAuthTokenUsingUvWithPermissions, exchange)
    request.permissions = permissions.rawValue
    request.relyingPartyID = relyingPartyID
    return try token(in: try clientPIN(request), exchange)
  }

  /// Protocol two where the authenticator knows it.
  package func pinProtocol(of info: AuthenticatorInfo) throws(Failure) -> PINUVAuthProtocol {
    let known = info.pinUvAuthProtocols.compactMap(PINUVAuthProtocol.init)
    guard let version = known.max(by: { $0.rawValue < $1.rawValue }) else {
      throw .client(.malformed("it has no PIN/UV auth protocol of CTAP 2.1"))
    }
    return version
  }

  /// getKeyAgreement and this side's part.
  func agree(on version: PINUVAuthProtocol) throws(Failure) -> KeyExchange {
    let answer = try clientPIN(
      ClientPINRequest(subCommand: ClientPINSubcommand.getKeyAgreement.rawValue, pinUvAuthProtocol: version.rawValue))
    guard let peer = answer.keyAgreement else { throw .client(.malformed("it has no key agreement key")) }
    return try locally { try KeyExchange(version, with: peer) }
  }

  /// What can only fail on this side, or because of what the authenticator has sent.
  func locally<Result: ~Copyable>(_ body: () throws -> Result) throws(Failure) -> Result {
    do {
      return try body()
    } catch let status as CTAPStatus {
      throw .client(.malformed("what it encrypts or agrees on is not right (\(status))"))
    } catch {
      throw .client(.noSecrets("\(error)"))
    }
  }

  private func token(
    in answer: ClientPINResponse, _ exchange: borrowing KeyExchange
  ) throws(Failure) -> PINUVToken {
    guard let encrypted = answer.pinUvAuthToken else { throw .client(.malformed("it has no pinUvAuthToken")) }
    do {
      return PINUVToken(try exchange.secret.decrypt(encrypted), exchange.secret.version)
    } catch {
      throw .client(.malformed("its pinUvAuthToken cannot be decrypted (\(error))"))
    }
  }

  private func request(
    _ subcommand: ClientPINSubcommand, _ exchange: borrowing KeyExchange
  ) -> ClientPINRequest {
    ClientPINRequest(
      subCommand: subcommand.rawValue, pinUvAuthProtocol: exchange.secret.version.rawValue,
      keyAgreement: exchange.point)
  }

  /// A request that tries a PIN: who has failed wants to know how often one may.
  private func trying(_ request: ClientPINRequest) throws(Failure) -> ClientPINResponse {
    do throws(Failure) {
      return try clientPIN(request)
    } catch {
      guard error == .status(.pinInvalid) else { throw error }
      throw .wrongPIN(attemptsLeft: try? pinRetries().attemptsLeft)
    }
  }

  private func clientPIN(_ subcommand: ClientPINSubcommand) throws(Failure) -> ClientPINResponse {
    try clientPIN(ClientPINRequest(subCommand: subcommand.rawValue))
  }
}
