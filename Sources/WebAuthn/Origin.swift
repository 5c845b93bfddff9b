/// A web origin that may use WebAuthn: `https`, or `http` on localhost.
package struct Origin: Hashable, Sendable, CustomStringConvertible {
  /// Why a text is not such an origin; reads on after the text itself.
  package struct Refusal: Error, Equatable, Sendable, CustomStringConvertible {
    package let description: String
  }

  package enum Scheme: String, Sendable {
    case http
    case https

    var defaultPort: UInt16 { self == .https ? 443 : 80 }
  }

  package let scheme: Scheme
  /// A domain in lower-case ASCII.
  package let host: String
  /// nil for the scheme's own.
  package let port: UInt16?

  /// The origin in which a page of that RP ID would normally be.
  ///
  /// - Parameter relyingPartyID: a valid domain
  /// - Throws: ``Refusal`` where it is none
  package init(defaultFor relyingPartyID: String) throws(Refusal) {
    try self.init("https://" + relyingPartyID)
  }

  /// Parses `scheme://host[:port]`. Letters of any case are taken, the scheme's own port is dropped, as in a URL.
  ///
  /// - Parameter text: without path, query or user name; a host beyond ASCII as punycode (`xn--…`)
  /// - Throws: ``Refusal``
  package init(_ text: String) throws(Refusal) {
    guard let (schemeText, authority) = Origin.split(text), let scheme = Scheme(rawValue: schemeText.lowercased())
    else { throw Refusal(description: "is not https://HOST or http://localhost") }
    guard !authority.contains(where: { "/?#@\\".contains($0) }) else {
      throw Refusal(description: "has more than a scheme, a host and a port")
    }
    if authority.hasPrefix("[") { throw Refusal(description: "has an IP address for a host, not a domain") }
    let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let host = parts[0].lowercased()
    if let problem = RelyingPartyID.domainProblem(host) { throw Refusal(description: "has a host that \(problem)") }
    var port: UInt16?
    if parts.count == 2 {
      guard !parts[1].isEmpty, parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = UInt16(parts[1])
      else { throw Refusal(description: "has a port that is not a number from 0 to 65535") }
      port = number == scheme.defaultPort ? nil : number
    }
    if scheme == .http, host != "localhost", !host.hasSuffix(".localhost") {
      throw Refusal(description: "is not secure: only https, or http on localhost, may use WebAuthn")
    }
    self.scheme = scheme
    self.host = host
    self.port = port
  }

  private static func split(_ text: String) -> (Substring, Substring)? {
    guard let colon = text.firstIndex(of: ":") else { return nil }
    let rest = text[text.index(after: colon)...]
    guard rest.hasPrefix("//") else { return nil }
    return (text[..<colon], rest.dropFirst(2))
  }

  /// The serialisation of the HTML standard, as it stands in the client data.
  package var description: String {
    scheme.rawValue + "://" + host + (port.map { ":\($0)" } ?? "")
  }
}
