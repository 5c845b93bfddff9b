internal import CTAPHID
internal import Policy
internal import Transports

/// The service of one grant's socket: says after each answer that one has been given.
struct JobService: FrameService {
  let inner: CTAPService
  let answered: @Sendable () async -> Void

  func open(_ caller: Caller) async -> Caller { await inner.open(caller) }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in caller: Caller) async -> FrameReply {
    let reply = await inner.answer(command, payload, in: caller)
    await answered()
    return reply
  }

  func close(_ caller: Caller) async { await inner.close(caller) }
}
