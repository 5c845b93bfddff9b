internal import Glibc
internal import Platform

/// A file that decides who may sign: nobody but root and the daemon's own user may be able to change it.
enum TrustedFile {
  static let largest = 1 << 20
  /// As many as Linux follows.
  private static let mostLinks = 40

  /// Who may be able to change it.
  enum Trust {
    case ownerOnly
    /// Where it decides nothing.
    case anybody
  }

  /// - Returns: the content; nil if there is no such file
  /// - Throws: ``ConfigurationError``
  static func read(_ path: String, _ trust: Trust = .ownerOnly) throws(ConfigurationError) -> [UInt8]? {
    let status: FileStatus
    let content: [UInt8]
    do {
      // Not blocking: opening a FIFO would wait for a writer.
      let file = try Descriptor(opening: path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
      status = try file.status()
      content = status.kind == .regular ? try readAll(file) : []
    } catch {
      if error.code == ENOENT { return nil }
      throw refusal(path, "cannot be read: \(error)", "check the path, and that the daemon's user may read it")
    }
    guard status.kind == .regular else {
      throw refusal(path, "not a regular file", "put the configuration into a file")
    }
    if trust == .ownerOnly {
      try check(status, path)
      try checkFolders(of: path)
    }
    guard content.count <= largest else {
      throw refusal(path, "larger than \(largest) bytes", "split it into files in conf.d, or remove what is not needed")
    }
    return content
  }

  /// The content, or its first ``largest`` + 1 bytes.
  private static func readAll(_ file: borrowing Descriptor) throws(SystemError) -> [UInt8] {
    var content: [UInt8] = []
    while content.count <= largest {
      let part = try file.read(upTo: largest + 1 - content.count)
      if part.isEmpty { break }
      content += part
    }
    return content
  }

  /// The `*.json` files of a directory in byte order of their names, none if there is no directory.
  static func list(_ directory: String, _ trust: Trust = .ownerOnly) throws(ConfigurationError) -> [String] {
    let names: [String]
    let status: FileStatus
    do {
      guard let found = try entries(ofDirectory: directory) else { return [] }
      names = found
      status = try Descriptor(opening: directory, flags: O_RDONLY | O_DIRECTORY).status()
    } catch {
      throw refusal(directory, "cannot be read: \(error)", "check that it is a directory the daemon's user may read")
    }
    if trust == .ownerOnly {
      try check(status, directory)
      try checkFolders(of: directory)
    }
    return names.filter { $0.hasSuffix(".json") && !$0.hasPrefix(".") }.map { "\(directory)/\($0)" }
  }

  private static func check(_ status: FileStatus, _ path: String) throws(ConfigurationError) {
    guard status.isWritableByOthers else { return }
    if status.owner != 0 && status.owner != geteuid() {
      throw refusal(
        path, "belongs to uid \(status.owner), who could change who may sign", "make it root's: chown root '\(path)'")
    }
    throw refusal(path, "can be changed by its group or by everyone", "forbid it: chmod go-w '\(path)'")
  }

  /// Whoever can write a folder on the way can put another file in the place of this one, whomever this one belongs to.
  /// Looked at is every folder in which a name is looked up, those of symbolic links' targets too.
  private static func checkFolders(of path: String) throws(ConfigurationError) {
    var checked: Set<String> = []
    var names = names(of: absolutePath(path) ?? "")
    var folder = ""
    var links = 0
    while let name = names.popLast() {
      if checked.insert(folder).inserted { try checkFolder(folder + "/", above: path) }
      guard name != ".." else {
        folder = String(folder[..<(folder.lastIndex(of: "/") ?? folder.startIndex)])
        continue
      }
      let next = folder + "/" + name
      guard let target = target(ofLink: next) else {
        folder = next
        continue
      }
      links += 1
      guard links <= mostLinks else {
        throw refusal(path, "more than \(mostLinks) symbolic links lead to it", "name the file itself")
      }
      if target.hasPrefix("/") { folder = "" }
      names += TrustedFile.names(of: target)
    }
  }

  /// The last first.
  private static func names(of path: String) -> [String] {
    path.split(separator: "/").reversed().filter { $0 != "." }.map(String.init)
  }

  private static func checkFolder(_ folder: String, above path: String) throws(ConfigurationError) {
    let status: PathStatus
    do {
      status = try PathStatus(of: folder)
    } catch {
      throw refusal(path, "its folder \(folder) cannot be looked at: \(error)", "check the path")
    }
    guard status.isWritableByOthers else { return }
    // Who is outside of our user namespace and owns what is above our files could do worse.
    let isOutside = status.owner == overflowUser && !knowsEveryUser()
    if status.owner != 0 && status.owner != geteuid() && !isOutside {
      throw refusal(
        path, "its folder \(folder) belongs to uid \(status.owner), who could put another file there",
        "make it root's: chown root '\(folder)'")
    }
    // Sticky: nobody takes away there what is another's.
    guard status.permissions & 0o022 != 0, status.permissions & 0o1000 == 0 else { return }
    throw refusal(
      path, "its folder \(folder) can be changed by its group or by everyone, who could put another file there",
      "forbid it: chmod go-w '\(folder)'")
  }

  private static func refusal(_ path: String, _ problem: String, _ advice: String) -> ConfigurationError {
    ConfigurationError(file: path, problem: problem, advice: advice)
  }
}
