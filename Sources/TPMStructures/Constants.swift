/// TPM_ALG_ID (TPM 2.0 Library, part 2, section 6.3), as far as public areas of keys and attestations have them.
package enum TPMAlgorithm {
  package static let rsa: UInt16 = 0x0001
  package static let sha1: UInt16 = 0x0004
  package static let aes: UInt16 = 0x0006
  package static let sha256: UInt16 = 0x000B
  package static let sha384: UInt16 = 0x000C
  package static let sha512: UInt16 = 0x000D
  package static let null: UInt16 = 0x0010
  package static let rsassa: UInt16 = 0x0014
  package static let rsaes: UInt16 = 0x0015
  package static let rsapss: UInt16 = 0x0016
  package static let oaep: UInt16 = 0x0017
  package static let ecdsa: UInt16 = 0x0018
  package static let ecdh: UInt16 = 0x0019
  package static let ecdaa: UInt16 = 0x001A
  package static let ecc: UInt16 = 0x0023
  package static let cfb: UInt16 = 0x0043
}

/// TPM_ECC_CURVE (part 2, section 6.4).
package enum TPMCurve {
  package static let p256: UInt16 = 0x0003
  package static let p384: UInt16 = 0x0004
}

/// TPMA_OBJECT (part 2, section 8.3).
package struct TPMObjectAttributes: OptionSet, Hashable, Sendable {
  package let rawValue: UInt32

  package init(rawValue: UInt32) {
    self.rawValue = rawValue
  }

  package static let fixedTPM = TPMObjectAttributes(rawValue: 1 << 1)
  package static let stClear = TPMObjectAttributes(rawValue: 1 << 2)
  package static let fixedParent = TPMObjectAttributes(rawValue: 1 << 4)
  package static let sensitiveDataOrigin = TPMObjectAttributes(rawValue: 1 << 5)
  package static let userWithAuth = TPMObjectAttributes(rawValue: 1 << 6)
  package static let adminWithPolicy = TPMObjectAttributes(rawValue: 1 << 7)
  package static let noDA = TPMObjectAttributes(rawValue: 1 << 10)
  package static let encryptedDuplication = TPMObjectAttributes(rawValue: 1 << 11)
  package static let restricted = TPMObjectAttributes(rawValue: 1 << 16)
  package static let decrypt = TPMObjectAttributes(rawValue: 1 << 17)
  package static let sign = TPMObjectAttributes(rawValue: 1 << 18)

  /// What says that the TPM made the key itself, and that neither the key nor its parent can be taken elsewhere.
  package static let bornAndKeptHere: TPMObjectAttributes = [.fixedTPM, .fixedParent, .sensitiveDataOrigin]
}
