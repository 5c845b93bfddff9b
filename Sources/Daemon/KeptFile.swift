internal import Attestation
internal import Glibc
internal import Platform
internal import WebAuthn

/// A JSON file of the daemon's own beside the credentials. It holds no secret: only the TPM makes use of what is in it.
struct KeptFile {
  /// The longest: a key with two paths of four certificates, or some hundred approvals.
  private static let maximumSize = 1 << 17

  let path: String

  /// What is in it.
  ///
  /// - Parameters:
  ///   - what: for the operator, e.g. `attestation record`
  ///   - decode: reads it
  /// - Returns: nil where there is no file
  /// - Throws: ``EnrolmentRefusal`` where it cannot be read: going on without would forget what was in it
  func load<Content>(_ what: String, _ decode: (JSONCursor) throws -> Content) throws(EnrolmentRefusal) -> Content? {
    let bytes: [UInt8]
    do throws(SystemError) {
      let file = try Descriptor(opening: path, flags: O_RDONLY)
      var content: [UInt8] = []
      while content.count <= KeptFile.maximumSize {
        let part = try file.read(upTo: 65_536)
        if part.isEmpty { break }
        content += part
      }
      bytes = content
    } catch {
      if error.code == ENOENT { return nil }
      throw EnrolmentRefusal("\(path) cannot be read: \(error)")
    }
    do {
      guard bytes.count <= KeptFile.maximumSize else { throw EnrolmentRefusal("it is too long") }
      return try decode(JSONCursor(try JSONValue.parse(bytes)))
    } catch {
      throw EnrolmentRefusal(
        "\(path) is no \(what) of this version (\(error)): restore it, or move it away to begin anew")
    }
  }

  /// Replaces it; durable when this returns.
  ///
  /// - Throws: ``EnrolmentRefusal``
  func save(_ content: JSONValue) throws(EnrolmentRefusal) {
    do {
      let file = try AtomicFile(path: path)
      try file.commit(content.serialized() + [UInt8(ascii: "\n")])
      try Descriptor.synchronizeFolder(String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex)))
    } catch {
      throw EnrolmentRefusal("\(path) cannot be written: \(error)")
    }
  }
}
