internal import AuditLog
internal import CTerminal
internal import Client
internal import Glibc
internal import Platform
internal import Secrets

private final class OpenInput {
  let descriptor: Descriptor

  init(_ descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }
}

extension Console {
  /// The process's own standard streams, files, environment and sockets.
  package static func live() -> Console {
    var console = Console(
      environment: ["COUNTERSIGN_SOCKET", "CREDENTIALS_DIRECTORY", "SUDO_UID"].reduce(into: [:]) {
        $0[$1] = environmentVariable($1)
      },
      readInput: { limit throws(SystemError) in try readDescriptor(0, limit: limit) },
      readFile: { path, limit throws(SystemError) in
        let file = try Descriptor(opening: path, flags: O_RDONLY)
        return try readDescriptor(file.raw, limit: limit)
      },
      isInteractive: { isatty(0) == 1 }, ask: ask, askSecret: askSecret,
      readSecret: { path in
        guard let path else { return try SecretFile.read(0) }
        let file = try Descriptor(opening: path, flags: O_RDONLY | O_NOCTTY)
        return try SecretFile.read(file.raw)
      },
      writeOutput: { bytes throws(SystemError) in try writeDescriptor(1, bytes) },
      writeError: { bytes in try? writeDescriptor(2, bytes) },
      openOutput: { path throws(SystemError) in
        let file = try AtomicFile(path: path)
        return { bytes throws(SystemError) in try file.commit(bytes) }
      },
      openInput: { path throws(SystemError) in
        let file =
          if let path {
            OpenInput(try Descriptor(opening: path, flags: O_RDONLY | O_NOCTTY))
          } else {
            OpenInput(Descriptor(owning: try checked("dup") { fcntl(0, F_DUPFD_CLOEXEC, 0) }))
          }
        return { () throws(SystemError) in try file.descriptor.read(upTo: 1 << 18) }
      },
      logFiles: { path throws(SystemError) in
        let current = unsafe access(path, F_OK) == 0 ? [path] : []
        return try LogFiles(path: path).earlier() + current
      },
      showsProgress: { isatty(2) == 1 },
      replaceFile: { path, bytes, mode throws(SystemError) in try AtomicFile(path: path, mode: mode).commit(bytes) },
      makeFolder: { path throws(SystemError) in
        guard unsafe mkdir(path, 0o700) != 0 else { return }
        guard errno == EEXIST else { throw SystemError(call: "mkdir \(path)", code: errno) }
      },
      listFolder: { path throws(SystemError) in try entries(ofDirectory: path) },
      lock: { path throws(SystemError) in try FileLock(path) }, unixSeconds: { SystemTime().unixMilliseconds / 1000 },
      connect: { path, deadline throws(ClientError) in try SocketConnection(path: path, until: deadline) },
      machine: .live())
    console.user = getuid()
    console.handOver = handOver
    return console
  }

  /// Holds a file's lock until it has gone.
  private final class FileLock {
    private let descriptor: Descriptor

    init?(_ path: String) throws(SystemError) {
      descriptor = try Descriptor(opening: path, flags: O_RDWR | O_CREAT)
      guard try descriptor.lock() else { return nil }
    }
  }

  /// Beside this program, where it was built, or where `make install` puts what is no command of its own.
  private static func handOver(_ program: String, _ arguments: [String]) -> SystemError {
    let folder = OwnProgram.folder ?? ""
    var error = SystemError(call: "execv \(program)", code: ENOENT)
    for path in ["\(folder)/\(program)", "\(folder)/../libexec/countersign/\(program)"] {
      var words = unsafe arguments.map { unsafe strdup($0) }
      unsafe words.append(nil)
      unsafe execv(path, words)
      error = SystemError(call: "execv \(program)", code: errno)
      unsafe words.forEach { unsafe free($0) }
      if error.code != ENOENT { break }
    }
    return error
  }

  private static func environmentVariable(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  private static func ask(_ prompt: String) throws(SystemError) -> String {
    let terminal = try Descriptor(opening: "/dev/tty", flags: O_RDWR | O_NOCTTY)
    try terminal.write([UInt8](prompt.utf8))
    let line = try terminal.read(upTo: 1024)
    return String(decoding: line.last == UInt8(ascii: "\n") ? line.dropLast() : line[...], as: UTF8.self)
  }

  private static func askSecret(_ prompt: String) throws -> SecretText? {
    var count = 0
    let room = try SecretBytes(count: SecretFile.largest) { room in
      count = try checked("/dev/tty") {
        unsafe room.withUnsafeMutableBufferPointer { room in
          unsafe cs_read_secret_line(prompt, room.baseAddress, room.count)
        }
      }
      guard count <= room.count else { throw SystemError(call: "/dev/tty", code: EMSGSIZE) }
    }
    return count > 0 ? SecretText(try SecretFile.beginning(of: room, count)) : nil
  }

  /// Borrows a descriptor that somebody else closes.
  private static func readDescriptor(_ number: Int32, limit: Int) throws(SystemError) -> [UInt8] {
    let descriptor = Descriptor(owning: try checked("dup") { fcntl(number, F_DUPFD_CLOEXEC, 0) })
    var bytes: [UInt8] = []
    while bytes.count < limit {
      let part = try descriptor.read(upTo: min(limit - bytes.count, 65_536))
      if part.isEmpty { break }
      bytes += part
    }
    return bytes
  }

  private static func writeDescriptor(_ number: Int32, _ bytes: [UInt8]) throws(SystemError) {
    let descriptor = Descriptor(owning: try checked("dup") { fcntl(number, F_DUPFD_CLOEXEC, 0) })
    try descriptor.write(bytes)
  }
}
