internal import Glibc
internal import Platform

/// What the end of a log proves, before a daemon takes it up: the TPM's anchor is told from the last signature, so that
/// a log that others have put there while no daemon ran is not signed as if it had been written.
package struct LogTail {
  /// So much is read back at first, and at most. The first holds far more than the records between two signatures.
  private static let window: Int64 = 1 << 20
  private static let maximumWindow: Int64 = 1 << 26

  private let files: LogFiles
  private let key: AuditKey

  /// - Parameters:
  ///   - path: the name under which the log is written
  ///   - key: the key that signs it
  package init(path: String, key: AuditKey) {
    files = LogFiles(path: path)
    self.key = key
  }

  /// Why this is not the log that the TPM was asked to sign; nil where it may be.
  ///
  /// What was written after the anchor was advanced last may still be missing: nothing remembers that.
  ///
  /// - Parameter anchor: where the TPM is
  /// - Returns: for the operator, and for the log itself
  /// - Throws: ``AuditError`` where a file cannot be read
  package func mismatch(with anchor: UInt64) throws(AuditError) -> String? {
    do throws(SystemError) {
      // Earlier files matter only where the last one has not been signed yet.
      var signed = try signedAnchor(in: [files.path])
      if signed == nil { signed = try signedAnchor(in: try files.earlier() + [files.path]) }
      guard let signed else {
        return anchor == key.firstAnchor
          ? nil : "its end has no signature of this TPM's, whose anchor is \(anchor): the log that it signed has gone"
      }
      // The line with the next anchor is written first.
      guard signed != anchor, signed != anchor &+ 1 else { return nil }
      return "its last signature has anchor \(signed), and the TPM is at \(anchor): this is another log"
    } catch {
      throw AuditError("audit log \(files.path): \(error)")
    }
  }

  /// What is wrong with the log's end, in the words that ``ChainVerifier`` has for it: for who looks often, and reads no
  /// more than the end.
  ///
  /// - Parameter expectation: asked for *before* this, since the log goes on meanwhile
  /// - Returns: for people; nil where the end is the one that the daemon wrote and its TPM signed
  /// - Throws: ``AuditError`` where a file cannot be read
  package func flaw(against expectation: ChainExpectation) throws(AuditError) -> String? {
    if let mismatch = try mismatch(with: expectation.anchor) { return "rolled back: \(mismatch)" }
    do throws(SystemError) {
      // Signatures need records of before the window; those were looked at above.
      var verifier = ChainVerifier(key: nil, expectation: expectation)
      read(try end(of: try files.earlier() + [files.path], upTo: LogTail.window), into: &verifier)
      verifier.finish()
      return verifier.findings.first(where: \.kind.isTampering).map { "\($0.kind.rawValue): \($0.text)" }
    } catch {
      throw AuditError("audit log \(files.path): \(error)")
    }
  }

  private func read(_ parts: [(bytes: [UInt8], isWhole: Bool)], into verifier: inout ChainVerifier) {
    for part in parts {
      verifier.beginFile()
      var splitter = LineSplitter()
      // The first line may have lost its beginning.
      var isComplete = part.isWhole
      splitter.take(part.bytes) { line in
        if isComplete { verifier.take(line) }
        isComplete = true
      }
    }
  }

  /// The anchor of the last signature that is ours and fits the lines before it; nil where there is none.
  private func signedAnchor(in paths: [String]) throws(SystemError) -> UInt64? {
    var window = LogTail.window
    while true {
      let end = try end(of: paths, upTo: window)
      var verifier = ChainVerifier(key: key)
      read(end, into: &verifier)
      if let anchor = verifier.signedAnchor { return anchor }
      guard end.contains(where: { !$0.isWhole }), window < LogTail.maximumWindow else { return nil }
      window *= 8
    }
  }

  /// The last bytes of files that follow each other.
  private func end(
    of paths: [String], upTo count: Int64
  ) throws(SystemError) -> [(bytes: [UInt8], isWhole: Bool)] {
    var parts: [(bytes: [UInt8], isWhole: Bool)] = []
    var rest = count
    for path in paths.reversed() {
      guard let file = try opened(path), let size = try file.fileSize(), size > 0 else { continue }
      let count = min(size, rest)
      parts.insert((try file.bytes(at: size - count, count: Int(count)), count == size), at: 0)
      rest -= count
      guard count == size else { break }
    }
    return parts
  }

  private func opened(_ path: String) throws(SystemError) -> Descriptor? {
    do throws(SystemError) {
      return try Descriptor(opening: path, flags: O_RDONLY | O_NOCTTY | O_NONBLOCK)
    } catch {
      guard error.code == ENOENT else { throw error }
      return nil
    }
  }
}
