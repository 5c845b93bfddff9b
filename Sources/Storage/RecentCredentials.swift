internal import Authenticator
internal import Platform

/// The credentials that were looked up last, opened, so that who signs with one again and again need not wait for the
/// store's thread. Bounded.
///
/// It knows nothing that the file has not said since the last change: only the store's actor puts something in, between
/// two changes, and takes everything out before a change begins, and when the file is closed or its keys go. So who
/// finds something here has asked before a change was under way, and who does not asks the actor, behind the change.
final class RecentCredentials: Sendable {
  /// About half a megabyte at most.
  static let limit = 128
  /// Bytes of the sealed record of one that is kept: several times what an ordinary one has.
  static let maximumRecord = 2048

  private let credentials = Lock<[[UInt8]: Credential]>([:])

  subscript(id: [UInt8]) -> Credential? { credentials.withLock { $0[id] } }

  /// Keeps one, in the place of any other where there is no room. Called by the store's actor only.
  func keep(_ credential: Credential, of row: SealedRow) {
    guard row.record.count <= Self.maximumRecord else { return }
    credentials.withLock { credentials in
      // Of a dictionary nobody can choose the first.
      if credentials.count >= Self.limit, credentials[row.id] == nil { credentials.remove(at: credentials.startIndex) }
      credentials[row.id] = credential
    }
  }

  func removeAll() {
    credentials.withLock { $0 = [:] }
  }
}
