/// What is to be done for a ``VirtualDevice``, in this order.
package enum DeviceAction: Equatable, Sendable {
  /// Reports to the host.
  case send([[UInt8]])
  /// A request for the authenticator, in whatever keeps this channel's state there.
  case request(channel: UInt32, Frame)
  /// Cancel the request of this channel, which is answered all the same.
  case cancel(channel: UInt32)
  /// The channel is gone or begins anew: end its state at the authenticator, with its request, and what is not sent yet.
  case forget(channel: UInt32)
  /// For the operator.
  case report(DeviceTrouble)
}

/// What went wrong between the device and its authenticator.
package enum DeviceTrouble: Equatable, Sendable {
  /// The answer has so many bytes, more than a message holds.
  case answerTooLong(Int)
  /// The answer has a command byte that was not asked for, or none of the payload that it must have.
  case malformedAnswer(code: UInt8)
  /// The authenticator says nothing any more.
  case silence
}

/// The protocol of a CTAPHID device (CTAP 2.1 section 11.2) whose authenticator is elsewhere. A value state machine: it
/// neither sends nor keeps time; all times are nanoseconds on the clock of whoever calls.
///
/// The device does one transaction at a time, from the first packet of a request to its answer; others get
/// ERR_CHANNEL_BUSY meanwhile. INIT is always answered, since it touches nobody else's transaction.
package struct VirtualDevice: Sendable {
  /// What the device says of itself and how long it waits.
  package struct Settings: Sendable {
    /// In the answer to INIT.
    package var version = DeviceVersion(major: 0, minor: 1, build: 0)
    /// In the answer to INIT.
    package var capabilities: Capabilities = [.wink, .cbor]
    /// Channels at one time.
    package var channelLimit = 64
    /// From one packet of a message to the next, nanoseconds.
    package var packetNanoseconds: UInt64 = 500_000_000
    /// From one word of the authenticator to the next while a request is with it, nanoseconds.
    package var silenceNanoseconds: UInt64 = 30_000_000_000

    package init() {}
  }

  private enum Transaction: Sendable {
    case none
    case receiving(MessageReader, deadline: UInt64)
    case processing(Work)
  }

  /// A request that is with the authenticator.
  private struct Work: Sendable {
    let channel: UInt32
    let command: PacketCommand
    var isCancelled = false
    var deadline: UInt64
  }

  private struct Lock: Sendable {
    let channel: UInt32
    let end: UInt64
  }

  /// CTAP 2.1 section 11.2.9.2.2.
  private static let longestLock: UInt8 = 10

  private let settings: Settings
  private var channels: ChannelTable
  private var transaction = Transaction.none
  private var lock: Lock?

  /// Makes a device without channels.
  ///
  /// - Parameters:
  ///   - firstChannel: a random number: who still holds a channel of another life of the device must not meet its
  ///     successor
  ///   - settings: what it says of itself and how long it waits
  package init(firstChannel: UInt32, settings: Settings = Settings()) {
    self.settings = settings
    channels = ChannelTable(limit: settings.channelLimit, first: firstChannel)
  }

  /// When ``advance(to:)`` is due; nil while nothing is waited for.
  package var deadline: UInt64? {
    switch transaction {
    case .none: nil
    case .receiving(_, let deadline): deadline
    case .processing(let work): work.deadline
    }
  }

  /// Whether a request is with the authenticator.
  package var isProcessing: Bool {
    if case .processing = transaction { true } else { false }
  }

  /// Channels at this moment.
  package var channelCount: Int { channels.count }

  /// The channel of the transaction in progress.
  private var activeChannel: UInt32? {
    switch transaction {
    case .none: nil
    case .receiving(let reader, _): reader.channel
    case .processing(let work): work.channel
    }
  }

  /// The request of this channel that is with the authenticator.
  private func work(of channel: UInt32) -> Work? {
    guard case .processing(let work) = transaction, work.channel == channel else { return nil }
    return work
  }

  // MARK: - From the host

  /// Takes a report of the host. One of another length than 64 bytes is none, and does nothing.
  package mutating func receive(_ report: [UInt8], at now: UInt64) -> [DeviceAction] {
    guard let packet = Packet(report: report) else { return [] }
    // Whose time is over is told so first.
    let late = advance(to: now)
    switch packet {
    case .continuation(let channel, let sequence, let data):
      return late + continueMessage(channel, sequence, data, now)
    case .initialization(let channel, let code, let length, let data):
      return late + begin(channel, code, length, data, now)
    }
  }

  /// Section 11.2.5.4: a continuation packet that belongs to no message is ignored.
  private mutating func continueMessage(
    _ channel: UInt32, _ sequence: UInt8, _ data: ArraySlice<UInt8>, _ now: UInt64
  ) -> [DeviceAction] {
    guard case .receiving(var reader, _) = transaction, reader.channel == channel else { return [] }
    // The message must have one owner, or each packet copies it.
    transaction = .none
    switch reader.take(sequence: sequence, data: data) {
    case .whole(let message): return perform(message, now)
    case .outOfSequence: return [.error(.invalidSequence, to: channel)]
    case .more:
      transaction = .receiving(reader, deadline: now + settings.packetNanoseconds)
      return []
    }
  }

  private mutating func begin(
    _ channel: UInt32, _ code: UInt8, _ length: Int, _ data: ArraySlice<UInt8>, _ now: UInt64
  ) -> [DeviceAction] {
    let command = PacketCommand(rawValue: code)
    guard channels.contains(channel) || (channel == Packet.broadcast && command == .initialize) else {
      return [.error(.invalidChannel, to: channel)]
    }
    if channel != Packet.broadcast { channels.touch(channel) }
    switch command {
    case .initialize: return initialize(channel, length, data, now)
    case .cancel: return cancel(channel)
    default: break
    }
    if let problem = obstacle(to: channel, now) { return problem }
    guard let command, command != .keepalive, command != .error else {
      return [.error(.invalidCommand, to: channel)]
    }
    guard Self.lengths(of: command).contains(length),
      let reader = MessageReader(channel: channel, code: code, length: length, data: data)
    else { return [.error(.invalidLength, to: channel)] }
    if let message = reader.message { return perform(message, now) }
    transaction = .receiving(reader, deadline: now + settings.packetNanoseconds)
    return []
  }

  /// Why a new message cannot begin now.
  private mutating func obstacle(to channel: UInt32, _ now: UInt64) -> [DeviceAction]? {
    if case .receiving(let reader, _) = transaction, reader.channel == channel {
      // A packet of the message was due.
      transaction = .none
      return [.error(.invalidSequence, to: channel)]
    }
    if let lock, lock.end <= now { self.lock = nil }
    let isLocked = lock.map { $0.channel != channel } ?? false
    return activeChannel != nil || isLocked ? [.error(.channelBusy, to: channel)] : nil
  }

  private static func lengths(of command: PacketCommand) -> ClosedRange<Int> {
    switch command {
    case .wink: 0...0
    case .lock: 1...1
    case .message, .cbor: 1...Message.maximumPayload
    default: 0...Message.maximumPayload
    }
  }

  /// Section 11.2.9.1.3: on broadcast a new channel; on a channel, which begins anew then, its synchronization.
  private mutating func initialize(
    _ channel: UInt32, _ length: Int, _ data: ArraySlice<UInt8>, _ now: UInt64
  ) -> [DeviceAction] {
    guard length == InitializationReply.nonceCount else { return [.error(.invalidLength, to: channel)] }
    let nonce = Array(data.prefix(InitializationReply.nonceCount))
    if channel != Packet.broadcast {
      if activeChannel == channel { transaction = .none }
      return [.forget(channel: channel), initialized(channel, as: channel, nonce)]
    }
    let holder = lock.flatMap { $0.end > now ? $0.channel : nil }
    let (made, evicted) = channels.allocate(keeping: [activeChannel, holder])
    let reply = initialized(made, as: channel, nonce)
    return evicted.map { [.forget(channel: $0), reply] } ?? [reply]
  }

  private func initialized(_ channel: UInt32, as recipient: UInt32, _ nonce: [UInt8]) -> DeviceAction {
    let reply = InitializationReply(
      nonce: nonce, channel: channel, version: settings.version, capabilities: settings.capabilities)
    return .send(Message(channel: recipient, .initialize, reply.encoded()).reports())
  }

  /// Section 11.2.9.1.5: never answered itself. What is not whole yet will be a request, and is one to cancel then. Once
  /// is enough: who says it again and again must not make work.
  private mutating func cancel(_ channel: UInt32) -> [DeviceAction] {
    guard var work = work(of: channel), !work.isCancelled else { return [] }
    work.isCancelled = true
    transaction = .processing(work)
    return [.cancel(channel: channel)]
  }

  private mutating func perform(_ message: Message, _ now: UInt64) -> [DeviceAction] {
    let channel = message.channel
    switch PacketCommand(rawValue: message.code) {
    case .ping: return [.send(Message(channel: channel, .ping, message.payload).reports())]
    case .lock: return [lock(channel, seconds: message.payload[0], now)]
    case .message: return request(.message, as: .message, message, now)
    case .cbor: return request(.cbor, as: .cbor, message, now)
    case .wink: return request(.wink, as: .wink, message, now)
    default: return [.error(.invalidCommand, to: channel)]
    }
  }

  private mutating func request(
    _ command: PacketCommand, as frame: FrameCommand, _ message: Message, _ now: UInt64
  ) -> [DeviceAction] {
    transaction = .processing(
      Work(channel: message.channel, command: command, deadline: now + settings.silenceNanoseconds))
    return [.request(channel: message.channel, Frame(frame, message.payload))]
  }

  private mutating func lock(_ channel: UInt32, seconds: UInt8, _ now: UInt64) -> DeviceAction {
    guard seconds <= Self.longestLock else { return .error(.invalidParameter, to: channel) }
    lock = seconds == 0 ? nil : Lock(channel: channel, end: now + UInt64(seconds) * 1_000_000_000)
    return .send(Message(channel: channel, .lock).reports())
  }

  // MARK: - From the authenticator

  /// Takes a frame of what keeps this channel's state. One that nobody waits for any more does nothing.
  package mutating func answer(_ frame: Frame, on channel: UInt32, at now: UInt64) -> [DeviceAction] {
    guard var work = work(of: channel) else { return [] }
    let command = work.command
    switch frame.command {
    case .keepalive where frame.payload.count == 1:
      work.deadline = now + settings.silenceNanoseconds
      transaction = .processing(work)
      // Clients of U2F may know no KEEPALIVE.
      return command == .cbor ? [.send(Message(channel: channel, .keepalive, frame.payload).reports())] : []
    case .error where frame.payload.count == 1:
      transaction = .none
      return [.error(CTAPHIDError(rawValue: frame.payload[0]), to: channel)]
    default:
      guard frame.code == command.rawValue else { return fail(channel, .malformedAnswer(code: frame.code)) }
      guard frame.payload.count <= Message.maximumPayload else {
        return fail(channel, .answerTooLong(frame.payload.count))
      }
      transaction = .none
      return [.send(Message(channel: channel, command, frame.payload).reports())]
    }
  }

  /// The authenticator cannot be reached for this channel, or has gone: its request, if there is one, has failed.
  package mutating func lose(_ channel: UInt32) -> [DeviceAction] {
    guard work(of: channel) != nil else { return [] }
    transaction = .none
    return [.error(.other, to: channel)]
  }

  private mutating func fail(_ channel: UInt32, _ trouble: DeviceTrouble) -> [DeviceAction] {
    transaction = .none
    return [.report(trouble), .forget(channel: channel), .error(.other, to: channel)]
  }

  // MARK: - Time and ends

  /// Ends a transaction whose time is over.
  package mutating func advance(to now: UInt64) -> [DeviceAction] {
    switch transaction {
    case .receiving(let reader, let deadline) where deadline <= now:
      transaction = .none
      return [.error(.messageTimeout, to: reader.channel)]
    case .processing(let work) where work.deadline <= now:
      return fail(work.channel, .silence)
    default: return []
    }
  }

  /// Nobody has the device open any more: whoever comes next finds no channel.
  package mutating func reset() -> [DeviceAction] {
    transaction = .none
    lock = nil
    return channels.removeAll().map { .forget(channel: $0) }
  }
}

extension DeviceAction {
  static func error(_ error: CTAPHIDError, to channel: UInt32) -> DeviceAction {
    .send(Message(channel: channel, .error, [error.rawValue]).reports())
  }
}
