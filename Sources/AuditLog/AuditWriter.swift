internal import Glibc
internal import Platform

/// The open file and the rules of appending to it. Used by one thread.
///
/// After any failure the file is closed: the next batch opens it anew, and ends the torn line that it may find.
struct AuditWriter {
  /// What has become of a batch: its first `durable` lines are on disk, the others are not, because of `failure`.
  struct Outcome {
    var durable: Int
    var failure: SystemError?
  }

  private final class OpenFile {
    let descriptor: Descriptor
    /// Whether the last line has no end. It gets one together with the next record and otherwise stays as it is: a
    /// line that is no JSON object.
    var isTorn: Bool

    init(_ descriptor: consuming Descriptor, isTorn: Bool) {
      self.descriptor = descriptor
      self.isTorn = isTorn
    }
  }

  private static let newline = UInt8(ascii: "\n")

  private let path: String
  private let mode: UInt32
  private let medium: any AuditMedium
  private let log: Logger
  private var file: OpenFile?

  init(path: String, mode: UInt32, medium: any AuditMedium, log: Logger) {
    self.path = path
    self.mode = mode
    self.medium = medium
    self.log = log
  }

  /// Opens the file where it is not open.
  mutating func open() throws(SystemError) {
    _ = try opened()
  }

  /// Lets the next batch open whatever then has the file's name.
  mutating func close() {
    file = nil
  }

  /// Appends lines, in order, and makes them durable.
  mutating func append(_ lines: [[UInt8]]) -> Outcome {
    let first = attempt(lines)
    guard first.durable == 0, let failure = first.failure, failure.isFromSynchronizing else { return first }
    // What fsync(2) has done where it failed is unknown, and asking again proves nothing: it reports a page once. So
    // the lines, which have been taken back, are written anew to the file opened anew; once.
    return attempt(lines)
  }

  private mutating func attempt(_ lines: [[UInt8]]) -> Outcome {
    do throws(SystemError) {
      let file = try opened()
      // Asked each time: logrotate's copytruncate shortens the file under us.
      let start = try file.descriptor.fileSize() ?? 0
      let (durable, failure) = try write(lines, to: file, from: start)
      if durable > 0 { try synchronize(file, orBackTo: start) }
      if failure == nil { file.isTorn = false } else { close() }
      return Outcome(durable: durable, failure: failure)
    } catch {
      close()
      return Outcome(durable: 0, failure: error)
    }
  }

  /// Writes as many whole lines as there is room for, and takes back the part of a line behind them.
  private func write(
    _ lines: [[UInt8]], to file: OpenFile, from start: Int64
  ) throws(SystemError) -> (whole: Int, failure: SystemError?) {
    let ending: [UInt8] = file.isTorn ? [AuditWriter.newline] : []
    do throws(SystemError) {
      try medium.write(ending + lines.joined(), to: file.descriptor)
      return (lines.count, nil)
    } catch {
      let written = (try file.descriptor.fileSize() ?? start) - start
      var kept = Int64(ending.count)
      var whole = 0
      while whole < lines.count, kept + Int64(lines[whole].count) <= written {
        kept += Int64(lines[whole].count)
        whole += 1
      }
      try medium.truncate(file.descriptor, to: whole > 0 ? start + kept : start)
      return (whole, error)
    }
  }

  private func synchronize(_ file: OpenFile, orBackTo start: Int64) throws(SystemError) {
    do throws(SystemError) {
      try medium.synchronize(file.descriptor)
    } catch {
      // Where this fails too, the lines may stand twice; their tickets tell what counts.
      try? medium.truncate(file.descriptor, to: start)
      throw SystemError(call: SystemError.synchronizing, code: error.code)
    }
  }

  private mutating func opened() throws(SystemError) -> OpenFile {
    if let file { return file }
    let descriptor = try openOrCreate()
    guard let size = try descriptor.fileSize() else {
      throw SystemError(call: "open (no regular file)", code: EINVAL)
    }
    let isTorn = size > 0 ? try descriptor.byte(at: size - 1) != AuditWriter.newline : false
    if isTorn { log.warning("\(path) ends in the middle of a line: it is kept, and ended before the next record") }
    let file = OpenFile(descriptor, isTorn: isTorn)
    self.file = file
    return file
  }

  private func openOrCreate() throws(SystemError) -> Descriptor {
    let flags = O_RDWR | O_APPEND | O_NOCTTY | O_NONBLOCK
    do throws(SystemError) {
      let created = try Descriptor(opening: path, flags: flags | O_CREAT | O_EXCL, mode: 0o600)
      try created.setMode(mode)
      try Descriptor.synchronizeFolder(folder)
      return created
    } catch {
      guard error.code == EEXIST else { throw error }
      return try Descriptor(opening: path, flags: flags)
    }
  }

  private var folder: String {
    guard let slash = path.lastIndex(of: "/") else { return "." }
    return slash == path.startIndex ? "/" : String(path[..<slash])
  }
}

extension SystemError {
  fileprivate static let synchronizing = "fdatasync"

  fileprivate var isFromSynchronizing: Bool { call == SystemError.synchronizing }
}
