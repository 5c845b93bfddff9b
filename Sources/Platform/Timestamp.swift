/// Times as RFC 3339 in UTC with milliseconds.
package enum Timestamp {
  /// - Parameter time: milliseconds since 1970-01-01 UTC, any
  /// - Returns: e.g. `2026-11-20T23:05:01.042Z`
  package static func text(unixMilliseconds time: Int64) -> String {
    var text: [UInt8] = []
    append(unixMilliseconds: time, to: &text)
    return String(decoding: text, as: UTF8.self)
  }

  /// Adds ``text(unixMilliseconds:)`` in ASCII.
  package static func append(unixMilliseconds time: Int64, to text: inout [UInt8]) {
    let (days, rest) = floored(time, by: 86_400_000)
    let (year, month, day) = date(daysSince1970: days)
    let (seconds, milliseconds) = floored(rest, by: 1000)
    func add(_ number: Int64, _ width: Int, before end: Unicode.Scalar) {
      appendDecimal(UInt64(number), width: width, to: &text)
      text.append(UInt8(ascii: end))
    }
    if year < 0 { text.append(UInt8(ascii: "-")) }
    add(Int64(year.magnitude), 4, before: "-")
    add(month, 2, before: "-")
    add(day, 2, before: "T")
    add(seconds / 3600, 2, before: ":")
    add(seconds / 60 % 60, 2, before: ":")
    add(seconds % 60, 2, before: ".")
    add(milliseconds, 3, before: "Z")
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
}

/// Division that rounds down, with a remainder that is never negative.
func floored(_ number: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
  let (quotient, remainder) = number.quotientAndRemainder(dividingBy: divisor)
  return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
}
