internal import Platform

/// When a rule allows: a part of some days of the week.
package struct Hours: Hashable, Sendable {
  package enum Zone: Hashable, Sendable {
    case utc
    /// The machine's (localtime(3)), with its summer time: a time that comes twice counts twice, one that is left out
    /// does not come.
    case local
  }

  /// Monday is bit 0.
  package let days: UInt8
  /// Minutes after midnight, 0 to 1439.
  package let start: Int
  /// Minutes after midnight, 1 to 1440, not included. Not after `start`: on the day after.
  package let end: Int
  package let zone: Zone

  /// Reads `[DAYS ]HH:MM-HH:MM ZONE`, for example `Mon-Fri 08:00-18:00 UTC` or `Sat,Sun 22:00-06:00 local`. The zone must
  /// be said: nobody should have to guess it.
  ///
  /// - Throws: ``PatternError``
  package init(_ text: String) throws(PatternError) {
    func refuse(_ problem: String) -> PatternError {
      PatternError(
        problem: "\(quoted(text, limit: 64)) \(problem)",
        advice: "write it like \"Mon-Fri 08:00-18:00 UTC\" or \"22:00-06:00 local\"")
    }
    let words = text.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 2 || words.count == 3 else { throw refuse("is no time of the week") }
    switch words[words.count - 1] {
    case "UTC": zone = .utc
    case "local": zone = .local
    default: throw refuse("does not end with \"UTC\" or \"local\"")
    }
    let times = words[words.count - 2].split(separator: "-", omittingEmptySubsequences: false)
    guard times.count == 2, let from = Self.minute(times[0]), from < 1440, let to = Self.minute(times[1]), to > 0
    else { throw refuse("has no times of the day") }
    if from == to { throw refuse("is no time at all") }
    start = from
    end = to
    if words.count == 2 {
      days = 0x7F
    } else if let given = Self.days(words[0]) {
      days = given
    } else {
      throw refuse("has no days of the week")
    }
  }

  private static let names: [Substring] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

  private static func days(_ text: Substring) -> UInt8? {
    var days: UInt8 = 0
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false)
      guard ends.count <= 2, let first = ends.first.flatMap(names.firstIndex(of:)),
        let last = ends.last.flatMap(names.firstIndex(of:))
      else { return nil }
      // Fri-Mon goes over the weekend.
      for offset in 0...((last - first + 7) % 7) { days |= 1 << ((first + offset) % 7) }
    }
    return days
  }

  private static func minute(_ text: Substring) -> Int? {
    let digits = Array(text.utf8)
    guard digits.count == 5, digits[2] == UInt8(ascii: ":") else { return nil }
    let values = [0, 1, 3, 4].map { Int(digits[$0]) - 0x30 }
    guard values.allSatisfy({ (0...9).contains($0) }) else { return nil }
    let (hour, minute) = (values[0] * 10 + values[1], values[2] * 10 + values[3])
    guard minute < 60, hour < 24 || (hour == 24 && minute == 0) else { return nil }
    return hour * 60 + minute
  }

  /// Hours that go over midnight belong to the day on which they begin.
  package func contains(_ moment: Moment) -> Bool {
    let clock = zone == .utc ? moment.utc : moment.local
    func isDay(_ day: Int) -> Bool { days & 1 << ((day + 7) % 7) != 0 }
    if start < end { return isDay(clock.weekday) && (start..<end).contains(clock.minute) }
    return (isDay(clock.weekday) && clock.minute >= start) || (isDay(clock.weekday - 1) && clock.minute < end)
  }
}
