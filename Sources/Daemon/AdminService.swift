internal import CTAPHID
internal import FoundationEssentials
internal import Policy
internal import Transports

/// The operator's socket: one JSON request a frame, one JSON answer. Only root and the daemon's own user can open it
/// (mode 0600); the kernel checks that, and this checks it again.
struct AdminService: FrameService {
  private struct Request: Codable {
    var request: String
  }

  private struct Problem: Codable {
    var error: String
  }

  /// The daemon's own effective user, which may ask beside root.
  let owner: UInt32
  let status: @Sendable () async -> StatusReport

  func open(_ caller: Caller) async -> Bool {
    caller.user == 0 || caller.user == owner
  }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in isOperator: Bool) async -> FrameReply {
    guard command == .administration else { return .error(.invalidCommand) }
    guard isOperator else { return encode(Problem(error: "only root and the service's own user may ask")) }
    guard let request = try? JSONDecoder().decode(Request.self, from: Data(payload)) else {
      return encode(Problem(error: "the request is not a JSON object with the key \"request\""))
    }
    switch request.request {
    case "status": return encode(await status())
    default: return encode(Problem(error: "unknown request: this daemon knows \"status\""))
    }
  }

  func close(_ isOperator: Bool) async {}

  private func encode(_ value: some Encodable) -> FrameReply {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { return .error(.other) }
    return .data(Array(data))
  }
}
