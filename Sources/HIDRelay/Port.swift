internal import CTAPHID
internal import Platform

/// The state of one device; belongs to its ``Relay`` and never leaves it.
final class Port {
  let id: UInt64
  let link: any ReportPort
  var device: VirtualDevice
  /// Of the channels that have asked for something.
  var connections: [UInt32: DaemonConnection] = [:]
  /// Reports that are not sent yet.
  var queue: [[UInt8]] = []
  private var pacer: ReportPacer?

  var watch: EventLoop.Watch?
  var interest: EventLoop.Interest = .read
  /// Whether there was no room at the last attempt.
  private(set) var isBlocked = false

  var timer: LoopTimer?
  /// When it fires.
  var timerDue: UInt64?

  /// Nothing is in progress, but for a host that does not read.
  var isIdle: Bool { !device.isProcessing && (queue.isEmpty || isBlocked) }

  init(id: UInt64, link: any ReportPort, device: VirtualDevice) {
    self.id = id
    self.link = link
    self.device = device
    pacer = link.losesReports ? ReportPacer() : nil
  }

  /// Sends what may go and finds room.
  func flush(at now: UInt64) throws(SystemError) {
    isBlocked = false
    var sent = 0
    defer { queue.removeFirst(sent) }
    for report in queue {
      if pacer?.take(at: now) == false { return }
      guard try link.send(report) else {
        isBlocked = true
        return
      }
      sent += 1
    }
  }

  /// When something is due: the end of a wait, or the next report.
  func due(at now: UInt64) -> UInt64? {
    let report = queue.isEmpty || isBlocked ? nil : pacer?.next(at: now)
    return [device.deadline, report].compactMap(\.self).min()
  }
}
