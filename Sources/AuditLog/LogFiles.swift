internal import Glibc
package import Platform

/// The files of one log: the one that is written, and those that it has been.
package struct LogFiles {
  /// The name under which the log is written.
  package let path: String

  package init(path: String) {
    self.path = path
  }

  var folder: String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }

  private var name: String { path.lastIndex(of: "/").map { String(path[path.index(after: $0)...]) } ?? path }

  /// The name for what has been written up to a record.
  func rotated(at sequence: UInt64) -> String {
    let digits = String(sequence)
    return path + "." + String(repeating: "0", count: max(0, 12 - digits.count)) + digits
  }

  /// Whether this is a name of ``rotated(at:)``: logrotate's are shorter.
  private func isOurs(_ candidate: String) -> Bool {
    let digits = candidate.utf8.dropFirst(name.utf8.count + 1)
    return digits.count >= 12 && digits.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
  }

  /// Everything that has the log's name and more: rotated by the daemon or by logrotate(8). Compressed files are left
  /// out, as they cannot be read.
  private func candidates() throws(SystemError) -> [String] {
    (try entries(ofDirectory: folder) ?? []).filter { candidate in
      (candidate.hasPrefix(name + ".") || candidate.hasPrefix(name + "-"))
        && ![".gz", ".xz", ".zst", ".bz2"].contains(where: candidate.hasSuffix)
    }
  }

  /// The rotated files in the order of their records, whatever their names say.
  ///
  /// - Throws: `SystemError`
  package func earlier() throws(SystemError) -> [String] {
    var found: [(path: String, first: UInt64)] = []
    let prefix = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    for candidate in try candidates() {
      let file = try Descriptor(opening: prefix + candidate, flags: O_RDONLY | O_NOCTTY | O_NONBLOCK)
      guard try file.fileSize() != nil else { continue }
      let start = try file.bytes(at: 0, count: ChainLine.maximumCount)
      guard let line = start.split(separator: UInt8(ascii: "\n"), maxSplits: 1).first,
        let record = ChainLine(Array(line))
      else { continue }
      found.append((prefix + candidate, record.sequence))
    }
    return found.sorted { ($0.first, $0.path) < ($1.first, $1.path) }.map(\.path)
  }

  /// Removes the oldest files that the daemon has rotated itself, all but so many.
  func prune(keeping count: Int) throws(SystemError) {
    let prefix = path.lastIndex(of: "/").map { String(path[...$0]) } ?? ""
    // Their names are numbers of one length, so that the order of the names is theirs.
    for candidate in try candidates().filter(isOurs).dropLast(count) {
      try checked("unlink \(prefix + candidate)") { unsafe unlink(prefix + candidate) }
    }
  }
}
