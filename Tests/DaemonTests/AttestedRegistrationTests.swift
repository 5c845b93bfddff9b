import Attestation
import AuditLog
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

    /// `terms` are of the rule for example.com; every other RP ID has one that says nothing.
    init(_ terms: Terms = Terms(), isEnrolled: Bool = true) async throws {
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
      if isEnrolled { try await runner.keeper.install(certificates.json) }
      anchor = authority.certificate
      list = try RevocationList(der: authority.revocationList(at: runner.now))
      let name = try TPMTPublicBytes(attestationKey: request.attestationKey).name.hexadecimal
      #expect(try authority.revoke(name, at: runner.now) == 3)
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
        operations: [.register, .authenticate, .manage])
      let special = Rule(
        name: "special", callers: [CallerPattern(user: 1000)],
        relyingParties: [try RelyingPartyPattern("example.com")], operations: [.register], terms: terms)
      engine = AuthenticatorEngine(
        environment: environment, judge: try RuleBook([rule, special]), executor: executor)
    }

    deinit {
      executor.stop()
    }

    static let challenge = [UInt8](repeating: 7, count: 32)

    func register(_ formats: [String]?, _ algorithm: COSEAlgorithm = .es256) async throws -> RegistrationResponseJSON {
      try await make(formats, algorithm).json
    }

    /// - Returns: the response, and epAtt
    func make(
      _ formats: [String]?, _ algorithm: COSEAlgorithm = .es256, enterprise: UInt64? = nil,
      relyingPartyID: String = "example.com"
    ) async throws -> (json: RegistrationResponseJSON, isEnterprise: Bool?) {
      let clientData = CollectedClientData(
        type: CollectedClientData.creation, challenge: Self.challenge, origin: "https://example.com"
      ).serialized()
      let request = MakeCredentialRequest(
        clientDataHash: SHA256.hash(clientData), relyingParty: RelyingPartyEntity(id: relyingPartyID),
        user: UserEntity(id: [1]), parameters: [CredentialParameters(algorithm: algorithm.rawValue)],
        enterpriseAttestation: enterprise, attestationFormatsPreference: formats)
      let bytes = await engine.respond(
        to: CTAPRequest.makeCredential(request).encoded(), from: AttestedRegistrationTests.caller)
      guard case .makeCredential(let made) = try CTAPResponse.decode(bytes, to: .makeCredential) else {
        throw EnrolmentRefusal("no registration")
      }
      let object = AttestationObject(
        format: made.format, statement: made.attestationStatement, authenticatorData: made.authenticatorData)
      let id = try AuthenticatorData.decode(made.authenticatorData).attestedCredential?.credentialID ?? []
      let response = RegistrationResponseJSON(
        id: id, clientDataJSON: clientData, attestationObject: object.encoded(), authenticatorData: nil, publicKey: nil,
        publicKeyAlgorithm: nil, transports: [], authenticatorAttachment: nil)
      return (response, made.enterpriseAttestation)
    }

    /// authenticatorConfig, enableEnterpriseAttestation; its status.
    func enableEnterpriseAttestation() async -> UInt8? {
      await engine.respond(to: [0x0d, 0xa1, 0x01, 0x01], from: AttestedRegistrationTests.caller).first
    }

    func option(_ name: String) async throws -> Bool? {
      let bytes = await engine.respond(to: CTAPRequest.getInfo.encoded(), from: AttestedRegistrationTests.caller)
      guard case .info(let info) = try CTAPResponse.decode(bytes, to: .getInfo) else { return nil }
      return info.options[name]
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

  /// By preference of the relying party within what the rule allows, else by the rule's own.
  @Test(
    arguments: [
      (nil, nil, "tpm"), (nil, ["none"], "none"), ([.packed, .tpm], nil, "packed"), ([.packed, .tpm], ["tpm"], "tpm"),
      ([.packed], ["tpm", "none"], "packed"), ([.packedSelf, .packed], ["packed"], "packed-self"),
      ([.none], ["tpm"], "none"), ([.tpm, .none], ["packed"], "tpm"),
    ] as [([AttestationFormat]?, [String]?, String)])
  func aRuleChoosesTheFormat(allowed: [AttestationFormat]?, wanted: [String]?, expected: String) async throws {
    var terms = Terms()
    terms.attestation = allowed
    let enrolled = try await Enrolled(terms)
    let object = try AttestationObject.decode(try await enrolled.register(wanted).attestationObject)
    let isSelf = object.format == "packed" && object.statement["x5c"] == nil
    #expect((isSelf ? "packed-self" : object.format) == expected)
    await enrolled.runner.keys.stop()
  }

  /// What cannot be made is not made weaker than the rule says.
  @Test func aRuleIsNotLoosened() async throws {
    for (allowed, expected) in [
      ([.tpm, .packed], nil), ([.tpm, .packedSelf], "packed"), ([.tpm, .none], "none"),
    ] as [([AttestationFormat], String?)] {
      var terms = Terms()
      terms.attestation = allowed
      let runner = try await Enrolled(terms, isEnrolled: false)
      let made = try? await runner.register(["tpm"])
      #expect(try made.map { try AttestationObject.decode($0.attestationObject).format } == expected)
      if expected == nil { #expect(runner.audit.records.last?.reason?.contains("none are in service") == true) }
      await runner.runner.keys.stop()
    }
  }

  /// CTAP 2.1 sections 6.1.2 (step 9), 6.11.1 and 7.1.
  @Test func enterpriseAttestationNamesTheDevice() async throws {
    var terms = Terms()
    terms.enterpriseAttestation = true
    let enrolled = try await Enrolled(terms)
    #expect(try await enrolled.option("ep") == false)
    await #expect(throws: (any Error).self) { try await enrolled.make(nil, enterprise: 1) }
    #expect(await enrolled.enableEnterpriseAttestation() == 0)
    #expect(try await enrolled.option("ep") == true)
    let request = try AttestationRequest(try await enrolled.runner.keeper.request(for: enrolled.runner.caller))
    let device = try EnrolledRunner.endorsementHash(request.json).hexadecimal
    for mode in [1, 2] as [UInt64] {
      let (response, isEnterprise) = try await enrolled.make(["tpm"], enterprise: mode)
      #expect(isEnterprise == true)
      let record = try enrolled.verify(response)
      #expect((record.attestationFormat, record.attestationType) == ("packed", .basic))
      let object = try AttestationObject.decode(response.attestationObject)
      guard case .array(let path)? = object.statement["x5c"], case .bytes(let der)? = path.first else {
        Issue.record("no certificate")
        return
      }
      // serialNumber of X.520: SHA-256 of the endorsement key.
      let names = try Certificate(der: der).subject.attributes
      #expect(names.last?.type == ObjectIdentifier([2, 5, 4, 5]))
      #expect(names.last.map { String(decoding: $0.value, as: UTF8.self) } == device)
    }
    // Neither whoever does not ask, nor whom the rule does not name, is told.
    let (regular, plain) = try await enrolled.make(["packed"])
    #expect(plain == nil)
    let (elsewhere, told) = try await enrolled.make(["packed"], enterprise: 2, relyingPartyID: "example.org")
    #expect(told == nil)
    for response in [regular, elsewhere] {
      #expect(response.attestationObject.firstRange(of: Array(device.utf8)) == nil)
    }
    await enrolled.runner.keys.stop()
  }

  @Test func withoutARuleThereIsNoEnterpriseAttestation() async throws {
    let enrolled = try await Enrolled()
    #expect(try await enrolled.option("ep") == nil)
    // CTAP2_ERR_INVALID_SUBCOMMAND
    #expect(await enrolled.enableEnterpriseAttestation() == 0x3e)
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
