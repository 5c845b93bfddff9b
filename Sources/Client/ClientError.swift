package import CTAPHID
package import Platform

/// Why the daemon's answer is not there, from the point of view of a client of the socket.
package enum ClientError: Error, Equatable, Sendable {
  /// No connection could be made.
  case unreachable(SystemError)
  /// The time limit has passed.
  case timedOut
  /// The daemon closed the connection, or it broke.
  case disconnected
  /// The answer is not one of the protocol; the text says what is wrong with it.
  case malformed(String)
  /// The request does not fit into a frame.
  case requestTooLong(Int)
  /// This machine gives no memory or no randomness for secrets.
  case noSecrets(String)
  /// The operator's socket is another user's, whose number this is.
  case stranger(UInt32)
  /// An ERROR frame.
  case refused(CTAPHIDError)
}

extension ClientError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .unreachable(let error): error.description
    case .timedOut: "no answer in time"
    case .disconnected: "the daemon closed the connection"
    case .malformed(let problem): "the answer is malformed: \(problem)"
    case .requestTooLong(let count): "the request has \(count) bytes, more than a frame holds"
    case .noSecrets(let problem): problem
    case .stranger(let user): "uid \(user) listens there: neither root nor you nor the user countersign"
    case .refused(let error): "the daemon answered \(error)"
    }
  }
}
