internal import Glibc

/// A failed system call: which one, and its errno.
package struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The call as in its manual page, e.g. `fdatasync`.
  package let call: String
  /// The value of errno(3).
  package let code: Int32

  package init(call: String, code: Int32) {
    self.call = call
    self.code = code
  }

  package var description: String {
    "\(call): \(unsafe String(cString: strerror(code)))"
  }
}

/// Calls `body` again while it fails with EINTR; throws its errno on any other -1.
@discardableResult
package func checked<Value: SignedInteger>(
  _ call: String, _ body: () -> Value
) throws(SystemError) -> Value {
  while true {
    let value = body()
    if value != -1 { return value }
    let code = errno
    if code != EINTR { throw SystemError(call: call, code: code) }
  }
}
