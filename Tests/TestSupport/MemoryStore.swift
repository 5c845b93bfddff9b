package import Authenticator
internal import WebAuthn

/// A credential store in memory whose n-th call can fail.
package actor MemoryStore: CredentialStore {
  package nonisolated let faults = FaultPlan()
  private var rows: [(position: Int64, credential: Credential)] = []
  private var next: Int64 = 1
  private var changeCount: Int64 = 0
  private var saved: AuthenticatorSettings?
  private var blobs: [UInt8]?
  private let capacity: Int
  /// IDs of the credentials that were looked up by them and found, or by the relying party and given.
  package private(set) var handedOut: [[UInt8]] = []

  package init(capacity: Int = 1000) {
    self.capacity = capacity
  }

  package var credentials: [Credential] { rows.map(\.credential) }

  package func credential(id: [UInt8]) throws(StoreError) -> Credential? {
    try check()
    let found = rows.map(\.credential).first { $0.id == id }
    if found != nil { handedOut.append(id) }
    return found
  }

  package func credential(id: [UInt8], relyingPartyIDHash hash: [UInt8]) throws(StoreError) -> Credential? {
    try check()
    let found = rows.map(\.credential).first { $0.id == id && $0.key.binding.relyingPartyIDHash == hash }
    if found != nil { handedOut.append(id) }
    return found
  }

  package func discoverableCredential(
    relyingPartyIDHash: [UInt8], olderThan position: Int64?, verified: Bool
  ) throws(StoreError) -> (credential: Credential, position: Int64)? {
    try check()
    let row = discoverable(relyingPartyIDHash, verified).filter { $0.position < position ?? .max }
      .max { $0.position < $1.position }
    if let row { handedOut.append(row.credential.id) }
    return row.map { ($0.credential, $0.position) }
  }

  package func discoverableCount(
    relyingPartyIDHash: [UInt8], olderThan position: Int64?, verified: Bool
  ) throws(StoreError) -> Int {
    try check()
    return discoverable(relyingPartyIDHash, verified).filter { $0.position < position ?? .max }.count
  }

  package func relyingParty(
    after position: Int64?
  ) throws(StoreError) -> (id: String, name: String?, position: Int64)? {
    try check()
    var seen: Set<[UInt8]> = []
    for row in rows where row.credential.isOnWalks {
      guard seen.insert(row.credential.key.binding.relyingPartyIDHash).inserted, row.position > position ?? 0,
        let id = row.credential.relyingPartyID
      else { continue }
      let newest = rows.last { $0.credential.isOnWalks && $0.credential.relyingPartyID == id }
      return (id, newest?.credential.relyingPartyName, row.position)
    }
    return nil
  }

  package func credential(after position: Int64?) throws(StoreError) -> (credential: Credential, position: Int64)? {
    try check()
    return rows.first { $0.position > position ?? 0 }.map { ($0.credential, $0.position) }
  }

  package func update(_ credential: Credential) throws(StoreError) -> Bool {
    try check()
    guard let index = rows.firstIndex(where: { $0.credential.id == credential.id }) else { return false }
    if credential.isOnWalks, credential.state != .outgoing {
      let others = discoverable(credential.key.binding.relyingPartyIDHash, true).map(\.credential)
      if others.contains(where: {
        $0.id != credential.id && $0.userHandle == credential.userHandle && $0.state == .enabled
      }) {
        throw .conflict("another credential of the same user is enabled")
      }
    }
    rows[index].credential = credential
    changeCount += 1
    return true
  }

  package func remove(id: [UInt8]) throws(StoreError) -> KeyBinding? {
    try check()
    guard let index = rows.firstIndex(where: { $0.credential.id == id }) else { return nil }
    changeCount += 1
    return rows.remove(at: index).credential.key.binding
  }

  package func changes() throws(StoreError) -> Int64 {
    try check()
    return changeCount
  }

  package func settings() throws(StoreError) -> AuthenticatorSettings? {
    try check()
    return saved
  }

  package func save(_ settings: AuthenticatorSettings) throws(StoreError) {
    try check()
    saved = settings
  }

  /// As restoring a backup does.
  package func restore(settings: AuthenticatorSettings?) {
    saved = settings
  }

  package func largeBlobs() throws(StoreError) -> [UInt8]? {
    try check()
    return blobs
  }

  package func save(largeBlobs: [UInt8]) throws(StoreError) {
    try check()
    blobs = largeBlobs
  }

  package func replaced(by credential: Credential) throws(StoreError) -> Credential? {
    try check()
    return makingWay(for: credential).first
  }

  private func makingWay(for credential: Credential) -> [Credential] {
    guard credential.isDiscoverable else { return [] }
    return discoverable(credential.key.binding.relyingPartyIDHash, true).map(\.credential).filter {
      $0.userHandle == credential.userHandle && $0.state == .enabled
    }
  }

  package func insert(_ credential: Credential) throws(StoreError) -> [KeyBinding] {
    try check()
    let replaced = makingWay(for: credential).map(\.key.binding)
    rows.removeAll { replaced.contains($0.credential.key.binding) }
    guard rows.count < capacity else { throw .full("\(capacity) credentials") }
    rows.append((next, credential))
    next += 1
    changeCount += 1
    return replaced
  }

  package func reset(
    to secret: DeviceSecret, record: [UInt8], settings: AuthenticatorSettings
  ) throws(StoreError) {
    try check()
    rows = []
    blobs = nil
    saved = settings
    changeCount += 1
  }

  package func remainingDiscoverableCredentials() throws(StoreError) -> Int {
    try check()
    return capacity - rows.count
  }

  package func count(relyingPartyIDHash: [UInt8]) throws(StoreError) -> Int {
    try check()
    return rows.count { $0.credential.key.binding.relyingPartyIDHash == relyingPartyIDHash }
  }

  package func count() throws(StoreError) -> Int {
    try check()
    return rows.count
  }

  private func check() throws(StoreError) {
    if faults.shouldFail() { throw .unavailable("injected") }
  }

  private func discoverable(
    _ relyingPartyIDHash: [UInt8], _ verified: Bool
  ) -> [(position: Int64, credential: Credential)] {
    rows.filter {
      $0.credential.isOnWalks && $0.credential.key.binding.relyingPartyIDHash == relyingPartyIDHash
        && (verified || $0.credential.protection == .userVerificationOptional)
    }
  }
}
