internal import CTAPHID
internal import Glibc
package import Platform
internal import Policy
internal import Synchronization

/// Numbers every connection of the process, whichever server has it.
private let lastConnection = Atomic<UInt64>(0)

/// Serves frames to many clients on one ``EventLoop``; requests go to a ``FrameService``.
///
/// A client can hold one connection's worth of memory and nothing else: a frame must be whole within 5 s, replies
/// must be read within 5 s once the socket is full, and until then nothing more is taken from that client.
package actor SocketServer<Service: FrameService> {
  typealias Client = Connection<Service.Session>

  /// Bytes that are read from one client in one round.
  private static var chunk: Int { 16_384 }
  /// Frames that are taken from one client in one round, before the others have their turn.
  private static var framesPerRound: Int { 64 }
  /// Replies are collected up to here before they are sent.
  private static var highWater: Int { 16_384 }

  nonisolated let loop: EventLoop
  private let service: Service
  private let settings: ServerSettings
  private let executables: (any ExecutableReader)?
  private let log: Logger

  private var entrances: Entrances
  /// What rules call the listeners, in their order.
  private var socketNames: [String] = []
  private var clients: [UInt64: Client] = [:]
  /// Closed while a request was in progress, which still ends.
  private var departed: [UInt64: Client] = [:]
  private var headcount: Headcount
  private var buffer = [UInt8](repeating: 0, count: SocketServer.chunk)
  private var complaints: RareWarnings

  /// Tasks that call the service.
  private var tasks = 0
  private var isStopping = false
  /// Whether requests in progress have been cancelled.
  private var isAborted = false
  private var stopTimers: [LoopTimer] = []
  private var waitingForStop: [CheckedContinuation<Void, Never>] = []

  /// Makes a server without listeners.
  ///
  /// - Parameters:
  ///   - loop: on which it and, best, the actors behind `service` run
  ///   - service: answers the requests
  ///   - settings: what it says of the device and how much it bears
  ///   - executables: finds out digests; nil where no rule can ask for one
  ///   - log: for the operator
  package init(
    loop: EventLoop, service: Service, settings: ServerSettings = ServerSettings(),
    executables: (any ExecutableReader)? = nil, log: Logger = .silent
  ) {
    self.loop = loop
    self.service = service
    self.settings = settings
    self.executables = executables
    self.log = log
    complaints = RareWarnings(log: log)
    entrances = Entrances(loop: loop)
    headcount = Headcount(limit: settings.connectionLimit, limitOfUser: settings.connectionsPerUser)
  }

  package nonisolated var unownedExecutor: UnownedSerialExecutor {
    unsafe loop.asUnownedSerialExecutor()
  }

  /// Connections at this moment.
  package var connectionCount: Int { clients.count }

  // MARK: - Accepting

  /// Accepts connections from one more listener, which from then on belongs to the server.
  ///
  /// - Parameters:
  ///   - listener: own or passed
  ///   - socket: what rules call it
  /// - Throws: ``SystemError`` of epoll_ctl(2)
  package func listen(on listener: consuming Listener, as socket: String = "ctap") throws(SystemError) {
    guard !isStopping else { return }
    // Before, since a connection may come at once.
    socketNames.append(socket)
    try entrances.add(listener) { [weak self] index in self?.assumeIsolated { $0.accept(at: index) } }
  }

  private func accept(at index: Int) {
    do {
      try entrances.accept(at: index) { admit($0, socketNames[index]) }
    } catch {
      complain("cannot accept connections: \(error); retrying")
      entrances.rest()
      loop.after(nanoseconds: settings.acceptPauseNanoseconds) { [weak self] in
        self?.assumeIsolated { $0.entrances.reopen() }
      }
    }
  }

  private func admit(_ socket: consuming Descriptor, _ name: String) {
    let client: Client
    do {
      let peer = try PeerCredentials(of: socket)
      // Before anything is looked up in /proc: whoever is turned away must not cost more than it does them.
      if let refusal = headcount.refusal(of: peer.user) {
        complain(refusal)
        return Entrances.turnAway(socket)
      }
      client = connection(of: peer, on: socket, named: name)
      let number = client.id
      try client.watch(on: loop) { [weak self] events in
        self?.assumeIsolated { $0.handle(events, of: number) }
      }
    } catch {
      return complain("connection refused: \(error)")
    }
    clients[client.id] = client
    headcount.enter(client.caller.user)
    log.debug("connection \(client.id): user \(client.caller.user), unit \(client.caller.unit ?? "none")")
  }

  private func connection(
    of peer: PeerCredentials, on socket: consuming Descriptor, named name: String
  ) -> Client {
    let number = lastConnection.add(1, ordering: .relaxed).newValue
    var process = peer.process(of: socket, opensExecutable: executables?.isWanted ?? false)
    let caller = Caller(
      connection: number, user: peer.user, group: peer.group, process: peer.process,
      supplementaryGroups: peer.supplementaryGroups(of: socket), unit: process.unit, slice: process.slice,
      container: process.container, executable: process.executable, socket: name, grant: settings.grant)
    let channel = Channel(
      number: Channel.number(of: number), version: settings.version, capabilities: settings.capabilities,
      served: settings.served)
    let client = Client(caller: caller, channel: channel, socket: socket)
    if let file = process.executableFile.take() { client.executable = ExecutableFile(file) }
    return client
  }

  private func complain(_ message: @autoclosure () -> String) {
    complaints.warn(message(), at: loop.time.monotonicNanoseconds)
  }

  // MARK: - Input

  private func handle(_ events: EventLoop.Interest, of id: UInt64) {
    guard let client = clients[id] else { return }
    // Nobody is left to read an answer. (A client that has only finished writing does not hang up.)
    if !events.isDisjoint(with: .hangup) { return close(client, "closed by the client") }
    if events.contains(.write) { settle(client) }
    if events.contains(.read) && client.interest.contains(.read) && !client.isClosed { read(client) }
  }

  private func read(_ client: Client) {
    do {
      guard let count = try client.read(into: &buffer) else { return }
      if count > 0 { return process(buffer[..<count], of: client) }
      client.inputEnded = true
      settle(client)
    } catch {
      close(client, "\(error)")
    }
  }

  /// Takes what can be taken now of what was read; the rest has its turn.
  private func process(_ bytes: ArraySlice<UInt8>, of client: Client) {
    var input = bytes
    var share = Self.framesPerRound
    do {
      while share > 0, !client.mustWait, let frame = try client.reader.next(from: &input) {
        share -= 1
        stopTimer(&client.frameTimer)
        client.frameTimeLeft = nil
        perform(client.channel.receive(frame), for: client)
        if client.output.count >= Self.highWater { flush(client) }
        if client.isClosed { return }
      }
    } catch {
      return end(client, saying: error.status, "length \(error)")
    }
    client.unprocessed = Array(input)
    settle(client)
  }

  /// Goes on with what was read, after the others had their round.
  private func takeTurn(_ client: Client) {
    if client.hasTurn { return }
    client.hasTurn = true
    let id = client.id
    loop.nextRound { [weak self] in
      self?.assumeIsolated { server in
        guard let client = server.clients[id] else { return }
        client.hasTurn = false
        // Whoever must wait has another turn when the output is gone.
        if client.mustWait { return }
        let input = client.unprocessed
        client.unprocessed = []
        server.process(input[...], of: client)
      }
    }
  }

  /// Counts the time of an unfinished frame, but not while it is we who do not read.
  private func timeFrame(_ client: Client) {
    let counts = client.reader.isMidFrame && client.isReading
    if counts == (client.frameTimer != nil) { return }
    let left = client.frameTimeLeft ?? settings.stallNanoseconds
    let now = loop.time.monotonicNanoseconds
    if counts {
      client.frameTimeLeft = left
      client.frameTimedFrom = now
      client.frameTimer = timer(left, client) { $0.end($1, saying: .messageTimeout, "stalled") }
    } else {
      client.frameTimeLeft = left - min(left, now - client.frameTimedFrom)
      stopTimer(&client.frameTimer)
    }
  }

  private func perform(_ action: FrameAction, for client: Client) {
    switch action {
    case .reply(let frame): client.append(frame)
    case .start(let command, let payload): start(command, payload, of: client)
    case .cancel: client.request?.cancel()
    case .nothing: break
    }
  }

  // MARK: - Requests

  private func start(_ command: FrameCommand, _ payload: [UInt8], of client: Client) {
    startKeepalive(client)
    tasks += 1
    let id = client.id
    client.request = Task(executorPreference: loop) { await self.serve(command, payload, of: id) }
  }

  private func serve(_ command: FrameCommand, _ payload: [UInt8], of id: UInt64) async {
    guard let client = clients[id] ?? departed[id] else { return }
    var reply = FrameReply.error(.other)
    if !client.isClosed {
      let session: Service.Session
      if let known = client.session {
        session = known
      } else {
        if let executables, let file = client.executable {
          client.executable = nil
          client.caller = client.caller.withExecutable(digest: await executables.digest(of: file))
        }
        session = await service.open(client.caller)
        client.session = session
      }
      reply = await service.answer(command, payload, in: session)
    }
    client.request = nil
    stopTimer(&client.keepaliveTimer)
    if departed.removeValue(forKey: id) != nil {
      if let session = client.session { await service.close(session) }
      headcount.leave(client.caller.user)
    }
    tasks -= 1
    answer(command, reply, to: client)
    finishStopping()
  }

  private func answer(_ command: FrameCommand, _ reply: FrameReply, to client: Client) {
    let frame = client.channel.finish(command, reply)
    if client.isClosed || client.isEnding { return }
    if frame == nil { log.error("connection \(client.id): the answer to \(command) is too long") }
    client.append(frame ?? .error(.other))
    if isStopping { client.isEnding = true }
    settle(client)
  }

  private func startKeepalive(_ client: Client) {
    client.keepaliveTimer = timer(settings.keepaliveNanoseconds, client) { server, client in
      server.startKeepalive(client)
      // Who has not read the last one needs no other.
      if client.output.isEmpty && !client.isEnding { client.append(.keepalive(.processing)) }
      server.settle(client)
    }
  }

  // MARK: - Output

  private func flush(_ client: Client) {
    do {
      try client.flush()
    } catch {
      return close(client, "\(error)")
    }
    if !client.isBlocked {
      stopTimer(&client.outputTimer)
    } else if client.outputTimer == nil {
      client.outputTimer = timer(settings.stallNanoseconds, client) { $0.close($1, "does not read its replies") }
    }
  }

  /// Sends what there is; then closes, or goes on with what was read, or watches for what comes next. Every change of
  /// a connection ends here, so that input which waits is never left behind and nothing is read on top of it.
  private func settle(_ client: Client) {
    if client.isClosed { return }
    flush(client)
    if client.isClosed { return }
    if client.isDone || (client.isEnding && client.output.isEmpty) { return close(client, "done") }
    var interest: EventLoop.Interest = client.isBlocked ? .write : []
    if client.isReading { interest.insert(.read) }
    if interest != client.interest, let watch = client.watch {
      client.interest = interest
      loop.change(watch, to: interest)
    }
    timeFrame(client)
    if !client.mustWait && !client.unprocessed.isEmpty { takeTurn(client) }
  }

  // MARK: - Ends

  /// The stream cannot be trusted any more, or takes too long: says so and closes.
  private func end(_ client: Client, saying error: CTAPHIDError, _ reason: String) {
    log.debug("connection \(client.id): \(reason)")
    client.append(.error(error))
    client.isEnding = true
    client.unprocessed = []
    client.request?.cancel()
    stopTimer(&client.frameTimer)
    stopTimer(&client.keepaliveTimer)
    settle(client)
  }

  private func close(_ client: Client, _ reason: String) {
    guard clients.removeValue(forKey: client.id) != nil else { return }
    log.debug("connection \(client.id): \(reason)")
    if let watch = client.watch { loop.unwatch(watch) }
    client.close()
    stopTimer(&client.frameTimer)
    stopTimer(&client.outputTimer)
    stopTimer(&client.keepaliveTimer)
    if let request = client.request {
      // Its task closes the session. Until then it counts: whoever goes does not make room for more work at once.
      departed[client.id] = client
      request.cancel()
    } else {
      headcount.leave(client.caller.user)
      if let session = client.session {
        tasks += 1
        Task(executorPreference: loop) { await self.close(session) }
      }
    }
    finishStopping()
  }

  private func close(_ session: Service.Session) async {
    await service.close(session)
    tasks -= 1
    finishStopping()
  }

  /// Closes everything at once. What is in progress is cancelled, and its answers go nowhere.
  package func abort() {
    isStopping = true
    isAborted = true
    entrances.close()
    for client in Array(clients.values) { close(client, "ended") }
  }

  /// Takes no more connections and no more requests, lets those in progress finish, answers them, closes.
  ///
  /// - Parameter nanoseconds: after which requests are cancelled; those of an ``abort()`` have been. A service that then
  ///   still does not answer is left alone after a further second, and its client without an answer.
  package func stop(within nanoseconds: UInt64) async {
    if !isStopping {
      isStopping = true
      entrances.close()
      for client in clients.values where client.request == nil {
        client.isEnding = true
        settle(client)
      }
    }
    // Also after an abort(), and when others were left alone: no stop waits without a limit.
    if stopTimers.isEmpty { scheduleStop(isAborted ? 0 : nanoseconds) }
    await withCheckedContinuation { continuation in
      waitingForStop.append(continuation)
      finishStopping()
    }
  }

  private func scheduleStop(_ nanoseconds: UInt64) {
    let cancel = loop.after(nanoseconds: nanoseconds) { [weak self] in
      self?.assumeIsolated { server in for client in server.clients.values { client.request?.cancel() } }
    }
    let limit = nanoseconds.addingReportingOverflow(settings.cancelledNanoseconds)
    let abandon = loop.after(nanoseconds: limit.overflow ? .max : limit.partialValue) { [weak self] in
      self?.assumeIsolated { server in
        for client in Array(server.clients.values) { server.close(client, "stopped") }
        server.finishStopping(abandoning: true)
      }
    }
    stopTimers = [cancel, abandon]
  }

  private func finishStopping(abandoning: Bool = false) {
    guard isStopping, abandoning || (clients.isEmpty && tasks == 0) else { return }
    if tasks > 0 { log.warning("\(tasks) request\(tasks == 1 ? "" : "s") did not end in time") }
    for timer in stopTimers { loop.cancel(timer) }
    stopTimers = []
    for continuation in waitingForStop { continuation.resume() }
    waitingForStop = []
  }

  // MARK: - Timers

  private func timer(
    _ nanoseconds: UInt64, _ client: Client, _ body: @escaping @Sendable (isolated SocketServer, Client) -> Void
  ) -> LoopTimer {
    let id = client.id
    return loop.after(nanoseconds: nanoseconds) { [weak self] in
      self?.assumeIsolated { server in
        if let client = server.clients[id] { body(server, client) }
      }
    }
  }

  private func stopTimer(_ timer: inout LoopTimer?) {
    if let running = timer { loop.cancel(running) }
    timer = nil
  }
}
