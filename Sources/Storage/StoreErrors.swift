internal import Authenticator
internal import Database
internal import Glibc
internal import Platform

extension StoreError {
  /// What went wrong with `path`, and what the operator can do.
  init(_ error: DatabaseError, path: String) {
    switch error.kind {
    case .full:
      self = .full("\(path): \(error): free some room; nothing was changed")
    case .readOnly:
      self = .unavailable("\(path): \(error): make the disk and the file writable; nothing was changed")
    case .inputOutput:
      self = .unavailable("\(path): \(error): see to the disk; nothing that was acknowledged is lost")
    case .damaged, .notADatabase:
      self = .damaged(path, error.description)
    case .busy:
      self = .unavailable("\(path): \(error): end the other program that has it open")
    case .constraint, .other:
      self = .unavailable("\(path): \(error)")
    }
  }

  init(_ error: SystemError, path: String) {
    let text = "\(path): \(error)"
    self = error.isFull ? .full("\(text): free some room") : .unavailable("\(text): see to the disk")
  }

  static func damaged(_ path: String, _ reason: String) -> StoreError {
    .unavailable(
      "\(path) is damaged (\(reason)): it has been left as it is; stop countersignd, put a good copy in its place, and "
        + "start it again")
  }
}

extension SystemError {
  /// ENOSPC, EDQUOT or EFBIG: it works again once there is room.
  var isFull: Bool { [ENOSPC, EDQUOT, EFBIG].contains(code) }
}
