/// What a credential's signature counter counts (WebAuthn section 6.1.1), chosen when it is registered.
package enum SignatureCounter: String, CaseIterable, Sendable {
  /// The authenticator's one counter, which never repeats and never goes back.
  case global
  /// A constant zero: relying parties learn nothing of what else this runner signs, and detect no clone.
  case zero
}
