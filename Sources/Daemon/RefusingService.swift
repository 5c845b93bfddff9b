internal import CTAP
internal import CTAPHID
internal import Platform
internal import Policy
internal import Transports

/// Refuses what jobs ask, each with the same status. The log has a line for each user who asks.
struct RefusingService: FrameService {
  let status: CTAPStatus
  let reason: String
  let log: Logger
  private let told: Told

  private final class Told: Sendable {
    let users = Lock<Set<UInt32>>([])
  }

  init(status: CTAPStatus, reason: String, log: Logger) {
    self.status = status
    self.reason = reason
    self.log = log
    told = Told()
  }

  func open(_ caller: Caller) async {
    let isNew = told.users.withLock { $0.count < 100 && $0.insert(caller.user).inserted }
    if isNew { log.warning("refusing uid \(caller.user): \(reason)") }
  }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in session: Void) async -> FrameReply {
    switch command {
    case .cbor, .boundAssertion: .data([status.rawValue])
    // SW_CONDITIONS_NOT_SATISFIED would have a client wait for a touch; this is ISO 7816's "no precise diagnosis".
    case .message: .data([0x6F, 0x00])
    default: .error(.invalidCommand)
    }
  }

  func close(_ session: Void) async {}
}
