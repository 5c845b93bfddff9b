import CTAPHID
import Glibc
import Policy
import Testing
import Transports

@testable import Daemon

@Suite struct AdminServiceTests {
  private let report = StatusReport(
    version: "1", startedAt: "t", socket: "/s", configuration: "/c", rules: 1, connections: 2, credentials: nil,
    tpm: StatusReport.TPM(
      kind: "software", connection: "", manufacturer: "", firmware: "", state: "ready", loadedKeys: 0, queue: 0),
    auditLog: StatusReport.AuditLog(path: "/a", state: "ready"))

  private func ask(_ text: String, user: UInt32 = 7, command: FrameCommand = .administration) async -> String? {
    let service = AdminService(owner: 7, status: { [report] in report })
    let session = await service.open(
      Caller(connection: 1, user: user, group: 0, process: nil, supplementaryGroups: [], unit: nil))
    switch await service.answer(command, Array(text.utf8), in: session) {
    case .data(let bytes): return String(decoding: bytes, as: UTF8.self)
    case .error: return nil
    }
  }

  @Test(arguments: [0, 7] as [UInt32]) func status(of user: UInt32) async throws {
    let answer = try #require(await ask(#"{"request":"status"}"#, user: user))
    #expect(answer.hasPrefix(#"{"auditLog":{"path":"/a","state":"ready"},"#), "\(answer)")
  }

  @Test(arguments: ["", "x", "[]", "{}", "\"status\"", #"{"request":1}"#, #"{"request":"status""#])
  func badJSON(_ text: String) async {
    #expect(await ask(text) == #"{"error":"the request is not a JSON object with the key \"request\""}"#)
  }

  @Test func strangersAndUnknownRequests() async {
    let refusal = #"{"error":"only root and the service's own user may ask"}"#
    #expect(await ask(#"{"request":"status"}"#, user: 8) == refusal)
    #expect(await ask("x", user: 8) == refusal)
    #expect(await ask(#"{"request":"dance"}"#)?.hasPrefix(#"{"error":"unknown request"#) ?? false)
    #expect(await ask(#"{"request":"status"}"#, command: .cbor) == nil)
  }
}
