import Authenticator
import Platform
import Secrets
import TPM
import TestSupport
import Testing

@testable import TPMKeyStore

/// The signature counter is removed, replaced or turned back by who has the owner's authorization. What is noticed,
/// when, and what is not, is in SECURITY.md.
@Suite struct CounterLossTests {
  @Test func aRemovedCounterIsAClearError() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    try bench.redefine(.signatureCounter) { _, _, _ throws(TPMError) in }
    try await expectRefusal(bench, "somebody has removed it")
  }

  @Test func anIndexWithoutAValueIsNotOurs() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let authorization = try bench.payload().indexAuthorization
    try bench.redefine(.signatureCounter) { context, session, device throws(TPMError) in
      try context.defineIndex(
        .counter, at: device.indices.counter, tag: device.indices.tag, authorization: authorization.bytes,
        session: session)
    }
    try await expectRefusal(bench, "defined in its place")
  }

  @Test func anIndexWithAnotherTagIsNotOurs() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let authorization = try bench.payload().indexAuthorization
    try bench.redefine(.signatureCounter) { context, session, device throws(TPMError) in
      try context.defineIndex(
        .counter, at: device.indices.counter, tag: [UInt8](repeating: 1, count: 32), authorization: authorization.bytes,
        session: session)
    }
    try await expectRefusal(bench, "defined in its place")
  }

  /// A counter, of our tag, that the owner could read too; and plain data, which could be set to anything.
  @Test(arguments: ["nt=counter|authread|authwrite|no_da|ownerread", "authread|authwrite|no_da"])
  func anIndexWithOtherAttributesIsNotOurs(attributes: String) async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let device = try bench.sealedDevice()
    try bench.redefine(.signatureCounter) { _, _, _ throws(TPMError) in }
    let tag = bench.fixture.directory + "/tag"
    try overwrite(tag, with: device.indices.tag)
    try execute(
      "tpm2_nvdefine",
      ["-T", bench.fixture.tcti, "-C", "o", "-s", "8", "-a", attributes, "-L", tag, String(device.indices.counter)])
    bench.fixture.remove("tag")
    try await expectRefusal(bench, "defined in its place")
  }

  /// The tag is public; the authorization value is not.
  @Test func anIndexWithAnotherAuthorizationIsNotOurs() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let stranger = SharedSecret(try .random(count: 32))
    try bench.redefine(.signatureCounter) { context, session, device throws(TPMError) in
      try context.defineIndex(
        .counter, at: device.indices.counter, tag: device.indices.tag, authorization: stranger.bytes, session: session)
      guard let counter = try context.reference(to: device.indices.counter) else { return }
      try context.incrementCounter(counter, authorization: stranger.bytes)
    }
    try await expectRefusal(bench, "somebody has defined it anew")
  }

  @Test func aCounterBelowItsBeginningIsRefused() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    bench.fixture.advanceCounters(by: 0 &- 1)
    try await expectRefusal(bench, "went backwards")
  }

  /// Defined anew in every particular, which takes the sealed authorization: not noticed, and no harm, since the TPM
  /// itself goes on where the old one was.
  @Test func aPerfectCopyGoesOn() async throws {
    let bench = try await Bench.start()
    var last: UInt32 = 0
    for _ in 0..<3000 { last = try await bench.store.nextSignatureCounter(caller: caller(1)) }
    await bench.store.stop()
    let authorization = try bench.payload().indexAuthorization
    try bench.redefine(.signatureCounter) { context, session, device throws(TPMError) in
      try context.defineIndex(
        .counter, at: device.indices.counter, tag: device.indices.tag, authorization: authorization.bytes,
        session: session)
      guard let counter = try context.reference(to: device.indices.counter) else { return }
      try context.incrementCounter(counter, authorization: authorization.bytes)
    }
    let again = try await Bench.start(bench.fixture, records: bench.records)
    #expect(try await again.store.nextSignatureCounter(caller: caller(1)) > last)
    await again.store.stop()
  }

  /// While the daemon runs, above the base, but not above what has been: no value of a block that was given out.
  @Test func aCounterThatGoesBackwardsMeanwhileIsRefused() async throws {
    let first = try await Bench.start()
    await first.store.stop()
    first.fixture.advanceCounters(by: 1000)
    let bench = try await Bench.start(first.fixture, records: first.records)
    var values: [UInt32] = []
    for _ in 0..<3000 { values.append(try await bench.store.nextSignatureCounter(caller: caller(1))) }
    // So far that it does not catch up in the attempts that are made ahead.
    bench.fixture.advanceCounters(by: 900)
    let error = await #expect(throws: KeyStoreError.self) {
      while values.count < 6000 { values.append(try await bench.store.nextSignatureCounter(caller: caller(1))) }
    }
    #expect(error?.description.contains("went backwards") == true)
    #expect(Set(values).count == values.count)
    await bench.store.stop()
  }

  @Test(arguments: [false, true]) func aCounterThatIsRemovedMeanwhileIsAClearError(replaced: Bool) async throws {
    let bench = try await Bench.start()
    let stranger = SharedSecret(try .random(count: 32))
    try bench.redefine(.signatureCounter) { context, session, device throws(TPMError) in
      guard replaced else { return }
      try context.defineIndex(
        .counter, at: device.indices.counter, tag: [], authorization: stranger.bytes, session: session)
    }
    let error = await #expect(throws: KeyStoreError.self) {
      try await bench.store.nextSignatureCounter(caller: caller(1))
    }
    #expect(error?.description.contains(replaced ? "defined in its place" : "somebody has removed it") == true)
    await bench.store.stop()
  }

  private func expectRefusal(
    _ bench: Bench, _ part: String, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    try await expectRefusedStart(bench, part, "signature counter", sourceLocation: sourceLocation)
  }

  /// Whoever writes the record can neither pass off a later anchor as the first one, so that a log of his own seems to
  /// have no signature yet, nor one counter as another.
  @Test(arguments: [0, 1, 2])
  func anAlteredRecordIsRefused(_ which: Int) async throws {
    let bench = try await Bench.start()
    _ = try await bench.store.advanceAnchor()
    await bench.store.stop()
    let good = try #require(bench.records.current)
    guard case .sealed(var device)? = DeviceRecord.decode(good) else { return #expect(Bool(false)) }
    switch which {
    case 0: device.firstAnchor += 1
    case 1: (device.indices.counter, device.indices.anchor) = (device.indices.anchor, device.indices.counter)
    default:
      let audit = device.auditKey
      device.auditKey = device.secret
      #expect(audit != device.auditKey)
    }
    try await bench.records.saveDeviceRecord(DeviceRecord.sealed(device).encoded())
    await #expect {
      _ = try await Bench.start(bench.fixture, records: bench.records)
    } throws: { error in
      "\(error)".contains("the device record has been altered")
    }
    try await bench.records.saveDeviceRecord(good)
    let again = try await Bench.start(bench.fixture, records: bench.records)
    await again.store.stop()
  }
}
