package import CTAPHID
internal import Glibc
package import Platform

/// One connection to the socket, as its users see it: a request frame, then its answer. Tests script one.
package protocol FrameExchange: AnyObject {
  /// - Returns: the answer, which has the request's command byte
  func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame
  /// Who listens at the other end; nil where that is not known.
  var serverUser: UInt32? { get }
}

extension FrameExchange {
  package var serverUser: UInt32? { nil }

  /// Whom an operator may tell secrets and believe: who can make any socket that he is led to is no daemon of his.
  ///
  /// - Parameter path: of the socket
  /// - Throws: ``ClientError/stranger(_:)``
  package func requireDaemon(at path: String) throws(ClientError) {
    guard let user = serverUser, user != 0, user != geteuid() else { return }
    let owner = try? Accounts.user(named: "countersign")
    guard user == owner || isFolder(of: path, givenTo: user) else { throw .stranger(user) }
  }

  /// Whether root has given the socket's folder to this user, as to a daemon that has another user by its unit.
  private func isFolder(of path: String, givenTo user: UInt32) -> Bool {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return false }
    let name = String(path[..<slash])
    var (folder, parent) = (stat(), stat())
    guard unsafe stat(name, &folder) == 0, unsafe stat(name + "/..", &parent) == 0 else { return false }
    return folder.st_uid == user && parent.st_uid == 0 && parent.st_mode & 0o022 == 0
  }
}
