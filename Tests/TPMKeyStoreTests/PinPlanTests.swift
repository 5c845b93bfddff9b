import Authenticator
import Secrets
import TestSupport
import Testing

@testable import TPMKeyStore

private let minute: UInt64 = 60_000_000_000

@Suite struct PinPlanTests {
  private func uses(_ plan: inout PinPlan, _ name: String, _ count: Int, at now: UInt64) {
    for _ in 0..<count { plan.use(binding(name), at: now) }
  }

  private func pin(_ since: UInt64 = 0, byOperator: Bool = false) -> PinPlan.Pin {
    PinPlan.Pin(byOperator: byOperator, since: since)
  }

  @Test func aKeyIsPinnedWhenItIsBusy() {
    var plan = PinPlan()
    uses(&plan, "a", 7, at: 0)
    #expect(plan.change(for: binding("a"), pinned: [:], room: 1, at: 0) == nil)
    uses(&plan, "a", 1, at: 0)
    #expect(plan.change(for: binding("a"), pinned: [:], room: 1, at: 0) == .pin)
    #expect(plan.change(for: binding("a"), pinned: [binding("a"): pin()], room: 1, at: 0) == nil)
    #expect(plan.change(for: binding("a"), pinned: [:], room: 0, at: 0) == nil)
    // An hour later its uses count half.
    #expect(plan.change(for: binding("a"), pinned: [:], room: 1, at: 30 * minute) == nil)
  }

  /// Two keys in turn change nothing; one that is clearly busier takes the place, after the other's residence.
  @Test func aPlaceIsTakenByTheClearlyBusierOnly() {
    var plan = PinPlan()
    let pinned = [binding("a"): pin()]
    for _ in 0..<1000 {
      uses(&plan, "a", 1, at: 20 * minute)
      uses(&plan, "b", 1, at: 20 * minute)
      #expect(plan.change(for: binding("b"), pinned: pinned, room: 0, at: 20 * minute) == nil)
    }
    uses(&plan, "b", 1007, at: 20 * minute)
    #expect(plan.change(for: binding("b"), pinned: pinned, room: 0, at: 20 * minute) == nil)
    uses(&plan, "b", 1, at: 20 * minute)
    #expect(plan.change(for: binding("b"), pinned: pinned, room: 0, at: 20 * minute) == .replace(binding("a")))
    let fresh = [binding("a"): pin(15 * minute)]
    #expect(plan.change(for: binding("b"), pinned: fresh, room: 0, at: 20 * minute) == nil)
  }

  @Test func whatTheOperatorPinsStays() {
    var plan = PinPlan()
    uses(&plan, "b", 10_000, at: 60 * minute)
    let pinned = [binding("a"): pin(byOperator: true)]
    #expect(plan.change(for: binding("b"), pinned: pinned, room: 0, at: 60 * minute) == nil)
  }

  /// However many keys sign, few are watched, and the busy one is not lost among them.
  @Test func theWatchIsBounded() {
    var plan = PinPlan()
    uses(&plan, "busy", 8, at: 0)
    for number in 0..<2000 { uses(&plan, "key \(number)", 1, at: 0) }
    #expect(plan.count == PinPlan.watched)
    #expect(plan.change(for: binding("busy"), pinned: [:], room: 1, at: 0) == .pin)
  }

  /// Uses of a year and clocks at their ends are taken.
  @Test func extremes() {
    var plan = PinPlan()
    uses(&plan, "a", 8, at: .max)
    #expect(plan.change(for: binding("a"), pinned: [:], room: 1, at: 0) == .pin)
    #expect(plan.change(for: binding("b"), pinned: [:], room: 1, at: .max) == nil)
    uses(&plan, "c", 8, at: 0)
    #expect(plan.change(for: binding("c"), pinned: [:], room: 1, at: .max) == nil)
  }
}

@Suite struct PinBudgetTests {
  private let settings = PinSettings()
  private let day: Int64 = 86_400_000

  @Test func burstThenRate() {
    var budget = PinBudget(settings, now: 0)
    var paid = 0
    while budget.payForPin() { paid += 1 }
    #expect(paid == 8 && budget.left == 0 && budget.written == 16)
    // 24 in a day: two in two hours.
    budget.refill(after: 2 * 3_600_000 - 1, now: 0, settings)
    var isPaid = budget.payForPin()
    #expect(!isPaid)
    budget.refill(after: 1, now: 0, settings)
    isPaid = budget.payForPin()
    #expect(isPaid)
    isPaid = budget.payForPin()
    #expect(!isPaid)
  }

  /// Many small steps are as good as one.
  @Test func nothingIsLostInSmallSteps() {
    var budget = PinBudget(credit: 0, written: 0, asOf: 0)
    for _ in 0..<36_000 { budget.refill(after: 200, now: 0, settings) }
    #expect(budget.left == 2)
  }

  @Test func aClockThatIsSetBringsAtMostABurst() {
    var budget = PinBudget(credit: 0, written: 4, asOf: 10 * day)
    budget.resume(now: 3 * day, settings)
    #expect(budget.left == 0 && budget.asOf == 3 * day)
    budget.resume(now: .max, settings)
    #expect(budget.left == settings.burst && budget.written == 4)
    budget.resume(now: .min, settings)
    #expect(budget.left == settings.burst)
    budget.refill(after: .max, now: 0, settings)
    #expect(budget.left == settings.burst)
  }

  @Test func aSmallerBurstTakesEffectAtOnce() {
    var budget = PinBudget(settings, now: 0)
    var smaller = settings
    smaller.burst = 2
    budget.resume(now: 0, smaller)
    #expect(budget.left == 2)
  }
}

@Suite struct PinRecordTests {
  private let record = PinRecord(
    budget: PinBudget(credit: 1 << 40, written: 7, asOf: -3),
    entries: [
      PinRecord.Entry(
        handle: 0x8100_C600, name: [0, 11] + [UInt8](repeating: 5, count: 32), binding: binding("a"), byOperator: true,
        stage: .standing),
      PinRecord.Entry(
        handle: 0x8100_C601, name: [0, 11] + [UInt8](repeating: 6, count: 32), binding: binding("b"),
        byOperator: false, stage: .going),
    ])

  @Test func everyPartComesBackAndEveryShorterOneIsRefused() {
    let bytes = record.encoded()
    #expect(PinRecord.decode(bytes) == record)
    for count in 0..<bytes.count where count != 29 && count != 29 + (bytes.count - 29) / 2 {
      #expect(PinRecord.decode(Array(bytes.prefix(count))) == nil, "\(count)")
    }
    #expect(PinRecord.decode(bytes + [0]) == nil)
  }

  /// Whoever can write the file alone names nothing that the TPM would be cleared of.
  @Test func anotherDevicesSealIsRefused() throws {
    let (ours, theirs) = (SharedSecret(try .random(count: 32)), SharedSecret(try .random(count: 32)))
    let bytes = record.sealed(ours)
    #expect(PinRecord.open(bytes, ours) == record)
    #expect(PinRecord.open(bytes, theirs) == nil)
    for index in bytes.indices {
      var other = bytes
      other[index] ^= 1
      #expect(PinRecord.open(other, ours) == nil)
    }
    #expect(PinRecord.open([], ours) == nil)
  }

  @Test func aHandleOutsideOfTheOwnersRangeIsRefused() {
    var other = record
    other.entries[0].handle = 0x8180_0000
    #expect(PinRecord.decode(other.encoded()) == nil)
    other.entries[0].handle = other.entries[1].handle
    #expect(PinRecord.decode(other.encoded()) == nil)
  }
}
