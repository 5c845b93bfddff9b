internal import Glibc

/// The day of the week and the time of the day.
package struct WallClock: Equatable, Sendable {
  /// 0 is Monday.
  package let weekday: Int
  /// Minutes after midnight.
  package let minute: Int

  package init(weekday: Int, minute: Int) {
    self.weekday = weekday
    self.minute = minute
  }

  /// - Parameter time: milliseconds since 1970-01-01 UTC
  package init(utc time: Int64) {
    let minutes = floored(time, by: 60_000)
    let days = floored(minutes.quotient, by: 1440)
    // 1970-01-01 was a Thursday.
    self.init(weekday: Int(floored(days.quotient + 3, by: 7).remainder), minute: Int(days.remainder))
  }

  /// In the time zone of the machine, or of the environment variable TZ (tzset(3)).
  ///
  /// - Parameter time: milliseconds since 1970-01-01 UTC
  package init(local time: Int64) {
    var seconds = time_t(floored(time, by: 1000).quotient)
    var local = unsafe tm()
    // localtime_r(3) need not notice that the zone has changed.
    tzset()
    if unsafe localtime_r(&seconds, &local) == nil {
      self.init(utc: time)
    } else {
      let (day, hour, minute) = unsafe (local.tm_wday, local.tm_hour, local.tm_min)
      self.init(weekday: Int((day + 6) % 7), minute: Int(hour) * 60 + Int(minute))
    }
  }
}
