internal import Glibc

/// A serial executor with one thread of its own, for actors whose work blocks (SQLite, fsync). Blocking work never
/// runs on the cooperative pool, which has one thread per core.
package final class ThreadExecutor: SerialExecutor, Sendable {
  private struct Queue {
    var jobs: [UnownedJob] = []
    /// Whether the thread sleeps, or is about to, and nobody has woken it yet.
    var isAsleep = false
    var stopped = false
  }

  private let queue = Lock(Queue())
  private let wake: EventCounter
  private let finished: EventCounter

  /// Starts the thread.
  ///
  /// - Parameter name: thread name as shown by top(1), at most 15 bytes
  /// - Throws: ``SystemError`` where no descriptor or thread can be had
  package init(name: String) throws(SystemError) {
    wake = try EventCounter()
    finished = try EventCounter()
    try startThread(named: name) { [self] in run() }
  }

  package func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    let wakes = queue.withLock { queue in
      defer { queue.isAsleep = false }
      queue.jobs.append(job)
      return queue.isAsleep
    }
    if wakes { wake.signal() }
  }

  package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
    unsafe UnownedSerialExecutor(ordinary: self)
  }

  /// Runs what is queued, then ends the thread and waits for its end. Nothing may be enqueued afterwards.
  package func stop() {
    queue.withLock { $0.stopped = true }
    wake.signal()
    finished.wait()
  }

  private func run() {
    while true {
      let (jobs, stopped) = queue.withLock { queue in
        defer { queue.jobs = [] }
        queue.isAsleep = queue.jobs.isEmpty && !queue.stopped
        return (queue.jobs, queue.stopped)
      }
      for job in jobs { unsafe job.runSynchronously(on: asUnownedSerialExecutor()) }
      if jobs.isEmpty {
        if stopped { break }
        wake.wait()
      }
    }
    finished.signal()
  }
}
