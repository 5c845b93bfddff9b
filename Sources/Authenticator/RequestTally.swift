internal import CTAP
internal import Platform
internal import Policy

/// What the engine has answered since it began, for the operator's metrics: counts by command, rule and result, and
/// times by command. Rules are the operator's; no name that a caller could choose is a key.
package struct RequestTally: Equatable, Sendable {
  package enum Result: String, CaseIterable, Sendable {
    case done
    /// By policy.
    case refused
    case failed
  }

  package struct Key: Hashable, Sendable {
    package let command: String
    /// The one that decided, be it a refusal; empty where none was asked or none matched.
    package let rule: String
    package let result: Result

    package init(command: String, rule: String, result: Result) {
      self.command = command
      self.rule = rule
      self.result = result
    }
  }

  /// A histogram of durations.
  package struct Times: Equatable, Sendable {
    /// How many took up to each of ``RequestTally/bounds`` and no less than the one before; one more for the rest.
    package fileprivate(set) var buckets = [UInt64](repeating: 0, count: RequestTally.bounds.count + 1)
    /// Nanoseconds.
    package fileprivate(set) var sum: UInt64 = 0
  }

  /// Upper bounds of the histogram's buckets, in milliseconds.
  package static let bounds: [UInt64] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]
  /// Keys that are told apart: names of rules come and go with reloads.
  private static let maximumKeys = 256
  /// Stands for the rules beyond that.
  private static let others = "(others)"

  package private(set) var counts: [Key: UInt64] = [:]
  package private(set) var times: [String: Times] = [:]

  package init() {}

  /// Counts one answer.
  ///
  /// - Parameters:
  ///   - key: what was asked, and what came of it
  ///   - nanoseconds: how long it took
  package mutating func note(_ key: Key, nanoseconds: UInt64) {
    var key = key
    if counts[key] == nil, counts.count >= Self.maximumKeys {
      key = Key(command: key.command, rule: Self.others, result: key.result)
    }
    counts[key, default: 0] += 1
    let place = Self.bounds.firstIndex { nanoseconds <= $0 * 1_000_000 } ?? Self.bounds.count
    times[key.command, default: Times()].buckets[place] += 1
    times[key.command, default: Times()].sum &+= nanoseconds
  }
}

extension AuthenticatorEngine {
  /// Counts what has been answered to a caller.
  ///
  /// - Parameters:
  ///   - command: its name; nil for what could not be decoded
  ///   - caller: who asked
  ///   - failure: the status of an answer that is an error
  ///   - start: monotonic nanoseconds
  func count(_ command: String?, from caller: Caller, failure: CTAPStatus?, since start: UInt64) {
    let rule = rulesInUse.removeValue(forKey: caller.connection) ?? ""
    let result: RequestTally.Result =
      switch failure {
      case nil: .done
      case .operationDenied?: .refused
      default: .failed
      }
    tally.note(
      RequestTally.Key(command: command ?? "unknown", rule: rule, result: result),
      nanoseconds: environment.time.monotonicNanoseconds &- start)
  }
}
