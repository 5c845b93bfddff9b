internal import CTAPHID

/// What is to be done with a frame.
enum FrameAction: Equatable {
  case reply(Frame)
  /// A request for the service; the channel is busy until its answer.
  case start(FrameCommand, [UInt8])
  case cancel
  case nothing
}

/// The protocol of one connection, which is one CTAPHID channel: a value without I/O.
///
/// One request at a time: any other but CANCEL gets ERROR busy while one is in progress, INIT too. (There is nothing
/// to resynchronise in a stream; who wants to abort sends CANCEL.)
struct Channel {
  let number: UInt32
  let version: DeviceVersion
  let capabilities: Capabilities
  /// What goes to the service; every other request is unknown here.
  let served: Set<FrameCommand>
  var isBusy = false

  init(
    number: UInt32, version: DeviceVersion, capabilities: Capabilities,
    served: Set<FrameCommand> = ServerSettings().served
  ) {
    self.number = number
    self.version = version
    self.capabilities = capabilities
    self.served = served
  }

  /// The number of a connection's channel. 0 and 0xffffffff are no channels of CTAPHID. Unique within 2^32 - 2
  /// connections.
  static func number(of connection: UInt64) -> UInt32 {
    UInt32(truncatingIfNeeded: (connection - 1) % 0xffff_fffe + 1)
  }

  mutating func receive(_ frame: Frame) -> FrameAction {
    guard let command = frame.command else { return .reply(.error(.invalidCommand)) }
    switch command {
    case .keepalive, .error:
      // To the client only.
      return .reply(.error(.invalidCommand))
    case .cancel:
      if !frame.payload.isEmpty { return .reply(.error(.invalidLength)) }
      return isBusy ? .cancel : .nothing
    case .wink, .message, .cbor, .administration, .boundAssertion:
      guard served.contains(command) else { return .reply(.error(.invalidCommand)) }
      fallthrough
    case .ping, .initialize:
      if isBusy { return .reply(.error(.channelBusy)) }
      return request(command, frame.payload)
    }
  }

  private mutating func request(_ command: FrameCommand, _ payload: [UInt8]) -> FrameAction {
    switch command {
    case .ping:
      return .reply(Frame(.ping, payload))
    case .initialize:
      guard payload.count == InitializationReply.nonceCount else { return .reply(.error(.invalidLength)) }
      let reply = InitializationReply(
        nonce: payload, channel: number, version: version, capabilities: capabilities)
      return .reply(Frame(.initialize, reply.encoded()))
    case .wink where !payload.isEmpty:
      return .reply(.error(.invalidLength))
    default:
      isBusy = true
      return .start(command, payload)
    }
  }

  /// The frame that answers a request; nil where the service's answer does not fit into one.
  mutating func finish(_ command: FrameCommand, _ reply: FrameReply) -> Frame? {
    isBusy = false
    switch reply {
    case .error(let error): return .error(error)
    case .data where command == .wink: return Frame(.wink)
    case .data(let payload): return payload.count <= Frame.maximumPayload ? Frame(command, payload) : nil
    }
  }
}
