internal import Platform

/// The users and groups that configurations name, where they are reviewed on a machine that need not know them: a name
/// that is not known gets a number of its own, the same each time, and is remembered to be told.
package final class ReviewedAccounts: Sendable {
  private struct State {
    var numbers: [String: UInt32] = [:]
    var unknown: [(name: String, number: UInt32)] = []
  }

  private let state = Lock(State())

  package init() {}

  /// Who is not known here, in the order in which they were asked for, e.g. `user "gitlab-runner"`.
  package var unknown: [String] { state.withLock { $0.unknown.map(\.name) } }

  /// The same, each with the number that stands for it where numbers are shown.
  package var numbered: [String] {
    state.withLock { $0.unknown.map { "\($0.name) is not known on this machine: \($0.number) stands for it here" } }
  }

  package var directory: AccountDirectory {
    AccountDirectory(
      user: { [self] name throws(SystemError) in try AccountDirectory.system.user(name) ?? invented("user", name) },
      group: { [self] name throws(SystemError) in try AccountDirectory.system.group(name) ?? invented("group", name) })
  }

  private func invented(_ kind: String, _ name: String) -> UInt32? {
    if name.isEmpty { return nil }
    let key = "\(kind) \(quoted(name, limit: 64))"
    return state.withLock { state in
      if let known = state.numbers[key] { return known }
      // Nobody has these: they are below the greatest only.
      let number = 4_294_900_000 + UInt32(state.numbers.count % 60_000)
      state.numbers[key] = number
      state.unknown.append((key, number))
      return number
    }
  }
}
