internal import CBOR
internal import Crypto
internal import TPMStructures
internal import WebAuthn

/// Section 8.3, "Verification procedure".
func verifyTPM(
  _ statement: CBORMap, about subject: AttestationSubject
) throws(StatementFlaw) -> AttestationEvidence {
  guard statement["ver"] == "2.0", let algorithm = statement["alg"]?.integer,
    case .bytes(let signature)? = statement["sig"], case .bytes(let certInfo)? = statement["certInfo"],
    case .bytes(let pubArea)? = statement["pubArea"], statement["x5c"] != nil, statement.count == 6
  else { throw StatementFlaw("8.3", .members("ver \"2.0\", alg, x5c, sig, certInfo and pubArea")) }

  let area = try publicArea(pubArea)
  let attest = try certificationInformation(certInfo)
  guard area.holds(subject.credential.publicKey) else { throw StatementFlaw("8.3", .attestedKey) }
  // Not named in section 8.3, but without it the statement would not say where the key is.
  guard area.attributes.isSuperset(of: TPMObjectAttributes.bornAndKeptHere.union(.sign)) else {
    throw StatementFlaw("8.3", .attributes)
  }

  guard case .certify(let name, _) = attest.attested else { throw StatementFlaw("8.3", .certified) }
  guard let hash = COSEAlgorithm(rawValue: algorithm)?.hash, attest.extraData == hash(subject.toBeSigned) else {
    throw StatementFlaw("8.3", .extraData)
  }
  guard let expected = area.name(of: pubArea), name == expected else { throw StatementFlaw("8.3", .name) }

  let path = try certificates(statement["x5c"], section: "8.3")
  try verify(signature, over: certInfo, by: path[0], algorithm, section: "8.3")
  let tpm = try path[0].checkTPMRequirements()
  try path[0].checkAAGUID(subject.credential.aaguid, section: "8.3")
  return AttestationEvidence(kind: .tpm, type: .attCA, path: path, tpm: tpm)
}

private func publicArea(_ bytes: [UInt8]) throws(StatementFlaw) -> TPMTPublic {
  do {
    return try TPMTPublic(parsing: bytes)
  } catch {
    throw StatementFlaw("8.3", .publicArea(error))
  }
}

private func certificationInformation(_ bytes: [UInt8]) throws(StatementFlaw) -> TPMSAttest {
  do {
    return try TPMSAttest(parsing: bytes)
  } catch {
    throw StatementFlaw("8.3", .certificationInformation(error))
  }
}

extension COSEAlgorithm {
  fileprivate var hash: ([UInt8]) -> [UInt8] {
    switch self {
    case .es256, .rs256: SHA256.hash
    case .es384: SHA384.hash
    }
  }
}

extension TPMTPublic {
  /// Whether it is this key: the same numbers, coordinates padded as in the COSE_Key, and no other scheme than the
  /// algorithm's.
  fileprivate func holds(_ credentialKey: CredentialPublicKey) -> Bool {
    guard symmetric == nil else { return false }
    switch (key, credentialKey) {
    case (.ecc(TPMCurve.p256, nil, let x, let y), .es256(let credentialX, let credentialY)):
      return x == credentialX && y == credentialY && has(TPMAlgorithm.ecdsa, TPMAlgorithm.sha256)
    case (.ecc(TPMCurve.p384, nil, let x, let y), .es384(let credentialX, let credentialY)):
      return x == credentialX && y == credentialY && has(TPMAlgorithm.ecdsa, TPMAlgorithm.sha384)
    case (.rsa(let bits, let exponent, let modulus), .rs256(let credentialModulus, let credentialExponent)):
      let number = exponent == 0 ? 65_537 : exponent
      return modulus == credentialModulus && Int(bits) == modulus.count * 8
        && credentialExponent.reduce(UInt64(0)) { $0 << 8 & 0xffff_ffff_ff | UInt64($1) } == number
        && credentialExponent.count <= 4 && has(TPMAlgorithm.rsassa, TPMAlgorithm.sha256)
    default:
      return false
    }
  }

  private func has(_ algorithm: UInt16, _ hash: UInt16) -> Bool {
    scheme == nil || scheme == Scheme(algorithm: algorithm, hash: hash)
  }

  /// The Name (TPM 2.0 Library, part 1, section 16): the algorithm and the hash of the public area; nil for hashes that
  /// are not known or too weak.
  fileprivate func name(of bytes: [UInt8]) -> [UInt8]? {
    let digest: [UInt8]
    switch nameAlgorithm {
    case TPMAlgorithm.sha256: digest = SHA256.hash(bytes)
    case TPMAlgorithm.sha384: digest = SHA384.hash(bytes)
    default: return nil
    }
    return [UInt8(nameAlgorithm >> 8), UInt8(nameAlgorithm & 0xff)] + digest
  }
}
