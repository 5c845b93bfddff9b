internal import CLinux
internal import Glibc

/// Why a socket cannot be listened on; each description says what to do.
package enum ListenerError: Error, Equatable, Sendable, CustomStringConvertible {
  case folderMissing(path: String, folder: String)
  case inUse(path: String)
  case notASocket(path: String)
  case notListening(name: String)
  case notAMember(path: String, group: UInt32)
  case tooLong(path: String)
  case system(path: String, SystemError)

  package var description: String {
    switch self {
    case .folderMissing(let path, let folder):
      "socket \(path): folder \(folder) does not exist: create it (RuntimeDirectory= in the unit) or choose another --socket"
    case .inUse(let path):
      "socket \(path): another process listens there: stop it or choose another --socket"
    case .notASocket(let path):
      "socket \(path): a file that is no socket is in the way: remove it or choose another --socket"
    case .notListening(let name):
      "passed descriptor \(name) is no listening Unix stream socket: use ListenStream= with a path in the socket unit"
    case .notAMember(let path, let group):
      "socket \(path): this process may give it only to a group that it is a member of, and is no member of group "
        + "\(group): add SupplementaryGroups= to the unit, or take adminGroup out of the configuration"
    case .tooLong(let path):
      "socket \(path): its path has \(path.utf8.count) bytes, a socket's has at most \(UnixSocket.longestPath): choose "
        + "one in a folder with a shorter name"
    case .system(let path, let error):
      "socket \(path): \(error)"
    }
  }
}

/// A listening socket: our own, whose file is removed at the end of its life unless something else has taken its
/// place, or one that systemd passed.
package struct Listener: ~Copyable, Sendable {
  private struct FileIdentity: Equatable {
    let device: UInt64
    let inode: UInt64
  }

  /// The path, or the name of the passed descriptor.
  package let name: String
  let descriptor: Descriptor
  private let file: FileIdentity?
  /// A symbolic link to the path.
  private let link: String?

  /// Binds a path of our own. A socket there that nobody listens on any more is replaced; one that is alive never.
  ///
  /// - Parameters:
  ///   - kind: what its connections carry
  ///   - path: the socket's file; `@name` is the abstract namespace, which has no permissions: for tests only
  ///   - mode: permissions of the file
  ///   - group: whose the file is to be; nil for this process's own
  ///   - link: where a symbolic link to it is put besides, and removed with it; nil for none
  /// - Throws: ``ListenerError``
  package init(
    _ kind: UnixSocket.Kind = .stream, path: String, mode: UInt32, group: UInt32? = nil, link: String? = nil
  ) throws(ListenerError) {
    let isAbstract = path.hasPrefix("@")
    if !isAbstract { try Self.clear(path) }
    let socket: Descriptor
    do throws(SystemError) {
      socket = try UnixSocket.listen(at: path, kind: kind, mode: mode, group: group)
    } catch {
      if let group, error.call == "chown", error.code == EPERM { throw .notAMember(path: path, group: group) }
      throw Self.explanation(error, path)
    }
    if let link {
      do throws(SystemError) {
        try replaceWithLink(at: link, to: path)
      } catch {
        unsafe _ = unlink(path)
        throw .system(path: link, error)
      }
    }
    name = path
    descriptor = socket
    file = isAbstract ? nil : Self.identity(of: path)
    self.link = link
  }

  /// Takes a passed descriptor, which must be a listening Unix stream socket.
  ///
  /// - Parameters:
  ///   - name: for messages, as in LISTEN_FDNAMES
  ///   - descriptor: becomes non-blocking and close-on-exec
  /// - Throws: ``ListenerError``
  package init(name: String, passed descriptor: consuming Descriptor) throws(ListenerError) {
    let raw = descriptor.raw
    let isListening = try Self.explained(name) { () throws(SystemError) in
      try checked("getsockopt") { cs_is_listening_unix_stream(raw) }
    }
    guard isListening == 1 else { throw .notListening(name: name) }
    do {
      try descriptor.setNonblockingAndCloseOnExec()
    } catch {
      throw .system(path: name, error)
    }
    self.name = name
    self.descriptor = descriptor
    file = nil
    link = nil
  }

  /// For tests of what cannot be accepted on.
  init(unchecked descriptor: consuming Descriptor) {
    name = "unchecked"
    self.descriptor = descriptor
    file = nil
    link = nil
  }

  deinit {
    guard let file, Self.identity(of: name) == file else { return }
    // Another process may have put its own there.
    if let link, target(ofLink: link) == name { unsafe _ = unlink(link) }
    unsafe _ = unlink(name)
  }

  /// The same socket, to be taken as one that was passed; its file stays for as long as this lives.
  ///
  /// - Parameter name: as in LISTEN_FDNAMES
  /// - Returns: another descriptor of it
  /// - Throws: ``SystemError``
  package borrowing func passed(as name: String) throws(SystemError) -> PassedDescriptor {
    PassedDescriptor(name: name, descriptor: try descriptor.duplicate())
  }

  /// Makes room for a new socket at `path`, or says why not.
  private static func clear(_ path: String) throws(ListenerError) {
    var status = stat()
    if unsafe lstat(path, &status) != 0 {
      let code = errno
      let folder = self.folder(of: path)
      if code == ENOENT, unsafe stat(folder, &status) != 0 { throw .folderMissing(path: path, folder: folder) }
      if code == ENOENT { return }
      throw .system(path: path, SystemError(call: "lstat", code: code))
    }
    guard status.st_mode & S_IFMT == S_IFSOCK else { throw .notASocket(path: path) }
    let isAlive = try explained(path) { () throws(SystemError) in try UnixSocket.isListening(at: path) }
    if isAlive { throw .inUse(path: path) }
    guard unsafe unlink(path) == 0 || errno == ENOENT else {
      throw .system(path: path, SystemError(call: "unlink", code: errno))
    }
  }

  private static func explained<Value: ~Copyable>(
    _ path: String, _ body: () throws(SystemError) -> Value
  ) throws(ListenerError) -> Value {
    do {
      return try body()
    } catch {
      throw explanation(error, path)
    }
  }

  private static func explanation(_ error: SystemError, _ path: String) -> ListenerError {
    switch error.code {
    // Somebody was faster, or an abstract name is taken.
    case EADDRINUSE: .inUse(path: path)
    case ENAMETOOLONG where path.utf8.count > UnixSocket.longestPath: .tooLong(path: path)
    default: .system(path: path, error)
    }
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private static func identity(of path: String) -> FileIdentity? {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return nil }
    return FileIdentity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }
}
