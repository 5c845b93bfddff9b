import Authenticator
import Platform
import Policy
import TPM
import TestSupport
import Testing

@testable import TPMKeyStore

@Suite struct CounterTests {
  @Test func blocksFollowTheNVCounter() throws {
    #expect(try CounterLease.block(reading: 8, base: 7) == 1024..<2048)
    #expect(try CounterLease.block(reading: 9, base: 7) == 2048..<3072)
    let last = UInt64(UInt32.max) / 1024
    #expect(try CounterLease.block(reading: last, base: 0).upperBound == UInt64(UInt32.max) + 1)
    #expect(throws: KeyStoreError.counterExhausted) { try CounterLease.block(reading: last + 1, base: 0) }
    #expect(throws: KeyStoreError.counterExhausted) { try CounterLease.block(reading: .max, base: 0) }
    #expect(throws: KeyStoreError.self) { try CounterLease.block(reading: 7, base: 7) }
    #expect(throws: KeyStoreError.self) { try CounterLease.block(reading: 6, base: 7) }
  }

  @Test func aBlockIsFetchedAheadOnce() {
    let lease = CounterLease()
    #expect(lease.take() == (nil, false))
    lease.add(1024..<2048)
    for expected in UInt32(1024)..<1791 { #expect(lease.take() == (expected, false)) }
    #expect(lease.take() == (1791, true))
    #expect(lease.take() == (1792, false))
    // It failed with 255 left: again at half of that, and so on.
    lease.fetchEnded(with: nil)
    for expected in UInt32(1793)..<1920 { #expect(lease.take() == (expected, false)) }
    #expect(lease.take() == (1920, true))
    lease.fetchEnded(with: 2048..<3072)
    for expected in UInt32(1921)..<2815 { #expect(lease.take() == (expected, false)) }
    #expect(lease.take() == (2815, true))
    lease.fetchEnded(with: nil)
    for expected in UInt32(2816)..<3072 { #expect(lease.take().value == expected) }
    #expect(lease.take().value == nil)
  }

  /// The operator sees what wears the TPM's memory, across restarts.
  @Test func whatIsWrittenIsCounted() async throws {
    let fixture = try SoftwareTPMFixture()
    let records = MemoryRecords()
    let bench = try await Bench.start(fixture, records: records)
    #expect(bench.store.status.writes == NVWrites())
    for _ in 0..<3 { _ = try await bench.store.nextSignatureCounter(caller: caller(1)) }
    _ = try await bench.store.advanceAnchor()
    try await bench.store.save(RetryRecord(failures: 1), caller: caller(1))
    #expect(bench.store.status.writes == NVWrites(signatureCounter: 1, auditAnchor: 1, retryRecord: 1))
    await bench.store.stop()
    let next = try await Bench.start(fixture, records: records)
    #expect(next.store.status.writes == NVWrites(signatureCounter: 1, auditAnchor: 1))
    await next.store.stop()
  }

  /// Across orderly restarts, crashes and restored records no value comes back.
  @Test func noValueIsEverRepeated() async throws {
    let fixture = try SoftwareTPMFixture()
    let records = MemoryRecords()
    var old: [UInt8]?
    var last: UInt32 = 0
    for round in 0..<6 {
      let bench = try await Bench.start(fixture, records: records)
      for _ in 0..<(round == 2 ? 1100 : 3) {
        let value = try await bench.store.nextSignatureCounter(caller: caller(1))
        #expect(value > last)
        last = value
      }
      if round == 0 { old = records.current }
      if round == 3, let old { try await records.saveDeviceRecord(old) }
      if round.isMultiple(of: 2) {
        await bench.store.stop()
      } else {
        fixture.powerOff()
        await bench.store.stop()
        try fixture.powerOn()
      }
    }
  }

  /// 2^22 blocks have been used up. A reset ends every credential that knows a value, so they begin again.
  @Test func aResetBeginsTheValuesAgain() async throws {
    let bench = try await Bench.start()
    #expect(try await bench.store.nextSignatureCounter(caller: caller(1)) == 1024)
    await bench.store.stop()
    bench.fixture.advanceCounters(by: 1 << 22)
    let worn = try await Bench.start(bench.fixture, records: bench.records)
    for _ in 0..<2 {
      await #expect(throws: KeyStoreError.counterExhausted) {
        try await worn.store.nextSignatureCounter(caller: caller(1))
      }
    }
    let (secret, record) = try await worn.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    // Not yet in use.
    await #expect(throws: KeyStoreError.counterExhausted) {
      try await worn.store.nextSignatureCounter(caller: caller(1))
    }
    try await worn.records.saveDeviceRecord(record)
    await worn.store.adopt(secret)
    var last: UInt32 = 0
    for _ in 0..<1500 {
      let value = try await worn.store.nextSignatureCounter(caller: caller(1))
      #expect(value > last)
      last = value
    }
    await worn.store.stop()
    let again = try await Bench.start(bench.fixture, records: bench.records)
    let next = try await again.store.nextSignatureCounter(caller: caller(1))
    #expect(next > last && next < 1 << 20)
    await again.store.stop()
  }

  @Test func aResetBeginsAgainOnlyWhereHalfIsSpent() {
    #expect(CounterLease.baseAfterReset(reading: 8, base: 7) == 7)
    #expect(CounterLease.baseAfterReset(reading: 7 + 1 << 21, base: 7) == 7)
    #expect(CounterLease.baseAfterReset(reading: 8 + 1 << 21, base: 7) == 8 + 1 << 21)
    #expect(CounterLease.baseAfterReset(reading: 6, base: 7) == 7)
  }

  /// What was leased before a reset is not given out after it: it could be counted from another base.
  @Test func aResetDropsTheLease() async throws {
    let bench = try await Bench.start()
    var values: [UInt32] = []
    for _ in 0..<3000 { values.append(try await bench.store.nextSignatureCounter(caller: caller(1))) }
    let (secret, _) = try await bench.store.makeDeviceSecret(caller: caller(1), presence: presence(.reset))
    let before = try await bench.store.nextSignatureCounter(caller: caller(1))
    #expect(before > values[2999])
    bench.fixture.resetCounts()
    await bench.store.adopt(secret)
    let after = try await bench.store.nextSignatureCounter(caller: caller(1))
    #expect(after > before && after.isMultiple(of: 1024))
    #expect(bench.fixture.counts[Command.increment] == 1)
    await bench.store.stop()
  }

  @Test func concurrentCallersGetDistinctValues() async throws {
    let bench = try await Bench.start()
    let values = try await withThrowingTaskGroup(of: [UInt32].self) { group in
      for connection in UInt64(1)...16 {
        group.addTask {
          var values: [UInt32] = []
          for _ in 0..<300 {
            values.append(try await bench.store.nextSignatureCounter(caller: caller(connection)))
          }
          #expect(values == values.sorted())
          return values
        }
      }
      return try await group.reduce(into: []) { $0 += $1 }
    }
    #expect(Set(values).count == 16 * 300)
    await bench.store.stop()
  }

  /// Nothing of ours shares an index with others, and others' indices are left alone.
  @Test func takenIndicesAreLeftAlone() async throws {
    let first = try await Bench.start()
    await first.store.stop()
    let second = try await Bench.start(first.fixture)
    #expect(first.store.status.counterIndex == TPMPlaces.indices.lowerBound)
    #expect(first.store.status.retryIndex == TPMPlaces.indices.lowerBound + 1)
    #expect(second.store.status.counterIndex == TPMPlaces.indices.lowerBound + 3)
    #expect(second.store.status.retryIndex == TPMPlaces.indices.lowerBound + 4)
    #expect(try await second.store.nextSignatureCounter(caller: caller(1)) == 1024)
    await second.store.stop()
    let again = try await Bench.start(first.fixture, records: first.records)
    #expect(try await again.store.nextSignatureCounter(caller: caller(1)) > 0)
    await again.store.stop()
  }
}
