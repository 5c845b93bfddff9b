/// Times as RFC 3339 in UTC with milliseconds.
package enum Timestamp {
  /// - Parameter time: milliseconds since 1970-01-01 UTC, any
  /// - Returns: e.g. `2026-11-20T23:05:01.042Z`
  package static func text(unixMilliseconds time: Int64) -> String {
    let (days, rest) = floored(time, by: 86_400_000)
    let (year, month, day) = date(daysSince1970: days)
    let (seconds, milliseconds) = floored(rest, by: 1000)
    let clock = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { padded($0, 2) }.joined(separator: ":")
    return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))T\(clock).\(padded(milliseconds, 3))Z"
  }

  /// The civil date. Years begin in March here, so that the leap day is the last of a year.
  private static func date(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    // 1 March of the year 0 is 719,468 days before; eras of 400 years have 146,097 days.
    let (era, dayOfEra) = floored(days + 719_468, by: 146_097)
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    let isNextYear: Int64 = month >= 10 ? 1 : 0
    return (era * 400 + yearOfEra + isNextYear, month + 3 - 12 * isNextYear, day)
  }

  private static func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number.magnitude)
    return (number < 0 ? "-" : "") + String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}

/// Division that rounds down, with a remainder that is never negative.
func floored(_ number: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
  let (quotient, remainder) = number.quotientAndRemainder(dividingBy: divisor)
  return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}
