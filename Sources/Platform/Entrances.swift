/// The listeners of a server: they let connections in by small bursts.
package struct Entrances {
  private final class Entrance {
    let listener: Listener
    var watch: EventLoop.Watch?

    init(_ listener: consuming Listener) {
      self.listener = listener
    }
  }

  /// Connections that one listener lets in in one round: a crowd at the door must not keep the loop from those inside.
  private static let burst = 16

  private let loop: EventLoop
  private var entrances: [Entrance] = []

  package init(loop: EventLoop) {
    self.loop = loop
  }

  /// Takes one more listener.
  ///
  /// - Parameters:
  ///   - listener: own or passed
  ///   - knock: called on the loop with the number of the listener at which connections wait
  /// - Throws: ``SystemError`` of epoll_ctl(2)
  package mutating func add(
    _ listener: consuming Listener, _ knock: @escaping @Sendable (Int) -> Void
  ) throws(SystemError) {
    let entrance = Entrance(listener)
    let index = entrances.count
    entrance.watch = try loop.watch(entrance.listener.descriptor, for: .read) { _ in knock(index) }
    entrances.append(entrance)
  }

  /// The next connections at listener `index`.
  ///
  /// - Throws: ``SystemError``: EMFILE, ENFILE, ENOMEM; the connection still waits, and epoll would tell so without end
  package func accept(at index: Int, _ admit: (consuming Descriptor) -> Void) throws(SystemError) {
    guard entrances.indices.contains(index) else { return }
    for _ in 0..<Self.burst {
      guard let socket = try UnixSocket.accept(entrances[index].listener.descriptor) else { return }
      admit(socket)
    }
  }

  /// Lets nobody in for a time.
  package func rest() { change(to: []) }

  package func reopen() { change(to: .read) }

  private func change(to interest: EventLoop.Interest) {
    for entrance in entrances { if let watch = entrance.watch { loop.change(watch, to: interest) } }
  }

  /// Closes all listeners.
  package mutating func close() {
    for entrance in entrances { if let watch = entrance.watch { loop.unwatch(watch) } }
    entrances = []
  }
}
