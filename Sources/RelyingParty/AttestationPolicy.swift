package import Crypto
package import TPMStructures

/// The kinds of attestation statements that are verified here, by format identifier, and packed self attestation apart:
/// it vouches for nothing but itself.
package enum AttestationKind: String, CaseIterable, Sendable {
  case none
  case packedSelf = "packed-self"
  case packed
  case tpm
  case fidoU2F = "fido-u2f"

  /// Whether certificates vouch for it, which must lead to an anchor.
  package var hasTrustPath: Bool {
    switch self {
    case .none, .packedSelf: false
    case .packed, .tpm, .fidoU2F: true
    }
  }
}

/// Which attestation is found trustworthy (WebAuthn section 7.1 steps 23 and 24, section 13.4.5).
package struct AttestationPolicy: Equatable, Sendable {
  package var kinds: Set<AttestationKind>
  /// Certificates that are trusted: roots, or others that are to end a path.
  package var anchors: [Certificate]
  /// Where there are any, every certificate below an anchor needs one of its issuer.
  package var revocationLists: [RevocationList]
  /// The AAGUIDs that will do; any where it is empty.
  package var aaguids: Set<[UInt8]>
  /// The makers of TPMs that will do, for `tpm`; any of ``TPMVendor/registered`` where it is empty.
  package var vendors: Set<TPMVendor>
  /// At which certificates must be valid: seconds since 1970-01-01 UTC.
  package var time: Int64

  /// Without anchors no certificate can be trusted, so that only what needs none is accepted; with anchors only what
  /// leads to one is.
  package init(
    anchors: [Certificate], revocationLists: [RevocationList] = [], kinds: Set<AttestationKind>? = nil,
    aaguids: Set<[UInt8]> = [], vendors: Set<TPMVendor> = [], time: Int64
  ) {
    self.kinds = kinds ?? Set(AttestationKind.allCases.filter { $0.hasTrustPath != anchors.isEmpty })
    self.anchors = anchors
    self.revocationLists = revocationLists
    self.aaguids = aaguids
    self.vendors = vendors
    self.time = time
  }

  /// For relying parties that do not ask where a key is.
  package static let unattested = AttestationPolicy(anchors: [], time: 0)
}

/// What a relying party accepts besides what it asked for in the options.
package struct RelyingPartyPolicy: Equatable, Sendable {
  /// Serialised origins that will do besides that of the page (section 13.4.9).
  package var otherOrigins: [String]
  /// Origins of pages that may show the relying party's in a frame; empty where none may. A client that does not say
  /// who is on top is taken at its word where any may.
  package var topOrigins: [String]
  /// Whether keys that could be copied elsewhere (BE) are refused.
  package var requiresDeviceBound: Bool
  package var attestation: AttestationPolicy

  package init(
    otherOrigins: [String] = [], topOrigins: [String] = [], requiresDeviceBound: Bool = false,
    attestation: AttestationPolicy = .unattested
  ) {
    self.otherOrigins = otherOrigins
    self.topOrigins = topOrigins
    self.requiresDeviceBound = requiresDeviceBound
    self.attestation = attestation
  }
}
