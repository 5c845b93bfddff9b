/// The channels of a device: so many at a time, and the least recently used one makes room for the next.
struct ChannelTable: Sendable {
  private let limit: Int
  private var next: UInt32
  /// When each was used, in uses.
  private var uses: [UInt32: UInt64] = [:]
  private var lastUse: UInt64 = 0

  /// - Parameters:
  ///   - limit: at least 3, so that there is always one that is not kept
  ///   - first: where the numbers begin. Begin each time elsewhere: who still holds a channel of another life of the
  ///     device must not meet its successor
  init(limit: Int, first: UInt32) {
    precondition(limit >= 3, "a device has at least three channels")
    self.limit = limit
    next = first
  }

  var count: Int { uses.count }

  func contains(_ channel: UInt32) -> Bool { uses[channel] != nil }

  /// Makes a channel.
  ///
  /// - Parameter kept: up to two that must not make room
  /// - Returns: its number, and the channel that had to go
  mutating func allocate(keeping kept: [UInt32?]) -> (channel: UInt32, evicted: UInt32?) {
    var evicted: UInt32?
    if uses.count >= limit {
      evicted = uses.filter { !kept.contains($0.key) }.min { $0.value < $1.value }?.key
      if let evicted { uses[evicted] = nil }
    }
    // 0 and 0xffffffff are no channels.
    while next == 0 || next == Packet.broadcast || uses[next] != nil { next &+= 1 }
    let channel = next
    next &+= 1
    touch(channel)
    return (channel, evicted)
  }

  /// Notes that a channel is in use.
  mutating func touch(_ channel: UInt32) {
    lastUse += 1
    uses[channel] = lastUse
  }

  /// Forgets all; the numbers go on.
  mutating func removeAll() -> [UInt32] {
    defer { uses = [:] }
    return uses.keys.sorted()
  }
}
