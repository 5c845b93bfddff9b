internal import CLinux
internal import CTAPHID
internal import Glibc
internal import Platform

/// What comes out of a ``ReportPort``.
enum PortEvent: Equatable {
  case report([UInt8])
  /// A driver has the device: programs can find it.
  case ready
  /// Nobody has the device open any more.
  case abandoned
  /// Something that is no report, and does nothing.
  case refused
  /// Nothing to do.
  case nothing
}

/// Where the reports of one device come from and go to.
protocol ReportPort: AnyObject {
  var descriptor: Descriptor { get }
  /// Whether reports that come too fast are lost, either way: ours are paced then, and programs are told to keep theirs
  /// few, see ``DeviceInfo``.
  var losesReports: Bool { get }

  /// What comes next; nil if there is nothing now.
  ///
  /// - Throws: `SystemError`: the port has come to its end
  func receive() throws(SystemError) -> PortEvent?

  /// Sends a report, without waiting.
  ///
  /// - Returns: false if there is no room now
  /// - Throws: `SystemError`
  func send(_ report: [UInt8]) throws(SystemError) -> Bool
}

/// A HID device that the kernel shows to programs (uhid). It is there as long as this object.
final class KernelDevice: ReportPort {
  let descriptor: Descriptor
  /// The kernel keeps 63 reports for each program that has the device open, and 32 for us; it drops what comes then.
  let losesReports = true
  private var buffer = [UInt8](repeating: 0, count: CS_UHID_EVENT_SIZE)

  /// Makes the device.
  ///
  /// - Parameters:
  ///   - descriptor: `/dev/uhid`, non-blocking
  ///   - description: what programs see
  /// - Throws: `SystemError`
  init(_ descriptor: consuming Descriptor, _ description: DeviceDescription) throws(SystemError) {
    self.descriptor = descriptor
    try self.descriptor.write(DeviceEvent.create(description).encoded())
  }

  deinit {
    // Closing would do as well; this says it.
    try? descriptor.write(DeviceEvent.destroy.encoded())
  }

  func receive() throws(SystemError) -> PortEvent? {
    guard let count = try descriptor.read(into: &buffer) else { return nil }
    if count == 0 { throw SystemError(call: "read", code: ENODEV) }
    switch KernelEvent(decoding: buffer[..<count]) {
    case .start: return .ready
    case .stop, .close: return .abandoned
    case .output(let data): return Self.event(data)
    case .getReport(let id):
      // Section 11.2.8: there are no reports but those that come by themselves.
      try descriptor.write(DeviceEvent.getReportReply(id: id, error: UInt16(EIO)).encoded())
      return .nothing
    case .setReport(let id, let type, let data):
      let event = type == CS_UHID_OUTPUT_REPORT ? Self.event(data) : .refused
      let error = event == .refused ? UInt16(EIO) : 0
      try descriptor.write(DeviceEvent.setReportReply(id: id, error: error).encoded())
      return event
    case .open, .other, nil: return .nothing
    }
  }

  /// Programs write the number of the report before it, 0 where there are no numbers; the kernel hands on all of it.
  private static func event(_ data: [UInt8]) -> PortEvent {
    if data.count == Packet.count { return .report(data) }
    return data.count == Packet.count + 1 && data[0] == 0 ? .report(Array(data.dropFirst())) : .refused
  }

  func send(_ report: [UInt8]) throws(SystemError) -> Bool {
    try descriptor.write(DeviceEvent.input(report).encoded())
    return true
  }
}

/// A connection that carries one report in a packet: a USB port of its own.
final class PacketPort: ReportPort {
  let descriptor: Descriptor
  let losesReports = false
  private var buffer = [UInt8](repeating: 0, count: Packet.count)

  init(_ descriptor: consuming Descriptor) {
    self.descriptor = descriptor
  }

  func receive() throws(SystemError) -> PortEvent? {
    guard let count = try descriptor.receivePacket(into: &buffer) else { return nil }
    return count == Packet.count ? .report(buffer) : .refused
  }

  func send(_ report: [UInt8]) throws(SystemError) -> Bool {
    try descriptor.sendNow(report[...]) > 0
  }
}
