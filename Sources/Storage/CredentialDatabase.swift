package import Authenticator
internal import Crypto
package import Platform
internal import WebAuthn

/// The credentials of one daemon in one SQLite file, credentials.db: every change is durable when the call returns, and
/// every record is sealed under the device secret.
///
/// A disk that is full or read-only, or fails, makes calls fail; they work again when the disk does. A file that is
/// damaged, newer or not ours is left alone, and every call says so until the daemon is started with another.
package actor CredentialDatabase {
  private let directory: StateDirectory
  private let executor: ThreadExecutor
  private let maximumCredentials: Int
  private let random: any RandomSource
  private let log: Logger
  private let fileSystem: String?

  private var file: CredentialFile?
  /// Set once the file is known to be useless, or the store is closed.
  private var refusal: StoreError?
  private var wasOpened = false
  private var keys: RowKeys?
  /// The device records that `keys` may belong to; another one in the file means that the file was exchanged, or that
  /// a reset happened which was reported as failed.
  private var knownRecords: [[UInt8]?] = []
  /// IDs of damaged rows that the log has named.
  private var reported: Set<[UInt8]> = []

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe executor.asUnownedSerialExecutor()
  }

  /// Locks the state directory. The file is opened by ``open()`` or the first call that needs it.
  ///
  /// - Parameters:
  ///   - directory: made (0700) where it is missing; its parent must be there
  ///   - executor: the thread that all work with the file runs on
  ///   - maximumCredentials: more are refused with `StoreError.full`
  ///   - random: for nonces
  ///   - log: told of damaged rows
  ///   - fileSystem: name of a registered sqlite3_vfs, for tests; nil is SQLite's default
  /// - Throws: `StoreError.unavailable` where another daemon has the directory, or there is none
  package init(
    stateDirectory directory: String, executor: ThreadExecutor, maximumCredentials: Int = 100_000,
    random: any RandomSource = SystemRandom(), log: Logger, fileSystem: String? = nil
  ) throws(StoreError) {
    self.directory = try StateDirectory.locked(directory)
    self.executor = executor
    self.maximumCredentials = maximumCredentials
    self.random = random
    self.log = log
    self.fileSystem = fileSystem
  }

  /// Opens the file and checks every page, or makes it where there is none.
  package func open() throws(StoreError) {
    _ = try opened()
  }

  /// Gives the store the secret that seals its records; until then calls that need it are refused.
  package func unlock(with secret: DeviceSecret) throws(StoreError) {
    let keys = try derived(from: secret)
    knownRecords = [try opened().deviceRecord()]
    self.keys = keys
  }

  /// Closes the file and gives up the directory; every later call is refused.
  package func close() {
    file = nil
    keys = nil
    directory.release()
    refusal = .unavailable("the store is closed")
  }

  // MARK: The file

  private func opened() throws(StoreError) -> CredentialFile {
    if let refusal { throw refusal }
    if let file { return file }
    let file: CredentialFile
    do throws(OpenFailure) {
      file = try CredentialFile(in: directory, thoroughly: !wasOpened, fileSystem: fileSystem)
    } catch {
      if error.isFinal { refusal = error.error }
      throw error.error
    }
    if keys != nil, !knownRecords.contains(try file.deviceRecord()) {
      let changed = StoreError.unavailable(
        "\(directory.credentialFile) holds another device secret than before: start countersignd again")
      refusal = changed
      throw changed
    }
    if file.isReadOnly { log.warning("\(directory.credentialFile) can be read only: nothing can be registered") }
    if !wasOpened { for warning in directory.laxPermissions() { log.warning(warning) } }
    wasOpened = true
    self.file = file
    return file
  }

  private func unlocked() throws(StoreError) -> RowKeys {
    guard let keys else { throw .unavailable("the device secret has not been unsealed yet") }
    return keys
  }

  private func derived(from secret: DeviceSecret) throws(StoreError) -> RowKeys {
    do {
      return try RowKeys(secret)
    } catch {
      throw .unavailable("keys of the store: \(error)")
    }
  }

  /// Reads. A failure of SQLite closes the file: the next call opens it anew, and so finds a disk that works again.
  private func read<Result>(_ body: (CredentialFile) throws(StoreError) -> Result) throws(StoreError) -> Result {
    let file = try opened()
    do throws(StoreError) {
      return try body(file)
    } catch {
      if file.hasFailed { self.file = nil }
      throw error
    }
  }

  /// Changes, in one transaction.
  private func change<Result>(_ body: (CredentialFile) throws(StoreError) -> Result) throws(StoreError) -> Result {
    // The disk may have become writable since the file was opened.
    if let file, file.isReadOnly { self.file = nil }
    return try read { file throws(StoreError) in
      try file.transaction { () throws(StoreError) in try body(file) }
    }
  }

  // MARK: Rows

  /// The credential of a row; nil, and a line in the log, where the row is damaged.
  private func credential(of row: SealedRow, _ keys: RowKeys) -> Credential? {
    do throws(RecordError) {
      return try keys.open(row)
    } catch {
      report(row.id, error)
      return nil
    }
  }

  private func report(_ id: [UInt8], _ error: RecordError) {
    guard reported.count < 1000, reported.insert(id).inserted else { return }
    let digits = id.prefix(32).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    log.error("\(directory.credentialFile): credential \(digits) cannot be used: \(error)")
  }
}

extension CredentialDatabase: CredentialStore {
  package func credential(id: [UInt8], relyingPartyID: String) throws(StoreError) -> Credential? {
    let keys = try unlocked()
    guard let row = try read({ file throws(StoreError) in try file.row(id: id) }) else { return nil }
    guard constantTimeEqual(row.relyingPartyTag, keys.relyingPartyTag(relyingPartyID)) else { return nil }
    return credential(of: row, keys)
  }

  package func discoverableCredential(
    relyingPartyID: String, olderThan position: Int64?
  ) throws(StoreError) -> (credential: Credential, position: Int64)? {
    let keys = try unlocked()
    let tag = keys.relyingPartyTag(relyingPartyID)
    var position = position ?? .max
    // A damaged row hides itself, not those behind it.
    while true {
      let from = position
      let row = try read { file throws(StoreError) in
        try file.discoverableRow(relyingPartyTag: tag, olderThan: from)
      }
      guard let row else { return nil }
      if let credential = credential(of: row, keys) { return (credential, row.sequence) }
      position = row.sequence
    }
  }

  package func discoverableCount(relyingPartyID: String, olderThan position: Int64) throws(StoreError) -> Int {
    let tag = try unlocked().relyingPartyTag(relyingPartyID)
    return try read { file throws(StoreError) in
      try file.discoverableCount(relyingPartyTag: tag, olderThan: position)
    }
  }

  package func insert(_ credential: Credential) throws(StoreError) -> [KeyBinding] {
    let keys = try unlocked()
    guard credential.key.binding.relyingPartyID == credential.relyingPartyID,
      credential.key.algorithm == credential.publicKey.algorithm
    else { throw .unavailable("a credential's key belongs to another relying party or algorithm") }
    var replaced: [KeyBinding] = []
    do throws(StoreError) {
      try change { file throws(StoreError) in replaced = try put(credential, keys, into: file) }
    } catch {
      // The change may have been made all the same, where only its last step failed: what the file says now counts.
      guard let row = try? read({ file throws(StoreError) in try file.row(id: credential.id) }),
        self.credential(of: row, keys) == credential
      else { throw error }
    }
    return replaced
  }

  /// - Returns: the binding of the credential that has made way
  private func put(
    _ credential: Credential, _ keys: RowKeys, into file: CredentialFile
  ) throws(StoreError) -> [KeyBinding] {
    var replaced: [KeyBinding] = []
    let userTag = keys.userTag(credential.relyingPartyID, credential.userHandle)
    if credential.isDiscoverable, let row = try file.discoverableRow(userTag: userTag) {
      try file.delete(sequence: row.sequence)
      replaced = [KeyBinding(credentialID: row.id, relyingPartyID: credential.relyingPartyID)]
    }
    guard file.count - replaced.count < maximumCredentials else {
      throw .full("the store holds its maximum of \(maximumCredentials) credentials: raise limits.credentials")
    }
    let (sequence, isTooGreat) = try file.greatestSequence().addingReportingOverflow(1)
    guard !isTooGreat else { throw .damaged(directory.credentialFile, "a sequence number is too great") }
    try file.insert(try sealed(credential, sequence: sequence, keys))
    return replaced
  }

  package func reset(to secret: DeviceSecret, record: [UInt8]) throws(StoreError) {
    // Everything that can fail comes before the transaction, so that keys and file change together.
    let keys = try derived(from: secret)
    do throws(StoreError) {
      try change { file throws(StoreError) in
        try file.deleteAll()
        try file.setDeviceRecord(record)
      }
    } catch {
      // The change may have been made all the same: what the file says now counts.
      let before = (self.keys, knownRecords)
      self.keys = nil
      defer { (self.keys, knownRecords) = before }
      guard let file = try? opened(), (try? file.deviceRecord()) == record else { throw error }
    }
    self.keys = keys
    knownRecords = [record]
    reported = []
  }

  package func remainingDiscoverableCredentials() throws(StoreError) -> Int {
    max(0, maximumCredentials - (try count()))
  }

  package func count() throws(StoreError) -> Int {
    try opened().count
  }

  private func sealed(_ credential: Credential, sequence: Int64, _ keys: RowKeys) throws(StoreError) -> SealedRow {
    do throws(CryptoError) {
      return try keys.seal(credential, sequence: sequence, random: random)
    } catch {
      throw .unavailable("sealing a record: \(error)")
    }
  }
}

extension CredentialDatabase: DeviceRecordStore {
  package func deviceRecord() throws(StoreError) -> [UInt8]? {
    try read { file throws(StoreError) in try file.deviceRecord() }
  }

  package func saveDeviceRecord(_ record: [UInt8]) throws(StoreError) {
    // Either may be in the file where saving fails at its last step; both belong to the same secret.
    knownRecords.append(record)
    try change { file throws(StoreError) in try file.setDeviceRecord(record) }
    knownRecords = [record]
  }
}
