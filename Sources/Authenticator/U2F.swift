internal import AuditLog
internal import Crypto
internal import CTAP
internal import Platform
package import Policy
internal import WebAuthn

extension AuthenticatorEngine {
  /// Answers one CTAP1/U2F message (CTAP 2.1 section 7; FIDO U2F Raw Message Formats).
  ///
  /// - Parameters:
  ///   - message: an APDU, any bytes
  ///   - caller: whose channel it came from; one request at a time
  /// - Returns: data and status word
  package func respond(toU2F message: [UInt8], from caller: Caller) async -> [UInt8] {
    await timed { await answer(u2f: message, from: caller) }
  }

  private func answer(u2f message: [UInt8], from caller: Caller) async -> [UInt8] {
    let start = environment.time.monotonicNanoseconds
    do throws(U2FStatus) {
      let request = try U2FRequest.decode(message)
      // Ends what a CTAP2 command has begun, as another CTAP2 command does.
      channels[caller.connection]?.endWalk()
      let answer = try await dispatch(request, since: start, for: caller)
      return answer.encoded()
    } catch {
      return error.encoded()
    }
  }

  private func dispatch(
    _ request: U2FRequest, since start: UInt64, for caller: Caller
  ) async throws(U2FStatus) -> U2FResponse {
    do throws(CTAPStatus) {
      let response = try await answer(request, for: caller)
      count(request.name, from: caller, failure: nil, since: start)
      return response
    } catch {
      count(request.name, from: caller, failure: error, since: start)
      throw U2FStatus(error)
    }
  }

  private func answer(_ request: U2FRequest, for caller: Caller) async throws(CTAPStatus) -> U2FResponse {
    try gate.enter()
    defer { gate.leave() }
    // Verification always is what U2F cannot do (section 7.2.4).
    if request != .version, try await settings().alwaysUV { throw CTAPStatus.puatRequired }
    switch request {
    case .version: return .version
    case .register(let challenge, let application):
      return .registration(try await registerU2F(challenge, application, for: caller))
    case .authenticate(let control, let challenge, let application, let keyHandle):
      return .authentication(try await authenticateU2F(control, challenge, application, keyHandle, for: caller))
    }
  }

  /// U2F_REGISTER. The attestation certificate is the credential's own, signed by itself: there is no batch key that
  /// every Countersign would share.
  private func registerU2F(
    _ challenge: [UInt8], _ application: [UInt8], for caller: Caller
  ) async throws(CTAPStatus) -> U2FRegistration {
    guard environment.keys.algorithms.contains(.es256) else { throw .unsupportedAlgorithm }
    let inquiry = Inquiry(caller, .register, .application(application))
    var draft = draft(.register, nil, inquiry.scope, for: caller, detail: "u2f")
    draft.clientDataHash = challenge
    do throws(Failure) {
      try refuseOverload(inquiry, &draft)
    } catch {
      throw await fail(draft, error)
    }
    let presence = try await admit(inquiry)
    draft.rule = presence.rule
    // A decision signs once, and the certificate is a signature too.
    let second = try await admit(inquiry)
    do throws(Failure) {
      let place = enterRegistration(application)
      defer { leaveRegistration(application) }
      try await refuseTooMany(presence, place, application)
      try await refuseFullStore()
      let binding = KeyBinding(
        credentialID: environment.random.bytes(AuthenticatorLimits.credentialIDLength),
        relyingPartyIDHash: application)
      draft.credentialID = binding.credentialID
      let made = try await createKey(.es256, binding, presence, for: caller)
      guard case .es256(let x, let y) = made.publicKey else { throw Failure(.other, "not a P-256 key") }
      let credential = Credential(
        relyingPartyID: nil, userHandle: [], isDiscoverable: false, publicKey: made.publicKey, key: made.key,
        signatureCounter: presence.signatureCounter, createdAt: environment.time.unixMilliseconds)
      let certificate = U2FSelfCertificate.tbs(x: x, y: y, credentialID: credential.id)
      var certificateDraft = draft
      certificateDraft.detail = "u2f certificate"
      let certificateSignature = try await sign(
        certificate, with: credential, presence, recording: certificateDraft, for: caller)
      let message = U2FRegistration.message(
        challenge: challenge, application: application, keyHandle: credential.id, x: x, y: y)
      let signature = try await sign(message, with: credential, second, recording: draft, for: caller)
      try refuseCancelled()
      try refuseEnded(caller)
      try await keep(credential, for: caller)
      return U2FRegistration(
        x: x, y: y, keyHandle: credential.id,
        certificate: U2FSelfCertificate.assemble(tbs: certificate, signature: certificateSignature),
        signature: signature)
    } catch {
      throw await fail(draft, error)
    }
  }

  /// A store that fails is told once policy has been asked.
  private func lookUp(_ keyHandle: [UInt8], _ application: [UInt8]) async -> Result<Credential?, Failure> {
    do throws(Failure) {
      return .success(try await find(keyHandle, relyingPartyIDHash: application))
    } catch {
      return .failure(error)
    }
  }

  /// U2F_AUTHENTICATE: what it signs has the form of authenticator data without extensions, and the challenge.
  private func authenticateU2F(
    _ control: U2FControl, _ challenge: [UInt8], _ application: [UInt8], _ keyHandle: [UInt8], for caller: Caller
  ) async throws(CTAPStatus) -> U2FAuthentication {
    // Who may sign nothing at all has nothing looked up, so that not even the time tells which credentials are here.
    let known: Result<Credential?, Failure> =
      judge.recognises(caller, .authenticate) ? await lookUp(keyHandle, application) : .success(nil)
    // A credential that CTAP2 has made tells its RP ID: the rule for that decides, as it does there. To who may not, it
    // is the same as one that is not here.
    let scope = (try? known.get())?.relyingPartyID.map(Scope.relyingParty) ?? .application(application)
    let inquiry = Inquiry(caller, .authenticate, scope, bindsClaims: false)
    let prospect = try await foresee(inquiry, detail: "u2f")
    var draft = draft(.authenticate, prospect, inquiry.scope, for: caller, detail: "u2f")
    draft.clientDataHash = challenge
    let credential: Credential
    do throws(Failure) {
      guard let found = try known.get(), found.key.algorithm == .es256,
        found.protection < .userVerificationRequired,
        isAllowed(found, inquiry, prospect, verifiedBy: nil)
      else { throw Failure(.noCredentials, "no such credential") }
      credential = found
      draft.relyingPartyID = credential.relyingPartyID
      draft.credentialID = credential.id
      guard credential.state != .disabled else { throw .disabledCredential }
      if control == .checkOnly { throw Failure(.upRequired, "check only: the key handle is known") }
      try refuseOverload(inquiry.about(credential), &draft)
    } catch {
      throw await fail(draft, error)
    }
    let presence = try await admit(inquiry.about(credential), detail: "u2f")
    draft.rule = presence.rule
    do throws(Failure) {
      let userPresence: UInt8 = control == .enforceUserPresence ? 1 : 0
      let counter = try await counter(for: credential.signatureCounter, caller: caller)
      draft.flags = userPresence
      draft.signatureCounter = counter
      let message = U2FAuthentication.message(
        challenge: challenge, application: application, userPresence: userPresence, counter: counter)
      let signature = try await sign(message, with: credential, presence, recording: draft, for: caller)
      return U2FAuthentication(userPresence: userPresence, counter: counter, signature: signature)
    } catch {
      throw await fail(draft, error)
    }
  }
}

extension U2FStatus {
  /// What U2F has a word for. A refusal of policy looks like a key handle that is not ours: waiting for a touch, as
  /// clients do at SW_CONDITIONS_NOT_SATISFIED, would not help.
  fileprivate init(_ status: CTAPStatus) {
    switch status {
    case .noCredentials, .operationDenied: self = .wrongData
    case .upRequired: self = .conditionsNotSatisfied
    case .puatRequired: self = .commandNotAllowed
    default: self = .unknown
    }
  }
}

extension U2FRequest {
  /// For metrics.
  fileprivate var name: String {
    switch self {
    case .version: "u2fVersion"
    case .register: "u2fRegister"
    case .authenticate: "u2fAuthenticate"
    }
  }
}
