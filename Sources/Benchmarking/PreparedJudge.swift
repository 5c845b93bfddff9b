internal import Platform
internal import Policy

/// Gives out what a rule book has said before, and judges nothing itself: what it is compared with judges then. Presence
/// still comes of that book alone, and each yes of it is good for one signature.
final class PreparedJudge: Judge {
  /// An array cannot hold what cannot be copied.
  private final class Yes {
    var verdict: Verdict?

    init(_ verdict: consuming Verdict) { self.verdict = consume verdict }
  }

  private let book: RuleBook
  private let inquiry: Inquiry
  private let prospect: Prospect
  private let prepared = Lock<[Yes]>([])

  /// - Parameters:
  ///   - book: what it has said is given out
  ///   - inquiry: the one that will be made, over and over
  /// - Throws: `Refusal`
  init(_ book: RuleBook, for inquiry: Inquiry) throws(Refusal) {
    self.book = book
    self.inquiry = inquiry
    prospect = try book.foresee(inquiry)
  }

  /// Has the book judge so often, ahead of time.
  ///
  /// - Throws: `Refusal`
  func prepare(_ count: Int) throws(Refusal) {
    try prepared.withLock { prepared throws(Refusal) in
      for _ in 0..<count { prepared.append(Yes(try book.judge(inquiry))) }
    }
  }

  func judge(_ inquiry: Inquiry) throws(Refusal) -> Verdict {
    guard let verdict = prepared.withLock({ $0.popLast()?.verdict.take() }) else {
      throw Refusal(reason: "what was prepared is used up")
    }
    return verdict
  }

  func foresee(_ inquiry: Inquiry) throws(Refusal) -> Prospect { prospect }

  func recognises(_ caller: Caller) -> Bool { book.recognises(caller) }
  func recognises(_ caller: Caller, _ operation: Policy.Operation) -> Bool { book.recognises(caller, operation) }
  func verifies(_ caller: Caller) -> Bool { book.verifies(caller) }
  func bindsClaims(_ caller: Caller) -> Bool { book.bindsClaims(caller) }
  var offersEnterpriseAttestation: Bool { book.offersEnterpriseAttestation }
  func explain(_ inquiry: Inquiry, at moment: Moment) -> Explanation { book.explain(inquiry, at: moment) }
  func doubts(of grant: Grant, from start: Int64, until end: Int64) -> [String] {
    book.doubts(of: grant, from: start, until: end)
  }
  var ruleNames: Set<String> { book.ruleNames }
}
