import Authenticator
import Platform
import Policy
import Secrets
import TPM
import TestSupport
import Testing
import WebAuthn

@testable import TPMKeyStore

/// The first start: what is made in the TPM, and what is left when it is interrupted.
@Suite struct ProvisioningTests {
  @Test func itMakesAStorageRootOnce() async throws {
    let bench = try await Bench.start()
    #expect(bench.fixture.counts[Command.createPrimary] == 1)
    #expect(bench.store.status.storageRootHandle == 0x8100_0001)
    await bench.store.stop()
    bench.fixture.resetCounts()
    let again = try await Bench.start(bench.fixture, records: bench.records)
    #expect(again.fixture.counts[Command.createPrimary] == nil)
    #expect(again.fixture.counts[Command.defineSpace] == nil)
    #expect(again.fixture.counts[Command.increment] == nil)
    await again.store.stop()
  }

  /// Every command of the first start fails once, or the connection breaks there: the next start succeeds, and the TPM
  /// then holds one storage root key, three indices and nothing loaded.
  @Test(arguments: [
    Command.createPrimary, Command.evictControl, Command.defineSpace, Command.undefineSpace, Command.increment,
    Command.nvRead, Command.nvWrite, Command.create, Command.load, Command.unseal, Command.startSession, Command.flush,
  ])
  func anInterruptedStartLeavesNoOrphan(command: UInt32) async throws {
    let fixture = try SoftwareTPMFixture()
    let records = MemoryRecords()
    for attempt in 0..<4 {
      // TPM_RC_VALUE, after some that succeed.
      fixture.failOnce(command, after: attempt, with: 0x84)
      if let bench = try? await Bench.start(fixture, records: records) { await bench.store.stop() }
    }
    fixture.forgetAnswers()
    let bench = try await Bench.start(fixture, records: records)
    _ = try await bench.key()
    await bench.store.stop()
    var context = try TPMContext(tcti: fixture.tcti)
    #expect(try context.handles(from: 0x8100_0000) == [0x8100_0001])
    #expect(try context.handles(from: 0x0100_0000).filter { TPMPlaces.indices.contains($0) }.count == 3)
    #expect(try context.handles(from: 0x8000_0000).isEmpty)
    #expect(try context.handles(from: 0x0200_0000).isEmpty)
  }

  /// The same at each single command, on a TPM that has nothing yet.
  @Test func anInterruptionAtAnyCommandLeavesNoOrphan() async throws {
    let first = try await Bench.start()
    let commands = first.fixture.commands
    await first.store.stop()
    #expect(commands.filter { $0 == Command.defineSpace }.count == 3)
    for (number, (command, after)) in places(commands).enumerated() {
      let fixture = try SoftwareTPMFixture()
      let records = MemoryRecords()
      fixture.failOnce(command, after: after, with: 0x84)
      let interrupted = try? await Bench.start(fixture, records: records)
      await interrupted?.store.stop()
      // In the middle of clearing up, too.
      fixture.forgetAnswers()
      if number.isMultiple(of: 2) {
        fixture.failOnce(Command.undefineSpace, after: 1, with: 0x84)
        if let bench = try? await Bench.start(fixture, records: records) { await bench.store.stop() }
        fixture.forgetAnswers()
      }
      let bench = try await Bench.start(fixture, records: records)
      #expect(try await bench.read() == RetryRecord())
      #expect(try await bench.store.nextSignatureCounter(caller: caller(1)) == 1024)
      await bench.store.stop()
      var context = try TPMContext(tcti: fixture.tcti)
      let indices = try context.handles(from: 0x0100_0000).filter { TPMPlaces.indices.contains($0) }
      let device = try bench.sealedDevice()
      #expect(indices == device.indices.all, "command \(number)")
    }
  }

  @Test(arguments: [1, 2]) func aRecordThatCannotBeSavedLeavesNoOrphan(save: Int) async throws {
    let fixture = try SoftwareTPMFixture()
    let records = MemoryRecords()
    records.fail(atSave: save)
    await expectUnavailable { _ = try await Bench.start(fixture, records: records) }
    let bench = try await Bench.start(fixture, records: records)
    await bench.store.stop()
    var context = try TPMContext(tcti: fixture.tcti)
    #expect(try context.handles(from: 0x0100_0000).filter { TPMPlaces.indices.contains($0) }.count == 3)
  }

  /// The record names an index that is another's by now: it is not removed.
  @Test func anIndexWithAnotherTagIsNotRemoved() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let index = try #require(bench.store.status.counterIndex)
    let claim = DeviceRecord.provisioning(
      IndexPlaces(
        counter: index, retries: index + 1, anchor: index + 2, tag: [UInt8](repeating: 1, count: 32)))
    let other = try await Bench.start(bench.fixture, records: MemoryRecords(claim.encoded()))
    #expect(other.store.status.counterIndex == index + 3)
    #expect(other.store.status.retryIndex == index + 4)
    await other.store.stop()
    let again = try await Bench.start(bench.fixture, records: bench.records)
    await again.store.stop()
  }

  @Test func anUnsuitableStorageRootIsLeftAlone() async throws {
    let fixture = try SoftwareTPMFixture()
    try run(
      "tpm2_createprimary",
      [
        "-C", "o", "-G", "ecc:ecdsa", "-a", "sign|fixedtpm|fixedparent|sensitivedataorigin|userwithauth", "-c",
        "/dev/null",
      ], fixture, persist: 0x8100_0001)
    let bench = try await Bench.start(fixture)
    #expect(bench.store.status.storageRootHandle == 0x8100_C501)
    #expect(bench.log.text.contains("left alone"))
    _ = try await bench.key()
    await bench.store.stop()
    let again = try await Bench.start(fixture, records: bench.records)
    #expect(again.store.status.storageRootHandle == 0x8100_C501)
    await again.store.stop()
  }

  @Test(arguments: ["rsa2048:aes128cfb", "ecc:aes128cfb"]) func anExistingStorageRootIsUsed(algorithm: String)
    async throws
  {
    let fixture = try SoftwareTPMFixture()
    try run(
      "tpm2_createprimary",
      ["-C", "o", "-G", algorithm, "-a", "restricted|decrypt|fixedtpm|fixedparent|sensitivedataorigin|userwithauth"],
      fixture, persist: 0x8100_0001)
    fixture.resetCounts()
    let bench = try await Bench.start(fixture)
    #expect(fixture.counts[Command.createPrimary] == nil)
    #expect(bench.store.status.storageRootHandle == 0x8100_0001)
    let (key, publicKey) = try await bench.key()
    #expect(isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey))
    await bench.store.stop()
  }

  @Test func anOwnerAuthorizationIsAskedFor() async throws {
    let fixture = try SoftwareTPMFixture()
    try run("tpm2_changeauth", ["-c", "owner", "secret"], fixture)
    let records = MemoryRecords()
    let error = await #expect(throws: KeyStoreError.self) { try await Bench.start(fixture, records: records) }
    #expect(error?.description.contains("owner authorization") == true)
    let (store, _) = try await TPMKeyStore.start(
      connection: .tcti(fixture.tcti), records: records,
      ownerAuthorization: try SecretBytes(count: 6) { span in
        for (index, byte) in "secret".utf8.enumerated() { span[index] = byte }
      }, allowSoftware: true, log: .silent)
    _ = try await store.createKey(.es256, binding: binding("a"), caller: caller(1), presence: presence(.register))
    await store.stop()
    // Once set up, the owner is not needed.
    let bench = try await Bench.start(fixture, records: records)
    await bench.store.stop()
  }

  /// What the record says of foreign indices is not believed, even where it knows their policies.
  @Test func aMadeUpRecordRemovesNothing() async throws {
    let fixture = try SoftwareTPMFixture()
    let tag = [UInt8](repeating: 7, count: 32)
    try overwrite(fixture.directory + "/tag", with: tag)
    try execute(
      "tpm2_nvdefine",
      [
        "-T", fixture.tcti, "-C", "o", "-s", "8", "-a", "authread|authwrite", "-L", fixture.directory + "/tag",
        "0x1500001",
      ])
    fixture.remove("tag")
    let claim = DeviceRecord.provisioning(
      IndexPlaces(counter: 0x0150_0001, retries: 0x0150_0001, anchor: 0x0150_0001, tag: tag))
    let bench = try await Bench.start(fixture, records: MemoryRecords(claim.encoded()))
    await bench.store.stop()
    var context = try TPMContext(tcti: fixture.tcti)
    #expect(try context.handles(from: 0x0150_0000).contains(0x0150_0001))
  }

  /// As the versions before this one wrote them, which no release was.
  @Test(arguments: [
    "0101" + "0180c500" + "0002aabb", "0102" + "81000001" + "000101" + "0180c500" + "000103",
    "0201" + "0180c500" + "0180c501" + "0002aabb",
  ])
  func aRecordOfAnEarlierVersionIsRefused(rest: String) async throws {
    let fixture = try SoftwareTPMFixture()
    let records = MemoryRecords([UInt8](hex: "43534452" + rest))
    let error = await #expect(throws: KeyStoreError.self) { try await Bench.start(fixture, records: records) }
    #expect(error?.description.contains("is of version \(rest.prefix(2).suffix(1)), ") == true)
    #expect(fixture.counts[Command.defineSpace] == nil && fixture.counts[Command.undefineSpace] == nil)
    #expect(records.current == [UInt8](hex: "43534452" + rest))
  }

  @Test func aDamagedRecordIsAClearError() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let record = try #require(bench.records.current)
    for damaged in [[], Array(record.dropLast()), record + [0], [UInt8](repeating: 0, count: 100)] {
      let error = await #expect(throws: KeyStoreError.self) {
        try await Bench.start(bench.fixture, records: MemoryRecords(damaged))
      }
      #expect(error?.description.contains("damaged") == true)
    }
    // In the sealed part: the TPM refuses it.
    var device = try bench.sealedDevice()
    var area = device.secret.privateArea
    area[area.count - 5] ^= 1
    device.secret = WrappedObject(publicArea: device.secret.publicArea, privateArea: area)
    let flipped = DeviceRecord.sealed(device).encoded()
    let error = await #expect(throws: KeyStoreError.self) {
      try await Bench.start(bench.fixture, records: MemoryRecords(flipped))
    }
    #expect(error?.description.contains("damaged") == true)
  }

  /// Runs one of tpm2-tools' programs on the fixture's TPM, and makes its result persistent.
  private func run(_ program: String, _ arguments: [String], _ fixture: SoftwareTPMFixture, persist: UInt32? = nil)
    throws
  {
    let context = fixture.directory + "/context"
    var all = arguments.filter { $0 != "-c" && $0 != "/dev/null" || persist == nil }
    if persist != nil { all += ["-c", context] }
    try execute(program, ["-T", fixture.tcti] + all)
    guard let persist else { return }
    try execute("tpm2_evictcontrol", ["-T", fixture.tcti, "-C", "o", "-c", context, "0x" + String(persist, radix: 16)])
    try execute("tpm2_flushcontext", ["-T", fixture.tcti, "-t"])
    fixture.remove("context")
  }
}
