import Attestation
import Authenticator
import CBOR
import CTAP
import Crypto
import Platform
import Policy
import RelyingParty
import TPMKeyStore
import TPMStructures
import TestSupport
import Testing
import WebAuthn

@testable import Daemon

/// From the enrolment to the relying party's verdict, on a software TPM.
@Suite struct AttestedRegistrationTests {
  static let caller = Caller(
    connection: 1, user: 1000, group: 1000, process: nil, supplementaryGroups: [], unit: nil)

  /// An enrolled authenticator, and whom its relying parties trust.
  private final class Enrolled: Sendable {
    let runner: EnrolledRunner
    let engine: AuthenticatorEngine
    let audit = MemoryAudit()
    let anchor: Certificate
    let revokedList: RevocationList
    let list: RevocationList
    private let executor: ThreadExecutor

    init() async throws {
      runner = try await EnrolledRunner()
      let random: (Int) -> [UInt8] = { SystemRandom().bytes($0) }
      var authority = try CertificateAuthority(
        new: AuthorityRegister(organization: "Operator", country: "DE"), at: runner.now, random: random)
      let request = try AttestationRequest(try await runner.keeper.request(for: runner.caller))
      let policy = EnrolmentPolicy(
        vendors: [], allowed: [try EnrolledRunner.endorsementHash(request.json)], time: runner.now)
      let challenge = try authority.challenge(request, under: policy, random: random)
      let response = try ActivationResponse(
        try await runner.keeper.respond(to: challenge.json, for: runner.caller))
      let certificates = try authority.issue(response, under: policy, days: 30, random: random)
      try await runner.keeper.install(certificates.json)
      anchor = authority.certificate
      list = try RevocationList(der: authority.revocationList(at: runner.now))
      let name = try TPMTPublicBytes(attestationKey: request.attestationKey).name.hexadecimal
      #expect(try authority.revoke(name, at: runner.now) == 2)
      #expect(try authority.revoke(name, at: runner.now) == 0)
      revokedList = try RevocationList(der: authority.revocationList(at: runner.now))
      executor = try ThreadExecutor(name: "engine")
      let keeper = runner.keeper
      let environment = AuthenticatorEnvironment(
        keys: runner.keys, store: MemoryStore(), audit: audit, time: runner.clock, random: SystemRandom(),
        logger: .silent, identity: .software,
        attestation: AttestationService(attester: runner.keys, inService: { keeper.inService() }))
      let rule = Rule(
        name: "all", callers: [CallerPattern(user: 1000)], relyingParties: [.any],
        operations: [.register, .authenticate])
      engine = AuthenticatorEngine(environment: environment, judge: try RuleBook([rule]), executor: executor)
    }

    deinit {
      executor.stop()
    }

    static let challenge = [UInt8](repeating: 7, count: 32)

    func register(_ formats: [String]?, _ algorithm: COSEAlgorithm = .es256) async throws -> RegistrationResponseJSON {
      let clientData = CollectedClientData(
        type: CollectedClientData.creation, challenge: Self.challenge, origin: "https://example.com"
      ).serialized()
      let request = MakeCredentialRequest(
        clientDataHash: SHA256.hash(clientData), relyingParty: RelyingPartyEntity(id: "example.com"),
        user: UserEntity(id: [1]), parameters: [CredentialParameters(algorithm: algorithm.rawValue)],
        attestationFormatsPreference: formats)
      let bytes = await engine.respond(
        to: CTAPRequest.makeCredential(request).encoded(), from: AttestedRegistrationTests.caller)
      guard case .makeCredential(let made) = try CTAPResponse.decode(bytes, to: .makeCredential) else {
        throw EnrolmentRefusal("no registration")
      }
      let object = AttestationObject(
        format: made.format, statement: made.attestationStatement, authenticatorData: made.authenticatorData)
      let id = try AuthenticatorData.decode(made.authenticatorData).attestedCredential?.credentialID ?? []
      return RegistrationResponseJSON(
        id: id, clientDataJSON: clientData, attestationObject: object.encoded(), authenticatorData: nil, publicKey: nil,
        publicKeyAlgorithm: nil, transports: [], authenticatorAttachment: nil)
    }

    func verify(
      _ response: RegistrationResponseJSON, _ policy: AttestationPolicy? = nil
    ) throws -> CredentialRecord {
      let options = """
        {"rp":{"id":"example.com","name":"R"},"user":{"id":"AQ","name":"n","displayName":"d"},
        "challenge":"\(Base64URL.encode(Self.challenge))","pubKeyCredParams":[{"type":"public-key","alg":-7},
        {"type":"public-key","alg":-35},{"type":"public-key","alg":-257}]}
        """
      return try RegistrationVerifier.verify(
        response, of: PublicKeyCredentialCreationOptionsJSON(parsing: Array(options.utf8)),
        origin: "https://example.com", relyingPartyID: "example.com",
        under: RelyingPartyPolicy(attestation: policy ?? self.policy))
    }

    var policy: AttestationPolicy {
      AttestationPolicy(
        anchors: [anchor], revocationLists: [list], aaguids: [AuthenticatorIdentity.software.aaguid],
        time: runner.now)
    }
  }

  @Test func relyingPartiesAcceptIt() async throws {
    let enrolled = try await Enrolled()
    for algorithm in [COSEAlgorithm.es256, .es384, .rs256] {
      let record = try enrolled.verify(try await enrolled.register(["tpm"], algorithm))
      #expect(record.attestationFormat == "tpm")
      #expect(record.attestationType == .attCA)
      #expect(record.attestationAnchor == SHA256.hash(enrolled.anchor.der))
      #expect(record.tpm?.vendor.name == "IBM")
      #expect(record.tpm?.model == "SW TPM")
      #expect(record.publicKey.algorithm == algorithm)
      let packed = try enrolled.verify(try await enrolled.register(["unknown", "packed", "tpm"], algorithm))
      #expect(packed.attestationFormat == "packed")
      #expect(packed.attestationType == .basic)
    }
    // Where nothing is preferred, what proves most.
    #expect(try enrolled.verify(try await enrolled.register(nil)).attestationFormat == "tpm")
    #expect(try enrolled.verify(try await enrolled.register(["apple"])).attestationFormat == "tpm")
    let none = try await enrolled.register(["none"])
    #expect(throws: VerificationError.attestationTrust(.kind(.none))) { try enrolled.verify(none) }
    #expect(try enrolled.verify(none, .unattested).attestationType == .none)
    await enrolled.runner.keys.stop()
  }

  @Test func relyingPartiesRefuseTheRest() async throws {
    let enrolled = try await Enrolled()
    for formats in [["tpm"], ["packed"]] {
      let response = try await enrolled.register(formats)
      func refusal(
        _ change: (inout AttestationPolicy) -> Void = { _ in },
        _ alter: (inout RegistrationResponseJSON) -> Void = { _ in }
      ) -> VerificationError? {
        var policy = enrolled.policy
        change(&policy)
        var response = response
        alter(&response)
        do {
          _ = try enrolled.verify(response, policy)
          return nil
        } catch {
          return error as? VerificationError
        }
      }
      #expect(refusal() == nil)
      #expect(refusal { $0.revocationLists = [enrolled.revokedList] } == .attestationTrust(.chain(.revoked)))
      #expect(refusal { $0.anchors = [TestAuthority().certificate] } == .attestationTrust(.chain(.noAnchor)))
      #expect(refusal { $0.time += 20 * 86_400 } == nil)
      #expect(refusal { $0.time += 31 * 86_400 } != nil)
      #expect(
        refusal { $0.aaguids = [AuthenticatorIdentity.hardware.aaguid] }
          == .attestationTrust(.aaguid(AuthenticatorIdentity.software.aaguid)))
      // Altered authenticator data: the counter.
      #expect(
        refusal({ _ in }) {
          guard var object = try? AttestationObject.decode($0.attestationObject) else { return }
          object.authenticatorData[36] ^= 1
          $0.attestationObject = object.encoded()
        } != nil)
    }
    // The certification of one key says nothing of another.
    let (one, two) = (try await enrolled.register(["tpm"]), try await enrolled.register(["tpm"]))
    var mixed = one
    var object = try AttestationObject.decode(one.attestationObject)
    let other = try AttestationObject.decode(two.attestationObject)
    for member in ["certInfo", "sig"] { object.statement[.text(member)] = other.statement[.text(member)] }
    mixed.attestationObject = object.encoded()
    #expect(throws: VerificationError.self) { try enrolled.verify(mixed) }
    await enrolled.runner.keys.stop()
  }

  @Test func saysWhichFormatsItHas() async throws {
    let enrolled = try await Enrolled()
    let bytes = await enrolled.engine.respond(to: CTAPRequest.getInfo.encoded(), from: Self.caller)
    guard case .info(let info) = try CTAPResponse.decode(bytes, to: .getInfo) else { return }
    #expect(info.attestationFormats == ["tpm", "packed"])
    // Once the certificates have expired, nothing is promised that they would have to keep.
    enrolled.runner.clock.advance(by: .seconds(31 * 86_400))
    #expect(enrolled.runner.keeper.inService() == nil)
    let response = try await enrolled.register(nil)
    #expect(try enrolled.verify(response, .unattested).attestationType == .`self`)
    await enrolled.runner.keys.stop()
  }
}
