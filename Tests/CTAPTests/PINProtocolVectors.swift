import CTAP
import FoundationEssentials
import Secrets
import TestSupport

@testable import Crypto

/// The files in `Vectors`.
enum PINProtocolVectors {
  /// A named line of `pin-protocols.txt`.
  static func named(_ name: String) throws -> [UInt8] {
    for line in try lines("pin-protocols") where line.hasPrefix("\(name) = ") {
      return [UInt8](hex: String(line.dropFirst(name.count + 3)))
    }
    throw Unknown(name: name)
  }

  static func lines(_ file: String) throws -> [Substring] {
    let path = #filePath.replacing("PINProtocolVectors.swift", with: "Vectors/\(file).txt")
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").filter { !$0.hasPrefix("#") }
  }

  static func secret(_ name: String) throws -> SecretBytes {
    try made(of: named(name))
  }

  static func made(of bytes: [UInt8]) throws -> SecretBytes {
    try SecretBytes(count: bytes.count) { span in
      for index in bytes.indices { span[index] = bytes[index] }
    }
  }

  static func revealed(_ secret: borrowing SecretBytes) -> [UInt8] {
    secret.reveal { span in span.indices.map { span[$0] } }
  }

  static func point(_ name: String) throws -> KeyAgreementPoint {
    guard let point = KeyAgreementPoint(x: try named("\(name).x"), y: try named("\(name).y")) else {
      throw Unknown(name: name)
    }
    return point
  }

  /// The shared secret of one side, named with its private key and the other's point.
  static func shared(_ version: PINUVAuthProtocol, _ own: String, _ peer: String) throws -> PINUVSharedSecret {
    let key = try KeyAgreementKey(privateKey: try secret("\(own).private"))
    return try PINUVSharedSecret(version, own: key, peer: try point(peer))
  }

  struct Unknown: Error {
    let name: String
  }
}
