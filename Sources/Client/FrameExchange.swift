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
  /// - Throws: ``ClientError/stranger(_:)``
  package func requireDaemon() throws(ClientError) {
    guard let user = serverUser, user != 0, user != geteuid() else { return }
    let owner = try? Accounts.user(named: "countersign")
    guard user == owner else { throw .stranger(user) }
  }
}
