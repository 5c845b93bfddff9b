internal import CLinux
internal import Glibc
internal import Platform

/// The open file, the rules of appending to it, and its place in the chain. Used by one thread.
///
/// After any failure the file is closed: the next batch opens it anew, and ends the torn line that it may find. The chain
/// is taken up from the file once, at the start. From then on this knows better, and what somebody has done to the file
/// since shows in it.
struct AuditWriter {
  /// What has become of a batch: its first `durable` lines are on disk, the others are not, because of `failure`.
  struct Outcome {
    var durable: Int
    var failure: SystemError?
  }

  private final class OpenFile {
    let descriptor: Descriptor
    /// Whether the last line has no end. It gets one together with the next record and otherwise stays as it is: a
    /// line that is no record.
    var isTorn: Bool

    init(_ descriptor: consuming Descriptor, isTorn: Bool) {
      self.descriptor = descriptor
      self.isTorn = isTorn
    }
  }

  private static let newline = UInt8(ascii: "\n")

  private let files: LogFiles
  private let mode: UInt32
  private let medium: any AuditMedium
  private let log: Logger
  private var file: OpenFile?
  /// nil until the file has been looked at.
  private var position: ChainPosition?
  /// After a failure: records that may stand in the file although nobody has been told so.
  private var attempted: Set<ChainEnd> = []
  /// Bytes in the file after the last batch; 0 where it is not open.
  private(set) var size: Int64 = 0

  private var path: String { files.path }

  init(path: String, mode: UInt32, medium: any AuditMedium, log: Logger) {
    files = LogFiles(path: path)
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
    size = 0
  }

  /// The last record that is durable, as far as it is known.
  var end: ChainEnd? { position?.end }

  /// Appends records, in order, each linked to the one before it, and makes them durable.
  mutating func append(_ bodies: [[UInt8]]) -> Outcome {
    let first = attempt(bodies)
    guard first.durable == 0, let failure = first.failure, failure.isFromSynchronizing else { return first }
    // What fsync(2) has done where it failed is unknown, and asking again proves nothing: it reports a page once. So
    // the lines, which have been taken back, are written anew to the file opened anew; once.
    return attempt(bodies)
  }

  private mutating func attempt(_ bodies: [[UInt8]]) -> Outcome {
    do throws(SystemError) {
      let file = try opened()
      // Asked each time: logrotate's copytruncate shortens the file under us.
      let start = try file.descriptor.fileSize() ?? 0
      var next = position ?? ChainPosition()
      var ends: [ChainPosition] = []
      let lines = bodies.map { body in
        let line = next.link(body)
        ends.append(next)
        return line
      }
      attempted = Set(ends.map(\.end))
      let (durable, failure) = try write(lines, to: file, from: start)
      if durable > 0 {
        try synchronize(file, orBackTo: start)
        position = ends[durable - 1]
      }
      if failure == nil {
        file.isTorn = false
        attempted = []
      } else {
        close()
      }
      return Outcome(durable: durable, failure: failure)
    } catch {
      close()
      return Outcome(durable: 0, failure: error)
    }
  }

  /// Writes as many whole lines as there is room for, and takes back the part of a line behind them.
  private mutating func write(
    _ lines: [[UInt8]], to file: OpenFile, from start: Int64
  ) throws(SystemError) -> (whole: Int, failure: SystemError?) {
    let ending: [UInt8] = file.isTorn ? [AuditWriter.newline] : []
    var bytes = ending
    bytes.reserveCapacity(lines.reduce(ending.count) { $0 + $1.count })
    for line in lines { bytes += line }
    do throws(SystemError) {
      try medium.write(bytes, to: file.descriptor)
      size = start + Int64(bytes.count)
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
    let tail = try ChainTail.read(descriptor)
    let isTorn = tail?.isTorn ?? false
    try takeUp(tail)
    if isTorn { log.warning("\(path) ends in the middle of a line: it is kept, and ended before the next record") }
    let file = OpenFile(descriptor, isTorn: isTorn)
    self.file = file
    self.size = size
    return file
  }

  /// Where the next record is linked to, by the end of the file that has just been opened.
  private mutating func takeUp(_ tail: ChainTail?) throws(SystemError) {
    guard let known = position else {
      let before = tail?.end == nil ? try positionAfterEarlierFiles() : ChainPosition()
      position = tail.map { before.followed(by: $0, isEnded: true, isOurs: $0.isTorn) } ?? before
      return
    }
    guard let tail else { return }
    // What broke off was ours, also where its end was written and no more.
    let isOurs = tail.isTorn || !attempted.isEmpty
    if let end = tail.end, end == known.end || attempted.contains(end) {
      position = known.followed(by: tail, isEnded: true, isOurs: isOurs)
    } else if tail.end == nil, !attempted.isEmpty {
      // The first record of a new file broke off.
      position = known.followed(by: tail, isEnded: true, isOurs: true)
    } else {
      // Linked to what it was, so that the break is found.
      log.error(
        "\(path) does not end in the record that was written last (\(known.end.sequence)): somebody has changed it, see "
          + "countersign audit verify")
    }
    attempted = []
  }

  /// The file has been moved away and the daemon ended before it began the next one.
  private func positionAfterEarlierFiles() throws(SystemError) -> ChainPosition {
    guard let last = try files.earlier().last else { return ChainPosition() }
    let descriptor = try Descriptor(opening: last, flags: O_RDONLY | O_NOCTTY | O_NONBLOCK)
    guard let tail = try ChainTail.read(descriptor) else { return ChainPosition() }
    return ChainPosition().followed(by: tail, isEnded: false, isOurs: tail.isTorn)
  }

  // MARK: Rotation

  /// Moves the file to the name of its last record, so that the next batch begins another one.
  ///
  /// - Parameter keep: how many moved files to keep; nil for all
  /// - Throws: `SystemError`
  mutating func rotate(keeping keep: Int?) throws(SystemError) {
    guard let end = position?.end else { return }
    let target = files.rotated(at: end.sequence)
    // Nothing is overwritten, whatever stands there.
    try checked("rename to \(target)") { unsafe cs_rename_exclusively(path, target) }
    close()
    try Descriptor.synchronizeFolder(files.folder)
    if let keep { try files.prune(keeping: keep) }
  }

  private func openOrCreate() throws(SystemError) -> Descriptor {
    let flags = O_RDWR | O_APPEND | O_NOCTTY | O_NONBLOCK
    do throws(SystemError) {
      let created = try Descriptor(opening: path, flags: flags | O_CREAT | O_EXCL, mode: 0o600)
      try created.setMode(mode)
      try Descriptor.synchronizeFolder(files.folder)
      return created
    } catch {
      guard error.code == EEXIST else { throw error }
      return try Descriptor(opening: path, flags: flags)
    }
  }
}

extension ChainPosition {
  /// After the end of a file.
  ///
  /// - Parameters:
  ///   - tail: that end
  ///   - isEnded: whether an unfinished line is given its line feed
  ///   - isOurs: whether what stands behind the last record is what a crash has left
  /// - Returns: where the next record is linked to
  fileprivate func followed(by tail: ChainTail, isEnded: Bool, isOurs: Bool) -> ChainPosition {
    let ending: [UInt8] = tail.isTorn && isEnded ? [UInt8(ascii: "\n")] : []
    // Without a record in the file, what stands in it follows the last one of the file before.
    let region = (tail.end == nil ? self.region : []) + tail.region + ending
    let strayCount = tail.strayCount + ending.count
    return ChainPosition(tail.end ?? end, region: region, torn: tail.strayCount > 0 && isOurs ? strayCount : nil)
  }
}

extension SystemError {
  fileprivate static let synchronizing = "fdatasync"

  fileprivate var isFromSynchronizing: Bool { call == SystemError.synchronizing }
}
