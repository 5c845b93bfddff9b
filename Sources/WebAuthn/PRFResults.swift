package import Secrets

/// What a pseudo-random function gave (WebAuthn section 10.1.4): secrets, until they are written as JSON. A class, since
/// a secret is never copied.
package final class PRFResults: Sendable {
  private static let count = 32

  private let first: SecretBytes
  private let second: SecretBytes?

  /// Takes the outputs of hmac-secret, one after the other; nil where it is not one of 32 bytes or two.
  ///
  /// - Parameter outputs: decrypted
  /// - Throws: `SecretMemoryError`
  package init?(_ outputs: borrowing SecretBytes) throws {
    let count = PRFResults.count
    guard outputs.count == count || outputs.count == 2 * count else { return nil }
    first = try PRFResults.part(of: outputs, from: 0)
    second = outputs.count == count ? nil : try PRFResults.part(of: outputs, from: count)
  }

  private static func part(of outputs: borrowing SecretBytes, from start: Int) throws -> SecretBytes {
    try SecretBytes(count: count) { part in
      outputs.reveal { span in for index in 0..<count { part[index] = span[start + index] } }
    }
  }

  /// The secrets leave their memory here.
  var json: JSONValue {
    var members: [String: JSONValue] = ["first": .string(first.reveal { Base64URL.encode($0) })]
    switch second {
    case .some(let second): members["second"] = .string(second.reveal { Base64URL.encode($0) })
    case .none: break
    }
    return .object(members)
  }

  /// The extension outputs of a response with these in their place.
  static func json(_ extensions: [String: JSONValue], _ results: PRFResults?) -> JSONValue {
    guard let results else { return .object(extensions) }
    var outputs: [String: JSONValue] = [:]
    if case .object(let members)? = extensions["prf"] { outputs = members }
    outputs["results"] = results.json
    var extensions = extensions
    extensions["prf"] = .object(outputs)
    return .object(extensions)
  }
}

extension PRFResults: Equatable {
  package static func == (one: PRFResults, other: PRFResults) -> Bool {
    guard one.first.isEqual(to: other.first) else { return false }
    switch one.second {
    case .some(let second):
      switch other.second {
      case .some(let others): return second.isEqual(to: others)
      case .none: return false
      }
    case .none:
      switch other.second {
      case .some: return false
      case .none: return true
      }
    }
  }
}
