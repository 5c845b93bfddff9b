import CTAPHID

@testable import HIDRelay

/// A host and an authenticator that do as the input says, and what must hold of the device between them: what it sends
/// is whole messages in whole reports, one request is out at a time, and each is answered once or forgotten.
///
/// A step is a byte that says which, and what it needs. What the input does not say is zero.
func checkVirtualDevice(_ input: [UInt8]) throws {
  try checkKernelEvent(input)
  var story = DeviceStory(input)
  while !story.input.isEmpty { try story.step() }
  try story.end()
}

/// Any bytes of the kernel: an event or none, and never more data than there were bytes.
private func checkKernelEvent(_ input: [UInt8]) throws {
  switch KernelEvent(decoding: input[...]) {
  case .output(let data), .setReport(_, _, let data):
    try require(data.count < input.count, "data comes out of the event")
  default: break
  }
}

private struct DeviceStory {
  var input: ArraySlice<UInt8>
  private var device: VirtualDevice
  private var now: UInt64 = 0
  private let limit = 4
  /// Those that the device has given away and not taken back, as far as it says.
  private var channels: [UInt32] = []
  /// The request that is with the authenticator.
  private var pending: (channel: UInt32, frame: Frame)?

  init(_ input: [UInt8]) {
    self.input = input[...]
    var settings = VirtualDevice.Settings()
    settings.channelLimit = limit
    device = VirtualDevice(firstChannel: 1, settings: settings)
  }

  private mutating func byte() -> UInt8 { input.popFirst() ?? 0 }

  private mutating func bytes(_ count: Int) -> [UInt8] {
    defer { input = input.dropFirst(count) }
    return Array(input.prefix(count))
  }

  private mutating func channel() -> UInt32 {
    let choice = byte()
    if choice < 0x40 { return channels.isEmpty ? Packet.broadcast : channels[Int(choice) % channels.count] }
    return choice < 0xC0 ? Packet.broadcast : UInt32(choice)
  }

  mutating func step() throws {
    switch byte() % 8 {
    case 0:
      let report = bytes(Packet.count)
      try check(device.receive(report, at: now), of: Packet(report: report))
    case 1: try begin()
    case 2: try proceed()
    case 3: try message()
    case 4:
      now += UInt64(byte()) << 27
      try check(device.advance(to: now))
    case 5: try answer()
    case 6:
      let channel = channel()
      let actions = device.lose(channel)
      try require(actions.isEmpty == (pending?.channel != channel), "only a request can be lost")
      if pending?.channel == channel { pending = nil }
      try check(actions)
    default:
      if byte() % 4 != 0 { return }
      try check(device.reset())
      try require(channels.isEmpty && pending == nil, "a reset leaves nothing")
    }
    try require(device.channelCount <= limit, "there are only so many channels")
    try require(device.isProcessing == (pending != nil), "a request is out while the device says so")
  }

  /// The first packet of a message, however long it claims to be.
  private mutating func begin() throws {
    let (channel, command, length) = (channel(), byte() & 0x7f, Int(byte()) << 8 | Int(byte()))
    let data = bytes(Packet.initialRoom)
    try send(.initialization(channel: channel, command: command, length: length, data: data[...]))
  }

  private mutating func proceed() throws {
    let (channel, sequence) = (channel(), byte() & 0x7f)
    try send(.continuation(channel: channel, sequence: sequence, data: bytes(Packet.continuationRoom)[...]))
  }

  /// A message with all its packets, which a device that is free takes.
  private mutating func message() throws {
    let (channel, command) = (channel(), byte() & 0x7f)
    let payload = bytes(min(Int(byte()) << 5, Message.maximumPayload))
    let message = Message(channel: channel, code: command, payload: payload)
    for report in message.reports() { try check(device.receive(report, at: now), of: Packet(report: report)) }
  }

  private mutating func send(_ packet: Packet) throws {
    try check(device.receive(packet.encoded(), at: now), of: packet)
  }

  private mutating func answer() throws {
    let channel = channel()
    let code = byte()
    let frame = Frame(code: code % 2 == 0 ? pending?.frame.code ?? 0 : code, payload: bytes(Int(byte()) << 5))
    let isAwaited = pending?.channel == channel
    let actions = device.answer(frame, on: channel, at: now)
    try require(isAwaited || actions.isEmpty, "an answer that nobody waits for does nothing")
    if isAwaited && !device.isProcessing { pending = nil }
    try check(actions)
  }

  /// What is done, and whether it may be.
  private mutating func check(_ actions: [DeviceAction], of packet: Packet? = nil) throws {
    for action in actions {
      switch action {
      case .send(let reports): try check(reports, of: packet)
      case .request(let channel, let frame):
        try require(pending == nil, "one request at a time")
        try require(channels.contains(channel), "requests come from channels that were given away")
        try require([.cbor, .message, .wink].contains(frame.command), "nothing else is the authenticator's")
        try require(frame.payload.count <= Message.maximumPayload, "a request is no longer than a message")
        pending = (channel, frame)
      case .cancel(let channel): try require(pending?.channel == channel, "only a request can be cancelled")
      case .forget(let channel):
        if pending?.channel == channel { pending = nil }
        // On INIT it stays, and begins anew.
        let stays = packet?.channel == channel
        if !stays && !(actions.contains { if case .report = $0 { true } else { false } }) {
          channels.removeAll { $0 == channel }
        }
      case .report: break
      }
    }
    if pending != nil && !device.isProcessing { pending = nil }
  }

  private mutating func check(_ reports: [[UInt8]], of packet: Packet?) throws {
    let message = try check(reports)
    if message.code == PacketCommand.initialize.rawValue {
      let reply = try require(InitializationReply(decoding: message.payload), "INIT is answered as it must be")
      try require(message.channel == Packet.broadcast || message.channel == reply.channel, "INIT names the channel")
      if message.channel == Packet.broadcast {
        try require(!channels.contains(reply.channel), "no channel is given away twice")
        try require(reply.channel != 0 && reply.channel != Packet.broadcast, "no reserved channel is given away")
        channels.append(reply.channel)
      }
    } else if message.code != PacketCommand.error.rawValue {
      try require(channels.contains(message.channel), "only errors go to strangers")
    }
  }

  /// The one message that these reports are.
  private func check(_ reports: [[UInt8]]) throws -> Message {
    guard case .initialization(let channel, let code, let length, let data)? = reports.first.flatMap(Packet.init),
      var reader = MessageReader(channel: channel, code: code, length: length, data: data)
    else { throw Finding("an answer begins with an initialization packet") }
    for report in reports.dropFirst() {
      guard case .continuation(channel, let sequence, let data)? = Packet(report: report) else {
        throw Finding("an answer goes on with its own continuation packets")
      }
      try require(reader.message == nil, "an answer ends where it ends")
      try require(reader.take(sequence: sequence, data: data) != .outOfSequence, "an answer is in sequence")
    }
    return try require(reader.message, "an answer is whole")
  }

  /// After every wait is over, nothing is left to wait for.
  mutating func end() throws {
    now += 1 << 40
    try check(device.advance(to: now))
    try require(device.deadline == nil && !device.isProcessing, "every transaction has an end")
  }
}
