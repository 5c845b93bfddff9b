internal import CTAPHID
internal import Platform

extension Entrances {
  /// Says that there is no room, and closes.
  static func turnAway(_ socket: consuming Descriptor) {
    // Six bytes always fit into a new socket.
    _ = try? socket.sendNow(Frame.error(.channelBusy).encoded()[...])
  }
}
