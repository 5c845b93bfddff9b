/// What is said of a job: a map of texts, all of them from one source.
package struct Claims: Equatable, Sendable {
  package let values: [String: String]
  /// Whose signed token they come from; nil where whoever made the grant asserted them.
  package let issuer: String?

  package init(_ values: [String: String] = [:], issuer: String? = nil) {
    self.values = values
    self.issuer = issuer
  }
}

/// What a rule requires of one claim: `*` stands for any characters but `/`, `**` for any at all.
package struct ClaimPattern: Hashable, Sendable {
  /// Bytes of the longest pattern.
  package static let maximumLength = 512

  private enum Part: Hashable {
    case byte(UInt8)
    case withinSegment
    case anything
  }

  package let text: String
  private let parts: [Part]

  package init(_ text: String) {
    self.text = text
    var parts: [Part] = []
    for byte in text.utf8 {
      if byte != UInt8(ascii: "*") {
        parts.append(.byte(byte))
      } else if parts.last == .withinSegment || parts.last == .anything {
        parts[parts.count - 1] = .anything
      } else {
        parts.append(.withinSegment)
      }
    }
    self.parts = parts
  }

  /// In a time that the product of both lengths bounds, whatever stands in them.
  func matches(_ value: String) -> Bool {
    // Which beginnings of the pattern match what has been read of the value.
    var reached = [Bool](repeating: false, count: parts.count + 1)
    reached[0] = true
    skipStars(&reached)
    for byte in value.utf8 {
      var next = [Bool](repeating: false, count: parts.count + 1)
      for (index, part) in parts.enumerated() where reached[index] {
        switch part {
        case .byte(byte): next[index + 1] = true
        case .byte: break
        case .withinSegment: if byte != UInt8(ascii: "/") { next[index] = true }
        case .anything: next[index] = true
        }
      }
      skipStars(&next)
      reached = next
    }
    return reached[parts.count]
  }

  /// A star may stand for nothing.
  private func skipStars(_ reached: inout [Bool]) {
    for (index, part) in parts.enumerated() where reached[index] {
      if case .byte = part { continue }
      reached[index + 1] = true
    }
  }
}
