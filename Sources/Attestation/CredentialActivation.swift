internal import Crypto
package import Secrets
package import TPMStructures

/// What only the TPM that holds both keys can open (TPM 2.0 Library, part 1, section 24).
package struct ActivationBlob: Equatable, Sendable {
  /// TPMS_ID_OBJECT.
  package let credentialBlob: [UInt8]
  /// TPMU_ENCRYPTED_SECRET.
  package let encryptedSecret: [UInt8]

  package init(credentialBlob: [UInt8], encryptedSecret: [UInt8]) {
    self.credentialBlob = credentialBlob
    self.encryptedSecret = encryptedSecret
  }
}

/// TPM2_MakeCredential without a TPM.
package enum CredentialActivation {
  /// Why a key is no endorsement key to which something can be sent.
  package struct UnsuitableKey: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
  }

  /// - Parameters:
  ///   - secret: at most 32 bytes
  ///   - name: of the object that must be in the same TPM
  ///   - endorsementKey: RSA of 2048 bits or ECC P-256, with SHA-256 and AES-128-CFB
  /// - Returns: for TPM2_ActivateCredential
  /// - Throws: ``UnsuitableKey``; `CryptoError`, for a point that is not on the curve too; `SecretMemoryError`
  package static func make(
    _ secret: borrowing SecretBytes, for name: [UInt8], to endorsementKey: TPMTPublic
  ) throws -> ActivationBlob {
    guard endorsementKey.nameAlgorithm == TPMAlgorithm.sha256,
      endorsementKey.symmetric == .init(algorithm: TPMAlgorithm.aes, keyBits: 128, mode: TPMAlgorithm.cfb),
      endorsementKey.attributes.isSuperset(of: TPMObjectAttributes.bornAndKeptHere.union([.restricted, .decrypt]))
    else { throw UnsuitableKey(description: "it is no restricted decryption key with SHA-256 and AES-128-CFB") }
    let seed: SecretBytes
    let encryptedSecret: [UInt8]
    switch endorsementKey.key {
    case .rsa(_, let exponent, let modulus):
      // Part 1, annex B.10.4: the label has its terminating zero.
      seed = try SecretBytes.random(count: SHA256.count)
      let publicKey = SubjectPublicKeyInfo.encodeRSA(modulus: modulus, exponent: KeyNumbers.exponent(exponent))
      encryptedSecret = try RSAOAEP.encrypt(seed, to: publicKey, label: terminated("IDENTITY"))
    case .ecc(TPMCurve.p256, _, let x, let y):
      // Annex C.6.4.
      let ephemeral = try KeyAgreementKey()
      let (ephemeralX, ephemeralY) = ephemeral.publicKey
      let (x, y) = (KeyNumbers.padded(x, to: 32), KeyNumbers.padded(y, to: 32))
      let common = try ephemeral.sharedSecret(x: x, y: y)
      seed = try KeyDerivation.kdfe(common, use: "IDENTITY", ephemeralX, x)
      encryptedSecret = sized(ephemeralX) + sized(ephemeralY)
    case .ecc: throw UnsuitableKey(description: "its curve is not P-256")
    }
    return ActivationBlob(
      credentialBlob: try protect(secret, for: name, seed), encryptedSecret: encryptedSecret)
  }

  /// Section 24.4 and 24.5: encrypted under a key of the seed and the name, and authenticated with the name.
  private static func protect(
    _ secret: borrowing SecretBytes, for name: [UInt8], _ seed: borrowing SecretBytes
  ) throws -> [UInt8] {
    let key = try KeyDerivation.kdfa(seed, label: "STORAGE", context: name, bits: 128)
    let integrity = try KeyDerivation.kdfa(seed, label: "INTEGRITY", context: [], bits: 256)
    // The size goes along in the encrypted part.
    let plaintext = try prefixed(sized([UInt8](repeating: 0, count: secret.count)).prefix(2), secret)
    let encrypted = try plaintext.reveal { (span: Span<UInt8>) throws in try AESCFB.encrypt(span, key: key) }
    return sized(HMACSHA256.authenticate(encrypted + name, key: integrity)) + encrypted
  }

  private static func sized(_ bytes: [UInt8]) -> [UInt8] {
    [UInt8(bytes.count >> 8), UInt8(truncatingIfNeeded: bytes.count)] + bytes
  }
}

/// The key derivation functions of the TPM 2.0 Library, part 1, section 11.4.10, with SHA-256 and at most one block.
enum KeyDerivation {
  /// Counter mode of SP 800-108 with HMAC.
  static func kdfa(
    _ key: borrowing SecretBytes, label: String, context: [UInt8], bits: UInt32
  ) throws -> SecretBytes {
    precondition(bits <= 256, "one block")
    let message = number(1) + terminated(label) + context + number(bits)
    let block = try HMACSHA256.secretCode(message.span, key: key)
    guard bits < 256 else { return block }
    return try SecretBytes(count: Int(bits / 8)) { output in
      block.reveal { span in
        for index in 0..<output.count { output[index] = span[index] }
      }
    }
  }

  /// The one-step function of SP 800-56A.
  static func kdfe(
    _ common: borrowing SecretBytes, use: String, _ partyU: [UInt8], _ partyV: [UInt8]
  ) throws -> SecretBytes {
    let message = try appended(try prefixed(number(1)[...], common), terminated(use) + partyU + partyV)
    return try message.reveal { (span: Span<UInt8>) throws in try SHA256.digest(ofSecret: span) }
  }

  private static func number(_ value: UInt32) -> [UInt8] {
    [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
  }
}

private func terminated(_ label: String) -> [UInt8] { Array(label.utf8) + [0] }

private func prefixed(_ bytes: ArraySlice<UInt8>, _ secret: borrowing SecretBytes) throws -> SecretBytes {
  let bytes = Array(bytes)
  return try secret.reveal { (span: Span<UInt8>) throws in
    try SecretBytes(count: bytes.count + span.count) { output in
      for index in bytes.indices { output[index] = bytes[index] }
      for index in 0..<span.count { output[bytes.count + index] = span[index] }
    }
  }
}

private func appended(_ secret: borrowing SecretBytes, _ bytes: [UInt8]) throws -> SecretBytes {
  try secret.reveal { (span: Span<UInt8>) throws in
    try SecretBytes(count: span.count + bytes.count) { output in
      for index in 0..<span.count { output[index] = span[index] }
      for index in bytes.indices { output[span.count + index] = bytes[index] }
    }
  }
}

/// Numbers of TPM keys as other encodings want them.
package enum KeyNumbers {
  /// Some TPMs drop leading zeros.
  static func padded(_ bytes: [UInt8], to count: Int) -> [UInt8] {
    [UInt8](repeating: 0, count: max(0, count - bytes.count)) + bytes
  }

  /// 0 stands for 65537.
  static func exponent(_ value: UInt32) -> [UInt8] {
    let value = value == 0 ? 65_537 : value
    let bytes: [UInt8] = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> UInt32($0)) }
    return Array(bytes.drop { $0 == 0 })
  }

  /// A DER SubjectPublicKeyInfo; nil for other curves.
  package static func subjectPublicKeyInfo(of area: TPMTPublic) -> [UInt8]? {
    switch area.key {
    case .ecc(TPMCurve.p256, _, let x, let y):
      SubjectPublicKeyInfo.encodeP256(x: padded(x, to: 32), y: padded(y, to: 32))
    case .ecc: nil
    case .rsa(_, let exponent, let modulus):
      SubjectPublicKeyInfo.encodeRSA(modulus: modulus, exponent: self.exponent(exponent))
    }
  }

  /// The Name of an object with SHA-256; nil for other hashes.
  package static func name(of area: TPMTPublic) -> [UInt8]? {
    guard area.nameAlgorithm == TPMAlgorithm.sha256 else { return nil }
    return [UInt8(TPMAlgorithm.sha256 >> 8), UInt8(TPMAlgorithm.sha256 & 0xff)] + SHA256.hash(area.serialized())
  }
}
