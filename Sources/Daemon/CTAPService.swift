internal import Authenticator
internal import CTAPHID
internal import Policy
internal import Transports

/// Joins the job's socket to the authenticator: one connection is one CTAP channel.
struct CTAPService: FrameService {
  let engine: AuthenticatorEngine

  func open(_ caller: Caller) async -> Caller {
    caller
  }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in caller: Caller) async -> FrameReply {
    // As CTAPHID has it: these commands have a message.
    if payload.isEmpty, [.cbor, .message, .boundAssertion].contains(command) { return .error(.invalidLength) }
    switch command {
    case .cbor: return .data(await engine.respond(to: payload, from: caller))
    case .message: return .data(await engine.respond(toU2F: payload, from: caller))
    case .boundAssertion: return .data(await engine.respond(toBound: payload, from: caller))
    case .wink:
      await engine.wink(from: caller)
      return .data([])
    default: return .error(.invalidCommand)
    }
  }

  func close(_ caller: Caller) async {
    await engine.close(caller)
  }
}
