internal import AuditLog
internal import Platform

/// The files of an audit log, read line by line.
struct AuditInput {
  static let defaultPath = "/var/log/countersign/audit.jsonl"

  let context: CommandContext
  /// In the order of their records.
  let paths: [String]
  private let isStandardInput: Bool

  /// - Parameters:
  ///   - context: names the files, or none
  ///   - path: of the log where it names none
  ///   - isKnown: whether the daemon says that there is one; where it is gone, nothing is read then, which is what whoever
  ///     reads has to judge
  /// - Throws: ``CommandFailure``
  init(_ context: CommandContext, otherwise path: String, isKnown: Bool = false) throws(CommandFailure) {
    self.context = context
    let given = context.arguments.files
    isStandardInput = given == ["-"]
    if isStandardInput {
      paths = ["standard input"]
    } else if given.isEmpty {
      do {
        paths = try context.console.logFiles(path)
      } catch {
        throw context.fail(.failure, "the files beside \(quoted(path)) cannot be read (\(error))", "ask as root")
      }
      guard isKnown || !paths.isEmpty else {
        throw context.fail(.failure, "there is no \(quoted(path))", "name the files, or start the daemon")
      }
    } else {
      var found: [(path: String, first: UInt64)] = []
      for path in given {
        guard path != "-" else { throw .usage("standard input is one of several files", "name files, or - alone") }
        found.append((path, try AuditInput.firstSequence(context, path)))
      }
      paths = found.enumerated().sorted { ($0.element.first, $0.offset) < ($1.element.first, $1.offset) }
        .map(\.element.path)
    }
  }

  /// - Parameters:
  ///   - begin: told which file comes
  ///   - line: given each without its line feed, and whether it had one
  ///   - after: told how many bytes have been read, from time to time
  /// - Throws: ``CommandFailure``
  func forEachLine(
    begin: (_ file: Int) throws(CommandFailure) -> Void, line: (_ bytes: [UInt8], _ hasEnd: Bool) -> Void,
    after: (_ bytes: Int) throws(CommandFailure) -> Void
  ) throws(CommandFailure) {
    for (index, path) in paths.enumerated() {
      try begin(index)
      let read = try AuditInput.read(context, isStandardInput ? nil : path)
      var splitter = LineSplitter()
      while case let piece = try read(), !piece.isEmpty {
        splitter.take(piece) { line($0, true) }
        try after(piece.count)
      }
      if let rest = splitter.finish() { line(rest, false) }
      try after(0)
    }
  }

  /// 0 where the file does not begin with a record.
  private static func firstSequence(_ context: CommandContext, _ path: String) throws(CommandFailure) -> UInt64 {
    let read = try read(context, path)
    var start: [UInt8] = []
    while start.count <= ChainLine.maximumCount, !start.contains(UInt8(ascii: "\n")), case let piece = try read(),
      !piece.isEmpty
    {
      start += piece
    }
    return ChainLine(Array(start.prefix { $0 != UInt8(ascii: "\n") }))?.sequence ?? 0
  }

  private static func read(
    _ context: CommandContext, _ path: String?
  ) throws(CommandFailure) -> () throws(CommandFailure) -> [UInt8] {
    let name = path.map { quoted($0) } ?? "standard input"
    func failure(_ error: SystemError) -> CommandFailure {
      context.fail(.failure, "\(name) cannot be read (\(error))", "check the name, or ask as root")
    }
    let read: () throws(SystemError) -> [UInt8]
    do {
      read = try context.console.openInput(path)
    } catch {
      throw failure(error)
    }
    return { () throws(CommandFailure) in
      do throws(SystemError) {
        return try read()
      } catch {
        throw failure(error)
      }
    }
  }
}
