/// OpenSSL refused; `call` names the function.
package struct CryptoError: Error, Equatable, Sendable, CustomStringConvertible {
  package let call: String

  package init(call: String) {
    self.call = call
  }

  package var description: String { "OpenSSL: \(call) failed" }
}
