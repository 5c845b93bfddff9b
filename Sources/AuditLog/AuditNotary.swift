package import Platform

/// Has the chain signed: after so many records or so much time, when the file is moved away, and in the end. The anchor
/// is advanced at most once an hour and in the end, since that wears the TPM's memory: some 9,000 times a year, and chips
/// bear 100,000 at least.
///
/// A TPM that is away stops neither records nor this: it is asked again.
package actor AuditNotary {
  /// Between two attempts while the TPM is away.
  private static let retryPause = Duration.seconds(30)
  private static let anchorInterval: UInt64 = 3_600_000_000_000

  private let file: AuditFile
  private let signer: any AuditSigner
  private let clock: any Timekeeper
  private let interval: Duration
  private let log: Logger
  private var timer: Task<Void, Never>?
  private var signing: Task<Bool, Never>?
  /// When the anchor was advanced last, or this began.
  private var anchoredAt: UInt64
  private var isFailing = false
  private var isFinished = false

  /// - Parameters:
  ///   - file: the log
  ///   - signer: the TPM
  ///   - settings: when to sign
  ///   - clock: for the time in the line, and for the anchor's interval
  ///   - log: told when the TPM begins to fail and when it works again
  package init(
    file: AuditFile, signer: any AuditSigner, settings: AuditSettings, clock: any Timekeeper, log: Logger
  ) {
    self.file = file
    self.signer = signer
    self.clock = clock
    interval = .seconds(settings.signAfterSeconds)
    self.log = log
    anchoredAt = clock.monotonicNanoseconds
  }

  /// Begins to watch the log.
  package nonisolated func start() {
    file.observe { [weak self] occasion in
      Task { await self?.see(occasion) }
    }
  }

  private func see(_ occasion: AuditFile.Occasion) {
    switch occasion {
    case .begun: wait(interval)
    case .full, .rotating: wait(.zero)
    }
  }

  private func wait(_ duration: Duration) {
    guard !isFinished else { return }
    timer?.cancel()
    timer = Task { [weak self] in
      do {
        try await Task.sleep(for: duration)
      } catch {
        return
      }
      await self?.fire()
    }
  }

  private func fire() async {
    timer = nil
    if await !sign() { wait(AuditNotary.retryPause) }
  }

  /// Signs the chain as it is now, where something has been added since the last signature.
  ///
  /// - Parameter anchoring: whether to advance the anchor though its hour has not come
  /// - Returns: false where it must be tried again
  @discardableResult
  package func sign(anchoring: Bool = false) async -> Bool {
    // One after the other: a signature is over what was there when it was asked for.
    let before = signing
    let task = Task {
      _ = await before?.value
      return await signAlone(anchoring: anchoring)
    }
    signing = task
    return await task.value
  }

  private func signAlone(anchoring: Bool) async -> Bool {
    guard file.figures.unsigned > 0 else { return true }
    let now = clock.monotonicNanoseconds
    let advances = anchoring || now - min(now, anchoredAt) >= AuditNotary.anchorInterval
    do throws(AuditError) {
      let anchor = try await signer.anchor()
      let end = file.end
      var line = AuditLine(
        time: clock.unixMilliseconds, head: end, anchor: advances ? anchor + 1 : anchor,
        key: signer.auditKey.identifier)
      line.sign(try await signer.attest(line.digest))
      try await file.submit(line, signing: end.sequence).durable()
      // Not before the line that says so is durable: an anchor without its line means that the line has gone.
      if advances {
        _ = try await signer.advanceAnchor()
        anchoredAt = now
      }
      if isFailing { log.notice("audit log: signed again") }
      isFailing = false
      return true
    } catch {
      if !isFailing { log.warning("audit log: the chain is not signed for now, records go on: \(error)") }
      isFailing = true
      return false
    }
  }

  /// Signs and anchors for the last time.
  package func finish() async {
    isFinished = true
    timer?.cancel()
    await sign(anchoring: true)
  }
}
