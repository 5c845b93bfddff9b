package import Authenticator
internal import Crypto
package import Platform
internal import WebAuthn

/// The credentials, settings and large blobs of one daemon in one SQLite file, credentials.db: every change is durable
/// when the call returns, and every record is sealed under the device secret.
///
/// A disk that is full or read-only, or fails, makes calls fail; they work again when the disk does. A file that is
/// damaged, newer or not ours is left alone, and every call says so until the daemon is started with another.
package actor CredentialDatabase {
  let directory: StateDirectory
  private let executor: ThreadExecutor
  let maximumCredentials: Int
  let random: any RandomSource
  private let log: Logger
  private let fileSystem: String?

  private var file: CredentialFile? {
    didSet { recent.removeAll() }
  }
  /// Set once the file is known to be useless, or the store is closed.
  private var refusal: StoreError? {
    didSet { recent.removeAll() }
  }
  private var wasOpened = false
  private var keys: RowKeys? {
    didSet { recent.removeAll() }
  }
  nonisolated let recent = RecentCredentials()
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

  func opened() throws(StoreError) -> CredentialFile {
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

  func unlocked() throws(StoreError) -> RowKeys {
    guard let keys else { throw .unavailable("the device secret has not been unsealed yet") }
    return keys
  }

  func derived(from secret: DeviceSecret) throws(StoreError) -> RowKeys {
    do {
      return try RowKeys(secret)
    } catch {
      throw .unavailable("keys of the store: \(error)")
    }
  }

  /// Reads. A failure of SQLite closes the file: the next call opens it anew, and so finds a disk that works again.
  func read<Result>(_ body: (CredentialFile) throws(StoreError) -> Result) throws(StoreError) -> Result {
    let file = try opened()
    do throws(StoreError) {
      return try body(file)
    } catch {
      if file.hasFailed { self.file = nil }
      throw error
    }
  }

  /// Changes, in one transaction.
  func change<Result>(_ body: (CredentialFile) throws(StoreError) -> Result) throws(StoreError) -> Result {
    recent.removeAll()
    // The disk may have become writable since the file was opened.
    if let file, file.isReadOnly { self.file = nil }
    return try read { file throws(StoreError) in
      try file.transaction { () throws(StoreError) in try body(file) }
    }
  }

  /// Uses these keys from now on, and the device record that they belong to.
  func adopt(_ keys: RowKeys, _ record: [UInt8]) {
    self.keys = keys
    knownRecords = [record]
    reported = []
  }

  /// Looks into a file that may hold this device record already, by a reset that was reported as failed.
  func tolerating(_ record: [UInt8], _ body: () throws(StoreError) -> Void) throws(StoreError) {
    let before = knownRecords
    knownRecords.append(record)
    defer { knownRecords = before }
    try body()
  }

  // MARK: Rows

  /// The credential of a row; nil, and a line in the log, where the row is damaged.
  func credential(of row: SealedRow, _ keys: RowKeys) -> Credential? {
    do throws(RecordError) {
      return try keys.open(row)
    } catch {
      report(row.id, error)
      return nil
    }
  }

  func sealed(_ credential: Credential, sequence: Int64, _ keys: RowKeys) throws(StoreError) -> SealedRow {
    do throws(CryptoError) {
      return try keys.seal(credential, sequence: sequence, random: random)
    } catch {
      throw .unavailable("sealing a record: \(error)")
    }
  }

  func sealed(_ plaintext: [UInt8], in slot: Slot, _ keys: RowKeys) throws(StoreError) -> [UInt8] {
    do throws(CryptoError) {
      return try keys.seal(plaintext, in: slot, random: random)
    } catch {
      throw .unavailable("sealing a record: \(error)")
    }
  }

  private func report(_ id: [UInt8], _ error: RecordError) {
    guard reported.count < 1000, reported.insert(id).inserted else { return }
    let digits = hexadecimal(id.prefix(32))
    log.error("\(directory.credentialFile): credential \(digits) cannot be used: \(error)")
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

extension CredentialDatabase: FormerDeviceStore {
  package func removeEverything(leaving record: [UInt8]) throws(StoreError) {
    knownRecords.append(record)
    do throws(StoreError) {
      try change { file throws(StoreError) in
        try file.deleteAll()
        try file.setDeviceRecord(record)
      }
    } catch {
      // It may have been done all the same.
      guard (try? read { file throws(StoreError) in try file.deviceRecord() }) == record else { throw error }
    }
    keys = nil
    knownRecords = [record]
  }
}
