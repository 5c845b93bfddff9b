internal import Crypto
internal import TPMStructures

/// Which boots of a machine its TPM takes: those that the operator's approval key has signed for. Computed here as the
/// TPM computes it (TPM 2.0 Library, part 1, section 19.7, and part 3, sections 23.7, 23.16 and 23.17), so that the
/// operator's machine needs no TPM.
package struct BootPolicy: Equatable, Sendable {
  /// Of the bank that is measured: SHA-256 alone.
  package static let bank = "sha256"
  package static let referenceCount = 32
  /// What tells a boot apart where nobody has said more: firmware, its settings, boot loader and Secure Boot.
  package static let usualPCRs = [0, 2, 4, 7]

  /// The public half of the approval key, on P-256; 32 bytes each.
  package let x: [UInt8]
  package let y: [UInt8]
  /// Numbers below 24, in their order, at least one.
  package let pcrs: [Int]
  /// policyRef: random, of this device and this binding, so that no approval serves another.
  package let reference: [UInt8]

  /// nil for what is out of bounds.
  package init?(x: [UInt8], y: [UInt8], pcrs: [Int], reference: [UInt8]) {
    guard x.count == 32, y.count == 32, BootPolicy.areSelectable(pcrs), reference.count == BootPolicy.referenceCount
    else { return nil }
    self.x = x
    self.y = y
    self.pcrs = pcrs
    self.reference = reference
  }

  /// nil for another kind of key, and for what is out of bounds.
  ///
  /// - Parameters:
  ///   - approvalKey: a DER SubjectPublicKeyInfo
  ///   - pcrs: as ``pcrs``
  ///   - reference: as ``reference``
  package init?(approvalKey: [UInt8], pcrs: [Int], reference: [UInt8]) {
    guard case .p256(let x, let y)? = SubjectPublicKeyInfo.decode(approvalKey) else { return nil }
    self.init(x: x, y: y, pcrs: pcrs, reference: reference)
  }

  /// Whether PCRs can be bound to: some, each once and in their order.
  package static func areSelectable(_ pcrs: [Int]) -> Bool {
    !pcrs.isEmpty && pcrs.allSatisfy { (0..<24).contains($0) } && zip(pcrs, pcrs.dropFirst()).allSatisfy { $0 < $1 }
  }

  /// A DER SubjectPublicKeyInfo.
  package var approvalKey: [UInt8] { SubjectPublicKeyInfo.encodeP256(x: x, y: y) }

  /// The approval key as the TPM loads it: TPMT_PUBLIC.
  package var keyArea: [UInt8] { area.serialized() }

  /// Its Name, which stands in the policy.
  package var keyName: [UInt8] { KeyNumbers.name(of: area) ?? [] }

  private var area: TPMTPublic {
    TPMTPublic(attributes: [.sign, .userWithAuth], key: .ecc(curve: TPMCurve.p256, kdf: nil, x: x, y: y))
  }

  // MARK: Digests

  /// The authPolicy of what opens in an approved boot.
  package var authorizedPolicy: [UInt8] {
    // TPM_CC_PolicyAuthorize; it begins anew whatever was there before.
    let first = SHA256.hash([UInt8](repeating: 0, count: SHA256.count) + [0, 0, 0x01, 0x6A] + keyName)
    return SHA256.hash(first + reference)
  }

  /// The same for an object that also wants its authorization value.
  package var authorizedValuePolicy: [UInt8] {
    // TPM_CC_PolicyAuthValue
    SHA256.hash(authorizedPolicy + [0, 0, 0x01, 0x6B])
  }

  /// The policy that values of ``pcrs`` satisfy: what is approved.
  package func policy(of values: [[UInt8]]) -> [UInt8] {
    var bits: [UInt8] = [0, 0, 0]
    for pcr in pcrs { bits[pcr / 8] |= 1 << UInt8(pcr % 8) }
    // TPM_CC_PolicyPCR, TPML_PCR_SELECTION
    let selection: [UInt8] = [0, 0, 0, 1, 0, 0x0B, 3] + bits
    return SHA256.hash(
      [UInt8](repeating: 0, count: SHA256.count) + [0, 0, 0x01, 0x7F] + selection + BootPolicy.digest(of: values))
  }

  /// What the TPM makes of the selected PCRs.
  package static func digest(of values: [[UInt8]]) -> [UInt8] {
    SHA256.hash(values.flatMap { $0 })
  }
}

/// To what boots the device secret is to be bound.
package enum BootBinding: Equatable, Sendable {
  /// As it is: a configuration that is silent loosens nothing.
  case unchanged
  /// To none.
  case unbound
  /// To those that this key (a DER SubjectPublicKeyInfo) approves, by these PCRs.
  case bound(approvalKey: [UInt8], pcrs: [Int])

  /// What is to hold from now on.
  ///
  /// - Parameters:
  ///   - current: nil where nothing is bound
  ///   - random: gives so many bytes
  /// - Returns: `current` where nothing is to change
  package func policy(after current: BootPolicy?, random: (Int) -> [UInt8]) -> BootPolicy? {
    switch self {
    case .unchanged: current
    case .unbound: nil
    case .bound(let key, let pcrs):
      if let current, current.approvalKey == key, current.pcrs == pcrs {
        current
      } else {
        BootPolicy(approvalKey: key, pcrs: pcrs, reference: random(BootPolicy.referenceCount))
      }
    }
  }
}
