/// Times of certificates (RFC 5280 section 4.1.2.5), as seconds since 1970-01-01 UTC.
package enum CertificateTime {
  /// The end of the year 9999, which says "no end".
  package static let never: Int64 = 253_402_300_799

  /// UTCTime until 2049, GeneralizedTime after; `seconds` of a year from 1950 to 9999.
  package static func encode(_ seconds: Int64) -> [UInt8] {
    let (days, rest) = seconds.quotientAndRemainder(dividingBy: 86_400)
    let day = rest < 0 ? days - 1 : days
    let second = rest < 0 ? rest + 86_400 : rest
    let (year, month, date) = civil(daysSince1970: day)
    let text = [month, date, second / 3600, second / 60 % 60, second % 60].map { padded($0, 2) }.joined()
    let isShort = (1950..<2050).contains(year)
    return DER.element(
      isShort ? .utcTime : .generalizedTime,
      Array("\(isShort ? padded(year % 100, 2) : padded(year, 4))\(text)Z".utf8))
  }

  /// Takes the next time of a validity.
  ///
  /// - Returns: nil for what is not exactly in one of the two forms, or no date
  static func read(_ reader: inout DER.Reader) -> Int64? {
    let utc = reader.next(.utcTime)
    guard let content = utc ?? reader.next(.generalizedTime), content.last == UInt8(ascii: "Z") else { return nil }
    let digits = content.dropLast()
    let yearCount = utc == nil ? 4 : 2
    guard digits.count == yearCount + 10, digits.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
    let values = digits.map { Int64($0 - 0x30) }
    func number(_ range: Range<Int>) -> Int64 { values[range].reduce(0) { $0 * 10 + $1 } }
    var year = number(0..<yearCount)
    if utc != nil { year += year < 50 ? 2000 : 1900 }
    func pair(_ index: Int) -> Int64 { number(yearCount + 2 * index..<yearCount + 2 * index + 2) }
    let (month, day) = (pair(0), pair(1))
    guard (1...12).contains(month), pair(2) < 24, pair(3) < 60, pair(4) < 60 else { return nil }
    let days = daysSince1970(year: year, month: month, day: day)
    // A date that is none, such as 31 April, is another one when it comes back.
    guard civil(daysSince1970: days) == (year, month, day) else { return nil }
    return days * 86_400 + pair(2) * 3600 + pair(3) * 60 + pair(4)
  }

  /// Years begin in March here, so that the leap day is the last of a year.
  private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
    let year = month <= 2 ? year - 1 : year
    let dayOfYear = (153 * ((month + 9) % 12) + 2) / 5 + day - 1
    return 365 * year + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
  }

  private static func civil(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
    // The year by estimate, which is never too small.
    var year = (days + 719_468) * 400 / 146_097 + 1
    while daysSince1970(year: year, month: 3, day: 1) > days { year -= 1 }
    let dayOfYear = days - daysSince1970(year: year, month: 3, day: 1)
    let month = (5 * dayOfYear + 2) / 153
    let day = dayOfYear - (153 * month + 2) / 5 + 1
    return (month >= 10 ? year + 1 : year, (month + 2) % 12 + 1, day)
  }

  private static func padded(_ number: Int64, _ width: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, width - digits.count)) + digits
  }
}
