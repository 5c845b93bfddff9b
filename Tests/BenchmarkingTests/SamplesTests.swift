import Testing

@testable import Benchmarking

struct SamplesTests {
  @Test func percentilesAreOfTheNearestRank() {
    let samples = Samples((1...100).reversed().map { UInt64($0) }, elapsed: 1)
    #expect(samples.percentile(0.5) == 50)
    #expect(samples.percentile(0.95) == 95)
    #expect(samples.percentile(0.99) == 99)
    #expect(samples.percentile(1) == 100)
    #expect(samples.percentile(0) == 1)
    #expect(Samples([7], elapsed: 1).percentile(0.99) == 7)
    #expect(Samples([1, 2, 3], elapsed: 1).percentile(0.5) == 2)
  }

  @Test func nothingMeasuredIsNothing() {
    let nothing = Samples([], elapsed: 0)
    #expect(nothing.percentile(0.5) == 0)
    #expect(nothing.perSecond == 0)
    #expect(Spread([]) == nil)
    #expect(ratio(1, 0) == nil)
  }

  @Test func throughputIsOfTheWallTime() {
    #expect(Samples([1, 2, 3, 4], elapsed: 2_000_000_000).perSecond == 2)
  }

  @Test func roundsAreJoined() {
    let joined = Samples([3, 1], elapsed: 5).joined(Samples([2], elapsed: 6))
    #expect(joined == Samples([1, 2, 3], elapsed: 11))
  }

  @Test func spreadsHaveAMedian() throws {
    let odd = try #require(Spread([3, 1, 10]))
    #expect((odd.least, odd.median, odd.greatest) == (1, 3, 10))
    #expect(try #require(Spread([4, 1, 2, 3])).median == 2.5)
    #expect(odd.text(1) == "3.0 (1.0–10.0)")
    #expect(odd.text(0, scale: 2) == "6 (2–20)")
    #expect(try #require(Spread([2])).text(2) == "2.00")
  }

  @Test func fairnessComparesTheLeastServedWithTheMost() {
    #expect(fairness([90, 100, 95]) == 0.9)
    #expect(fairness([0, 100]) == 0)
    #expect(fairness([100]) == nil)
    #expect(fairness([0, 0]) == nil)
  }

  @Test(arguments: [
    (1.005, 1, "1.0"), (0.95, 1, "1.0"), (-0.05, 1, "-0.1"), (12.345, 2, "12.35"), (0, 0, "0"), (1234.5, 0, "1235"),
    (0.049, 2, "0.05"), (.infinity, 1, "-"), (.nan, 1, "-"),
  ])
  func numbersHaveTheirDecimals(_ value: Double, _ decimals: Int, _ text: String) {
    #expect(fixed(value, decimals) == text)
  }

  @Test func thousandsAreGrouped() {
    #expect([1, 999, 1000, 100_000, 1_234_567].map(grouped) == ["1", "999", "1,000", "100,000", "1,234,567"])
  }
}
