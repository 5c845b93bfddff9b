internal import CBOR
internal import CTAP
internal import Crypto
internal import Secrets
internal import WebAuthn

/// One evaluation of hmac-secret (CTAP 2.1 section 12.5), as prf asks for it (WebAuthn section 10.1.4): the encrypted
/// salts, and how to read the outputs.
struct HMACSecret: ~Copyable {
  let input: HMACSecretInput
  private let exchange: KeyExchange

  /// What keeps the salts of relying parties apart from those that other programs use.
  private static let context = [UInt8]("WebAuthn PRF".utf8) + [0]

  init(_ salts: PRFSaltsJSON, _ exchange: consuming KeyExchange) throws {
    let plain = try Self.salts(salts)
    let saltEnc = try plain.reveal { span throws(CTAPStatus) in try exchange.encrypt(span) }
    input = HMACSecretInput(
      keyAgreement: exchange.point, saltEnc: saltEnc, saltAuth: exchange.secret.authenticate(saltEnc),
      pinUvAuthProtocol: exchange.secret.version.rawValue)
    self.exchange = exchange
  }

  private static func salts(_ salts: PRFSaltsJSON) throws -> SecretBytes {
    let hashes = [salts.first, salts.second].compactMap(\.self).map { SHA256.hash(context + $0) }
    return try SecretBytes(count: hashes.count * SHA256.count) { span in
      for (index, byte) in hashes.joined().enumerated() { span[index] = byte }
    }
  }

  /// What an output of hmac-secret or hmac-secret-mc in authenticator data says.
  borrowing func results(_ output: CBORValue) throws(CeremonyError) -> PRFResults {
    guard case .bytes(let encrypted) = output else { throw .wrongAnswer("its hmac-secret is no byte string") }
    do {
      if let results = try PRFResults(try exchange.secret.decrypt(encrypted)) { return results }
    } catch is CTAPStatus {
      // Said below.
    } catch {
      throw .client(.noSecrets("\(error)"))
    }
    throw .wrongAnswer("its hmac-secret has another length than asked for")
  }
}

extension WebAuthnClient {
  func hmacSecret(_ salts: PRFSaltsJSON, _ info: AuthenticatorInfo) throws(CeremonyError) -> HMACSecret {
    do throws(AuthenticatorClient.Failure) {
      let exchange = try authenticator.agree(on: try authenticator.pinProtocol(of: info))
      return try prepared(salts, exchange)
    } catch {
      throw CeremonyError(error)
    }
  }

  private func prepared(
    _ salts: PRFSaltsJSON, _ exchange: consuming KeyExchange
  ) throws(AuthenticatorClient.Failure) -> HMACSecret {
    do {
      return try HMACSecret(salts, exchange)
    } catch {
      throw .client(.noSecrets("\(error)"))
    }
  }
}
