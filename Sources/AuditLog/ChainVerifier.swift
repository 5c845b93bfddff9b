internal import Crypto
internal import Platform

/// Checks a log line by line: any bytes, in memory that does not grow with the log.
package struct ChainVerifier {
  private struct Place: Equatable {
    var file: Int
    var line: Int
  }

  private struct Last {
    var end: ChainEnd
    /// With its line feed.
    var line: [UInt8]
    var place: Place
    /// A break before this line: it shows only with the next line whether this one was altered or the one before it.
    var isBroken = false
  }

  /// Lines that are no records, up to the next one.
  private struct Stray {
    /// The first of them.
    var place: Place
    var bytes: [UInt8]
    var hasEnd: Bool
    var lines = 1
  }

  private struct Gap {
    var missing: ClosedRange<UInt64>
    var place: Place
  }

  private struct SeenHead {
    var head: SignedHead
    var clock: AttestedClock
    var place: Place
  }

  /// How many records back a signature may be about; the TPM works for seconds at most.
  private static let remembered: UInt64 = 1 << 16
  /// Bytes that are kept of what is no record; what is longer is nothing that a crash leaves.
  private static let maximumStray = 1 << 26
  /// Findings that are kept; others are counted.
  private static let maximumFindings = 1000

  private let key: AuditKey?
  private let expectation: ChainExpectation?
  private var place = Place(file: -1, line: 0)
  private var last: Last?
  private var stray: Stray?
  /// The line that is being looked at, with its line feed.
  private var current: [UInt8] = []
  private var gaps: [Gap] = []
  private var hashes: [UInt64: [UInt8]] = [:]
  private var lastHead: SeenHead?
  private var expectedHash: [UInt8]?

  /// In the order in which they were found.
  package private(set) var findings: [ChainFinding] = []
  /// Findings of tampering beyond those that are kept.
  package private(set) var moreFindings = 0
  package private(set) var records: UInt64 = 0
  package private(set) var signatures: UInt64 = 0
  package private(set) var first: UInt64?

  /// - Parameters:
  ///   - key: the key that signs; nil to leave signatures alone
  ///   - expectation: asked for *before* the log is read, since that goes on meanwhile; nil where nobody can be asked
  package init(key: AuditKey?, expectation: ChainExpectation? = nil) {
    self.key = key
    self.expectation = expectation
  }

  package var isTampered: Bool { moreFindings > 0 || findings.contains { $0.kind.isTampering } }

  /// The last record in order.
  package var end: ChainEnd? { last?.end }
  /// The last record that a signature covers.
  package var signedThrough: UInt64? { lastHead?.head.end.sequence }
  /// The anchor in that signature.
  var signedAnchor: UInt64? { lastHead?.head.anchor }
  /// Whether anything says that the daemon has written this: a signature, or the daemon itself. Anybody can make a chain.
  package var isVouchedFor: Bool { signatures > 0 || expectation != nil }

  /// Begins the next file, in the order in which they were written.
  package mutating func beginFile() {
    place = Place(file: place.file + 1, line: 0)
  }

  /// - Parameters:
  ///   - line: without its line feed
  ///   - hasEnd: whether it had one
  package mutating func take(_ line: [UInt8], hasEnd: Bool = true) {
    place.line += 1
    let whole = hasEnd ? line + [UInt8(ascii: "\n")] : line
    guard hasEnd, let record = ChainLine(line) else { return takeStray(whole, hasEnd: hasEnd) }
    let hash = SHA256.hash(whole)
    current = whole
    records += 1
    defer { stray = nil }
    guard let last else { return begin(record, hash) }
    settle(record, after: last)
    let next = last.end.sequence &+ 1
    let isLinked = record.previous == self.last?.end.hash || coversStray(record)
    if record.sequence == next || isLinked {
      follow(record, hash, after: last, isLinked: isLinked)
    } else if record.sequence > next {
      skip(to: record, hash, after: last)
    } else {
      goBack(to: record, before: next)
    }
  }

  /// Says what can be said only at the end.
  package mutating func finish() {
    if let stray { finish(stray) }
    if let last, last.isBroken {
      report(.altered, at: last.place, "this line or the one before it was altered")
    }
    for gap in gaps { report(gap) }
    gaps = []
    finishSignatures()
    compare()
  }

  // MARK: Lines

  private mutating func takeStray(_ bytes: [UInt8], hasEnd: Bool) {
    guard var known = stray else {
      stray = Stray(place: place, bytes: bytes, hasEnd: hasEnd)
      return
    }
    known.bytes += bytes.prefix(ChainVerifier.maximumStray - known.bytes.count)
    known.hasEnd = hasEnd
    known.lines += 1
    stray = known
  }

  /// Whether the record is linked to the one before it together with what stands between.
  private func coversStray(_ record: ChainLine) -> Bool {
    guard let stray else { return false }
    return record.previous == SHA256.hash((last?.line ?? []) + stray.bytes)
  }

  private mutating func begin(_ record: ChainLine, _ hash: [UInt8]) {
    first = record.sequence
    if record.sequence > 1 {
      let before = ChainEnd(sequence: record.sequence - 1, hash: record.previous)
      remember(before)
      if before.sequence == expectation?.end.sequence { expectedHash = before.hash }
      note(.begins, "begins with record \(record.sequence): records 1 to \(record.sequence - 1) were not given")
    } else if stray == nil, record.previous != ChainEnd.beginning.hash {
      report(.altered, at: place, "the first record says that there is something before it")
    }
    if let stray {
      if coversStray(record) {
        // What was there before there was a chain.
        if record.torn != stray.bytes.count { reportStray(stray) }
      } else if record.sequence == 2, stray.lines == 1 {
        report(.altered, at: stray.place, "record 1 is no record any more")
      } else {
        reportStray(stray)
      }
    }
    accept(record, hash)
  }

  /// Now it is known which side of a break was altered.
  private mutating func settle(_ record: ChainLine, after last: Last) {
    guard last.isBroken, stray == nil else { return }
    self.last?.isBroken = false
    if record.previous == last.end.hash {
      let before = Place(file: last.place.file, line: last.place.line - 1)
      report(
        .altered, at: before.line > 0 ? before : last.place,
        before.line > 0
          ? "record \(last.end.sequence - 1) was altered" : "the last line of the file before this was altered")
    } else {
      report(.altered, at: last.place, "record \(last.end.sequence) was altered")
      // That explains the next break too.
      self.last?.end.hash = record.previous
    }
  }

  /// The number or the link says that this is the next record.
  private mutating func follow(_ record: ChainLine, _ hash: [UInt8], after old: Last, isLinked: Bool) {
    let next = old.end.sequence &+ 1
    let isLinked = isLinked || record.previous == last?.end.hash
    var isBroken = false
    if let stray {
      isBroken = !explain(stray, before: record, next: next)
    } else if record.torn != nil {
      report(.cutOut, at: place, "the unfinished line that record \(record.sequence) speaks of is missing before it")
    } else if !isLinked {
      isBroken = true
    }
    if isLinked, record.sequence != next {
      report(.altered, at: place, "the number \(record.sequence) stands where \(next) must stand")
    }
    accept(record, hash, number: next)
    last?.isBroken = isBroken
  }

  /// Whether what stands before the record is no reason to look for a break.
  private mutating func explain(_ stray: Stray, before record: ChainLine, next: UInt64) -> Bool {
    if coversStray(record) {
      if record.torn == stray.bytes.count {
        note(
          .torn, at: stray.place,
          "\(stray.bytes.count) bytes without an end, as a crash leaves them; what nobody had been told of may be lost, and "
            + "what was cut off here before it was signed cannot be told from it")
      } else {
        reportStray(stray, "no record; it stood there when the daemon went on")
      }
      return true
    }
    if record.previous == last?.end.hash {
      reportStray(stray)
      return true
    }
    report(.altered, at: stray.place, "something up to record \(next) was altered here, or is no record any more")
    return true
  }

  private mutating func skip(to record: ChainLine, _ hash: [UInt8], after old: Last) {
    let next = old.end.sequence &+ 1
    if let stray, record.sequence == next + 1 {
      report(.altered, at: stray.place, "record \(next) is no record any more")
    } else {
      if let stray { reportStray(stray) }
      if gaps.count < ChainVerifier.maximumFindings {
        gaps.append(Gap(missing: next...record.sequence - 1, place: place))
      } else {
        moreFindings += 1
      }
    }
    accept(record, hash)
  }

  private mutating func goBack(to record: ChainLine, before next: UInt64) {
    if let stray { reportStray(stray) }
    guard let index = gaps.firstIndex(where: { $0.missing.contains(record.sequence) }) else {
      return report(.repeated, at: place, "record \(record.sequence) stands here though record \(next) comes next")
    }
    report(.reordered, at: place, "record \(record.sequence) stands after record \(next - 1)")
    let gap = gaps.remove(at: index)
    if gap.missing.lowerBound < record.sequence {
      gaps.append(Gap(missing: gap.missing.lowerBound...record.sequence - 1, place: gap.place))
    }
    if gap.missing.upperBound > record.sequence {
      gaps.append(Gap(missing: record.sequence + 1...gap.missing.upperBound, place: gap.place))
    }
  }

  private mutating func accept(_ record: ChainLine, _ hash: [UInt8], number: UInt64? = nil) {
    let end = ChainEnd(sequence: number ?? record.sequence, hash: hash)
    if let head = record.head { check(head, in: end) }
    if record.isDamagedHead { report(.badSignature, at: place, "a signature that cannot be read any more") }
    if record.isBreak {
      report(
        .rolledBack, at: place, "the daemon found here, when it started, that the log before is not what its TPM signed"
      )
    }
    last = Last(end: end, line: current, place: place)
    remember(end)
    if end.sequence == expectation?.end.sequence { expectedHash = hash }
  }

  private mutating func remember(_ end: ChainEnd) {
    hashes[end.sequence] = end.hash
    if end.sequence > ChainVerifier.remembered { hashes[end.sequence - ChainVerifier.remembered] = nil }
  }

  private mutating func reportStray(_ stray: Stray, _ text: String = "no record") {
    report(.inserted, at: stray.place, stray.lines == 1 ? text : "\(stray.lines) lines: \(text)")
  }

  private mutating func report(_ gap: Gap) {
    let (from, to) = (gap.missing.lowerBound, gap.missing.upperBound)
    report(
      .cutOut, at: gap.place,
      from == to ? "record \(from) is missing before this" : "records \(from) to \(to) are missing before this")
  }

  private mutating func finish(_ stray: Stray) {
    guard !stray.hasEnd, stray.lines == 1 else { return reportStray(stray) }
    note(
      .torn, at: stray.place,
      "ends in the middle of a line: the daemon was writing, has crashed, or somebody has cut the end off")
  }

  // MARK: Signatures

  private mutating func check(_ head: SignedHead, in end: ChainEnd) {
    guard let key else { return }
    guard head.key == key.identifier else {
      return report(.foreignKey, at: place, "signed by another key, \(hexadecimal(head.key).prefix(16))...")
    }
    guard let clock = AttestedClock(head.statement.attested), clock.extraData == head.digest,
      key.hasSigned(head.statement)
    else { return report(.badSignature, at: place, "the signature does not fit this line") }
    guard head.end.sequence < end.sequence, let hash = hashes[head.end.sequence] else {
      return report(.badSignature, at: place, "signs record \(head.end.sequence), which does not stand before it")
    }
    guard hash == head.end.hash else {
      return report(
        .badSignature, at: place,
        "signs another record \(head.end.sequence) than the one that stands here: something up to it was altered")
    }
    signatures += 1
    let seen = SeenHead(head: head, clock: clock, place: place)
    compareAnchors(seen)
    lastHead = seen
  }

  private mutating func compareAnchors(_ seen: SeenHead) {
    let anchor = seen.head.anchor
    guard let lastHead else {
      guard first == 1, let key, anchor != key.firstAnchor, anchor != key.firstAnchor &+ 1 else { return }
      return report(
        .rolledBack, at: place,
        "the first signature has anchor \(anchor), and the key began with \(key.firstAnchor): an earlier log has gone")
    }
    if anchor > lastHead.head.anchor &+ 1 {
      report(
        .rolledBack, at: place,
        "the anchor goes from \(lastHead.head.anchor) to \(anchor): signatures between have gone, so the log was an older "
          + "one when the daemon went on")
    } else if anchor < lastHead.head.anchor {
      report(.rolledBack, at: place, "the anchor goes back from \(lastHead.head.anchor) to \(anchor)")
    }
    if !seen.clock.canFollow(lastHead.clock) {
      report(.rolledBack, at: place, "the TPM has signed this before the signature that stands before it")
    }
  }

  private mutating func finishSignatures() {
    guard let last else { return }
    guard key != nil else { return note(.unknown, "signatures were not checked, for want of the key") }
    // A signature's own line needs no other: all that is in it is signed or checked.
    let signed = lastHead?.head.end.sequence ?? (first ?? 1) - 1
    let isBehindSignature = lastHead?.place == last.place && signed + 1 == last.end.sequence
    if last.end.sequence > signed, !isBehindSignature {
      note(
        .unsigned, at: last.place,
        "records \(signed + 1) to \(last.end.sequence) are not signed yet: who can write the file can alter them")
    }
  }

  /// With what the daemon says.
  private mutating func compare() {
    guard let expectation else {
      return note(.unknown, "whether the end is missing only the daemon can say (or a later signature)")
    }
    let reached = last?.end.sequence ?? 0
    if let key {
      // Without a signature since the key was made, that was the anchor.
      let anchor = lastHead?.head.anchor ?? key.firstAnchor
      // The line with the next anchor is written first.
      if anchor < expectation.anchor, lastHead != nil || first == 1 || last == nil {
        return report(
          .rolledBack, at: last?.place ?? place,
          "the last signature has anchor \(anchor), and the TPM is at \(expectation.anchor): this is an older log")
      } else if anchor > expectation.anchor &+ 1 {
        return report(
          .rolledBack, at: lastHead?.place ?? place,
          "the last signature has anchor \(anchor), and the TPM is only at \(expectation.anchor): somebody has replaced it"
        )
      }
    }
    if let first, first > max(expectation.end.sequence, 1) {
      compareBeginning(first, expectation)
    } else if reached < expectation.end.sequence {
      report(
        .truncated, at: last?.place ?? place,
        "ends with record \(reached), and the daemon has written record \(expectation.end.sequence)")
    } else if let expectedHash, expectedHash != expectation.end.hash {
      report(
        .altered, at: last?.place ?? place,
        "record \(expectation.end.sequence) is not the one that the daemon has written: something up to it was altered")
    }
  }

  /// The log begins behind what the daemon had written when it was asked: only a link can join the two.
  private mutating func compareBeginning(_ first: UInt64, _ expectation: ChainExpectation) {
    guard expectedHash != expectation.end.hash else { return }
    report(
      .cutOut, at: Place(file: 0, line: 0),
      "begins with record \(first), and nothing joins it to record \(expectation.end.sequence), the last that the daemon "
        + "had written: give the earlier files too")
  }

  // MARK: Findings

  private mutating func note(_ kind: ChainFinding.Kind, at where_: Place? = nil, _ text: String) {
    report(kind, at: where_ ?? Place(file: max(place.file, 0), line: 0), text)
  }

  private mutating func report(_ kind: ChainFinding.Kind, at where_: Place, _ text: String) {
    guard findings.count < ChainVerifier.maximumFindings else {
      if kind.isTampering { moreFindings += 1 }
      return
    }
    findings.append(ChainFinding(kind: kind, file: max(where_.file, 0), line: where_.line, text: text))
  }
}
