import Authenticator
import Secrets
import TPM
import TestSupport
import Testing

@testable import TPMKeyStore

/// The index of the retry record is removed or replaced, or the TPM fails while it is used. Whatever happens, it is not
/// defined again: that would give back every attempt.
@Suite struct RetryLossTests {
  /// What an owner of the TPM can put in the index's place.
  enum Replacement: CaseIterable {
    case nothing, anotherTag, noValue, anotherAuthorization, anotherSize, counter, readableByOwner, orderly
  }

  @Test(arguments: Replacement.allCases) func anotherIndexIsRefused(replacement: Replacement) async throws {
    let bench = try await Bench.start()
    try await bench.save(1, 8)
    await bench.store.stop()
    // Even by who can unseal the authorization value.
    try replace(bench, by: replacement, authorization: try bench.payload().indexAuthorization)
    bench.fixture.resetCounts()
    try await expectRefusedStart(bench, "PIN retry record", text(replacement), "NV index 0x180c501")
    let indices = try held(bench)
    try await expectRefusedStart(bench, "PIN retry record", text(replacement))
    #expect(bench.fixture.counts[Command.defineSpace] == nil && bench.fixture.counts[Command.nvWrite] == nil)
    #expect(bench.fixture.counts[Command.undefineSpace] == nil)
    #expect(try held(bench) == indices)
  }

  /// The same while the daemon runs, whose connection knows the index already.
  @Test(arguments: Replacement.allCases) func anotherIndexIsRefusedMeanwhile(replacement: Replacement) async throws {
    let bench = try await Bench.start()
    let (key, publicKey) = try await bench.key()
    try await bench.save(1, 8)
    try replace(bench, by: replacement, authorization: SharedSecret(try .random(count: 32)))
    bench.fixture.resetCounts()
    for _ in 0..<2 {
      let reading = await #expect(throws: KeyStoreError.self) { try await bench.read() }
      let writing = await #expect(throws: KeyStoreError.self) { try await bench.save(1, 0) }
      for error in [reading, writing] {
        guard case .failed(let message) = error else { throw Unexpected() }
        #expect(message.contains("PIN retry record") && message.contains(text(replacement)), "\(message)")
      }
    }
    #expect(bench.fixture.counts[Command.defineSpace] == nil)
    // Only the PIN is lost.
    #expect(isValid(try await bench.sign(with: key), [1, 2, 3], by: publicKey))
    #expect(try await bench.store.nextSignatureCounter(caller: caller(1)) > 0)
    await bench.store.stop()
  }

  /// A version that knows more has been here.
  @Test func whatIsUnknownIsRefused() async throws {
    let bench = try await Bench.start()
    await bench.store.stop()
    let authorization = try bench.payload().indexAuthorization
    let device = try bench.sealedDevice()
    do {
      var context = try TPMContext(tcti: bench.fixture.tcti)
      let found = try context.reference(to: device.indices.retries)
      let index = try #require(found)
      try context.writeIndex(
        index, [UInt8](repeating: 0, count: 15) + [1], authorization: authorization.bytes)
    }
    try await expectRefusedStart(bench, "PIN retry record", "newer")
  }

  /// Not with the empty authorization value, not with another, not by the owner; and guessing locks nothing.
  @Test func nobodyElseReadsOrWritesIt() async throws {
    let bench = try await Bench.start()
    try await bench.save(1, 8)
    let device = try bench.sealedDevice()
    do {
      var context = try TPMContext(tcti: bench.fixture.tcti)
      let information = try context.informationOnIndex(device.indices.retries)
      #expect(information?.kind == .data(count: 16) && information?.tag == device.indices.tag)
      let found = try context.reference(to: device.indices.retries)
      let index = try #require(found)
      for guess in [SharedSecret(try SecretBytes(count: 1) { $0[0] = 0 }), SharedSecret(try .random(count: 32))] {
        for _ in 0..<40 {
          let reading = #expect(throws: TPMError.self) {
            try context.readIndex(index, count: 16, authorization: guess.bytes)
          }
          let writing = #expect(throws: TPMError.self) {
            try context.writeIndex(index, RetryRecord().encoded, authorization: guess.bytes)
          }
          #expect(reading?.kind == .authorization && writing?.kind == .authorization)
        }
      }
    }
    let (output, zeros) = (bench.fixture.directory + "/output", bench.fixture.directory + "/zeros")
    try overwrite(zeros, with: [UInt8](repeating: 0, count: 16))
    let index = String(device.indices.retries)
    for hierarchy in [index, "o"] {
      try execute("tpm2_nvread", ["-T", bench.fixture.tcti, "-C", hierarchy, "-o", output, index])
      try execute("tpm2_nvwrite", ["-T", bench.fixture.tcti, "-C", hierarchy, "-i", zeros, index])
    }
    #expect((contents(of: output) ?? []).isEmpty)
    for name in ["output", "zeros"] { bench.fixture.remove(name) }
    #expect(try await bench.read() == RetryRecord(generation: 1, failures: 8))
    await bench.store.stop()
  }

  @Test(arguments: [Response.retry, Response.yielded, Response.testing, Response.nvRate])
  func itTriesAgainWhereTheTPMAsksForIt(code: UInt32) async throws {
    let bench = try await Bench.start()
    for command in [Command.nvRead, Command.nvWrite] {
      bench.fixture.answer(command, with: [UInt32](repeating: code, count: 7))
    }
    try await bench.save(4, 2)
    #expect(try await bench.read() == RetryRecord(generation: 4, failures: 2))
    await bench.store.stop()
  }

  @Test(arguments: [false, true]) func aBrokenConnectionIsMadeAnew(afterwards: Bool) async throws {
    let bench = try await Bench.start()
    bench.fixture.hangUp(afterwards: afterwards)
    try await bench.save(4, 2)
    bench.fixture.hangUp(afterwards: afterwards)
    #expect(try await bench.read() == RetryRecord(generation: 4, failures: 2))
    #expect(bench.store.status.reconnections == 2)
    await bench.store.stop()
  }

  @Test func aTPMThatWasAwayKnowsItStill() async throws {
    let bench = try await Bench.start()
    try await bench.save(4, 2)
    bench.fixture.powerOff()
    await expectUnavailable { try await bench.save(4, 3) }
    await expectUnavailable { _ = try await bench.read() }
    try bench.fixture.powerOn()
    try await eventually { try await bench.read() == RetryRecord(generation: 4, failures: 2) }
    try await bench.save(4, 3)
    #expect(try await bench.read() == RetryRecord(generation: 4, failures: 3))
    await bench.store.stop()
  }

  @Test func anotherTPMIsNotTakenForOurs() async throws {
    let bench = try await Bench.start()
    try await bench.save(4, 2)
    try bench.fixture.replace()
    for _ in 0..<2 {
      await expectUnavailable { _ = try await bench.read() }
      await expectUnavailable { try await bench.save(4, 3) }
    }
    #expect(bench.fixture.counts[Command.defineSpace] == 3)
    await bench.store.stop()
  }

  /// Each command of a first use of the index by a connection fails in each way: the record is what was written last,
  /// or what was to be written; an error is told; and the next use works.
  @Test(arguments: [
    0x84, Response.referenceH0, 0x18B, Response.objectMemory, Response.sessionMemory, Response.badAuthorization,
    Response.failure, Response.initialize, Response.lockout, 0x14A, 0x14B,
  ])
  func everyFailureIsSurvived(code: UInt32) async throws {
    let clock = ManualTime()
    let bench = try await Bench.start(clock: clock)
    let (key, _) = try await bench.key()
    var generation: UInt64 = 0
    for (isWrite, isCold) in [(true, true), (true, false), (false, true), (false, false)] {
      func use() async throws {
        if isWrite { try await bench.save(generation, 1) } else { _ = try await bench.read() }
      }
      func prepare() async throws {
        // Connections that break in quick succession are not made anew at once.
        clock.advance(by: .seconds(11))
        if isCold { bench.fixture.hangUp() }
        _ = try await bench.sign(with: key)
        bench.fixture.resetCounts()
      }
      try await prepare()
      try await use()
      let commands = bench.fixture.commands
      #expect(isCold ? commands.count > 1 : commands.count == 1)
      for (command, after) in places(commands) {
        let before = try await bench.read()
        try await prepare()
        generation += 1
        bench.fixture.failOnce(command, after: after, with: code)
        var hasFailed = false
        do {
          try await use()
        } catch is KeyStoreError {
          hasFailed = true
        }
        #expect(bench.fixture.givenAnswers[code] ?? 0 > 0)
        bench.fixture.forgetAnswers()
        var now: RetryRecord?
        try await eventually {
          now = try await bench.read()
          return true
        }
        let written = RetryRecord(generation: generation, failures: 1)
        #expect(now == (isWrite && !hasFailed ? written : before))
        try await bench.save(generation, 2)
        #expect(try await bench.read() == RetryRecord(generation: generation, failures: 2))
      }
    }
    #expect(bench.fixture.counts[Command.defineSpace] == nil)
    await bench.store.stop()
  }

  private func text(_ replacement: Replacement) -> String {
    switch replacement {
    case .nothing: "somebody has removed it"
    case .anotherAuthorization: "somebody has defined it anew"
    default: "defined in its place"
    }
  }

  /// Every NV index of the TPM in our range.
  private func held(_ bench: Bench) throws -> [UInt32] {
    var context = try TPMContext(tcti: bench.fixture.tcti)
    return try context.handles(from: 0x0100_0000).filter { TPMPlaces.indices.contains($0) }
  }

  private func replace(_ bench: Bench, by replacement: Replacement, authorization: SharedSecret) throws {
    switch replacement {
    case .readableByOwner: return try defineWithTools(bench, "authread|authwrite|no_da|ownerread")
    case .orderly: return try defineWithTools(bench, "authread|authwrite|no_da|orderly")
    default: break
    }
    let authorization = replacement == .anotherAuthorization ? SharedSecret(try .random(count: 32)) : authorization
    let size = replacement == .anotherSize ? 9 : 16
    try bench.redefine(.retryRecord) { context, session, device throws(TPMError) in
      if replacement == .nothing { return }
      let tag = replacement == .anotherTag ? [UInt8](repeating: 1, count: 32) : device.indices.tag
      try context.defineIndex(
        replacement == .counter ? .counter : .data(count: size), at: device.indices.retries, tag: tag,
        authorization: authorization.bytes, session: session)
      guard replacement != .noValue, let index = try context.reference(to: device.indices.retries) else { return }
      if replacement == .counter {
        try context.incrementCounter(index, authorization: authorization.bytes)
      } else {
        try context.writeIndex(index, [UInt8](repeating: 0, count: size), authorization: authorization.bytes)
      }
    }
  }

  private func defineWithTools(_ bench: Bench, _ attributes: String) throws {
    let device = try bench.sealedDevice()
    try bench.redefine(.retryRecord) { _, _, _ throws(TPMError) in }
    let (tag, zeros) = (bench.fixture.directory + "/tag", bench.fixture.directory + "/zeros")
    try overwrite(tag, with: device.indices.tag)
    try overwrite(zeros, with: [UInt8](repeating: 0, count: 16))
    let index = String(device.indices.retries)
    try execute(
      "tpm2_nvdefine", ["-T", bench.fixture.tcti, "-C", "o", "-s", "16", "-a", attributes, "-L", tag, index])
    try execute("tpm2_nvwrite", ["-T", bench.fixture.tcti, "-C", index, "-i", zeros, index])
    for name in ["tag", "zeros"] { bench.fixture.remove(name) }
  }
}
