package import Authenticator

/// A credential store in memory whose n-th call can fail.
package actor MemoryStore: CredentialStore {
  package nonisolated let faults = FaultPlan()
  private var rows: [(position: Int64, credential: Credential)] = []
  private var next: Int64 = 1
  private let capacity: Int

  package init(capacity: Int = 1000) {
    self.capacity = capacity
  }

  package var credentials: [Credential] { rows.map(\.credential) }

  package func credential(id: [UInt8], relyingPartyID: String) throws(StoreError) -> Credential? {
    try check()
    return rows.first { $0.credential.id == id && $0.credential.relyingPartyID == relyingPartyID }?.credential
  }

  package func discoverableCredential(
    relyingPartyID: String, olderThan position: Int64?
  ) throws(StoreError) -> (credential: Credential, position: Int64)? {
    try check()
    let row = discoverable(relyingPartyID).filter { $0.position < position ?? .max }.max { $0.position < $1.position }
    return row.map { ($0.credential, $0.position) }
  }

  package func discoverableCount(relyingPartyID: String, olderThan position: Int64) throws(StoreError) -> Int {
    try check()
    return discoverable(relyingPartyID).filter { $0.position < position }.count
  }

  package func insert(_ credential: Credential) throws(StoreError) -> [KeyBinding] {
    try check()
    var replaced: [KeyBinding] = []
    if credential.isDiscoverable {
      replaced = discoverable(credential.relyingPartyID)
        .filter { $0.credential.userHandle == credential.userHandle }.map(\.credential.key.binding)
      rows.removeAll { replaced.contains($0.credential.key.binding) }
    }
    guard rows.count < capacity else { throw .full("\(capacity) credentials") }
    rows.append((next, credential))
    next += 1
    return replaced
  }

  package func reset(to secret: DeviceSecret, record: [UInt8]) throws(StoreError) {
    try check()
    rows = []
  }

  package func remainingDiscoverableCredentials() throws(StoreError) -> Int {
    try check()
    return capacity - rows.count
  }

  package func count() throws(StoreError) -> Int {
    try check()
    return rows.count
  }

  private func check() throws(StoreError) {
    if faults.shouldFail() { throw .unavailable("injected") }
  }

  private func discoverable(_ relyingPartyID: String) -> [(position: Int64, credential: Credential)] {
    rows.filter { $0.credential.isDiscoverable && $0.credential.relyingPartyID == relyingPartyID }
  }
}
