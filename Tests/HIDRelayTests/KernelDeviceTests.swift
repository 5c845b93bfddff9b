import CBOR
import CLinux
import CTAPHID
import Glibc
import Platform
import Testing

@testable import HIDRelay

/// The relay with a device at what stands for the kernel, which has taken it.
private func withDevice(_ body: (Harness, FakeKernel) async throws -> Void) async throws {
  try await withRelay { harness in
    let kernel = try await FakeKernel { try await harness.relay.show(on: $0) }
    #expect(try kernel.event() == DeviceEvent.create(.countersign).encoded())
    try kernel.tell(kernelEvent(CS_UHID_START))
    try kernel.tell(kernelEvent(CS_UHID_OPEN))
    try await body(harness, kernel)
  }
}

@Suite(.timeLimit(.minutes(1))) struct KernelDeviceTests {
  @Test func aRequestAndItsAnswer() async throws {
    try await withDevice { harness, kernel in
      let channel = try kernel.open()
      try kernel.send(channel, .cbor, [UInt8](repeating: 4, count: 300))
      let daemon = try harness.accept()
      #expect(try daemon.receive() == Frame(.cbor, [UInt8](repeating: 4, count: 300)))
      try daemon.send(Frame(.cbor, [0, 1]))
      #expect(try kernel.receive() == Message(channel: channel, .cbor, [0, 1]))
      #expect(harness.notes.events == [.ready])
    }
  }

  /// 21 packets: the kernel keeps 32, and does not say which it drops.
  @Test func infoSaysWhatAlwaysArrives() async throws {
    try await withDevice { harness, kernel in
      let channel = try kernel.open()
      try kernel.send(channel, .cbor, [4])
      let daemon = try harness.accept()
      #expect(try daemon.receive() == Frame(.cbor, [4]))
      try daemon.send(.keepalive(.processing))
      #expect(try kernel.receive().code == PacketCommand.keepalive.rawValue)
      let info: CBORMap = [1: .array(["FIDO_2_1"]), 5: 7609, 7: 64, 8: 16]
      try daemon.send(Frame(.cbor, [0] + CanonicalCBOR.encode(.map(info))))
      var expected = info
      expected[5] = 1200
      expected[7] = 24
      let limited = Message(channel: channel, .cbor, [0] + CanonicalCBOR.encode(.map(expected)))
      #expect(try kernel.receive() == limited)
      #expect(Message(channel: channel, .cbor, [UInt8](repeating: 0, count: 1200)).reports().count == 21)
      // Nothing else is touched: another request, and a refusal.
      try kernel.send(channel, .cbor, [8])
      _ = try daemon.receive()
      try daemon.send(Frame(.cbor, [0, 0xA1, 5, 0x19, 0x1D, 0xB9]))
      #expect(try kernel.receive() == Message(channel: channel, .cbor, [0, 0xA1, 5, 0x19, 0x1D, 0xB9]))
      try kernel.send(channel, .cbor, [4])
      _ = try daemon.receive()
      try daemon.send(Frame(.cbor, [0x30]))
      #expect(try kernel.receive() == Message(channel: channel, .cbor, [0x30]))
      // It is never guessed.
      try kernel.send(channel, .cbor, [4])
      _ = try daemon.receive()
      try daemon.send(Frame(.cbor, [0, 0xBF]))
      #expect(try kernel.receive() == Message(channel: channel, .error, [0x7F]))
      #expect(harness.notes.log.first?.hasPrefix("answer not relayed: getInfo") ?? false)
    }
  }

  @Test func readyWhenADriverHasIt() async throws {
    try await withRelay { harness in
      let kernel = try await FakeKernel { try await harness.relay.show(on: $0) }
      _ = try kernel.event()
      await harness.settle()
      #expect(harness.notes.events == [])
      try kernel.tell(kernelEvent(CS_UHID_START))
      await harness.wait { harness.notes.events == [.ready] }
    }
  }

  @Test(arguments: [CS_UHID_CLOSE, CS_UHID_STOP]) func whenNobodyHasItOpen(_ type: Int) async throws {
    try await withDevice { harness, kernel in
      let channel = try kernel.open()
      try kernel.send(channel, .cbor, [4])
      let daemon = try harness.accept()
      _ = try daemon.receive()
      try kernel.tell(kernelEvent(type))
      #expect(try daemon.receive() == nil)
      try kernel.tell(kernelEvent(CS_UHID_OPEN))
      #expect(try kernel.call(channel, .ping) == Message(channel: channel, .error, [0x0B]))
    }
  }

  @Test func reportsThatTheKernelAsksFor() async throws {
    try await withDevice { _, kernel in
      try kernel.tell(kernelEvent(CS_UHID_GET_REPORT, (CS_UHID_REPORT_ID, native(UInt32(77)))))
      #expect(try kernel.event() == DeviceEvent.getReportReply(id: 77, error: UInt16(EIO)).encoded())
      // A feature report, and one of another length.
      for (type, count): (UInt8, Int) in [(0, 65), (2, 65), (1, 10)] {
        try kernel.tell(setReportEvent(id: 78, type: type, [UInt8](repeating: 0, count: count)))
        #expect(try kernel.event() == DeviceEvent.setReportReply(id: 78, error: UInt16(EIO)).encoded())
      }
      let ping = Message(channel: 9, .ping).reports()[0]
      try kernel.tell(setReportEvent(id: 79, type: 1, [0] + ping))
      #expect(try kernel.event() == DeviceEvent.setReportReply(id: 79, error: 0).encoded())
      #expect(try kernel.receive() == Message(channel: 9, .error, [0x0B]))
    }
  }

  @Test func reportsWithAndWithoutTheirNumber() async throws {
    try await withDevice { _, kernel in
      let channel = try kernel.open()
      let ping = Message(channel: channel, .ping, [1]).reports()[0]
      for data in [[0] + ping, ping] {
        try kernel.tell(outputEvent(data))
        #expect(try kernel.receive() == Message(channel: channel, .ping, [1]))
      }
      for data in [[1] + ping, [0, 0] + ping, Array(ping.dropLast()), []] { try kernel.tell(outputEvent(data)) }
      try kernel.tell([1, 2])
      try kernel.tell(kernelEvent(99))
      #expect(try kernel.call(channel, .ping, [2]) == Message(channel: channel, .ping, [2]), "nothing else was said")
    }
  }

  @Test func longAnswersGoAtThePaceOfABus() async throws {
    try await withDevice { harness, kernel in
      let channel = try kernel.open()
      let data = [UInt8](repeating: 7, count: 7609)
      try kernel.send(channel, .ping, data)
      // The event carries 6 bytes beside the report. One report has gone since: the answer to INIT.
      let size = 70
      await harness.wait { kernel.waitingBytes > 0 }
      await harness.settle()
      #expect(kernel.waitingBytes <= 16 * size, "no more at once than a reader has room for")
      var reader = AnswerReader()
      while reader.message == nil {
        while kernel.waitingBytes > 0 { reader.take(try #require(try kernel.read())) }
        await harness.advance(milliseconds: 2)
        #expect(kernel.waitingBytes <= 2 * size)
      }
      #expect(reader.message == Message(channel: channel, .ping, data))
    }
  }

  @Test func whoAsksWithoutReadingIsNotHeard() async throws {
    try await withDevice { harness, kernel in
      let channel = try kernel.open()
      let ping = Message(channel: channel, .ping, [7]).reports()[0]
      for _ in 0..<2_000 { try kernel.write(ping) }
      await harness.settle()
      // What it was answered, it was heard of: what had gone at once, and what waits in the queue.
      var answered = 0
      repeat {
        answered = 0
        while kernel.waitingBytes > 0 {
          _ = try kernel.read()
          answered += 1
        }
        await harness.advance(milliseconds: 100)
      } while answered > 0 || kernel.waitingBytes > 0
      #expect(try kernel.call(channel, .ping, [8]) == Message(channel: channel, .ping, [8]))
    }
  }

  @Test func theDeviceIsRemovedAtTheEnd() async throws {
    let harness = try await Harness()
    let kernel = try await FakeKernel { try await harness.relay.show(on: $0) }
    _ = try kernel.event()
    await harness.relay.stop(within: 0)
    #expect(try kernel.event() == DeviceEvent.destroy.encoded())
    #expect(try kernel.event() == nil)
    harness.loop.stop()
  }

  @Test func aKernelThatIsGoneIsTheEnd() async throws {
    try await withRelay { harness in
      do {
        let kernel = try await FakeKernel { try await harness.relay.show(on: $0) }
        _ = try kernel.event()
      }
      await harness.wait { !harness.notes.events.isEmpty }
      #expect(harness.notes.events == [.lost(SystemError(call: "read", code: ENODEV))])
      #expect(await harness.relay.portCount == 0)
    }
  }
}

/// Puts one message together, report by report.
private struct AnswerReader {
  private var reader: MessageReader?
  var message: Message? { reader?.message }

  mutating func take(_ report: [UInt8]) {
    switch Packet(report: report) {
    case .initialization(let channel, let code, let length, let data):
      reader = MessageReader(channel: channel, code: code, length: length, data: data)
    case .continuation(_, let sequence, let data): _ = reader?.take(sequence: sequence, data: data)
    case nil: break
    }
  }
}
