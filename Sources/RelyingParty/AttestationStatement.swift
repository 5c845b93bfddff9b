internal import CBOR
internal import Crypto
internal import WebAuthn

/// What a statement is about.
struct AttestationSubject {
  let authenticatorData: [UInt8]
  let relyingPartyIDHash: [UInt8]
  let credential: AttestedCredential
  let clientDataHash: [UInt8]

  /// What attestation signatures of `packed` and `tpm` are over.
  var toBeSigned: [UInt8] { authenticatorData + clientDataHash }
}

/// A statement that is right in itself; whether to trust it is another question.
struct AttestationEvidence {
  let kind: AttestationKind
  let type: AttestationType
  /// Leaf first; empty without certificates.
  var path: [Certificate] = []
  var tpm: AttestedTPM?
}

/// Section 7.1 steps 21 and 22: one procedure for each format identifier, compared byte for byte.
func verifyStatement(
  _ attestation: AttestationObject, about subject: AttestationSubject
) throws(VerificationError) -> AttestationEvidence {
  do {
    switch Array(attestation.format.utf8) {
    case Array("none".utf8): return try verifyNone(attestation.statement)
    case Array("packed".utf8): return try verifyPacked(attestation.statement, about: subject)
    case Array("tpm".utf8): return try verifyTPM(attestation.statement, about: subject)
    case Array("fido-u2f".utf8): return try verifyFIDOU2F(attestation.statement, about: subject)
    default: break
    }
  } catch {
    throw .attestationStatement(error)
  }
  throw .attestationFormat(attestation.format)
}

/// Section 8.7.
private func verifyNone(_ statement: CBORMap) throws(StatementFlaw) -> AttestationEvidence {
  guard statement.isEmpty else { throw StatementFlaw("8.7", .members("nothing")) }
  return AttestationEvidence(kind: .none, type: .none)
}

/// Section 8.2, "Verification procedure".
private func verifyPacked(
  _ statement: CBORMap, about subject: AttestationSubject
) throws(StatementFlaw) -> AttestationEvidence {
  let hasPath = statement["x5c"] != nil
  guard let algorithm = statement["alg"]?.integer, case .bytes(let signature)? = statement["sig"],
    statement.count == (hasPath ? 3 : 2)
  else { throw StatementFlaw("8.2", .members("alg and sig, or alg, sig and x5c")) }
  guard hasPath else {
    let key = subject.credential.publicKey
    guard algorithm == key.algorithm.rawValue else { throw StatementFlaw("8.2", .algorithm(algorithm)) }
    guard key.isValid(signature: signature, message: subject.toBeSigned) else {
      throw StatementFlaw("8.2", .signature)
    }
    return AttestationEvidence(kind: .packedSelf, type: .self)
  }
  let path = try certificates(statement["x5c"], section: "8.2")
  try verify(signature, over: subject.toBeSigned, by: path[0], algorithm, section: "8.2")
  try path[0].checkPackedRequirements()
  try path[0].checkAAGUID(subject.credential.aaguid, section: "8.2")
  return AttestationEvidence(kind: .packed, type: .basic, path: path)
}

/// Section 8.6, "Verification procedure".
private func verifyFIDOU2F(
  _ statement: CBORMap, about subject: AttestationSubject
) throws(StatementFlaw) -> AttestationEvidence {
  guard case .bytes(let signature)? = statement["sig"], case .array(let chain)? = statement["x5c"], chain.count == 1,
    statement.count == 2
  else { throw StatementFlaw("8.6", .members("sig and x5c with one certificate")) }
  let path = try certificates(statement["x5c"], section: "8.6")
  guard case .p256? = SubjectPublicKeyInfo.decode(path[0].publicKey),
    case .es256(let x, let y) = subject.credential.publicKey
  else { throw StatementFlaw("8.6", .onlyES256) }
  let message =
    [0x00] + subject.relyingPartyIDHash + subject.clientDataHash + subject.credential.credentialID + [0x04] + x + y
  try verify(signature, over: message, by: path[0], COSEAlgorithm.es256.rawValue, section: "8.6")
  return AttestationEvidence(kind: .fidoU2F, type: .basic, path: path)
}

/// x5c: the attestation certificate first, then those that lead on from it. `section` is for complaints.
func certificates(_ value: CBORValue?, section: String) throws(StatementFlaw) -> [Certificate] {
  // More than any path needs, and few enough that hostile ones cost little.
  let limit = 8
  guard case .array(let elements)? = value, (1...limit).contains(elements.count) else {
    throw StatementFlaw(section, .members("an x5c of 1 to \(limit) certificates, among others"))
  }
  var path: [Certificate] = []
  for element in elements {
    guard case .bytes(let der) = element else {
      throw StatementFlaw(section, .members("an x5c of byte strings, among others"))
    }
    do {
      path.append(try Certificate(der: der))
    } catch {
      throw StatementFlaw(section, .certificate(error))
    }
  }
  return path
}

/// That the key of a certificate made a signature with the algorithm of a COSE number.
func verify(
  _ signature: [UInt8], over message: [UInt8], by certificate: Certificate, _ algorithm: Int64, section: String
) throws(StatementFlaw) {
  let key: CredentialPublicKey? =
    switch (SubjectPublicKeyInfo.decode(certificate.publicKey), COSEAlgorithm(rawValue: algorithm)) {
    case (.p256(let x, let y)?, .es256?): .es256(x: x, y: y)
    case (.p384(let x, let y)?, .es384?): .es384(x: x, y: y)
    case (.rsa(let modulus, let exponent)?, .rs256?): .rs256(modulus: modulus, exponent: exponent)
    default: nil
    }
  guard let key else { throw StatementFlaw(section, .certificateKey) }
  guard key.isValid(signature: signature, message: message) else { throw StatementFlaw(section, .signature) }
}
