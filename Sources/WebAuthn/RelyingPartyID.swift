/// The rules for RP IDs that a browser enforces (WebAuthn sections 5.1.3 and 5.1.4.1, HTML section 7.1.1).
package enum RelyingPartyID {
  /// Why an RP ID may not be used from an origin.
  package enum Refusal: Error, Equatable, Sendable, CustomStringConvertible {
    case notADomain(String)
    /// Neither the origin's host nor a domain above it.
    case otherHost(origin: String)
    /// A domain above the origin's host, but one under which anybody can register.
    case publicSuffix

    package var description: String {
      switch self {
      case .notADomain(let problem): problem
      case .otherHost(let origin): "is neither the host of the origin \(origin) nor a domain above it"
      case .publicSuffix: "is a public suffix, under which strangers can register"
      }
    }
  }

  /// Checks that a page of `origin` may claim `relyingPartyID`: its host, or a domain above it that is no public
  /// suffix. IP addresses are refused altogether, as WebAuthn demands; ports play no part.
  ///
  /// - Throws: ``Refusal``
  package static func check(_ relyingPartyID: String, isAllowedFor origin: Origin) throws(Refusal) {
    if let problem = domainProblem(relyingPartyID) { throw .notADomain(problem) }
    if relyingPartyID == origin.host { return }
    guard origin.host.hasSuffix("." + relyingPartyID) else { throw .otherHost(origin: origin.description) }
    guard !PublicSuffixList.shared.isPublicSuffix(relyingPartyID) else { throw .publicSuffix }
  }

  /// Why `text` is not a domain of letters, digits and hyphens in lower case; nil where it is one.
  package static func domainProblem(_ text: String) -> String? {
    let bytes = [UInt8](text.utf8)
    if bytes.isEmpty { return "is empty" }
    if bytes.count > 253 { return "is longer than 253 characters" }
    if bytes.contains(where: { $0 >= 0x80 }) { return "is not ASCII; write it as punycode (xn--...)" }
    if bytes.contains(where: { (0x41...0x5a).contains($0) }) { return "has capital letters" }
    if bytes.contains(0x3a) { return "is an IP address or has a port, and not a domain" }
    let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    for label in labels {
      if label.isEmpty { return "has an empty label" }
      if label.count > 63 { return "has a label longer than 63 characters" }
      if label.first == UInt8(ascii: "-") || label.last == UInt8(ascii: "-") {
        return "has a label that begins or ends with a hyphen"
      }
      guard label.allSatisfy(isLetterDigitHyphen) else {
        return "has characters other than letters, digits, hyphens and dots"
      }
    }
    if let last = labels.last, isNumber(last) { return "is an IP address, and not a domain" }
    return nil
  }

  private static func isLetterDigitHyphen(_ byte: UInt8) -> Bool {
    (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) || byte == UInt8(ascii: "-")
  }

  /// "Ends in a number" of the URL standard: such hosts are IPv4 addresses or errors.
  private static func isNumber(_ label: ArraySlice<UInt8>) -> Bool {
    if label.allSatisfy({ (0x30...0x39).contains($0) }) { return true }
    guard label.starts(with: "0x".utf8) else { return false }
    return label.dropFirst(2).allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
  }
}
