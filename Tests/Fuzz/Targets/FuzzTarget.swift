/// One thing that takes bytes from outside, and what must hold for any of them.
struct FuzzTarget: Sendable {
  /// Also the name of its folders in Corpus and Crashes.
  let name: String
  /// What the coverage is measured of, below Sources.
  let sources: [String]
  /// Throws a ``Finding`` where something does not hold; traps where the code under test does.
  let check: @Sendable ([UInt8]) throws -> Void

  static let all = [
    FuzzTarget(name: "cbor", sources: ["CBOR"], check: checkCBOR),
    FuzzTarget(name: "request", sources: ["CTAP", "CBOR"], check: checkRequest),
    FuzzTarget(name: "response", sources: ["CTAP", "CBOR"], check: checkResponse),
    FuzzTarget(
      name: "bound", sources: ["CTAP/BoundAssertion.swift", "CTAP/GetAssertion.swift"], check: checkBoundAssertion),
    FuzzTarget(
      name: "u2f", sources: ["CTAP/U2FRequest.swift", "CTAP/U2FResponse.swift", "CTAP/U2FStatus.swift"],
      check: checkU2F),
    FuzzTarget(
      name: "pin",
      sources: [
        "CTAP/KeyAgreementPoint.swift", "CTAP/PINProtocol.swift", "Crypto/KeyAgreementKey.swift", "Crypto/AESCBC.swift",
      ],
      check: checkPINProtocol),
    FuzzTarget(
      name: "frames",
      sources: ["CTAPHID/FrameReader.swift", "CTAPHID/Frame.swift", "CTAPHID/Initialization.swift"],
      check: checkFrames),
    FuzzTarget(
      name: "hid",
      sources: [
        "CTAPHID/Packet.swift", "CTAPHID/Message.swift", "CTAPHID/ChannelTable.swift", "CTAPHID/VirtualDevice.swift",
        "HIDRelay/UHIDEvent.swift",
      ],
      check: checkVirtualDevice),
    FuzzTarget(
      name: "attestation",
      sources: [
        "WebAuthn/AttestationObject.swift", "WebAuthn/AuthenticatorData.swift", "WebAuthn/COSEKey.swift",
        "Crypto/SubjectPublicKeyInfo.swift", "Crypto/SignatureVerifier.swift",
      ],
      check: checkAttestation),
    FuzzTarget(
      name: "certificates",
      sources: [
        "TPMStructures", "Crypto/Certificate.swift", "Crypto/CertificateChain.swift", "Crypto/CertificateTime.swift",
        "Crypto/DER.swift", "Crypto/PEM.swift", "Crypto/SubjectPublicKeyInfo.swift",
      ],
      check: checkCertificates),
    FuzzTarget(
      name: "json",
      sources: [
        "WebAuthn/JSONParser.swift", "WebAuthn/JSONValue.swift", "WebAuthn/JSONCursor.swift",
        "WebAuthn/PublicKeyCredentialOptionsJSON.swift", "WebAuthn/PublicKeyCredentialJSON.swift",
        "WebAuthn/CollectedClientData.swift", "WebAuthn/Base64URL.swift", "WebAuthn/Origin.swift",
        "WebAuthn/RelyingPartyID.swift",
      ],
      check: checkJSON),
    FuzzTarget(
      name: "tokens", sources: ["IdentityTokens", "Crypto/SignatureVerifier.swift", "WebAuthn/JSONParser.swift"],
      check: checkIdentityTokens),
    FuzzTarget(name: "ceremony", sources: ["RelyingParty"], check: checkCeremony),
    FuzzTarget(
      name: "records",
      sources: [
        "TPMKeyStore/DeviceRecord.swift", "TPMKeyStore/ByteCoding.swift", "Storage/CredentialRecord.swift",
        "Storage/RecordFields.swift", "Storage/SettingsRecord.swift",
      ],
      check: checkRecords),
    FuzzTarget(
      name: "audit",
      sources: [
        "AuditLog/Chain.swift", "AuditLog/ChainVerifier.swift", "AuditLog/LineSplitter.swift",
        "AuditLog/SignedHead.swift",
      ],
      check: checkAuditLog),
    FuzzTarget(name: "configuration", sources: ["Configuration", "Policy"], check: checkConfiguration),
    FuzzTarget(name: "engine", sources: ["Authenticator", "Policy"], check: checkEngine),
  ]
}

/// Something that does not hold.
struct Finding: Error, CustomStringConvertible {
  let description: String

  init(_ description: String) {
    self.description = description
  }
}

/// - Throws: ``Finding`` unless `condition` holds
func require(_ condition: Bool, _ claim: @autoclosure () -> String) throws {
  guard condition else { throw Finding(claim()) }
}

/// Unwraps what must be there.
func require<Value>(_ value: Value?, _ claim: @autoclosure () -> String) throws -> Value {
  guard let value else { throw Finding(claim()) }
  return value
}
