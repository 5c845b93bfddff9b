internal import Crypto
internal import Platform

/// Why a text is no pattern, and what to write instead.
package struct PatternError: Error, Equatable, Sendable {
  package let problem: String
  package let advice: String
}

/// One entry of a rule's `relyingParties`.
package enum RelyingPartyPattern: Hashable, Sendable, CustomStringConvertible {
  /// `*`: every RP ID.
  case any
  /// `deploy.example.com`: this RP ID, byte for byte.
  case exact(String)
  /// `*.example.com`: one or more labels before `.example.com`; not `example.com` itself.
  case subdomains(of: String)

  /// Reads what stands in the configuration.
  ///
  /// - Parameter text: a domain name in lower case, `*.` and a domain name, `*`, or an OpenSSH application (`ssh:…`)
  /// - Throws: ``PatternError``
  package init(_ text: String) throws(PatternError) {
    if text == "*" {
      self = .any
    } else if text.hasPrefix("ssh:") {
      self = .exact(try Self.checkedApplication(text))
    } else if text.hasPrefix("*.") {
      self = .subdomains(of: try Self.checkedDomain(String(text.dropFirst(2)), in: text))
    } else {
      self = .exact(try Self.checkedDomain(text, in: text))
    }
  }

  package var description: String {
    switch self {
    case .any: "*"
    case .exact(let domain): domain
    case .subdomains(let domain): "*." + domain
    }
  }

  // Bytes are compared, not Strings: Swift holds canonically equivalent texts for equal.
  func matches(_ relyingPartyID: String) -> Bool {
    switch self {
    case .any:
      return true
    case .exact(let domain):
      return domain.utf8.elementsEqual(relyingPartyID.utf8)
    case .subdomains(let domain):
      let ending = "." + domain
      guard relyingPartyID.utf8.count > ending.utf8.count,
        relyingPartyID.utf8.suffix(ending.utf8.count).elementsEqual(ending.utf8)
      else { return false }
      return Self.areLabels(relyingPartyID.utf8.dropLast(ending.utf8.count))
    }
  }

  /// Whether an RP ID of which only the SHA-256 hash is known surely matches. Suffixes cannot be told from a hash.
  func matches(hash: [UInt8]) -> Bool {
    switch self {
    case .any: true
    case .exact(let domain): SHA256.hash(Array(domain.utf8)) == hash
    case .subdomains: false
    }
  }

  /// Whether it matches what an operation concerns. What concerns all of them needs a pattern for all of them.
  func matches(_ scope: Scope) -> Bool {
    switch scope {
    case .relyingParty(let id): matches(id)
    case .application(let hash): matches(hash: hash)
    case .all: self == .any
    }
  }

  /// A name is more specific than a suffix, a suffix of more labels than one of fewer, and every one than `*`. Equal
  /// for two that match one RP ID only where they are the same.
  var specificity: Int {
    switch self {
    case .any: 0
    // At most 127 labels fit a name.
    case .subdomains(let domain): 1 + domain.utf8.count { $0 == UInt8(ascii: ".") }
    case .exact: 1000
    }
  }

  /// Whether every RP ID that matches `other` matches this too.
  func covers(_ other: RelyingPartyPattern) -> Bool {
    switch (self, other) {
    case (.any, _): true
    case (_, .any): false
    case (_, .exact(let domain)): matches(domain)
    case (.subdomains(let outer), .subdomains(let inner)): inner == outer || matches(inner)
    case (.exact, .subdomains): false
    }
  }
}

extension RelyingPartyPattern {
  private static func areLabels(_ bytes: Substring.UTF8View) -> Bool {
    bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).allSatisfy { label in
      !label.isEmpty && label.count <= 63 && label.allSatisfy(isLabelByte)
    }
  }

  private static func isLabelByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
      UInt8(ascii: "_"):
      true
    default: false
    }
  }

  private static func checkedApplication(_ text: String) throws(PatternError) -> String {
    guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
      throw PatternError(
        problem: "\(quoted(text)) is not an OpenSSH application",
        advice: "write printable ASCII without spaces after \"ssh:\"")
    }
    if text.utf8.contains(UInt8(ascii: "*")) {
      throw PatternError(
        problem: "\(quoted(text)) has a \"*\" inside", advice: "name each OpenSSH application in full")
    }
    return text
  }

  private static func checkedDomain(_ domain: String, in text: String) throws(PatternError) -> String {
    func refuse(_ problem: String, _ advice: String) -> PatternError {
      PatternError(problem: text.isEmpty ? problem : "\(quoted(text)) \(problem)", advice: advice)
    }
    if text.isEmpty {
      throw refuse("the RP ID is empty", "write a domain name such as \"deploy.example.com\"")
    }
    if let end = domain.firstRange(of: "://")?.upperBound {
      let host = domain[end...].prefix { $0 != "/" && $0 != ":" }
      throw refuse("is a URL, an RP ID is a domain name", "write \(quoted(host.lowercased()))")
    }
    guard domain.utf8.allSatisfy({ $0 < 0x80 }) else {
      throw refuse("is not ASCII", "write the domain name in its \"xn--\" form")
    }
    if domain.contains("*") {
      throw refuse(
        "has a \"*\" in the wrong place",
        "write \"*.example.com\" for every name below example.com, or \"*\" alone for every RP ID")
    }
    if domain.utf8.contains(where: { $0 >= UInt8(ascii: "A") && $0 <= UInt8(ascii: "Z") }) {
      throw refuse("has capital letters, RP IDs have none", "write \(quoted(text.lowercased()))")
    }
    if let port = domain.firstIndex(of: ":") {
      throw refuse("is not a domain name, it has a \":\"", "write \(quoted(String(domain[..<port]))), without a port")
    }
    guard domain.utf8.count <= 253, areLabels(domain[...].utf8) else {
      throw refuse(
        "is not a domain name",
        "write labels of letters, digits, \"-\" and \"_\" with one \".\" between them, such as \"deploy.example.com\"")
    }
    if let last = domain.split(separator: ".").last, last.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) {
      throw refuse("is an IP address, an RP ID is a domain name", "give the server a name and write that")
    }
    return domain
  }
}
