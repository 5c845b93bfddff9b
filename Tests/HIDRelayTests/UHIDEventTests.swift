import CLinux
import Testing

@testable import HIDRelay

/// An event as the kernel hands it out: all of `struct uhid_event`, with these parts in it.
func kernelEvent(_ type: Int, _ parts: (offset: Int, bytes: [UInt8])...) -> [UInt8] {
  var event = [UInt8](repeating: 0, count: CS_UHID_EVENT_SIZE)
  event.replaceSubrange(0..<4, with: native(UInt32(type)))
  for part in parts { event.replaceSubrange(part.offset..<part.offset + part.bytes.count, with: part.bytes) }
  return event
}

func native<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
  withUnsafeBytes(of: number) { Array($0) }
}

func outputEvent(_ data: [UInt8]) -> [UInt8] {
  kernelEvent(
    CS_UHID_OUTPUT, (CS_UHID_OUTPUT_DATA, data), (CS_UHID_OUTPUT_SIZE, native(UInt16(data.count))),
    (CS_UHID_OUTPUT_TYPE, [UInt8(CS_UHID_OUTPUT_REPORT)]))
}

func setReportEvent(id: UInt32, type: UInt8, _ data: [UInt8]) -> [UInt8] {
  kernelEvent(
    CS_UHID_SET_REPORT, (CS_UHID_REPORT_ID, native(id)), (CS_UHID_REPORT_TYPE, [type]),
    (CS_UHID_SET_REPORT_SIZE, native(UInt16(data.count))), (CS_UHID_SET_REPORT_DATA, data))
}

@Suite struct KernelEventTests {
  private let all: [(bytes: [UInt8], event: KernelEvent, needed: Int)] = [
    (kernelEvent(CS_UHID_START, (4, [1, 0, 0, 0, 0, 0, 0, 0])), .start, 4),
    (kernelEvent(CS_UHID_STOP), .stop, 4), (kernelEvent(CS_UHID_OPEN), .open, 4),
    (kernelEvent(CS_UHID_CLOSE), .close, 4), (outputEvent([1, 2, 3]), .output([1, 2, 3]), CS_UHID_OUTPUT_SIZE + 2),
    (kernelEvent(CS_UHID_GET_REPORT, (CS_UHID_REPORT_ID, native(UInt32(0x0102_0304)))), .getReport(id: 0x0102_0304), 8),
    (setReportEvent(id: 7, type: 1, [9, 8]), .setReport(id: 7, type: 1, [9, 8]), CS_UHID_SET_REPORT_DATA + 2),
    (kernelEvent(99), .other(type: 99), 4),
  ]

  @Test func whole() {
    for (bytes, event, _) in all { #expect(KernelEvent(decoding: bytes[...]) == event) }
  }

  @Test func cutShort() {
    for (bytes, event, needed) in all {
      for count in 0..<needed { #expect(KernelEvent(decoding: bytes[..<count]) == nil, "\(count) bytes of \(event)") }
      #expect(KernelEvent(decoding: bytes[..<needed]) == event)
    }
  }

  @Test func whereverTheBytesBegin() {
    let moved = ([1, 2, 3] + outputEvent([4, 5]))[3...]
    #expect(KernelEvent(decoding: moved) == .output([4, 5]))
  }

  @Test func moreDataThanThereIsRoom() {
    var event = outputEvent([1])
    for size: UInt16 in [4097, .max] {
      event.replaceSubrange(CS_UHID_OUTPUT_SIZE..<CS_UHID_OUTPUT_SIZE + 2, with: native(size))
      #expect(KernelEvent(decoding: event[...]) == nil)
    }
    event.replaceSubrange(CS_UHID_OUTPUT_SIZE..<CS_UHID_OUTPUT_SIZE + 2, with: native(UInt16(4096)))
    guard case .output(let data)? = KernelEvent(decoding: event[...]) else {
      Issue.record("4,096 bytes are the most, and may be")
      return
    }
    #expect(data.count == 4096)
    var request = setReportEvent(id: 1, type: 1, [])
    request.replaceSubrange(CS_UHID_SET_REPORT_SIZE..<CS_UHID_SET_REPORT_SIZE + 2, with: native(UInt16(4097)))
    #expect(KernelEvent(decoding: request[...]) == nil)
  }
}

@Suite struct DeviceEventTests {
  @Test func create() {
    let description = DeviceDescription(
      name: "A name", uniq: "one", vendor: 0x0102_0304, product: 0x0506_0708, version: 0x090A,
      reportDescriptor: [0x11, 0x22, 0x33])
    let bytes = DeviceEvent.create(description).encoded()
    func part(_ offset: Int, _ count: Int) -> [UInt8] { Array(bytes[offset..<offset + count]) }
    #expect(part(0, 4) == native(UInt32(11)))
    #expect(part(CS_UHID_CREATE2_NAME, 128) == Array("A name".utf8) + [UInt8](repeating: 0, count: 122))
    #expect(part(CS_UHID_CREATE2_PHYS, 64) == [UInt8](repeating: 0, count: 64))
    #expect(part(CS_UHID_CREATE2_UNIQ, 64) == Array("one".utf8) + [UInt8](repeating: 0, count: 61))
    #expect(part(CS_UHID_CREATE2_DESCRIPTOR_SIZE, 2) == native(UInt16(3)))
    #expect(part(CS_UHID_CREATE2_BUS, 2) == native(UInt16(3)))
    #expect(part(CS_UHID_CREATE2_VENDOR, 4) == native(UInt32(0x0102_0304)))
    #expect(part(CS_UHID_CREATE2_PRODUCT, 4) == native(UInt32(0x0506_0708)))
    #expect(part(CS_UHID_CREATE2_VERSION, 4) == native(UInt32(0x090A)))
    #expect(part(CS_UHID_CREATE2_COUNTRY, 4) == [0, 0, 0, 0])
    #expect(Array(bytes[CS_UHID_CREATE2_DESCRIPTOR...]) == [0x11, 0x22, 0x33])
  }

  @Test func others() {
    #expect(DeviceEvent.destroy.encoded() == native(UInt32(1)))
    #expect(DeviceEvent.input([7, 8]).encoded() == native(UInt32(12)) + native(UInt16(2)) + [7, 8])
    #expect(
      DeviceEvent.getReportReply(id: 5, error: 6).encoded() == native(UInt32(10)) + native(UInt32(5))
        + native(UInt16(6)) + [0, 0])
    #expect(
      DeviceEvent.setReportReply(id: 5, error: 6).encoded() == native(UInt32(14)) + native(UInt32(5))
        + native(UInt16(6)))
  }

  @Test func theDevice() {
    let device = DeviceDescription.countersign
    #expect(device.uniq == "countersign", "udev rules go by it")
    #expect(device.uniq.utf8.allSatisfy { $0 < 0x80 } && device.name.utf8.allSatisfy { $0 < 0x80 })
    // Usage page 0xF1D0, usage 1: what fido_id of udev and every client looks for.
    #expect(device.reportDescriptor.prefix(5) == [0x06, 0xD0, 0xF1, 0x09, 0x01])
    #expect(device.reportDescriptor.count == 34)
  }
}

@Suite struct ReportPacerTests {
  private let millisecond: UInt64 = 1_000_000

  @Test func aFewAtOnceThenSteadily() {
    var pacer = ReportPacer()
    var now: UInt64 = 50
    #expect((0..<20).map { _ in pacer.take(at: now) }.filter(\.self).count == 16)
    #expect(pacer.next(at: now) == now + 2 * millisecond)
    now += 2 * millisecond
    #expect(pacer.take(at: now) == true)
    #expect(pacer.take(at: now) == false)
    // A long answer goes at the pace of a bus.
    var sent = 0
    while sent < 100 {
      now = pacer.next(at: now)
      #expect(pacer.take(at: now) == true)
      sent += 1
    }
    #expect(now == 50 + 202 * millisecond)
  }

  @Test func restIsSaved() {
    var pacer = ReportPacer()
    while pacer.take(at: 0) {}
    #expect((0..<40).filter { _ in pacer.take(at: 10 * millisecond) }.count == 5)
    #expect((0..<40).filter { _ in pacer.take(at: 1000 * millisecond) }.count == 16)
  }
}
