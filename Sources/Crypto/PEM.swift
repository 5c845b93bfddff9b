/// Textual encodings (RFC 7468) of certificates, lists and keys that are no secret.
package enum PEM {
  package static let certificate = "CERTIFICATE"
  package static let publicKey = "PUBLIC KEY"
  package static let revocationList = "X509 CRL"

  /// Every block of one label in any bytes; what stands between blocks is explanatory text.
  ///
  /// - Parameters:
  ///   - bytes: of the file
  ///   - label: e.g. `CERTIFICATE`; other blocks are passed over
  /// - Returns: nil where a block does not end, or is not base64
  package static func decode(_ bytes: [UInt8], label: String) -> [[UInt8]]? {
    var blocks: [[UInt8]] = []
    // The label of the block that is open, and its text so far.
    var block: (label: [UInt8], text: [UInt8])?
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      let line = Array(line.last == UInt8(ascii: "\r") ? line.dropLast() : line)
      if let name = boundary(line, "-----BEGIN ") {
        guard block == nil else { return nil }
        block = (name, [])
      } else if let name = boundary(line, "-----END ") {
        guard let (opened, text) = block, opened == name else { return nil }
        if opened == Array(label.utf8) {
          guard let content = Base64.decode(text) else { return nil }
          blocks.append(content)
        }
        block = nil
      } else {
        block?.text += line
      }
    }
    return block == nil ? blocks : nil
  }

  private static func boundary(_ line: [UInt8], _ beginning: String) -> [UInt8]? {
    guard line.starts(with: beginning.utf8), line.suffix(5).elementsEqual("-----".utf8),
      line.count > beginning.utf8.count + 5
    else { return nil }
    return Array(line.dropFirst(beginning.utf8.count).dropLast(5))
  }

  package static func encode(_ content: [UInt8], label: String) -> String {
    var text = "-----BEGIN \(label)-----\n"
    var rest = Array(Base64.encode(content).utf8)[...]
    while !rest.isEmpty {
      text += String(decoding: rest.prefix(64), as: UTF8.self) + "\n"
      rest = rest.dropFirst(64)
    }
    return text + "-----END \(label)-----\n"
  }
}

/// Base64 with padding (RFC 4648 section 4).
package enum Base64 {
  private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  package static func encode(_ bytes: [UInt8]) -> String {
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let value = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
      for place in 0..<4 {
        let digit = alphabet[Int(value >> UInt32(18 - 6 * place) & 0x3f)]
        text.append(place <= group.count ? digit : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// - Returns: nil for every text that ``encode(_:)`` does not write
  package static func decode(_ text: [UInt8]) -> [UInt8]? {
    var bytes: [UInt8] = []
    var value: UInt32 = 0
    var bits = 0
    for character in text.prefix(while: { $0 != UInt8(ascii: "=") }) {
      guard let digit = alphabet.firstIndex(of: character) else { return nil }
      value = (value << 6 | UInt32(digit)) & 0xffff
      bits += 6
      if bits >= 8 {
        bits -= 8
        bytes.append(UInt8(truncatingIfNeeded: value >> UInt32(bits)))
      }
    }
    return Array(encode(bytes).utf8) == text ? bytes : nil
  }
}
