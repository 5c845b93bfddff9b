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

  /// The first of the relying party's formats that can be made (CTAP 2.2, attestationFormatsPreference); where there is
  /// none, or nothing is preferred, what proves most.
  ///
  /// - Parameters:
  ///   - formats: attestationFormatsPreference
  ///   - installed: what is in service
  init(_ formats: [String]?, installed: InstalledAttestation?) {
    for format in formats ?? [] {
      switch format {
      case "none":
        self = .none
        return
      case "packed":
        self = installed.map(AttestationChoice.packed) ?? .packedSelf
        return
      case "tpm":
        guard let installed else { continue }
        self = .tpm(installed)
        return
      default: continue
      }
    }
    self = installed.map(AttestationChoice.tpm) ?? .packedSelf
  }

  /// The attestation statement format identifier.
  var format: String {
    switch self {
    case .none: "none"
    case .packedSelf, .packed: "packed"
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
    case .packed(let installed):
      let ticket = submit(record)
      let signature: [UInt8]
      do {
        signature = try await attester().sign(message, with: installed.key, caller: caller, presence: presence)
      } catch {
        throw Failure(error)
      }
      try await durable(ticket)
      return ["alg": attestationAlgorithm, "sig": .bytes(signature), "x5c": path(installed.packed)]
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
