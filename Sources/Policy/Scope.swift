internal import Crypto

/// Which relying parties an operation concerns.
package enum Scope: Equatable, Sendable {
  /// One, by its RP ID.
  case relyingParty(String)
  /// One whose RP ID is not known: SHA-256 of it, or of a U2F AppID (the application parameter of CTAP1). Only rules
  /// that name it in full, or every one, match: what could not be learnt never matches.
  case application([UInt8])
  /// All of them: the PIN, the settings, a reset.
  case all

  /// nil where it is not known or all are concerned.
  package var relyingPartyID: String? {
    if case .relyingParty(let id) = self { id } else { nil }
  }

  /// SHA-256 of the RP ID, as authenticator data has it; nil where all are concerned.
  package var hash: [UInt8]? {
    switch self {
    case .relyingParty(let id): SHA256.hash(Array(id.utf8))
    case .application(let hash): hash
    case .all: nil
    }
  }
}
