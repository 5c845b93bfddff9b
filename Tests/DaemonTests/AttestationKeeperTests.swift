import Attestation
import Authenticator
import Crypto
import Glibc
import Platform
import Policy
import Secrets
import TPMKeyStore
import TPMStructures
import TestSupport
import Testing
import WebAuthn

@testable import Daemon

/// The device record in memory.
private final class Records: DeviceRecordStore {
  private let record = Lock<[UInt8]?>(nil)

  func deviceRecord() async throws(StoreError) -> [UInt8]? { record.withLock { $0 } }
  func saveDeviceRecord(_ record: [UInt8]) async throws(StoreError) { self.record.withLock { $0 = record } }
}

/// A runner with a software TPM of its own.
final class EnrolledRunner: Sendable {
  let fixture: SoftwareTPMFixture
  let folder: TemporaryDirectory
  let executor: ThreadExecutor
  let keys: TPMKeyStore
  let keeper: AttestationKeeper
  let clock = ManualTime()
  let caller = Caller(connection: 1, user: 0, group: 0, process: nil, supplementaryGroups: [], unit: nil)

  init() async throws {
    fixture = try SoftwareTPMFixture()
    folder = TemporaryDirectory()
    executor = try ThreadExecutor(name: "store")
    (keys, _) = try await TPMKeyStore.start(
      connection: .tcti(fixture.tcti), records: Records(), allowSoftware: true, log: .silent, clock: clock)
    keeper = try AttestationKeeper(
      stateDirectory: folder.path, executor: executor, keys: keys, identity: .software, clock: clock, log: .silent)
  }

  deinit {
    executor.stop()
  }

  var now: Int64 { clock.unixMilliseconds / 1000 }

  /// The hash of the endorsement key in a request.
  static func endorsementHash(_ request: JSONValue) throws -> [UInt8] {
    let area = try TPMTPublic(parsing: try AttestationRequest(request).endorsementKey)
    return SHA256.hash(try #require(KeyNumbers.subjectPublicKeyInfo(of: area)))
  }
}

/// The whole way of an enrolment on a software TPM: what the authority makes without a TPM, TPM2_ActivateCredential opens.
@Suite struct AttestationKeeperTests {
  static func random(_ count: Int) -> [UInt8] { SystemRandom().bytes(count) }

  private func authority(_ runner: EnrolledRunner) throws -> CertificateAuthority {
    try CertificateAuthority(
      new: AuthorityRegister(organization: "Operator", country: "DE"), at: runner.now, random: Self.random)
  }

  private func policy(_ request: JSONValue, _ runner: EnrolledRunner) throws -> EnrolmentPolicy {
    EnrolmentPolicy(vendors: [], allowed: [try EnrolledRunner.endorsementHash(request)], time: runner.now)
  }

  @Test func theAuthorityKnowsTheModels() {
    #expect(CountersignModel.hardware == AuthenticatorIdentity.hardware.aaguid)
    #expect(CountersignModel.software == AuthenticatorIdentity.software.aaguid)
  }

  @Test func enrols() async throws {
    let runner = try await EnrolledRunner()
    var authority = try authority(runner)
    #expect(runner.keeper.inService() == nil)
    let request = try await runner.keeper.request(for: runner.caller)
    let policy = try policy(request, runner)
    let challenge = try authority.challenge(try AttestationRequest(request), under: policy, random: Self.random)
    let answer = try await runner.keeper.respond(to: challenge.json, for: runner.caller)
    let response = try ActivationResponse(answer)
    let certificates = try authority.issue(response, under: policy, days: 30, random: Self.random)
    // A response is good once.
    #expect(throws: EnrolmentRefusal.self) {
      try authority.issue(response, under: policy, days: 30, random: Self.random)
    }
    // And so is a request.
    #expect(
      throws: EnrolmentRefusal(
        "the request was answered by certificates already: make a new one with countersign attestation request")
    ) {
      try authority.challenge(try AttestationRequest(request), under: policy, random: Self.random)
    }
    try await runner.keeper.install(certificates.json)
    let installed = try #require(runner.keeper.inService())
    #expect(installed.tpm == certificates.tpm)
    #expect(authority.register.issued.map(\.format) == ["tpm", "packed", "enterprise"])
    #expect(try AuthorityRegister(authority.register.json) == authority.register)

    // It outlives the daemon, and the key is made once.
    let again = try AttestationKeeper(
      stateDirectory: runner.folder.path, executor: runner.executor, keys: runner.keys, identity: .software,
      clock: runner.clock, log: .silent)
    #expect(again.inService() == installed)
    let second = try AttestationRequest(try await again.request(for: runner.caller))
    #expect(second.attestationKey == (try AttestationRequest(request).attestationKey))
    #expect(again.inService() == installed)
    await runner.keys.stop()
  }

  @Test func refusesForeignChallenges() async throws {
    let runner = try await EnrolledRunner()
    let other = try await EnrolledRunner()
    var authority = try authority(runner)
    func refusal(_ body: () async throws -> JSONValue) async -> String {
      do {
        _ = try await body()
        return "none"
      } catch {
        return "\(error)"
      }
    }
    let early = ActivationChallenge(
      id: Self.random(16), request: Self.random(32), expires: CertificateTime.never,
      blob: ActivationBlob(credentialBlob: [1], encryptedSecret: [1]))
    #expect(
      await refusal { try await runner.keeper.respond(to: early.json, for: runner.caller) }
        == "this runner has made no request: begin with countersign attestation request")
    let request = try await runner.keeper.request(for: runner.caller)
    let challenge = try authority.challenge(
      try AttestationRequest(request), under: try policy(request, runner), random: Self.random)

    // Another runner's, and one for an older request.
    _ = try await other.keeper.request(for: other.caller)
    let foreign = "the challenge is for another request than the newest one of this runner"
    #expect(await refusal { try await other.keeper.respond(to: challenge.json, for: other.caller) } == foreign)

    // Altered on the way, or made for another attestation key.
    var altered = challenge
    altered.blob = ActivationBlob(
      credentialBlob: challenge.blob.credentialBlob.map { $0 ^ 1 }, encryptedSecret: challenge.blob.encryptedSecret)
    #expect(
      await refusal { try await runner.keeper.respond(to: altered.json, for: runner.caller) }
        .hasPrefix("the TPM does not open the challenge"))
    let secret = try #require(
      try? CredentialActivation.make(
        try .random(count: 32), for: [0, 11] + Self.random(32),
        to: try TPMTPublic(parsing: try AttestationRequest(request).endorsementKey)))
    altered.blob = secret
    #expect(
      await refusal { try await runner.keeper.respond(to: altered.json, for: runner.caller) }
        .hasPrefix("the TPM does not open the challenge"))

    // Too late.
    runner.clock.advance(by: .seconds(8 * 86_400))
    #expect(
      await refusal { try await runner.keeper.respond(to: challenge.json, for: runner.caller) }
        .hasPrefix("the challenge has expired"))
    _ = try await runner.keeper.request(for: runner.caller)
    #expect(await refusal { try await runner.keeper.respond(to: challenge.json, for: runner.caller) } == foreign)
    await runner.keys.stop()
    await other.keys.stop()
  }

  @Test func refusesForeignCertificates() async throws {
    let runner = try await EnrolledRunner()
    runner.clock.advance(by: .seconds(TestAuthority.now - runner.now))
    let authority = TestAuthority()
    let request = try AttestationRequest(try await runner.keeper.request(for: runner.caller))
    let key = try TPMTPublicBytes(attestationKey: request.attestationKey)
    func certificate(
      by issuer: TestAuthority? = nil, _ change: (inout CertificateTemplate) -> Void
    ) -> AttestationCertificates {
      var template = authority.leaf(for: TestKey(), subject: DistinguishedName([]))
      template.publicKey = key.subjectPublicKeyInfo
      template.notBefore = runner.now
      template.notAfter = runner.now + 60
      template.extensions.append(
        CertificateExtension(
          ObjectIdentifier([1, 3, 6, 1, 4, 1, 45724, 1, 1, 4]),
          DER.element(.octetString, AuthenticatorIdentity.software.aaguid)))
      change(&template)
      let der = authority.encoded(template)
      return AttestationCertificates(
        tpm: [der], packed: [der], enterprise: [der], authority: (issuer ?? authority).certificate.der)
    }
    func refusal(
      by issuer: TestAuthority? = nil, _ change: (inout CertificateTemplate) -> Void
    ) async -> String? {
      do {
        try await runner.keeper.install(certificate(by: issuer, change).json)
        return nil
      } catch {
        return "\(error)"
      }
    }
    #expect(
      await refusal { $0.publicKey = TestKey().publicKey.subjectPublicKeyInfo }
        == "the certificate is for another key than this runner's attestation key")
    #expect(
      await refusal { $0.extensions.removeLast() } == "the certificate is for another AAGUID than this runner's")
    #expect(await refusal { $0.notBefore = runner.now + 1 } == "the certificate is not valid yet")
    #expect(await refusal { $0.notAfter = runner.now - 1 } == "the certificate has expired")
    #expect(runner.keeper.inService() == nil)
    // Signed by somebody else than the file says, or altered.
    let altered = "the certificate is not the authority's of the same file, which was altered"
    #expect(await refusal(by: TestAuthority("Other")) { _ in }?.hasPrefix(altered) == true)
    #expect(await refusal { _ in } == nil)
    #expect(runner.keeper.inService() != nil)
    // A replayed file, from before what is in service.
    #expect(
      await refusal { $0.notBefore = runner.now - 1 }
        == "the certificates are older than those that are in service")
    #expect(await refusal { _ in } == nil)
    await runner.keys.stop()
  }

  @Test func refusesDamagedRecords() async throws {
    let runner = try await EnrolledRunner()
    _ = try await runner.keeper.request(for: runner.caller)
    let path = runner.folder.path + "/attestation.json"
    try AtomicFile(path: path).commit(Array("{\"countersign\":\"attestation key\",\"version\":2}".utf8))
    #expect {
      _ = try AttestationKeeper(
        stateDirectory: runner.folder.path, executor: runner.executor, keys: runner.keys, identity: .software,
        clock: runner.clock, log: .silent)
    } throws: {
      "\($0)".contains("is no attestation record of this version")
    }
    await runner.keys.stop()
  }
}
