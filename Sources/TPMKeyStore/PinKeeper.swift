internal import Authenticator
internal import Platform
internal import TPM

/// Keeps the busiest keys at persistent handles. Decides beside the TPM thread, changes one thing at a time, and writes
/// down each change before the TPM makes it.
actor PinKeeper {
  /// Nanoseconds without attempts after one that failed or could not be paid for.
  private static let pause: UInt64 = 60_000_000_000

  /// What each signature looks at.
  private struct Watch {
    var plan = PinPlan()
    /// Being pinned.
    var pending: Set<KeyBinding> = []
    var room: Int
    /// Monotonic nanoseconds.
    var restsUntil: UInt64 = 0
  }

  private let thread: TPMThread
  private let pins: PinBoard
  private let board: StatusBoard
  private let store: any PinRecordStore
  private let seal: SharedSecret
  private let settings: PinSettings
  private let plansByUse: Bool
  private let isLiving: @Sendable (KeyBinding) async -> Bool
  private let clock: any Timekeeper
  private let log: Logger
  private let watch: Lock<Watch>

  /// nil where it cannot be read: then nothing is pinned, since nobody could free it.
  private var record: PinRecord?
  private var refilledAt: UInt64
  /// Whether the TPM has been compared with the record since it was read.
  private var isSettled = false
  private var last: Task<Void, Never>?

  /// - Parameters:
  ///   - thread: the TPM's
  ///   - pins: what it uses
  ///   - board: for `status`
  ///   - store: where the record is
  ///   - seal: what the record is sealed with
  ///   - settings: of the operator
  ///   - plansByUse: whether keys are pinned by use, or by the operator alone
  ///   - isLiving: whether a key's credential is there and may sign
  ///   - clock: for decay, residence and the budget
  ///   - log: for the operator
  init(
    thread: TPMThread, pins: PinBoard, board: StatusBoard, store: any PinRecordStore, seal: SharedSecret,
    settings: PinSettings, plansByUse: Bool, isLiving: @escaping @Sendable (KeyBinding) async -> Bool,
    clock: any Timekeeper, log: Logger
  ) {
    self.thread = thread
    self.pins = pins
    self.board = board
    self.store = store
    self.seal = seal
    self.settings = settings
    self.plansByUse = plansByUse
    self.isLiving = isLiving
    self.clock = clock
    self.log = log
    watch = Lock(Watch(room: settings.count))
    refilledAt = clock.monotonicNanoseconds
  }

  /// Reads the record and compares the TPM with it.
  func begin() async {
    await inOrder { keeper in
      await keeper.load()
      await keeper.settle()
    }
  }

  // MARK: By use

  /// A key has signed.
  nonisolated func note(_ binding: KeyBinding, _ object: WrappedObject) {
    guard plansByUse, settings.count > 0 else { return }
    let now = clock.monotonicNanoseconds
    let standing = pins.pins
    let hasLost = pins.hasLost
    let change: PinPlan.Change? = watch.withLock { watch in
      watch.plan.use(binding, at: now)
      guard standing[binding] == nil, now >= watch.restsUntil, watch.pending.isEmpty else { return nil }
      let pinned = standing.mapValues { PinPlan.Pin(byOperator: $0.byOperator, since: $0.since) }
      let change = watch.plan.change(for: binding, pinned: pinned, room: watch.room - standing.count, at: now)
      if change != nil { watch.pending.insert(binding) }
      return change
    }
    if change == nil, !hasLost { return }
    Task {
      await inOrder { keeper in
        await keeper.settle()
        if let change { await keeper.carryOut(change, for: binding, object) }
      }
    }
  }

  private func carryOut(_ change: PinPlan.Change, for binding: KeyBinding, _ object: WrappedObject) async {
    defer { watch.withLock { _ = $0.pending.remove(binding) } }
    do throws(KeyStoreError) {
      if case .replace(let other) = change {
        // What cannot be paid for must not cost the other its place.
        guard canPay() else { throw PinKeeper.exhausted }
        try await free { $0.binding == other }
      }
      try await pin(binding, object, byOperator: false)
    } catch {
      rest(because: error)
    }
  }

  private func rest(because error: KeyStoreError) {
    let until = clock.monotonicNanoseconds + PinKeeper.pause
    watch.withLock { $0.restsUntil = until }
    let text = error.description
    if board.status.pins?.problem != text { log.warning("TPM: no key was pinned: \(text)") }
    publish(problem: text)
  }

  // MARK: For the operator and the store

  /// - Throws: ``KeyStoreError``
  func pinByOperator(_ binding: KeyBinding, _ object: WrappedObject) async throws(KeyStoreError) {
    let result = await inOrder { keeper in
      await keeper.settle()
      return await keeper.attempt { keeper throws(KeyStoreError) in
        try await keeper.pin(binding, object, byOperator: true)
      }
    }
    try result.get()
  }

  /// Frees pins; nil for all of them.
  ///
  /// - Throws: ``KeyStoreError`` where one may still be in the TPM; it is freed at the next start
  func unpin(_ bindings: Set<KeyBinding>?) async throws(KeyStoreError) {
    let result = await inOrder { keeper in
      await keeper.settle()
      return await keeper.attempt { keeper throws(KeyStoreError) in
        try await keeper.free { bindings?.contains($0.binding) ?? true }
      }
    }
    try result.get()
  }

  /// The keys' records have gone; nobody waits for it.
  func forget(_ bindings: Set<KeyBinding>?) {
    watch.withLock { watch in
      if let bindings {
        for binding in bindings { watch.plan.forget(binding) }
      } else {
        watch.plan = PinPlan()
      }
    }
    guard record?.entries.contains(where: { bindings?.contains($0.binding) ?? true }) ?? true || last != nil else {
      return
    }
    Task {
      do throws(KeyStoreError) {
        try await unpin(bindings)
      } catch {
        log.warning("TPM: a pinned key is left until the next start: \(error)")
      }
    }
  }

  // MARK: One at a time

  private func inOrder<Result: Sendable>(
    _ body: @escaping @Sendable (isolated PinKeeper) async -> Result
  ) async -> Result {
    let before = last
    let task = Task {
      await before?.value
      return await body(self)
    }
    last = Task { _ = await task.value }
    return await task.value
  }

  private func attempt(
    _ body: (isolated PinKeeper) async throws(KeyStoreError) -> Void
  ) async -> Result<Void, KeyStoreError> {
    do throws(KeyStoreError) {
      try await body(self)
      publish(problem: nil)
      return .success(())
    } catch {
      return .failure(error)
    }
  }

  // MARK: Changes

  private static let exhausted = KeyStoreError.failed(
    "the budget of writes to the TPM's non-volatile memory is used up: wait, or raise tpm.pins.writesPerDay")

  private func pin(_ binding: KeyBinding, _ object: WrappedObject, byOperator: Bool) async throws(KeyStoreError) {
    guard var record else { throw PinKeeper.unreadable }
    if let index = record.entries.firstIndex(where: { $0.binding == binding }) {
      guard record.entries[index].stage == .standing, record.entries[index].name == object.name else {
        throw .unavailable("the key's place in the TPM is still being cleared")
      }
      guard byOperator, !record.entries[index].byOperator else { return }
      record.entries[index].byOperator = true
      return try await adopt(record)
    }
    guard let name = object.name else { throw .failed("the key's name algorithm is not SHA-256") }
    guard await isLiving(binding) else { throw .failed("the credential has gone or is disabled") }
    guard record.entries.count < settings.count else {
      throw .failed(
        "\(record.entries.count) keys are pinned, and \(settings.count) may be (tpm.pins.count): unpin one first")
    }
    let handle = try await freeHandle(besides: record)
    refill(&record)
    guard record.budget.payForPin() else { throw PinKeeper.exhausted }
    record.entries.append(
      PinRecord.Entry(handle: handle, name: name, binding: binding, byOperator: byOperator, stage: .coming))
    try await adopt(record)
    do throws(KeyStoreError) {
      try await thread.perform(for: .daemon, isCancellable: false) { device throws(KeyStoreError) in
        try device.makePersistent(object, at: handle, name: name)
      }
    } catch {
      // Whether it is there is seen when the TPM can be asked.
      isSettled = false
      await settle()
      throw error
    }
    try await setStage(.standing, at: handle)
    log.info("TPM: a key is pinned at 0x\(String(handle, radix: 16))")
  }

  private func free(_ condition: (PinRecord.Entry) -> Bool) async throws(KeyStoreError) {
    guard let record else { throw PinKeeper.unreadable }
    for entry in record.entries.filter(condition) {
      pins.set(nil, for: entry.binding)
      try await setStage(.going, at: entry.handle)
      try await clear(entry)
    }
  }

  private func clear(_ entry: PinRecord.Entry) async throws(KeyStoreError) {
    let wasThere: Bool
    do throws(KeyStoreError) {
      wasThere = try await thread.perform(for: .daemon, isCancellable: false) { device throws(KeyStoreError) in
        try device.removePersistent(at: entry.handle, name: entry.name)
      }
    } catch {
      isSettled = false
      throw error
    }
    if !wasThere {
      log.notice("TPM: the key pinned at 0x\(String(entry.handle, radix: 16)) had gone from there already")
    }
    guard var record else { return }
    record.entries.removeAll { $0.handle == entry.handle }
    try await adopt(record)
  }

  private func setStage(_ stage: PinRecord.Stage, at handle: UInt32) async throws(KeyStoreError) {
    guard var record, let index = record.entries.firstIndex(where: { $0.handle == handle }) else { return }
    record.entries[index].stage = stage
    try await adopt(record)
  }

  private func freeHandle(besides record: PinRecord) async throws(KeyStoreError) -> UInt32 {
    let (taken, free) = try await thread.perform(for: .daemon) {
      [handles = settings.handles] device throws(KeyStoreError) in
      try device.persistentRoom(in: handles)
    }
    let ours = Set(record.entries.map(\.handle))
    guard free > 0, let handle = settings.handles.first(where: { !taken.contains($0) && !ours.contains($0) }) else {
      // Not asked again before one has gone.
      if !record.entries.isEmpty { watch.withLock { $0.room = record.entries.count } }
      throw .failed(
        free > 0
          ? "no handle from 0x\(String(settings.handles.lowerBound, radix: 16)) to "
            + "0x\(String(settings.handles.upperBound, radix: 16)) is free (tpm.pins.handles)"
          : "the TPM has no room for another persistent object")
    }
    return handle
  }

  // MARK: The record

  private static let unreadable = KeyStoreError.unavailable(
    "the record of pinned keys cannot be read; see the log")

  private func load() async {
    do throws(StoreError) {
      let now = clock.unixMilliseconds
      guard let bytes = try await store.pinRecord() else {
        record = PinRecord(budget: PinBudget(settings, now: now))
        return publish(problem: nil)
      }
      guard var found = PinRecord.open(bytes, seal) else {
        throw .unavailable(
          "the record of pinned keys is damaged or another device's: restore the state folder's file pins, or remove it and "
            + "what it named (tpm2_evictcontrol)")
      }
      found.budget.resume(now: now, settings)
      refilledAt = clock.monotonicNanoseconds
      record = found
      publish(problem: nil)
    } catch {
      log.error("TPM: no key will be pinned: \(error)")
      publish(problem: error.description)
    }
  }

  /// Compares the TPM with the record: what is there and shall be is used, what is there and shall not be is freed, what
  /// is not there or is another's is forgotten.
  private func settle() async {
    let lost = pins.takeLost()
    guard let record, !isSettled || !lost.isEmpty else { return }
    guard !record.entries.isEmpty else {
      isSettled = true
      return
    }
    do throws(KeyStoreError) {
      let names = try await thread.perform(for: .daemon) { device throws(KeyStoreError) in
        try device.names(at: record.entries.map(\.handle))
      }
      for entry in record.entries {
        if names[entry.handle] != entry.name {
          if entry.stage != .coming {
            log.warning("TPM: the key pinned at 0x\(String(entry.handle, radix: 16)) has gone from there")
          }
          pins.set(nil, for: entry.binding)
          try await drop(entry)
          continue
        }
        let shallStay = entry.stage != .going && !lost.contains(entry.binding)
        if shallStay, await isLiving(entry.binding) {
          if entry.stage != .standing { try await setStage(.standing, at: entry.handle) }
        } else {
          pins.set(nil, for: entry.binding)
          try await setStage(.going, at: entry.handle)
          try await clear(entry)
        }
      }
      isSettled = true
    } catch {
      log.warning("TPM: pinned keys cannot be looked at now: \(error)")
    }
  }

  private func drop(_ entry: PinRecord.Entry) async throws(KeyStoreError) {
    guard var record else { return }
    record.entries.removeAll { $0.handle == entry.handle }
    try await adopt(record)
  }

  /// Saves a record, and then uses it.
  private func adopt(_ changed: PinRecord) async throws(KeyStoreError) {
    var changed = changed
    refill(&changed)
    do throws(StoreError) {
      try await store.savePinRecord(changed.sealed(seal))
    } catch {
      // Either may be on the disk; the next start compares.
      isSettled = false
      throw .unavailable("the record of pinned keys cannot be written: \(error)")
    }
    record = changed
    publish(problem: board.status.pins?.problem)
  }

  private func canPay() -> Bool {
    guard var copy = record else { return false }
    refill(&copy)
    return copy.budget.payForPin()
  }

  private func refill(_ record: inout PinRecord) {
    let now = clock.monotonicNanoseconds
    // Whole milliseconds: the rest counts the next time.
    let milliseconds = (now - min(now, refilledAt)) / 1_000_000
    record.budget.refill(after: milliseconds, now: clock.unixMilliseconds, settings)
    refilledAt += milliseconds * 1_000_000
  }

  private func publish(problem: String?) {
    let entries = record?.entries ?? []
    let now = clock.monotonicNanoseconds
    let known = pins.pins
    for entry in entries where entry.stage == .standing {
      let since = known[entry.binding]?.since ?? now
      pins.set(
        StandingPin(handle: entry.handle, name: entry.name, byOperator: entry.byOperator, since: since),
        for: entry.binding)
    }
    watch.withLock { if entries.count < $0.room { $0.room = settings.count } }
    let status = PinStatus(
      pins: entries.filter { $0.stage == .standing }.map {
        PinStatus.Pin(binding: $0.binding, handle: $0.handle, byOperator: $0.byOperator)
      }.sorted { $0.handle < $1.handle },
      limit: settings.count, writesLeft: record?.budget.left ?? 0, writes: record?.budget.written ?? 0,
      problem: problem)
    board.update { $0.pins = status }
  }
}
