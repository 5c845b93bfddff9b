/// One rule of the configuration: which callers may do what, for which RP IDs. Whatever no rule allows is refused.
package struct Rule: Equatable, Sendable {
  /// Unique; stands in the audit log.
  package let name: String
  /// Any of these.
  package let callers: [CallerPattern]
  /// Any of these. Only a rule for nothing but `reset`, which concerns no RP, may do without.
  package let relyingParties: [RelyingPartyPattern]
  package let operations: Set<Operation>
  /// Whether these callers may count as verified (UV).
  package let userVerification: Bool
  /// What credentials that these callers register count.
  package let signatureCounter: SignatureCounter

  package init(
    name: String, callers: [CallerPattern], relyingParties: [RelyingPartyPattern], operations: Set<Operation>,
    userVerification: Bool = false, signatureCounter: SignatureCounter = .global
  ) {
    self.name = name
    self.callers = callers
    self.relyingParties = relyingParties
    self.operations = operations
    self.userVerification = userVerification
    self.signatureCounter = signatureCounter
  }

  func matches(_ caller: Caller) -> Bool {
    callers.contains { $0.matches(caller) }
  }

  /// Whether `relyingParties` cover the scope.
  func matches(_ operation: Operation, _ scope: Scope) -> Bool {
    if operation == .reset { return true }
    switch scope {
    case .relyingParty(let id): return relyingParties.contains { $0.matches(id) }
    case .application(let hash): return relyingParties.contains { $0.matches(hash: hash) }
    // What concerns all of them needs a rule for all of them.
    case .all: return operation == .manage && relyingParties.contains(.any)
    }
  }
}

/// What a rule says when it is taken apart: one caller pattern, one operation, one RP pattern.
struct Permission {
  let caller: CallerPattern
  let operation: Operation
  /// nil for `reset`.
  let relyingParty: RelyingPartyPattern?

  func covers(_ other: Permission) -> Bool {
    guard operation == other.operation, caller.covers(other.caller) else { return false }
    guard let relyingParty, let others = other.relyingParty else { return true }
    return relyingParty.covers(others)
  }
}

extension Rule {
  var permissions: [Permission] {
    callers.flatMap { caller in
      operations.flatMap { operation in
        operation == .reset
          ? [Permission(caller: caller, operation: operation, relyingParty: nil)]
          : relyingParties.map { Permission(caller: caller, operation: operation, relyingParty: $0) }
      }
    }
  }
}
