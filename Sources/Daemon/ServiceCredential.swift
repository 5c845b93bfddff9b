internal import Glibc
internal import Platform
internal import Secrets

/// Secrets that the operator hands over: files in CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=), never the
/// environment, the command line or the configuration.
enum ServiceCredential {
  /// A secret is short; more is somebody else's file.
  private static let maximum = 4096

  /// - Parameters:
  ///   - name: of the credential
  ///   - directory: where they are; nil where the service manager hands none over
  /// - Returns: its bytes, without a line end; nil where there is none or it is empty
  /// - Throws: `SystemError`, `SecretMemoryError`
  static func read(
    _ name: String, in directory: String? = ServiceManager.environment("CREDENTIALS_DIRECTORY")
  ) throws -> SecretBytes? {
    guard let directory else { return nil }
    let path = "\(directory)/\(name)"
    guard unsafe access(path, F_OK) == 0 else { return nil }
    let file = try Descriptor(opening: path, flags: O_RDONLY)
    let raw = file.raw
    var length = 0
    let buffer = try SecretBytes(count: maximum) { span in
      length = try readToEnd(of: raw, into: &span)
      // Before line ends are taken off: a longer file must not be cut short silently.
      if length == maximum { throw SystemError(call: "credential \(name)", code: EFBIG) }
      while length > 0, span[length - 1] == 0x0a || span[length - 1] == 0x0d { length -= 1 }
    }
    guard length > 0 else { return nil }
    return try SecretBytes(count: length) { span in
      buffer.reveal { whole in for index in 0..<whole.count where index < length { span[index] = whole[index] } }
    }
  }
}
