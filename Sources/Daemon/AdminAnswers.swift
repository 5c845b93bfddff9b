internal import Attestation
internal import Configuration
internal import CTAPHID
internal import FoundationEssentials
internal import Glibc
internal import Platform
internal import Policy
internal import Transports
internal import WebAuthn

/// What the operator's socket answers where it refuses.
struct AdminProblem: Codable, Error {
  var error: String
  /// What to do about it, where that is known here.
  var remedy: String?
  /// `usage` where the request itself is wrong, so that it will be refused whenever it comes; nil otherwise.
  var kind: String?

  static func usage(_ error: String, _ remedy: String? = nil) -> AdminProblem {
    AdminProblem(error: error, remedy: remedy, kind: "usage")
  }

  static let stranger = AdminProblem(
    error: "only root, the service's own user and the group of adminGroup may ask, and none in a container")
  static let rootOnly = AdminProblem(error: "only root and the service's own user may decommission a runner")
  static let noRequest = AdminProblem(error: "the request is not a JSON object with the key \"request\"")
}

extension AdminProblem {
  /// What is answered where something has failed.
  init(of error: any Error) {
    switch error {
    case let problem as AdminProblem: self = problem
    case let problem as GrantError:
      self.init(error: problem.description, remedy: problem.remedy, kind: problem.isOfRequest ? "usage" : nil)
    case let problem as QuestionError: self = .usage(problem.description)
    case let refusal as EnrolmentRefusal where refusal.isMalformed: self = .usage(refusal.description)
    default: self.init(error: "\(error)")
    }
  }
}

/// An answer that is a file of the enrolment or of the boot state.
struct FileAnswer: Codable {
  /// JSON as text; nil where there is nothing to pass on.
  var file: String?

  init(_ file: JSONValue? = nil) {
    self.file = file.map { String(decoding: $0.serialized(), as: UTF8.self) }
  }

  /// The file in a request.
  ///
  /// - Throws: ``AdminProblem``
  static func content(_ text: String?) throws(AdminProblem) -> JSONValue {
    guard let text, let value = try? JSONValue.parse(Array(text.utf8)) else {
      throw AdminProblem.usage("the key \"file\" is no JSON as text")
    }
    return value
  }
}

enum AdminAnswer {
  static func encode(_ value: some Encodable) -> FrameReply {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(value) else { return .error(.other) }
    return .data(Array(data))
  }
}

extension Caller {
  /// The container that the daemon itself runs in.
  private static let ownContainer = ProcessIdentity(of: getpid())?.facts(opensExecutable: false).container

  /// The kernel has checked it by the socket's mode, too.
  func mayAdministrate(owner: UInt32, group: UInt32?) -> Bool {
    // Root of a container is root to the kernel wherever the engine maps no users.
    guard container == nil || container == Caller.ownContainer else { return false }
    let isMember = group.map { self.group == $0 || supplementaryGroups.contains($0) } ?? false
    return user == 0 || user == owner || isMember
  }
}

extension BootDesk {
  /// To `bootState`.
  func answer() async throws -> FileAnswer { FileAnswer(try await file()) }

  /// To `bootApprove`: the state as it is then.
  func answer(to text: String?) async throws -> FileAnswer {
    let approval = try BootApproval(try FileAnswer.content(text))
    try await approve(approval)
    return FileAnswer(try await file())
  }
}
