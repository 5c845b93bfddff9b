internal import CTSS

/// The kinds of signing keys that ``TPMContext/createKey(_:under:session:authorization:)`` makes.
package enum TPMKeyKind: CaseIterable, Sendable {
  case eccP256
  case eccP384
  case rsa2048
}

extension TPMContext {
  /// The kinds of keys for which the TPM has the algorithms, curve and hash: at most three commands.
  ///
  /// - Throws: ``TPMError``
  package mutating func supportedKinds() throws(TPMError) -> [TPMKeyKind] {
    let algorithms = try algorithms()
    let curves = algorithms.contains(UInt16(TPM2_ALG_ECDSA)) ? try curves() : []
    var kinds: [TPMKeyKind] = []
    if curves.contains(UInt16(TPM2_ECC_NIST_P256)) { kinds.append(.eccP256) }
    if curves.contains(UInt16(TPM2_ECC_NIST_P384)), algorithms.contains(UInt16(TPM2_ALG_SHA384)) {
      kinds.append(.eccP384)
    }
    if algorithms.isSuperset(of: [UInt16(TPM2_ALG_RSA), UInt16(TPM2_ALG_RSASSA)]), try supportsRSA2048() {
      kinds.append(.rsa2048)
    }
    return kinds
  }

  private mutating func supportsRSA2048() throws(TPMError) -> Bool {
    let area = publicArea(for: .rsa2048)
    var parameters = TPMT_PUBLIC_PARMS()
    parameters.type = area.type
    parameters.parameters = area.parameters
    do throws(TPMError) {
      try unsafe check("TPM2_TestParms") { esys in
        unsafe Esys_TestParms(esys, noSession, noSession, noSession, &parameters)
      }
      return true
    } catch {
      switch error.kind {
      case .unsupported, .damaged, .other: return false
      default: throw error
      }
    }
  }
}

private let ownObject = UInt32(TPMA_OBJECT_FIXEDTPM) | UInt32(TPMA_OBJECT_FIXEDPARENT)

/// A credential key. Symmetric, scheme and KDF are NULL: verifiers of `tpm` attestation refuse anything else.
func publicArea(for kind: TPMKeyKind) -> TPMT_PUBLIC {
  var area = TPMT_PUBLIC()
  area.nameAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
  area.objectAttributes =
    ownObject | UInt32(TPMA_OBJECT_SENSITIVEDATAORIGIN) | UInt32(TPMA_OBJECT_USERWITHAUTH)
    | UInt32(TPMA_OBJECT_SIGN_ENCRYPT) | UInt32(TPMA_OBJECT_NODA)
  switch kind {
  case .eccP256, .eccP384:
    area.type = TPM2_ALG_ID(TPM2_ALG_ECC)
    let curve = kind == .eccP256 ? TPM2_ECC_NIST_P256 : TPM2_ECC_NIST_P384
    unsafe area.parameters.eccDetail.curveID = TPM2_ECC_CURVE(curve)
    unsafe area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_ID(TPM2_ALG_NULL)
    unsafe area.parameters.eccDetail.scheme.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
    unsafe area.parameters.eccDetail.kdf.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
  case .rsa2048:
    area.type = TPM2_ALG_ID(TPM2_ALG_RSA)
    unsafe area.parameters.rsaDetail.keyBits = 2048
    unsafe area.parameters.rsaDetail.exponent = 0  // 65537
    unsafe area.parameters.rsaDetail.symmetric.algorithm = TPM2_ALG_ID(TPM2_ALG_NULL)
    unsafe area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
  }
  return area
}

/// Data sealed to the TPM. Its sensitive part comes from outside, so sensitiveDataOrigin is clear.
func publicAreaForSealedData() -> TPMT_PUBLIC {
  var area = TPMT_PUBLIC()
  area.type = TPM2_ALG_ID(TPM2_ALG_KEYEDHASH)
  area.nameAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
  area.objectAttributes = ownObject | UInt32(TPMA_OBJECT_USERWITHAUTH) | UInt32(TPMA_OBJECT_NODA)
  unsafe area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
  return area
}

/// The TCG's ECC P-256 storage root key (TPM v2.0 Provisioning Guidance, section 7.5.1): the same public area as
/// others use, so that the same TPM gives the same key to all of them.
func publicAreaForStorageRoot() -> TPMT_PUBLIC {
  var area = TPMT_PUBLIC()
  area.nameAlg = TPM2_ALG_ID(TPM2_ALG_SHA256)
  area.objectAttributes =
    ownObject | UInt32(TPMA_OBJECT_SENSITIVEDATAORIGIN) | UInt32(TPMA_OBJECT_USERWITHAUTH)
    | UInt32(TPMA_OBJECT_NODA) | UInt32(TPMA_OBJECT_RESTRICTED) | UInt32(TPMA_OBJECT_DECRYPT)
  makeP256Storage(&area)
  return area
}

/// What the TCG's templates for P-256 keys that others stand under have in common: AES-128-CFB for their children, and a
/// unique field of zeros.
func makeP256Storage(_ area: inout TPMT_PUBLIC) {
  area.type = TPM2_ALG_ID(TPM2_ALG_ECC)
  unsafe area.parameters.eccDetail.symmetric.algorithm = TPM2_ALG_ID(TPM2_ALG_AES)
  unsafe area.parameters.eccDetail.symmetric.keyBits.aes = 128
  unsafe area.parameters.eccDetail.symmetric.mode.aes = TPM2_ALG_ID(TPM2_ALG_CFB)
  unsafe area.parameters.eccDetail.scheme.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
  unsafe area.parameters.eccDetail.curveID = TPM2_ECC_CURVE(TPM2_ECC_NIST_P256)
  unsafe area.parameters.eccDetail.kdf.scheme = TPM2_ALG_ID(TPM2_ALG_NULL)
  unsafe area.unique.ecc.x.size = 32
  unsafe area.unique.ecc.y.size = 32
}

/// Whether a public area is that of a storage key that children of ours can stand under.
func isStorageKey(_ area: TPMT_PUBLIC) -> Bool {
  let needed =
    ownObject | UInt32(TPMA_OBJECT_RESTRICTED) | UInt32(TPMA_OBJECT_DECRYPT) | UInt32(TPMA_OBJECT_USERWITHAUTH)
  let isAsymmetric = area.type == TPM2_ALG_ID(TPM2_ALG_ECC) || area.type == TPM2_ALG_ID(TPM2_ALG_RSA)
  return isAsymmetric && area.objectAttributes & needed == needed
    && area.objectAttributes & UInt32(TPMA_OBJECT_SIGN_ENCRYPT) == 0
}
