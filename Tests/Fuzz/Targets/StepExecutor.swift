import Dispatch
import Platform

/// Runs tasks, and the actors that they call, on the thread of the test, until none of them can go on: with the same
/// input everything happens in the same order.
final class StepExecutor: TaskExecutor {
  private let jobs = Lock<[Job]>([])
  private let arrived = DispatchSemaphore(value: 0)

  /// A job of a task, or of an actor that has chosen an executor.
  private struct Job: Sendable {
    let job: UnownedJob
    let actor: UnownedSerialExecutor?
  }

  /// For actors that choose their executor themselves.
  final class Serial: SerialExecutor {
    private let steps: StepExecutor

    init(_ steps: StepExecutor) {
      self.steps = steps
    }

    func enqueue(_ job: consuming ExecutorJob) {
      steps.add(Job(job: UnownedJob(job), actor: asUnownedSerialExecutor()))
    }
  }

  func enqueue(_ job: consuming ExecutorJob) {
    add(Job(job: UnownedJob(job), actor: nil))
  }

  private func add(_ job: Job) {
    jobs.withLock { $0.append(job) }
    arrived.signal()
  }

  /// Runs everything that can run.
  func run() {
    while step(deadline: .now()) {}
  }

  /// Runs everything until `isDone`, waiting for what comes from elsewhere.
  ///
  /// - Returns: false if nothing came for ten seconds
  func run(until isDone: () -> Bool) -> Bool {
    run()
    while !isDone() {
      guard step(deadline: .now() + 10) else { return false }
      run()
    }
    return true
  }

  private func step(deadline: DispatchTime) -> Bool {
    guard arrived.wait(timeout: deadline) == .success else { return false }
    guard let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else { return true }
    if let actor = job.actor {
      job.job.runSynchronously(isolatedTo: actor, taskExecutor: asUnownedTaskExecutor())
    } else {
      job.job.runSynchronously(on: asUnownedTaskExecutor())
    }
    return true
  }

  /// Runs an operation that waits for nobody.
  func get<Value: Sendable>(_ operation: @escaping @Sendable () async -> Value) throws -> Value {
    let results = Box<Value>()
    Task(executorPreference: self) { results.put(await operation()) }
    try require(run { !results.isEmpty }, "what waits for nobody ends")
    return try require(results.take().first, "what has ended has a result")
  }
}

/// Where tasks leave what they have made.
final class Box<Value: Sendable>: Sendable {
  private let values = Lock<[Value]>([])

  var isEmpty: Bool { values.withLock { $0.isEmpty } }

  func put(_ value: Value) {
    values.withLock { $0.append(value) }
  }

  /// Everything, in order; nothing stays.
  func take() -> [Value] {
    values.withLock { values in
      defer { values = [] }
      return values
    }
  }

  func contains(where predicate: (Value) -> Bool) -> Bool {
    values.withLock { $0.contains(where: predicate) }
  }
}
