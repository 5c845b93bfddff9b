internal import Authenticator
internal import Glibc
internal import Platform
internal import TPM

/// Which TPM is used.
package enum TPMConnection: Equatable, Sendable {
  /// In tpm2-tss's notation: `device:/dev/tpmrm0`, `device:/dev/tpm0`, `swtpm:path=…`, `tabrmd:`.
  case tcti(String)
  /// swtpm as a child of the daemon, with its state in this folder (an absolute path).
  case software(directory: String)
}

/// How a device secret's storage root key is known.
struct ParentIdentity: Equatable, Sendable {
  let handle: UInt32
  let name: [UInt8]
}

/// The TPM across connections: connects, notices that it has gone, and comes back. Belongs to the TPM thread.
final class TPMDevice {
  /// Attempts on behalf of requests come at most this often, so that each request fails fast.
  private static let pauseForRequests: UInt64 = 200_000_000
  private static let longestPause: UInt64 = 10_000_000_000
  /// A connection that lasts less counts as one more failure.
  private static let stability: UInt64 = 10_000_000_000
  /// So many failures in a row are followed by an attempt at once, since most losses are a single event.
  private static let patientFailures = 3

  private let connection: TPMConnection
  private let software: SoftwareTPM?
  private let ownerAuthorization: SharedSecret?
  private let swapsContexts: Bool
  let board: StatusBoard
  let log: Logger
  private let clock: any Timekeeper
  private var tpm: OpenTPM?
  /// Set once the start knows it; from then on no other TPM is accepted.
  private var parent: ParentIdentity?
  /// Of the signature counter, since the start of the daemon.
  var highestReading: UInt64 = 0
  private var hasBeenConnected = false
  private var failures = 0
  private var failuresBeforeConnection = 0
  private var lastAttempt: UInt64 = 0
  private var lastError = KeyStoreError.unavailable("the TPM has not been connected to yet")

  init(
    connection: TPMConnection, software: SoftwareTPM?, ownerAuthorization: SharedSecret?, swapsContexts: Bool,
    board: StatusBoard, log: Logger, clock: any Timekeeper
  ) {
    self.swapsContexts = swapsContexts
    self.connection = connection
    self.software = software
    self.ownerAuthorization = ownerAuthorization
    self.board = board
    self.log = log
    self.clock = clock
  }

  /// Runs `body` with the TPM; again, once, where the TPM was away or had been reset and could be had again.
  ///
  /// - Parameter body: TPM commands; may run twice
  /// - Returns: what `body` returns
  /// - Throws: ``KeyStoreError``
  func withTPM<Result>(_ body: (OpenTPM) throws -> Result) throws(KeyStoreError) -> Result {
    let first = try connected()
    defer { board.update { $0.loadedKeys = tpm?.loaded.count ?? 0 } }
    do {
      return try body(first)
    } catch let error as TPMError {
      board.update { $0.errors += 1 }
      switch error.kind {
      case .connectionLost, .staleHandle, .notStarted, .failureMode: disconnect(error)
      default: throw KeyStoreError(error)
      }
    } catch {
      throw KeyStoreError(any: error)
    }
    let second = try connected()
    do {
      return try body(second)
    } catch {
      if let error = error as? TPMError {
        board.update { $0.errors += 1 }
        if error.kind == .connectionLost { disconnect(error) }
      }
      throw KeyStoreError(any: error)
    }
  }

  /// Unloads keys, where there is a connection.
  func evict(where condition: (LoadedKeys.Entry) -> Bool) {
    tpm?.evict(where: condition)
    board.update { $0.loadedKeys = tpm?.loaded.count ?? 0 }
  }

  /// From now on only a TPM with this storage root key is accepted.
  ///
  /// - Throws: ``KeyStoreError``
  func require(_ parent: ParentIdentity) throws(KeyStoreError) {
    self.parent = parent
    board.update { $0.storageRootHandle = parent.handle }
    do {
      try withTPM { (tpm: OpenTPM) throws in try check(tpm) }
    } catch {
      self.parent = nil
      throw error
    }
  }

  // MARK: Upkeep between requests

  /// For poll(2) while nothing is to be done: readable once a child has ended.
  var childDescriptor: Int32? { tpm == nil ? nil : software?.descriptor }

  /// Whether ``maintain()`` has anything to do.
  var needsUpkeep: Bool {
    if let nanosecondsUntilUpkeep { return nanosecondsUntilUpkeep == 0 }
    return childDescriptor.map { waitUntilReadable([$0], within: 0) != nil } ?? false
  }

  /// How long the thread may sleep before ``maintain()``; nil for ever.
  var nanosecondsUntilUpkeep: UInt64? {
    guard tpm == nil, hasBeenConnected else { return nil }
    let due = lastAttempt + pause
    let now = clock.monotonicNanoseconds
    return due > now ? due - now : 0
  }

  /// Notices the end of a child, and reconnects when it is time.
  func maintain() {
    if childDescriptor.map({ waitUntilReadable([$0], within: 0) != nil }) ?? false {
      disconnect(TPMError(operation: "swtpm", code: TPMError.connectionBroken))
    }
    if let wait = nanosecondsUntilUpkeep, wait == 0 { _ = try? connected(evenIfTooEarly: true) }
  }

  /// Ends the connection, and a software TPM of ours with it.
  func close() {
    tpm?.close(shuttingDown: software != nil)
    tpm = nil
    software?.end(within: 2000)
  }

  // MARK: Connecting

  private var pause: UInt64 {
    min(100_000_000 << UInt64(min(failures, 10)), TPMDevice.longestPause)
  }

  private func connected(evenIfTooEarly: Bool = false) throws(KeyStoreError) -> OpenTPM {
    if let tpm { return tpm }
    let now = clock.monotonicNanoseconds
    let isTooEarly = failures > TPMDevice.patientFailures && now < lastAttempt + min(pause, TPMDevice.pauseForRequests)
    if isTooEarly, !evenIfTooEarly { throw lastError }
    lastAttempt = now
    do throws(KeyStoreError) {
      let tpm = try open()
      self.tpm = tpm
      failuresBeforeConnection = failures
      failures = 0
      if hasBeenConnected { log.notice("TPM: connected again") }
      board.update {
        $0.disconnected = nil
        if hasBeenConnected { $0.reconnections += 1 }
      }
      hasBeenConnected = true
      return tpm
    } catch {
      if failures == 0 || error != lastError { log.error("TPM: \(error)") }
      failures += 1
      lastError = error
      board.update {
        $0.disconnected = error.description
        $0.errors += 1
      }
      throw error
    }
  }

  private func open() throws(KeyStoreError) -> OpenTPM {
    let context = try connect()
    let tpm: OpenTPM
    do throws(TPMError) {
      tpm = try OpenTPM(
        context, isExclusive: connection.isExclusive, swapsContexts: swapsContexts, log: log)
      if let ownerAuthorization {
        try tpm.withContext { context throws(TPMError) in
          try context.setOwnerAuthorization(ownerAuthorization.bytes)
        }
      }
    } catch {
      throw explained(error)
    }
    // What an earlier connection of this process could not flush. Before the first, it is not for us to clear away.
    if hasBeenConnected, connection.isExclusive { tpm.flushLeftovers() }
    board.update {
      $0.manufacturer = tpm.identity.manufacturer
      $0.vendor = tpm.identity.vendor
      $0.firmwareVersion = tpm.identity.firmwareVersion
      $0.nature = connection.nature(of: tpm.identity)
      $0.softwareProcess = software?.processIdentifier
      $0.loadedKeys = 0
    }
    board.setAlgorithms(tpm.algorithms)
    try check(tpm)
    return tpm
  }

  private func connect() throws(KeyStoreError) -> TPMContext {
    do {
      switch connection {
      case .tcti(let configuration):
        // tpm2-tss would look for one by itself, and find one that nobody has named.
        guard !configuration.isEmpty else { throw KeyStoreError.failed("no TPM is named: name one with --tpm") }
        return try TPMContext(tcti: configuration)
      case .software:
        guard let software else { preconditionFailure("a software connection has its child") }
        return try TPMContext(owningStream: try software.start())
      }
    } catch let error as TPMError {
      throw .unavailable("the TPM \(connection) cannot be opened: \(connection.explained(error))")
    } catch {
      throw KeyStoreError(any: error)
    }
  }

  /// Whether this is the TPM that the device record belongs to.
  private func check(_ tpm: OpenTPM) throws(KeyStoreError) {
    guard let parent else { return }
    let name: [UInt8]?
    do throws(TPMError) {
      name = try tpm.useParent(at: parent.handle)
    } catch {
      throw explained(error)
    }
    guard name == parent.name else {
      let handle = "0x" + String(parent.handle, radix: 16)
      throw .unavailable(
        "this is not the TPM that this device was set up with, or it has been cleared since: the storage root key at "
          + "\(handle) is \(name == nil ? "missing" : "another one"); put the TPM back, or begin anew with an empty "
          + "state folder")
    }
  }

  private func disconnect(_ error: TPMError) {
    log.warning("TPM: \(error)")
    if error.kind != .connectionLost { tpm?.close(shuttingDown: false) }
    tpm = nil
    lastError = explained(error)
    // A TPM that was merely reset is there.
    let isThere = error.kind == .staleHandle || error.kind == .notStarted
    let hasLasted = clock.monotonicNanoseconds - lastAttempt >= TPMDevice.stability
    failures = isThere || hasLasted ? 0 : failuresBeforeConnection + 1
    board.update {
      $0.disconnected = lastError.description
      $0.softwareProcess = nil
      $0.loadedKeys = 0
    }
  }

  private func explained(_ error: TPMError) -> KeyStoreError {
    guard error.kind == .connectionLost, let software else { return KeyStoreError(error) }
    let words = software.lastWords.map { ": \($0)" } ?? ""
    return .unavailable("software TPM: swtpm has ended\(words)")
  }
}

extension TPMConnection: CustomStringConvertible {
  package var description: String {
    switch self {
    case .tcti(let configuration): configuration
    case .software(let directory): "software TPM in \(directory)"
    }
  }

  /// Whether nobody else's objects and sessions can be in the TPM while we are connected: no resource manager, and one
  /// connection at a time.
  var isExclusive: Bool {
    switch self {
    case .software: true
    case .tcti(let configuration):
      ["swtpm", "mssim", "libtpms"].contains(tctiName)
        || (tctiName == "device" && configuration.contains("/tpm") && !configuration.contains("/tpmrm"))
    }
  }

  /// Whether a resource manager stands before the TPM: where there is no telling, there may be one.
  var hasResourceManager: Bool { !isExclusive }

  /// Why it could not be opened, with what to do: of a device tpm2-tss tells no more than that it failed.
  func explained(_ error: TPMError) -> String {
    guard case .tcti(let configuration) = self, tctiName == "device" else {
      if error.hasNoSuchTCTI {
        let library = "libtss2-tcti-\(tctiName).so.0"
        return "\(error): tpm2-tss finds no \(library): install it"
          + (tctiName == "tabrmd" ? " (Debian's package libtss2-tcti-tabrmd0, and tpm2-abrmd)" : "")
          + ", correct the name (tpm.tcti, --tpm), or take the kernel's own resource manager: device:/dev/tpmrm0"
      }
      if tctiName == "tabrmd" {
        return "\(error): start it (systemctl start tpm2-abrmd), which needs D-Bus; or take the kernel's own resource "
          + "manager: device:/dev/tpmrm0"
      }
      return "\(error): check its name (tpm.tcti, --tpm), and that what it names is running"
    }
    let named = configuration.dropFirst("device".count).drop { $0 == ":" }
    // What tpm2-tss tries first where none is named.
    let path = named.isEmpty ? "/dev/tpmrm0" : String(named)
    do throws(SystemError) {
      _ = try Descriptor(opening: path, flags: O_RDWR | O_NOCTTY | O_NONBLOCK)
      return "\(error): check that it is a TPM 2.0"
    } catch let obstacle {
      return switch obstacle.code {
      case ENOENT, ENXIO, ENODEV:
        "there is no \(path): turn the TPM on in the firmware's settings, or give the virtual machine one; where it is on, "
          + "load the kernel's driver (modprobe tpm_tis, or tpm_crb); to try countersignd out without one: --software-tpm DIR"
      case EACCES, EPERM:
        "this user may not open \(path) (\(obstacle)): it is the group tss's: have the daemon's user be in that group "
          + "(SupplementaryGroups=tss in its unit), and the device be given to it: udevadm control --reload && udevadm "
          + "trigger --action=change --subsystem-match=tpmrm"
      case EBUSY:
        "another program holds \(path): end it (fuser \(path) names it), or use device:/dev/tpmrm0, which can be shared"
      default: "\(obstacle): check tpm.tcti or --tpm"
      }
    }
  }

  private var tctiName: String {
    guard case .tcti(let configuration) = self else { return "" }
    return configuration.split(separator: ":", maxSplits: 1).first.map(String.init) ?? ""
  }

  /// Whether the TPM is software, and how we know: because we started it, because of the way to it, or by its own words.
  func nature(of identity: TPMIdentity) -> TPMStatus.Nature {
    if case .software = self { return .software(reason: "swtpm, started by countersignd") }
    if ["swtpm", "mssim", "libtpms"].contains(tctiName) {
      return .software(reason: "reached through the simulator interface \(tctiName)")
    }
    // swtpm and the reference implementation name IBM or Microsoft, which make no chips, or call themselves "SW TPM".
    let words = identity.vendor.split(separator: " ").map { $0.lowercased() }
    if words.contains("sw") || words.contains("swtpm") || words.contains("simulator")
      || ["IBM", "XCG", "MSFT"].contains(identity.manufacturer.trimmed)
    {
      return .software(reason: "it calls itself \(identity.manufacturer) \(identity.vendor)")
    }
    return .hardware
  }
}

extension String {
  fileprivate var trimmed: String { String(prefix { $0 != " " }) }
}
