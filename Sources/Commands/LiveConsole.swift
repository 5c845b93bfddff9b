internal import Client
internal import Glibc
internal import Platform

extension Console {
  /// The process's own standard streams, files, environment and sockets.
  package static func live() -> Console {
    Console(
      environment: ["COUNTERSIGN_SOCKET"].reduce(into: [:]) { $0[$1] = environmentVariable($1) },
      readInput: { limit throws(SystemError) in try readDescriptor(0, limit: limit) },
      readFile: { path, limit throws(SystemError) in
        let file = try Descriptor(opening: path, flags: O_RDONLY)
        return try readDescriptor(file.raw, limit: limit)
      },
      writeOutput: { bytes throws(SystemError) in try writeDescriptor(1, bytes) },
      writeError: { bytes in try? writeDescriptor(2, bytes) },
      openOutput: { path throws(SystemError) in
        let file = try AtomicFile(path: path)
        return { bytes throws(SystemError) in try file.commit(bytes) }
      },
      connect: { path, deadline throws(ClientError) in try SocketConnection(path: path, until: deadline) })
  }

  private static func environmentVariable(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
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
