internal import AuditLog
internal import CBOR
internal import CTAP
internal import Crypto
internal import Policy
internal import WebAuthn

/// Which attestation statement a registration gets.
enum AttestationChoice: Equatable {
  case none
  /// Packed self attestation: the credential's own key signs.
  case packedSelf
  case packed(InstalledAttestation)
  case tpm(InstalledAttestation)
  /// Packed, by the certificate that names the device.
  case enterprise(InstalledAttestation)

  /// The first of the relying party's formats that is allowed and can be made (CTAP 2.2, attestationFormatsPreference);
  /// where there is none, or nothing is preferred, the first that is allowed and can be made. nil where nothing of what is
  /// allowed can be made.
  ///
  /// - Parameters:
  ///   - preferences: attestationFormatsPreference
  ///   - allowed: by the rule; nil for any, what proves most first
  ///   - installed: what is in service
  init?(_ preferences: [String]?, allowed: [AttestationFormat]? = nil, installed: InstalledAttestation?) {
    let choices = (allowed ?? AttestationFormat.allCases).compactMap { AttestationChoice($0, installed) }
    let preferred = (preferences ?? []).lazy.compactMap { format in choices.first { $0.format == format } }
    guard let choice = preferred.first ?? choices.first else { return nil }
    self = choice
  }

  private init?(_ format: AttestationFormat, _ installed: InstalledAttestation?) {
    switch (format, installed) {
    case (.tpm, let installed?): self = .tpm(installed)
    case (.packed, let installed?): self = .packed(installed)
    case (.tpm, nil), (.packed, nil): return nil
    case (.packedSelf, _): self = .packedSelf
    case (.none, _): self = .none
    }
  }

  var isEnterprise: Bool { if case .enterprise = self { true } else { false } }

  /// The attestation statement format identifier.
  var format: String {
    switch self {
    case .none: "none"
    case .packedSelf, .packed, .enterprise: "packed"
    case .tpm: "tpm"
    }
  }

  /// What getInfo names, the most preferred first.
  static func formats(installed: InstalledAttestation?) -> [String] {
    installed == nil ? ["packed"] : ["tpm", "packed"]
  }
}

extension AuthenticatorEngine {
  /// Makes the statement about authenticator data. The audit record is durable when it returns.
  ///
  /// - Parameters:
  ///   - choice: which
  ///   - message: authenticatorData, then the hash of the client data
  ///   - credential: whose registration this is
  ///   - presence: of this registration
  ///   - record: of this registration
  ///   - caller: who asked
  /// - Returns: attStmt
  /// - Throws: ``Failure``
  func statement(
    _ choice: AttestationChoice, of message: [UInt8], about credential: Credential, _ presence: consuming Presence,
    recording record: AuditRecord, for caller: Caller
  ) async throws(Failure) -> CBORMap {
    switch choice {
    case .none:
      try await self.record(record)
      return [:]
    case .packedSelf:
      // WebAuthn section 8.2.
      let algorithm = credential.key.algorithm.rawValue
      let signature = try await sign(message, with: credential, presence, recording: record, for: caller)
      return ["alg": .integer(algorithm), "sig": .bytes(signature)]
    case .packed(let installed), .enterprise(let installed):
      let ticket = submit(record)
      let signature: [UInt8]
      do {
        signature = try await attester().sign(message, with: installed.key, caller: caller, presence: presence)
      } catch {
        throw Failure(error)
      }
      try await durable(ticket)
      let certificates = choice.isEnterprise ? installed.enterprise : installed.packed
      return ["alg": attestationAlgorithm, "sig": .bytes(signature), "x5c": path(certificates)]
    case .tpm(let installed):
      // WebAuthn section 8.3: the hash is that of alg.
      let ticket = submit(record)
      let certification: CredentialCertification
      do {
        certification = try await attester().certify(
          credential.key, data: SHA256.hash(message), with: installed.key, caller: caller, presence: presence)
      } catch {
        throw Failure(error)
      }
      try await durable(ticket)
      return [
        "ver": "2.0", "alg": attestationAlgorithm, "x5c": path(installed.tpm), "sig": .bytes(certification.signature),
        "certInfo": .bytes(certification.attested), "pubArea": .bytes(certification.publicArea),
      ]
    }
  }

  /// Attestation keys are ECDSA P-256 with SHA-256.
  private var attestationAlgorithm: CBORValue { .integer(COSEAlgorithm.es256.rawValue) }

  private func path(_ certificates: [[UInt8]]) -> CBORValue { .array(certificates.map(CBORValue.bytes)) }

  private func attester() throws(KeyStoreError) -> any CredentialAttester {
    guard let attester = environment.attestation?.attester else { throw .failed("there is nobody to attest") }
    return attester
  }
}
