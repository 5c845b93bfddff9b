internal import Authenticator

/// How hot keys are kept behind a resource manager; see ``PinPlan``.
package struct PinSettings: Equatable, Sendable {
  /// Persistent handles that may be used, within the owner's range. Those that hold something else are passed over.
  package var handles: ClosedRange<UInt32> = 0x8100_C600...0x8100_C63F
  /// Keys that may be pinned at the same time; fewer where the TPM has no room for so many. 0 pins none by use.
  package var count = 4
  /// Writes to the TPM's non-volatile memory for pins in 24 hours, in the long run.
  package var writesPerDay = 24
  /// Writes that may come at once.
  package var burst = 16

  package init() {}

  /// The owner's range of persistent handles (TPM 2.0 Library, part 2, section 7.5; TCG registry of reserved handles).
  package static let ownerRange: ClosedRange<UInt32> = 0x8100_0000...0x817F_FFFF
}

/// What may still be written to the TPM's non-volatile memory for pins. A pin costs two writes, one to come and one to
/// go, and both are paid when it comes: so it can always be freed.
///
/// The clock that fills it is the one that cannot be set. Between two runs of the daemon only the other one is left: set
/// back it brings nothing, set forward it brings at most a full burst.
struct PinBudget: Equatable {
  static let writesPerPin: UInt64 = 2
  /// One write: so that a millisecond brings `writesPerDay` units, exactly.
  private static let unit: UInt64 = 86_400_000

  /// In units.
  private(set) var credit: UInt64
  /// Ever, those that have been paid for and are still to come included.
  private(set) var written: UInt64
  /// Milliseconds since 1970, when this was so.
  private(set) var asOf: Int64

  init(credit: UInt64, written: UInt64, asOf: Int64) {
    self.credit = credit
    self.written = written
    self.asOf = asOf
  }

  /// A full one.
  init(_ settings: PinSettings, now: Int64) {
    self.init(credit: UInt64(settings.burst) * PinBudget.unit, written: 0, asOf: now)
  }

  /// Whole writes that may be made now.
  var left: Int { Int(credit / PinBudget.unit) }

  /// Time has passed.
  ///
  /// - Parameters:
  ///   - milliseconds: so much
  ///   - now: milliseconds since 1970
  ///   - settings: in force
  mutating func refill(after milliseconds: UInt64, now: Int64, _ settings: PinSettings) {
    let (gain, overflow) = milliseconds.multipliedReportingOverflow(by: UInt64(settings.writesPerDay))
    let full = UInt64(settings.burst) * PinBudget.unit
    credit = overflow || gain >= full || credit >= full - gain ? full : credit + gain
    asOf = now
  }

  /// The first look at it in this run of the daemon.
  mutating func resume(now: Int64, _ settings: PinSettings) {
    let (gone, overflow) = now.subtractingReportingOverflow(asOf)
    refill(after: now <= asOf ? 0 : overflow ? .max : UInt64(gone), now: now, settings)
  }

  /// Pays for one pin; false where that cannot be paid.
  mutating func payForPin() -> Bool {
    let price = PinBudget.writesPerPin * PinBudget.unit
    guard credit >= price else { return false }
    credit -= price
    written = min(written, .max - PinBudget.writesPerPin) + PinBudget.writesPerPin
    return true
  }
}

/// Which keys are worth a persistent handle. Uses count, and count half after each hour. A key gets a free handle when it
/// is busy, and another's only when it is clearly busier for some time already: so two keys in turn do not wear out the
/// TPM. Knows no clock and no TPM.
struct PinPlan {
  /// A key that is pinned.
  struct Pin: Equatable {
    var byOperator: Bool
    /// Monotonic nanoseconds; when it was pinned.
    var since: UInt64
  }

  enum Change: Equatable {
    case pin
    /// In place of this one.
    case replace(KeyBinding)
  }

  private struct Score {
    /// One use is ``PinPlan/oneUse``.
    var value: UInt64
    var at: UInt64
  }

  /// Nanoseconds after which a use counts half.
  static let halfLife: UInt64 = 3_600_000_000_000
  /// Uses that make a key busy.
  static let threshold: UInt64 = 8
  /// Nanoseconds that a pin stays at least.
  static let residence: UInt64 = 600_000_000_000
  /// Keys that are watched at the same time: the least used makes way.
  static let watched = 256
  private static let oneUse: UInt64 = 1 << 20

  private var scores: [KeyBinding: Score] = [:]

  var count: Int { scores.count }

  /// A key has signed.
  mutating func use(_ key: KeyBinding, at now: UInt64) {
    if scores[key] == nil, scores.count >= PinPlan.watched,
      let least = scores.keys.min(by: { value(of: $0, at: now) < value(of: $1, at: now) })
    {
      scores[least] = nil
    }
    scores[key] = Score(value: value(of: key, at: now) + PinPlan.oneUse, at: now)
  }

  mutating func forget(_ key: KeyBinding) {
    scores[key] = nil
  }

  /// What to do for a key that has just signed.
  ///
  /// - Parameters:
  ///   - key: not pinned
  ///   - pinned: those that are
  ///   - room: how many more could be
  ///   - now: monotonic nanoseconds
  /// - Returns: nil for nothing
  func change(for key: KeyBinding, pinned: [KeyBinding: Pin], room: Int, at now: UInt64) -> Change? {
    let own = value(of: key, at: now)
    guard pinned[key] == nil, own >= PinPlan.threshold * PinPlan.oneUse else { return nil }
    if room > 0 { return .pin }
    let settled = pinned.filter {
      !$0.value.byOperator && now >= $0.value.since && now - $0.value.since >= PinPlan.residence
    }
    guard let least = settled.keys.min(by: { value(of: $0, at: now) < value(of: $1, at: now) }) else { return nil }
    return own >= 2 * value(of: least, at: now) + PinPlan.threshold * PinPlan.oneUse ? .replace(least) : nil
  }

  /// Halved by whole half-lives, and between these along a line.
  private func value(of key: KeyBinding, at now: UInt64) -> UInt64 {
    guard let score = scores[key] else { return 0 }
    let age = now > score.at ? now - score.at : 0
    let halvings = age / PinPlan.halfLife
    guard halvings < 64 else { return 0 }
    let value = score.value >> halvings
    let part = (age % PinPlan.halfLife) / (PinPlan.halfLife / 1024)
    return value - (value / 2 * part) / 1024
  }
}
