package import Authenticator
internal import Crypto
internal import WebAuthn

extension CredentialDatabase: CredentialStore {
  package nonisolated func credential(id: [UInt8]) async throws(StoreError) -> Credential? {
    if let known = recent[id] { return known }
    return try await storedCredential(id: id)
  }

  package nonisolated func credential(
    id: [UInt8], relyingPartyIDHash hash: [UInt8]
  ) async throws(StoreError) -> Credential? {
    if let known = recent[id], known.key.binding.relyingPartyIDHash == hash { return known }
    return try await storedCredential(id: id, relyingPartyIDHash: hash)
  }

  /// Of any relying party where no hash is given.
  private func storedCredential(
    id: [UInt8], relyingPartyIDHash hash: [UInt8]? = nil
  ) throws(StoreError) -> Credential? {
    let keys = try unlocked()
    let tag = hash.map(keys.relyingPartyTag)
    guard let row = try read({ file throws(StoreError) in try file.row(id: id, relyingPartyTag: tag) }) else {
      return nil
    }
    guard let credential = credential(of: row, keys) else { return nil }
    recent.keep(credential, of: row)
    return credential
  }

  package func discoverableCredential(
    relyingPartyIDHash: [UInt8], olderThan position: Int64?, verified: Bool
  ) throws(StoreError) -> (credential: Credential, position: Int64)? {
    let keys = try unlocked()
    return try newest(keys.relyingPartyTag(relyingPartyIDHash), olderThan: position, verified: verified, keys)
  }

  package func discoverableCount(
    relyingPartyIDHash: [UInt8], olderThan position: Int64?, verified: Bool
  ) throws(StoreError) -> Int {
    let tag = try unlocked().relyingPartyTag(relyingPartyIDHash)
    return try read { file throws(StoreError) in
      try file.discoverableCount(relyingPartyTag: tag, olderThan: position ?? .max, verified: verified)
    }
  }

  package func relyingParty(
    after position: Int64?
  ) throws(StoreError) -> (id: String, name: String?, position: Int64)? {
    let keys = try unlocked()
    var position = position ?? .min
    // A relying party whose rows are all damaged hides itself, not those behind it.
    while true {
      let from = position
      guard let next = try read({ file throws(StoreError) in try file.relyingParty(after: from) }) else { return nil }
      if let newest = try newest(next.tag, olderThan: nil, verified: true, keys)?.credential,
        let id = newest.relyingPartyID
      {
        return (id, newest.relyingPartyName, next.sequence)
      }
      position = next.sequence
    }
  }

  package func credential(after position: Int64?) throws(StoreError) -> (credential: Credential, position: Int64)? {
    let keys = try unlocked()
    var position = position ?? .min
    while true {
      let from = position
      guard let row = try read({ file throws(StoreError) in try file.row(after: from) }) else { return nil }
      if let credential = credential(of: row, keys) { return (credential, row.sequence) }
      position = row.sequence
    }
  }

  package func changes() throws(StoreError) -> Int64 {
    try read { file throws(StoreError) in try file.changes() }
  }

  package func remainingDiscoverableCredentials() throws(StoreError) -> Int {
    max(0, maximumCredentials - (try count()))
  }

  package func count(relyingPartyIDHash: [UInt8]) throws(StoreError) -> Int {
    let tag = try unlocked().relyingPartyTag(relyingPartyIDHash)
    return try read { file throws(StoreError) in try file.count(relyingPartyTag: tag) }
  }

  package func count() throws(StoreError) -> Int {
    try opened().count
  }

  /// The newest discoverable credential behind a tag that can be used: a damaged row hides itself, not those behind it.
  private func newest(
    _ tag: [UInt8], olderThan position: Int64?, verified: Bool, _ keys: RowKeys
  ) throws(StoreError) -> (credential: Credential, position: Int64)? {
    var position = position ?? .max
    while true {
      let from = position
      let row = try read { file throws(StoreError) in
        try file.discoverableRow(relyingPartyTag: tag, olderThan: from, verified: verified)
      }
      guard let row else { return nil }
      if let credential = credential(of: row, keys) { return (credential, row.sequence) }
      position = row.sequence
    }
  }
}

// MARK: Changes

extension CredentialDatabase {
  package func replaced(by credential: Credential) throws(StoreError) -> Credential? {
    guard credential.isDiscoverable else { return nil }
    let keys = try unlocked()
    let row = try read { file throws(StoreError) in try file.discoverableRow(userTag: keys.userTag(credential)) }
    // A damaged row is nobody's account.
    return row.flatMap { self.credential(of: $0, keys) }
  }

  package func insert(_ credential: Credential) throws(StoreError) -> [KeyBinding] {
    let keys = try unlocked()
    try check(credential)
    var replaced: [KeyBinding] = []
    var written: SealedRow?
    do throws(StoreError) {
      try change { file throws(StoreError) in
        replaced = try makeRoom(for: credential, keys, in: file)
        let (sequence, isTooGreat) = try file.greatestSequence().addingReportingOverflow(1)
        guard !isTooGreat else { throw .damaged(directory.credentialFile, "a sequence number is too great") }
        let row = try sealed(credential, sequence: sequence, keys)
        written = row
        try file.insert(row)
        try raiseChanges(in: file)
      }
    } catch {
      try unlessDone(error) { file throws(StoreError) in
        guard let written else { return false }
        return try file.row(id: credential.id) == written
      }
    }
    return replaced
  }

  package func update(_ credential: Credential) throws(StoreError) -> Bool {
    let keys = try unlocked()
    try check(credential)
    var written: SealedRow?
    do throws(StoreError) {
      try change { file throws(StoreError) in
        // A damaged row is not there for anyone, and stays as it is.
        guard let found = try file.row(id: credential.id), let before = self.credential(of: found, keys) else { return }
        guard before.isReplaceable(by: credential) else {
          throw .unavailable("a credential's key, relying party and user handle cannot be changed")
        }
        let row = try sealed(credential, sequence: found.sequence, keys)
        if row.isDiscoverable, let other = try file.discoverableRow(userTag: row.userTag),
          other.sequence != row.sequence
        {
          throw .conflict("another credential of the same user is enabled: disable that one first")
        }
        written = row
        try file.update(row)
        try raiseChanges(in: file)
      }
    } catch {
      try unlessDone(error) { file throws(StoreError) in
        guard let written else { return false }
        return try file.row(id: credential.id) == written
      }
    }
    return written != nil
  }

  package func remove(id: [UInt8]) throws(StoreError) -> KeyBinding? {
    let keys = try unlocked()
    var removed: KeyBinding?
    do throws(StoreError) {
      try change { file throws(StoreError) in
        // A damaged row is not there for anyone, and stays as it is.
        guard let row = try file.row(id: id), let credential = credential(of: row, keys) else { return }
        removed = credential.key.binding
        try file.delete(sequence: row.sequence)
        try raiseChanges(in: file)
      }
    } catch {
      let wasThere = removed != nil
      try unlessDone(error) { file throws(StoreError) in
        guard wasThere else { return false }
        return try file.row(id: id) == nil
      }
    }
    return removed
  }

  /// What is refused whatever the file holds.
  private func check(_ credential: Credential) throws(StoreError) {
    let binding = credential.key.binding
    let isBound =
      if let id = credential.relyingPartyID {
        binding == KeyBinding(credentialID: credential.id, relyingPartyID: id)
      } else {
        binding.relyingPartyIDHash.count == SHA256.count
      }
    guard isBound, credential.key.algorithm == credential.publicKey.algorithm else {
      throw .unavailable("a credential's key belongs to another relying party or algorithm")
    }
    guard credential.relyingPartyID != nil || !credential.isDiscoverable else {
      throw .unavailable("a credential without an RP ID cannot be discoverable")
    }
  }

  /// - Returns: the binding of the credential that has made way
  private func makeRoom(
    for credential: Credential, _ keys: RowKeys, in file: CredentialFile
  ) throws(StoreError) -> [KeyBinding] {
    var replaced: [KeyBinding] = []
    let binding = credential.key.binding
    if credential.isDiscoverable,
      let row = try file.discoverableRow(userTag: keys.userTag(credential))
    {
      try file.delete(sequence: row.sequence)
      replaced = [KeyBinding(credentialID: row.id, relyingPartyIDHash: binding.relyingPartyIDHash)]
    }
    guard file.count < maximumCredentials else {
      throw .full("the store holds its maximum of \(maximumCredentials) credentials: raise limits.credentials")
    }
    return replaced
  }

  /// Part of every transaction that changes credentials. The number is clear and not authenticated: it tells clients
  /// when to read anew, and nothing rests on it.
  func raiseChanges(in file: CredentialFile) throws(StoreError) {
    let (number, isTooGreat) = try file.changes().addingReportingOverflow(1)
    guard !isTooGreat else { throw .damaged(directory.credentialFile, "its number of changes is too great") }
    try file.setChanges(number)
  }

  /// For a change that has failed. It may have been made all the same, where only its last step failed: what the file
  /// says now counts.
  ///
  /// - Throws: `error`, unless the file says that the change was made
  func unlessDone(
    _ error: StoreError, _ isDone: (CredentialFile) throws(StoreError) -> Bool
  ) throws(StoreError) {
    guard (try? read(isDone)) == true else { throw error }
  }
}

extension Credential {
  /// Whether the other is this one with another name, protection or the like.
  fileprivate func isReplaceable(by other: Credential) -> Bool {
    key == other.key && publicKey == other.publicKey && relyingPartyID == other.relyingPartyID
      && userHandle == other.userHandle && isDiscoverable == other.isDiscoverable
  }
}
