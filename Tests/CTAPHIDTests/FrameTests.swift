import CTAPHID
import TestSupport
import Testing

/// Frames of every command, empty, small and as long as they may be.
private let samples: [Frame] =
  FrameCommand.allCases.flatMap { command in
    [Frame(command), Frame(command, [7]), Frame(command, Array(0..<200))]
  } + [Frame(code: 0x99, payload: [1, 2]), Frame(.cbor, Array(repeating: 0xA5, count: Frame.maximumPayload))]

private func frames(
  of bytes: [UInt8], in parts: Int, _ reader: inout FrameReader
) throws(FrameError) -> [Frame] {
  var result: [Frame] = []
  var start = 0
  while start < bytes.count {
    var part = bytes[start..<min(start + parts, bytes.count)]
    start = part.endIndex
    while let frame = try reader.next(from: &part) { result.append(frame) }
    #expect(part.isEmpty)
  }
  return result
}

@Suite struct FrameTests {
  @Test func layout() {
    #expect(Frame(.cbor, [4]).encoded() == [0, 0, 0, 2, 0x10, 4])
    #expect(Frame(.cancel).encoded() == [0, 0, 0, 1, 0x11])
    #expect(Frame.error(.channelBusy).encoded() == [0, 0, 0, 2, 0x3f, 0x06])
    #expect(Frame.keepalive(.processing).encoded() == [0, 0, 0, 2, 0x3b, 0x01])
    #expect(Frame(.ping, Array(repeating: 0, count: 65_535)).encoded().prefix(5) == [0, 1, 0, 0, 1])
  }

  @Test(arguments: samples.indices) func inOnePiece(_ index: Int) throws {
    var reader = FrameReader()
    let frame = samples[index]
    #expect(try frames(of: frame.encoded(), in: .max / 2, &reader) == [frame])
    #expect(!reader.isMidFrame)
  }

  @Test(arguments: samples.indices) func byteByByte(_ index: Int) throws {
    var reader = FrameReader()
    let frame = samples[index]
    let bytes = frame.encoded()
    #expect(try frames(of: bytes.dropLast(), in: 1, &reader).isEmpty)
    #expect(reader.isMidFrame)
    #expect(try frames(of: [bytes.last ?? 0], in: 1, &reader) == [frame])
    #expect(!reader.isMidFrame)
  }

  @Test func lengthTooLong() throws {
    for length: UInt32 in [65_537, 65_536 + 256, 0x0100_0000, .max] {
      var reader = FrameReader()
      let bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> UInt32($0)) }
      var input = (bytes + [0x10, 1, 2])[...]
      #expect(throws: FrameError.tooLong(length)) { try reader.next(from: &input) }
      #expect(input.count == 3, "nothing after the length is taken")
      // The stream stays lost, whatever comes.
      var more = Frame(.ping).encoded()[...]
      #expect(throws: FrameError.tooLong(length)) { try reader.next(from: &more) }
    }
  }

  @Test func lengthZero() throws {
    var reader = FrameReader()
    var input: ArraySlice<UInt8> = [0, 0, 0, 0]
    #expect(throws: FrameError.empty) { try reader.next(from: &input) }
    #expect(!reader.isMidFrame)
  }

  @Test func lengthTooShortOrLongForWhatFollows() throws {
    // Too short: what is over is the beginning of the next frame.
    var reader = FrameReader()
    var input: ArraySlice<UInt8> = [0, 0, 0, 2, 0x01, 9, 9, 9]
    #expect(try reader.next(from: &input) == Frame(.ping, [9]))
    #expect(try reader.next(from: &input) == nil)
    #expect(reader.isMidFrame)
    // Too long: the frame waits for what is missing.
    var waiting = FrameReader()
    var short: ArraySlice<UInt8> = [0, 0, 0, 4, 0x01, 9, 9]
    #expect(try waiting.next(from: &short) == nil)
    #expect(waiting.isMidFrame)
  }

  @Test func manyFramesInOnePiece() throws {
    var reader = FrameReader()
    let bytes = samples.flatMap { $0.encoded() }
    #expect(try frames(of: bytes, in: .max / 2, &reader) == samples)
  }

  @Test func randomCuts() throws {
    var random = SeededGenerator()
    for _ in 0..<200 {
      let sent = (0..<Int.random(in: 1...8, using: &random)).map { _ in
        Frame(
          code: .random(in: 0 ... .max, using: &random),
          payload: (0..<Int.random(in: 0...300, using: &random)).map { _ in .random(in: 0 ... .max, using: &random) })
      }
      let bytes = sent.flatMap { $0.encoded() }
      var reader = FrameReader()
      let got = try frames(of: bytes, in: .random(in: 1...40, using: &random), &reader)
      #expect(got == sent, "seed \(random.seed)")
    }
  }

  @Test func garbageGivesFramesOrAnError() {
    var random = SeededGenerator()
    for _ in 0..<2000 {
      var bytes: [UInt8] = (0..<Int.random(in: 0...64, using: &random)).map { _ in
        .random(in: 0 ... .max, using: &random)
      }
      // Make lengths plausible often enough to come past them.
      if Bool.random(using: &random) { bytes = [0, 0, 0] + bytes }
      var reader = FrameReader()
      var input = bytes[...]
      do {
        while let frame = try reader.next(from: &input) {
          #expect(frame.payload.count < bytes.count, "seed \(random.seed)")
        }
        #expect(input.isEmpty, "seed \(random.seed)")
      } catch {
        #expect(error.status == .invalidLength, "seed \(random.seed)")
      }
    }
  }
}

@Suite struct InitializationTests {
  @Test func layout() throws {
    let reply = InitializationReply(
      nonce: Array(1...8), channel: 0x0102_0304, version: DeviceVersion(major: 5, minor: 6, build: 7),
      capabilities: [.wink, .cbor, .noMessage])
    let bytes = reply.encoded()
    #expect(bytes == [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 2, 5, 6, 7, 0x0D])
    #expect(InitializationReply(decoding: bytes) == reply)
    #expect(InitializationReply(decoding: bytes + [0]) == nil)
    #expect(InitializationReply(decoding: bytes.dropLast()) == nil)
    var other = bytes
    other[12] = 3
    #expect(InitializationReply(decoding: other) == nil)
  }

  @Test func errorNames() {
    #expect("\(CTAPHIDError.channelBusy)" == "ERR_CHANNEL_BUSY")
    #expect("\(CTAPHIDError(rawValue: 0x99))" == "ERR_0x99")
  }
}
