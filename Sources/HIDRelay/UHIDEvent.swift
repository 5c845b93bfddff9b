internal import CLinux

/// What the kernel says to a user-space HID device: `struct uhid_event` of <linux/uhid.h>, as far as it concerns us.
enum KernelEvent: Equatable {
  /// A driver has taken the device.
  case start
  case stop
  /// Somebody has opened the device; nobody had it open before.
  case open
  /// Nobody has it open any more.
  case close
  /// Of the host, with the report's number, 0, before it.
  case output([UInt8])
  case getReport(id: UInt32)
  case setReport(id: UInt32, type: UInt8, [UInt8])
  /// One that means nothing here.
  case other(type: UInt32)

  /// Reads what one read(2) gave; nil where it is cut short, or tells of more data than it has room for.
  init?(decoding bytes: ArraySlice<UInt8>) {
    let event = NativeBytes(bytes)
    guard let type = event.uint32(at: 0) else { return nil }
    switch Int(type) {
    case CS_UHID_START: self = .start
    case CS_UHID_STOP: self = .stop
    case CS_UHID_OPEN: self = .open
    case CS_UHID_CLOSE: self = .close
    case CS_UHID_OUTPUT:
      guard let size = event.uint16(at: CS_UHID_OUTPUT_SIZE), let data = event.data(at: CS_UHID_OUTPUT_DATA, size)
      else { return nil }
      self = .output(data)
    case CS_UHID_GET_REPORT:
      guard let id = event.uint32(at: CS_UHID_REPORT_ID) else { return nil }
      self = .getReport(id: id)
    case CS_UHID_SET_REPORT:
      guard let id = event.uint32(at: CS_UHID_REPORT_ID), let type = event.uint8(at: CS_UHID_REPORT_TYPE),
        let size = event.uint16(at: CS_UHID_SET_REPORT_SIZE), let data = event.data(at: CS_UHID_SET_REPORT_DATA, size)
      else { return nil }
      self = .setReport(id: id, type: type, data)
    default: self = .other(type: type)
    }
  }
}

/// What we say to the kernel. An event may be written as far as it matters; the kernel takes the rest for zeros.
enum DeviceEvent: Equatable {
  case create(DeviceDescription)
  case destroy
  /// A report to the host.
  case input([UInt8])
  /// `error` is an errno; 0 is none.
  case getReportReply(id: UInt32, error: UInt16)
  case setReportReply(id: UInt32, error: UInt16)

  func encoded() -> [UInt8] {
    switch self {
    case .create(let description): return description.encoded()
    case .destroy: return NativeBytes.encode(UInt32(CS_UHID_DESTROY))
    case .input(let report):
      precondition(report.count <= CS_UHID_DATA_SIZE, "a report has at most 4,096 bytes")
      return NativeBytes.encode(UInt32(CS_UHID_INPUT2)) + NativeBytes.encode(UInt16(report.count)) + report
    case .getReportReply(let id, let error):
      // No data: the size after the error is 0.
      return NativeBytes.encode(UInt32(CS_UHID_GET_REPORT_REPLY)) + NativeBytes.encode(id)
        + NativeBytes.encode(error) + NativeBytes.encode(UInt16(0))
    case .setReportReply(let id, let error):
      return NativeBytes.encode(UInt32(CS_UHID_SET_REPORT_REPLY)) + NativeBytes.encode(id) + NativeBytes.encode(error)
    }
  }
}

/// What the kernel is told of the device when it is made.
struct DeviceDescription: Equatable {
  /// ASCII, at most 127 bytes.
  var name: String
  /// ASCII, at most 63 bytes: udev rules go by it. Other bytes break the rules of other packages.
  var uniq: String
  var vendor: UInt32
  var product: UInt32
  var version: UInt32
  var reportDescriptor: [UInt8]

  func encoded() -> [UInt8] {
    precondition(name.utf8.count < 128 && uniq.utf8.count < 64 && reportDescriptor.count <= CS_UHID_DATA_SIZE)
    var bytes = [UInt8](repeating: 0, count: CS_UHID_CREATE2_DESCRIPTOR)
    func put(_ part: some Collection<UInt8>, at offset: Int) {
      bytes.replaceSubrange(offset..<offset + part.count, with: part)
    }
    put(NativeBytes.encode(UInt32(CS_UHID_CREATE2)), at: 0)
    put(name.utf8, at: CS_UHID_CREATE2_NAME)
    put(uniq.utf8, at: CS_UHID_CREATE2_UNIQ)
    put(NativeBytes.encode(UInt16(reportDescriptor.count)), at: CS_UHID_CREATE2_DESCRIPTOR_SIZE)
    put(NativeBytes.encode(UInt16(CS_UHID_BUS_USB)), at: CS_UHID_CREATE2_BUS)
    put(NativeBytes.encode(vendor), at: CS_UHID_CREATE2_VENDOR)
    put(NativeBytes.encode(product), at: CS_UHID_CREATE2_PRODUCT)
    put(NativeBytes.encode(version), at: CS_UHID_CREATE2_VERSION)
    return bytes + reportDescriptor
  }
}

/// Numbers in the machine's own order of bytes, as structures of C have them.
private struct NativeBytes {
  private let bytes: ArraySlice<UInt8>

  init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
  }

  func data(at offset: Int, _ count: UInt16) -> [UInt8]? {
    guard count <= CS_UHID_DATA_SIZE, offset + Int(count) <= bytes.count else { return nil }
    return Array(bytes.dropFirst(offset).prefix(Int(count)))
  }

  func uint8(at offset: Int) -> UInt8? { data(at: offset, 1)?.first }
  func uint16(at offset: Int) -> UInt16? { number(at: offset) }
  func uint32(at offset: Int) -> UInt32? { number(at: offset) }

  private func number<Number: FixedWidthInteger>(at offset: Int) -> Number? {
    guard let part = data(at: offset, UInt16(Number.bitWidth / 8)) else { return nil }
    return Number(littleEndian: part.reversed().reduce(0) { $0 << 8 | Number($1) })
  }

  static func encode<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    let little = number.littleEndian
    return (0..<Number.bitWidth / 8).map { UInt8(truncatingIfNeeded: little >> Number($0 * 8)) }
  }
}
