internal import CTAP
internal import CTAPHID
internal import FoundationEssentials
internal import Policy
internal import Transports

/// The operator's socket of a daemon that signs for nobody.
struct RefusingAdminService: FrameService {
  struct Request: Decodable {
    var request: String
    /// Of `bootApprove`.
    var file: String?
    /// Of `decommission`.
    var dryRun: Bool?
  }

  let owner: UInt32
  let group: UInt32?
  /// For CTAP2 messages.
  let status: CTAPStatus
  let answer: @Sendable (Request, Caller) async throws -> FrameReply

  func open(_ caller: Caller) async -> Caller? { caller.mayAdministrate(owner: owner, group: group) ? caller : nil }

  func answer(_ command: FrameCommand, _ payload: [UInt8], in caller: Caller?) async -> FrameReply {
    guard command == .administration else {
      return command == .cbor ? .data([status.rawValue]) : .error(.invalidCommand)
    }
    guard let caller else { return AdminAnswer.encode(AdminProblem.stranger) }
    guard let request = try? JSONDecoder().decode(Request.self, from: Data(payload)) else {
      return AdminAnswer.encode(AdminProblem.noRequest)
    }
    do {
      return try await answer(request, caller)
    } catch {
      return AdminAnswer.encode(AdminProblem(of: error))
    }
  }

  func close(_ session: Caller?) async {}
}
