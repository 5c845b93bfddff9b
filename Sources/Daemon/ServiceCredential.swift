internal import Glibc
internal import Platform
internal import Secrets

/// Why a secret that the operator hands over cannot be had, and what to do.
struct ServiceCredentialError: Error, Equatable, CustomStringConvertible {
  let name: String
  let path: String
  let problem: SystemError

  var description: String {
    "credential \(name) (\(path)): \(problem): have LoadCredential= or LoadCredentialEncrypted= name a file with the "
      + "secret and nothing else; see CREDENTIALS in countersignd(8)"
  }
}

/// Secrets that the operator hands over: files in CREDENTIALS_DIRECTORY (systemd.exec(5), LoadCredential=), never the
/// environment, the command line or the configuration.
enum ServiceCredential {
  /// A secret is short; more is somebody else's file.
  private static let maximum = 4096

  /// - Parameters:
  ///   - name: of the credential
  ///   - directory: where they are; nil where the service manager hands none over
  /// - Returns: its bytes, without a line end; nil where there is none or it is empty
  /// - Throws: ``ServiceCredentialError``, `SecretMemoryError`
  static func read(
    _ name: String, in directory: String? = ServiceManager.environment("CREDENTIALS_DIRECTORY")
  ) throws -> SecretBytes? {
    guard let directory else { return nil }
    let path = "\(directory)/\(name)"
    do {
      return try read(name, path)
    } catch let error as SystemError {
      if error.code == ENOENT { return nil }
      throw ServiceCredentialError(name: name, path: path, problem: error)
    }
  }

  private static func read(_ name: String, _ path: String) throws -> SecretBytes? {
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
