internal import CTAP
internal import Crypto
internal import WebAuthn

/// What a browser does between a page and an authenticator (WebAuthn sections 5.1.3 and 5.1.4), for a machine whose
/// only authenticator is the daemon: a platform authenticator.
package struct WebAuthnClient {
  /// Which of several discoverable credentials to use.
  package enum AccountChoice: Equatable, Sendable {
    /// The newest.
    case none
    case userHandle([UInt8])
    case credential([UInt8])
  }

  /// What did not work out although the ceremony did.
  package enum Warning: Sendable {
    case blobNotWritten(CeremonyError)
  }

  let authenticator: AuthenticatorClient
  /// To verify the user by, where nothing else does.
  let pin: PIN?
  let warn: (Warning) -> Void

  package init(_ authenticator: AuthenticatorClient, pin: PIN? = nil, warn: @escaping (Warning) -> Void = { _ in }) {
    self.authenticator = authenticator
    self.pin = pin
    self.warn = warn
  }

  func allowedRelyingPartyID(_ given: String?, for origin: Origin) throws(CeremonyError) -> String {
    let id = given ?? origin.host
    do {
      try RelyingPartyID.check(id, isAllowedFor: origin)
    } catch {
      throw .relyingPartyID(id, error)
    }
    return id
  }

  func information() throws(CeremonyError) -> AuthenticatorInfo {
    do {
      return try authenticator.getInfo()
    } catch {
      throw CeremonyError(error)
    }
  }

  /// The descriptors that can be this authenticator's: of the known type and not too long.
  func candidates(
    _ descriptors: [PublicKeyCredentialDescriptorJSON], for info: AuthenticatorInfo
  ) -> [CredentialDescriptor] {
    let longest = info.maxCredentialIDLength ?? .max
    return descriptors.filter { $0.type == PublicKeyCredentialDescriptorJSON.publicKeyType && $0.id.count <= longest }
      .map { CredentialDescriptor(type: $0.type, id: $0.id) }
  }

  /// Shortens a list that the authenticator does not take in one piece to the one credential of it that is here, by
  /// look-ups without user presence, as browsers do.
  ///
  /// - Parameters:
  ///   - list: of an allow list or exclude list
  ///   - relyingPartyID: whose
  ///   - info: of the authenticator
  ///   - longest: what is short enough, besides what the authenticator says
  ///   - verification: of the user, without whom some credentials are not found
  /// - Returns: the list itself where it is short enough; empty where no credential is here
  /// - Throws: ``CeremonyError``
  func shortened(
    _ list: [CredentialDescriptor], relyingPartyID: String, for info: AuthenticatorInfo, to longest: Int = .max,
    _ verification: Verification = .none
  ) throws(CeremonyError) -> [CredentialDescriptor] {
    let largestBatch = max(1, info.maxCredentialCountInList ?? .max)
    guard list.count > min(longest, largestBatch) else { return list }
    var rest = list[...]
    while !rest.isEmpty {
      let batch = Array(rest.prefix(largestBatch))
      rest = rest.dropFirst(largestBatch)
      // The hash of nothing that a relying party would take: what is signed here is thrown away.
      let hash = SHA256.hash([])
      let request = GetAssertionRequest(
        relyingPartyID: relyingPartyID, clientDataHash: hash, allowList: batch,
        options: RequestOptions(up: false, uv: verification.option), pinUvAuthParam: verification.parameter(of: hash),
        pinUvAuthProtocol: verification.protocolNumber)
      let answer: AssertionResponse
      do {
        answer = try authenticator.getAssertion(request)
      } catch {
        if error == .status(.noCredentials) { continue }
        throw CeremonyError(error)
      }
      guard let found = batch.first(where: { $0.id == answer.credential.id }) else {
        throw .wrongAnswer("it names a credential that was not asked for")
      }
      return [found]
    }
    return []
  }

  /// What every answer must say, whatever was asked.
  func check(
    _ data: AuthenticatorData, relyingPartyID: String, requiresUserVerification: Bool
  ) throws(CeremonyError) {
    guard data.relyingPartyIDHash == SHA256.hash([UInt8](relyingPartyID.utf8)) else {
      throw .wrongAnswer("it is for another RP ID")
    }
    guard data.flags.contains(.up) else { throw .wrongAnswer("it lacks user presence") }
    guard !requiresUserVerification || data.flags.contains(.uv) else {
      throw .wrongAnswer("it lacks user verification")
    }
  }

  func decoded(_ bytes: [UInt8]) throws(CeremonyError) -> AuthenticatorData {
    do {
      return try AuthenticatorData.decode(bytes)
    } catch {
      throw .wrongAnswer("its authenticator data is malformed (\(error))")
    }
  }
}
