internal import CTAPHID
internal import Glibc
package import Platform

/// What the relay tells whoever runs it.
package enum RelayEvent: Equatable, Sendable {
  /// Programs can find the device.
  case ready
  /// The kernel's device has come to its end.
  case lost(SystemError)
}

/// How much the relay bears.
package struct RelaySettings: Sendable {
  /// The daemon's socket.
  package var daemon: String
  /// Connections for reports at one time. Each may have as many channels, and so connections to the daemon, as a device
  /// has channels: together as many as the daemon takes of one user.
  package var portLimit = 8
  /// Reports that may wait to be sent before the device hears no more.
  package var queueLimit = 256
  /// How long the listener rests when there is no descriptor left.
  package var acceptPauseNanoseconds: UInt64 = 100_000_000

  package init(daemon: String) {
    self.daemon = daemon
  }
}

/// Joins devices to the daemon: the reports of each to its protocol, and each of its channels to a connection.
package actor Relay {
  /// Reports that are taken from one port in one round, before the others have their turn.
  private static let reportsPerRound = 128
  private static let chunk = 16_384

  nonisolated let loop: EventLoop
  private let settings: RelaySettings
  private let log: Logger
  private let random: any RandomSource
  private let tell: @Sendable (RelayEvent) -> Void

  private var entrances: Entrances
  private var ports: [UInt64: Port] = [:]
  private var lastPort: UInt64 = 0
  private var buffer = [UInt8](repeating: 0, count: Relay.chunk)
  private var complaints: RareWarnings
  private var isStopping = false
  private var waitingForStop: [CheckedContinuation<Void, Never>] = []

  /// Makes a relay without devices.
  ///
  /// - Parameters:
  ///   - loop: on which it runs
  ///   - settings: how much it bears
  ///   - random: where channel numbers begin
  ///   - log: for the operator
  ///   - tell: called on the loop
  package init(
    loop: EventLoop, settings: RelaySettings, random: any RandomSource = SystemRandom(), log: Logger,
    tell: @escaping @Sendable (RelayEvent) -> Void = { _ in }
  ) {
    self.loop = loop
    self.settings = settings
    self.random = random
    self.log = log
    self.tell = tell
    entrances = Entrances(loop: loop)
    complaints = RareWarnings(log: log)
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  private var now: UInt64 { loop.time.monotonicNanoseconds }

  // MARK: - Devices

  /// Shows the device to the kernel.
  ///
  /// - Parameter uhid: `/dev/uhid`, non-blocking
  /// - Throws: `SystemError`
  package func show(on uhid: consuming Descriptor) throws(SystemError) {
    try add(KernelDevice(uhid, .countersign))
  }

  /// Takes connections for reports from a listener of packets, which from then on belongs to the relay.
  ///
  /// - Throws: `SystemError`
  package func listen(on listener: consuming Listener) throws(SystemError) {
    try entrances.add(listener) { [weak self] index in self?.assumeIsolated { $0.accept(at: index) } }
  }

  private func accept(at index: Int) {
    do {
      try entrances.accept(at: index) { socket in
        guard ports.count < settings.portLimit else {
          return complain("connection for reports refused: \(settings.portLimit) are there: close some")
        }
        do {
          try add(PacketPort(socket))
        } catch {
          complain("connection for reports refused: \(error)")
        }
      }
    } catch {
      complain("cannot accept connections for reports: \(error); retrying")
      entrances.rest()
      loop.after(nanoseconds: settings.acceptPauseNanoseconds) { [weak self] in
        self?.assumeIsolated { $0.entrances.reopen() }
      }
    }
  }

  private func add(_ link: any ReportPort) throws(SystemError) {
    lastPort += 1
    let id = lastPort
    let first = random.bytes(4).reduce(0) { $0 << 8 | UInt32($1) }
    let port = Port(id: id, link: link, device: VirtualDevice(firstChannel: first, settings: Self.device))
    port.watch = try loop.watch(link.descriptor, for: .read) { [weak self] events in
      self?.assumeIsolated { $0.handle(events, of: id) }
    }
    ports[id] = port
    log.debug("port \(id): opened")
  }

  private static var device: VirtualDevice.Settings {
    var settings = VirtualDevice.Settings()
    let version = CountersignVersion.bytes
    settings.version = DeviceVersion(major: version.major, minor: version.minor, build: version.build)
    return settings
  }

  /// Connections to the daemon at this moment, for tests.
  package var connectionCount: Int { ports.values.reduce(0) { $0 + $1.connections.count } }
  /// Devices at this moment, for tests.
  package var portCount: Int { ports.count }

  // MARK: - Reports

  private func handle(_ events: EventLoop.Interest, of id: UInt64) {
    guard let port = ports[id] else { return }
    do {
      if events.contains(.read) && port.interest.contains(.read) { try receive(port) }
      if ports[id] == nil { return }
      // What came before the end was taken first; nobody is left to be answered.
      if !events.isDisjoint(with: .hangup) && !events.contains(.read) { return close(port, "closed") }
      settle(port)
    } catch {
      end(port, error)
    }
  }

  private func receive(_ port: Port) throws(SystemError) {
    for _ in 0..<Self.reportsPerRound {
      guard port.interest.contains(.read), let event = try port.link.receive() else { return }
      switch event {
      case .report(let report):
        // Whoever asks without reading is not heard: a key's own queue is full then.
        if port.queue.count >= settings.queueLimit { continue }
        perform(port.device.receive(report, at: now), for: port)
      case .ready: tell(.ready)
      case .abandoned:
        perform(port.device.reset(), for: port)
        port.queue = []
      case .refused: log.debug("port \(port.id): something that is no report")
      case .nothing: break
      }
    }
  }

  private func perform(_ actions: [DeviceAction], for port: Port) {
    for action in actions {
      switch action {
      case .send(let reports): port.queue += reports
      case .request(let channel, let frame): request(frame, on: channel, of: port)
      case .cancel(let channel): cancel(channel, of: port)
      case .forget(let channel):
        drop(channel, of: port)
        port.queue.removeAll { Packet(report: $0)?.channel == channel }
      case .report(let trouble): complain(trouble.text)
      }
    }
  }

  /// Sends what may be sent, and watches and waits for what comes next. Every change of a port ends here.
  private func settle(_ port: Port) {
    guard ports[port.id] != nil else { return }
    do {
      try port.flush(at: now)
    } catch {
      return end(port, error)
    }
    // The kernel drops what is not read: it is always read. A connection waits.
    let interest: EventLoop.Interest = port.isBlocked ? .write : .read
    if interest != port.interest, let watch = port.watch {
      port.interest = interest
      loop.change(watch, to: interest)
    }
    startTimer(of: port)
    finishStopping()
  }

  private func startTimer(of port: Port) {
    let due = port.due(at: now)
    if due == port.timerDue { return }
    if let timer = port.timer { loop.cancel(timer) }
    port.timer = nil
    port.timerDue = due
    guard let due else { return }
    let id = port.id
    port.timer = loop.after(nanoseconds: due - min(due, now)) { [weak self] in
      self?.assumeIsolated { relay in
        guard let port = relay.ports[id] else { return }
        port.timer = nil
        port.timerDue = nil
        relay.perform(port.device.advance(to: relay.now), for: port)
        relay.settle(port)
      }
    }
  }

  // MARK: - The daemon

  private func request(_ frame: Frame, on channel: UInt32, of port: Port) {
    do {
      if isStopping { return perform(port.device.lose(channel), for: port) }
      if let known = port.connections[channel] {
        do {
          return try request(frame, over: known)
        } catch {
          // The daemon was started anew: nothing of the request has been read.
          drop(channel, of: port)
        }
      }
      let made = try connect(channel, of: port)
      do {
        try request(frame, over: made)
      } catch {
        // A daemon that has no room says so and closes, maybe before it has the request: that is there to be read.
        guard error.code == EPIPE || error.code == ECONNRESET else { throw error }
      }
    } catch {
      drop(channel, of: port)
      complain(
        "request not relayed: \(error): start countersignd, put this service's user into the group of its socket, or "
          + "name the socket with --socket")
      perform(port.device.lose(channel), for: port)
    }
  }

  private func connect(_ channel: UInt32, of port: Port) throws(SystemError) -> DaemonConnection {
    let connection = try DaemonConnection(to: settings.daemon)
    let id = port.id
    connection.watch = try loop.watch(connection.descriptor, for: .read) { [weak self] events in
      self?.assumeIsolated { $0.handle(events, ofChannel: channel, at: id) }
    }
    port.connections[channel] = connection
    return connection
  }

  private func request(_ frame: Frame, over connection: DaemonConnection) throws(SystemError) {
    try connection.request(frame)
    if let watch = connection.watch { loop.change(watch, to: connection.interest) }
  }

  private func cancel(_ channel: UInt32, of port: Port) {
    guard let connection = port.connections[channel] else { return }
    // Where it fails, the connection's own end tells.
    try? connection.send(Frame(.cancel))
    if let watch = connection.watch { loop.change(watch, to: connection.interest) }
  }

  private func handle(_ events: EventLoop.Interest, ofChannel channel: UInt32, at id: UInt64) {
    guard let port = ports[id], let connection = port.connections[channel] else { return }
    if events.contains(.write) {
      try? connection.flush()
      if let watch = connection.watch { loop.change(watch, to: connection.interest) }
    }
    if !events.isDisjoint(with: [.read, .hangup]) { read(connection, channel, of: port) }
    settle(port)
  }

  private func read(_ connection: DaemonConnection, _ channel: UInt32, of port: Port) {
    switch connection.read(into: &buffer) {
    case .frames(let frames):
      for frame in frames {
        let actions = port.device.answer(told(frame, by: connection, to: port), on: channel, at: now)
        // Who has not read the last one needs no other.
        if frame.command == .keepalive && port.device.isProcessing && !port.queue.isEmpty { continue }
        perform(actions, for: port)
      }
    case .end(let reason):
      drop(channel, of: port)
      let lost = port.device.lose(channel)
      if !lost.isEmpty { complain("request not answered: \(reason): see the log of countersignd") }
      perform(lost, for: port)
    }
  }

  /// The frame as it is true of this device.
  private func told(_ frame: Frame, by connection: DaemonConnection, to port: Port) -> Frame {
    guard port.link.losesReports, connection.isAskedForInfo, frame.command == .cbor else { return frame }
    if let info = DeviceInfo.limited(frame.payload) { return Frame(.cbor, info) }
    complain("answer not relayed: getInfo is no canonical CBOR: check that --socket is the daemon's socket for jobs")
    return .error(.other)
  }

  private func drop(_ channel: UInt32, of port: Port) {
    guard let connection = port.connections.removeValue(forKey: channel) else { return }
    if let watch = connection.watch { loop.unwatch(watch) }
  }

  // MARK: - Ends

  private func end(_ port: Port, _ error: SystemError) {
    close(port, "\(error)")
    if port.link is KernelDevice { tell(.lost(error)) }
  }

  private func close(_ port: Port, _ reason: String) {
    guard ports.removeValue(forKey: port.id) != nil else { return }
    log.debug("port \(port.id): \(reason)")
    for channel in Array(port.connections.keys) { drop(channel, of: port) }
    if let watch = port.watch { loop.unwatch(watch) }
    if let timer = port.timer { loop.cancel(timer) }
    finishStopping()
  }

  /// Takes no more requests, lets those in progress be answered, then removes the devices.
  ///
  /// - Parameter nanoseconds: how long that may take
  package func stop(within nanoseconds: UInt64) async {
    isStopping = true
    entrances.close()
    let timer = loop.after(nanoseconds: nanoseconds) { [weak self] in
      self?.assumeIsolated { $0.finishStopping(abandoning: true) }
    }
    await withCheckedContinuation { continuation in
      waitingForStop.append(continuation)
      finishStopping()
    }
    loop.cancel(timer)
    for port in Array(ports.values) { close(port, "stopped") }
  }

  private func finishStopping(abandoning: Bool = false) {
    guard isStopping, abandoning || ports.values.allSatisfy(\.isIdle) else { return }
    for continuation in waitingForStop { continuation.resume() }
    waitingForStop = []
  }

  private func complain(_ message: @autoclosure () -> String) {
    complaints.warn(message(), at: now)
  }
}

extension DeviceTrouble {
  fileprivate var text: String {
    switch self {
    case .answerTooLong(let count):
      "answer not relayed: it has \(count) bytes, more than the \(Message.maximumPayload) of a message"
    case .malformedAnswer(let code):
      "answer not relayed: command 0x\(String(code, radix: 16)) was not asked for: "
        + "check that --socket is the daemon's socket for jobs"
    case .silence: "request not answered: the daemon says nothing: see the log of countersignd"
    }
  }
}
