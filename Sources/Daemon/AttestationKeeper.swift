internal import Attestation
internal import Authenticator
internal import Platform
internal import Policy
internal import TPMKeyStore
internal import WebAuthn

/// The runner's side of the enrolment with an attestation authority: makes the attestation key once, keeps it in a file
/// of its own beside the credentials, and puts certificates into service. The file holds no secret: only the TPM can use
/// the key in it.
actor AttestationKeeper {
  /// What is in the file.
  private struct Record {
    static let kind = "attestation key"
    static let version: Int64 = 1

    /// For the key store.
    var key: [UInt8]
    var publicArea: TPMTPublicBytes
    /// TPMT_PUBLIC of the endorsement key, and the digest, of the newest request.
    var endorsementKey: [UInt8]?
    var request: [UInt8]?
    var certificates: AttestationCertificates?
  }

  private let file: KeptFile
  private let executor: ThreadExecutor
  private let keys: TPMKeyStore
  private let identity: AuthenticatorIdentity
  private let clock: any Timekeeper
  private let log: Logger
  private var record: Record?
  /// What registrations see.
  private nonisolated let installed = Lock<InService?>(nil)

  private struct InService {
    let attestation: InstalledAttestation
    /// Seconds since 1970-01-01 UTC.
    let notAfter: Int64
    var hasComplained = false
  }

  /// Reads the file, where there is one.
  ///
  /// - Parameters:
  ///   - stateDirectory: the file's
  ///   - executor: the thread that all work with the file runs on
  ///   - keys: the TPM
  ///   - identity: for which AAGUID certificates are taken
  ///   - clock: for their validity
  ///   - log: for the operator
  /// - Throws: ``EnrolmentRefusal`` where it cannot be read: going on without would make a second key
  init(
    stateDirectory: String, executor: ThreadExecutor, keys: TPMKeyStore, identity: AuthenticatorIdentity,
    clock: any Timekeeper, log: Logger
  ) throws(EnrolmentRefusal) {
    file = KeptFile(path: stateDirectory + "/attestation.json")
    self.executor = executor
    self.keys = keys
    self.identity = identity
    self.clock = clock
    self.log = log
    record = try file.load("attestation record") { content throws in try AttestationKeeper.decode(content) }
    let found = record.flatMap(AttestationKeeper.installed(_:))
    installed.withLock { $0 = found }
  }

  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe executor.asUnownedSerialExecutor() }

  /// The key and its certificates; nil until they are installed, and once they have expired.
  nonisolated func inService() -> InstalledAttestation? {
    installed.withLock { found in
      guard let current = found else { return nil }
      guard current.notAfter < clock.unixMilliseconds / 1000 else { return current.attestation }
      if !current.hasComplained {
        log.warning(
          "attestation: the certificates have expired: registrations are by self-attestation until new ones are installed"
        )
        found?.hasComplained = true
      }
      return nil
    }
  }

  // MARK: Enrolment

  /// The request for an authority, as JSON; makes the attestation key where there is none.
  ///
  /// - Throws: ``EnrolmentRefusal``, `KeyStoreError`
  func request(for caller: Caller) async throws -> JSONValue {
    if record == nil {
      let made = try await keys.makeAttestationKey(caller: caller)
      let new = Record(key: made.key, publicArea: try TPMTPublicBytes(attestationKey: made.publicArea))
      // Another request may have made one meanwhile: the first stays.
      if record == nil {
        try save(new)
        log.notice("attestation: made the attestation key \(new.publicArea.name.hexadecimal)")
      }
    }
    guard let known = record else { throw EnrolmentRefusal("there is no attestation key") }
    let endorsement = try await keys.endorsement(caller: caller)
    let status = keys.status
    var request = AttestationRequest(
      created: clock.unixMilliseconds / 1000, aaguid: identity.aaguid, manufacturer: status.manufacturer,
      model: status.vendor, firmwareVersion: status.firmwareVersion, endorsementKey: endorsement.publicArea,
      endorsementCertificate: endorsement.certificate, attestationKey: known.publicArea.bytes,
      pcrValues: try await keys.readPCRs(AttestationRequest.pcrs, caller: caller))
    let quote = try await keys.quote(
      pcrs: AttestationRequest.pcrs, data: request.digest, with: known.key, caller: caller)
    request.quote = quote.attested
    request.signature = quote.signature
    var updated = known
    updated.certificates = record?.certificates
    updated.endorsementKey = endorsement.publicArea
    updated.request = request.digest
    try save(updated)
    return request.json
  }

  /// Answers an authority's challenge.
  ///
  /// - Throws: ``EnrolmentRefusal``, `KeyStoreError`
  func respond(to file: JSONValue, for caller: Caller) async throws -> JSONValue {
    let challenge = try ActivationChallenge(file)
    guard let record, let endorsementKey = record.endorsementKey else {
      throw EnrolmentRefusal("this runner has made no request: begin with countersign attestation request")
    }
    guard challenge.request == record.request else {
      throw EnrolmentRefusal("the challenge is for another request than the newest one of this runner")
    }
    guard challenge.expires >= clock.unixMilliseconds / 1000 else {
      throw EnrolmentRefusal("the challenge has expired: begin again with countersign attestation request")
    }
    let proof: [UInt8]
    do {
      proof = try await keys.activate(
        challenge.blob.credentialBlob, challenge.blob.encryptedSecret, key: record.key, endorsementKey: endorsementKey,
        message: challenge.proofMessage, caller: caller)
    } catch {
      throw EnrolmentRefusal("the TPM does not open the challenge, which is for another key or was altered: \(error)")
    }
    return ActivationResponse(id: challenge.id, request: challenge.request, proof: proof).json
  }

  /// Puts certificates into service.
  ///
  /// - Throws: ``EnrolmentRefusal``
  func install(_ file: JSONValue) throws {
    let certificates = try AttestationCertificates(file)
    guard var updated = record else {
      throw EnrolmentRefusal("this runner has no attestation key: begin with countersign attestation request")
    }
    try certificates.check(
      attestationKey: updated.publicArea, aaguid: identity.aaguid, at: clock.unixMilliseconds / 1000)
    if let old = updated.certificates?.notBefore, let new = certificates.notBefore, new < old {
      throw EnrolmentRefusal("the certificates are older than those that are in service")
    }
    updated.certificates = certificates
    try save(updated)
    log.notice("attestation: certificates of the attestation key are in service")
  }

  private static func installed(_ record: Record) -> InService? {
    guard let certificates = record.certificates, let end = certificates.notAfter else { return nil }
    return InService(
      attestation: InstalledAttestation(
        key: record.key, tpm: certificates.tpm, packed: certificates.packed, enterprise: certificates.enterprise),
      notAfter: end)
  }

  // MARK: The file

  private func save(_ new: Record) throws(EnrolmentRefusal) {
    var members: [String: JSONValue] = [
      "countersign": .string(Record.kind), "version": .integer(Record.version),
      "key": .string(Base64URL.encode(new.key)), "public": .string(Base64URL.encode(new.publicArea.bytes)),
    ]
    members["endorsementKey"] = new.endorsementKey.map { .string(Base64URL.encode($0)) }
    members["request"] = new.request.map { .string(Base64URL.encode($0)) }
    members["certificates"] = new.certificates?.json
    try file.save(.object(members))
    record = new
    let found = AttestationKeeper.installed(new)
    installed.withLock { $0 = found }
  }

  private static func decode(_ file: JSONCursor) throws -> Record {
    guard try file.required("countersign", "a string").string() == Record.kind,
      try file.required("version", "a number").integer(in: 0 ... .max) == Record.version
    else { throw EnrolmentRefusal("another kind or version") }
    let publicArea = try file.required("public", "base64url text").bytes(1...1024)
    return Record(
      key: try file.required("key", "base64url text").bytes(1...4096),
      publicArea: try TPMTPublicBytes(attestationKey: publicArea),
      endorsementKey: try file.optional("endorsementKey")?.bytes(1...1024),
      request: try file.optional("request")?.bytes(32...32),
      certificates: try file.optional("certificates").map { try AttestationCertificates($0.value) })
  }
}
