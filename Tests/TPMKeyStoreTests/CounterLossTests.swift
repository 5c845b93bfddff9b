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
    try redefine(bench) { _, _, _ throws(TPMError) in }
    try await expectRefusal(bench, "somebody has removed it")
  }

  @Test func anIndexWithoutAValueIsNotOurs() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let authorization = try payload(bench).counterAuthorization
    try redefine(bench) { context, session, device throws(TPMError) in
      try context.defineCounter(
        at: device.counterIndex, tag: device.counterTag, authorization: authorization.bytes, session: session)
    }
    try await expectRefusal(bench, "defined in its place")
  }

  @Test func anIndexWithAnotherTagIsNotOurs() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let authorization = try payload(bench).counterAuthorization
    try redefine(bench) { context, session, device throws(TPMError) in
      try context.defineCounter(
        at: device.counterIndex, tag: [UInt8](repeating: 1, count: 32), authorization: authorization.bytes,
        session: session)
    }
    try await expectRefusal(bench, "defined in its place")
  }

  /// A counter, of our tag, that the owner could read too; and plain data, which could be set to anything.
  @Test(arguments: ["nt=counter|authread|authwrite|no_da|ownerread", "authread|authwrite|no_da"])
  func anIndexWithOtherAttributesIsNotOurs(attributes: String) async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let device = try sealed(bench)
    try redefine(bench) { _, _, _ throws(TPMError) in }
    let tag = bench.fixture.directory + "/tag"
    try overwrite(tag, with: device.counterTag)
    try execute(
      "tpm2_nvdefine",
      ["-T", bench.fixture.tcti, "-C", "o", "-s", "8", "-a", attributes, "-L", tag, String(device.counterIndex)])
    bench.fixture.remove("tag")
    try await expectRefusal(bench, "defined in its place")
  }

  /// The tag is public; the authorization value is not.
  @Test func anIndexWithAnotherAuthorizationIsNotOurs() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let stranger = SharedSecret(try .random(count: 32))
    try redefine(bench) { context, session, device throws(TPMError) in
      try context.defineCounter(
        at: device.counterIndex, tag: device.counterTag, authorization: stranger.bytes, session: session)
      guard let counter = try context.reference(to: device.counterIndex) else { return }
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
    let authorization = try payload(bench).counterAuthorization
    try redefine(bench) { context, session, device throws(TPMError) in
      try context.defineCounter(
        at: device.counterIndex, tag: device.counterTag, authorization: authorization.bytes, session: session)
      guard let counter = try context.reference(to: device.counterIndex) else { return }
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
    bench.fixture.advanceCounters(by: 998)
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
    try redefine(bench) { context, session, device throws(TPMError) in
      guard replaced else { return }
      try context.defineCounter(
        at: device.counterIndex, tag: [], authorization: stranger.bytes, session: session)
    }
    let error = await #expect(throws: KeyStoreError.self) {
      try await bench.store.nextSignatureCounter(caller: caller(1))
    }
    #expect(error?.description.contains(replaced ? "defined in its place" : "somebody has removed it") == true)
    await bench.store.stop()
  }

  private func sealed(_ bench: Bench) throws -> SealedDevice {
    guard case .sealed(let device) = DeviceRecord.decode(bench.records.current ?? []) else { throw Unexpected() }
    return device
  }

  /// As who can read the state folder and use the TPM can have it.
  private func payload(_ bench: Bench) throws -> SealedPayload {
    let device = TPMDevice(
      connection: .tcti(bench.fixture.tcti), software: nil, ownerAuthorization: nil,
      board: StatusBoard(connection: .tcti(bench.fixture.tcti)), log: .silent, clock: ManualTime())
    let sealed = try sealed(bench)
    try device.require(ParentIdentity(handle: sealed.parentHandle, name: sealed.parentName))
    return try device.unseal(sealed)
  }

  /// Removes the counter, and does what `define` does, with a session of the owner's.
  private func redefine(
    _ bench: Bench, _ define: (inout TPMContext, TPMSession, SealedDevice) throws(TPMError) -> Void
  ) throws {
    let device = try sealed(bench)
    var context = try TPMContext(tcti: bench.fixture.tcti)
    try context.withSession(saltedWith: nil, encrypting: []) { context, session throws(TPMError) in
      try context.undefineIndex(device.counterIndex, session: session)
      try define(&context, session, device)
    }
  }

  private func expectRefusal(
    _ bench: Bench, _ part: String, sourceLocation: SourceLocation = #_sourceLocation
  ) async throws {
    let error = await #expect(throws: KeyStoreError.self, sourceLocation: sourceLocation) {
      try await Bench.start(bench.fixture, records: bench.records)
    }
    let text = error?.description ?? ""
    #expect(text.contains(part) && text.contains("signature counter"), "\(text)", sourceLocation: sourceLocation)
  }
}
