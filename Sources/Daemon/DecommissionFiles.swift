internal import Authenticator
internal import Glibc
internal import Platform
internal import WebAuthn

/// The files that a decommissioning leaves in the state folder, and those that it removes.
enum DecommissionFiles {
  static func list(_ stateDirectory: String) -> String { stateDirectory + "/decommission-list.json" }
  static func key(_ stateDirectory: String) -> String { stateDirectory + "/decommission-audit-key.json" }

  /// Durable when this returns.
  ///
  /// - Throws: `SystemError`
  static func save(_ content: JSONValue, at path: String) throws(SystemError) {
    try AtomicFile(path: path, mode: 0o600).commit(content.serialized() + [UInt8(ascii: "\n")])
    try synchronizeFolder(of: path)
  }

  /// - Throws: `SystemError`, but not where it is gone
  static func remove(_ path: String) throws(SystemError) {
    guard unsafe unlink(path) == 0 || errno == ENOENT else { throw SystemError(call: "unlink \(path)", code: errno) }
    try synchronizeFolder(of: path)
  }

  private static func synchronizeFolder(of path: String) throws(SystemError) {
    try Descriptor.synchronizeFolder(String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex)))
  }

  /// What a relying party's operator needs to find a credential there.
  static func entry(_ credential: Credential, aaguid: [UInt8]) -> JSONValue {
    let report = CredentialReport(credential)
    var members: [String: JSONValue] = [
      "id": .string(report.id), "rpIdHash": .string(report.rpIdHash), "userHandle": .string(report.userHandle),
      "createdAt": .string(report.createdAt), "algorithm": .string(report.algorithm),
      "publicKey": .string(report.publicKey), "signatureCounter": .string(report.signatureCounter),
      "aaguid": .string(uuid(aaguid)),
    ]
    for (name, value) in [
      ("rpId", report.rpId), ("rpName", report.rpName), ("userName", report.userName),
      ("userDisplayName", report.userDisplayName), ("label", report.label),
    ] {
      members[name] = value.map { .string($0) }
    }
    return .object(members)
  }

  /// RFC 9562 section 4.
  private static func uuid(_ bytes: [UInt8]) -> String {
    let digits = Array(hexadecimal(bytes))
    guard digits.count == 32 else { return String(digits) }
    return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }.joined(separator: "-")
  }
}
