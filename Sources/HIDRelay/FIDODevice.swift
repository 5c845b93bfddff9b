internal import Platform

extension DeviceDescription {
  /// The virtual security key.
  ///
  /// Vendor and product are 0: nobody has been given them, and a number that belongs to a maker would have programs
  /// take this for that maker's key. Programs know a security key by its report descriptor, udev rules this one by
  /// `uniq`.
  static let countersign = DeviceDescription(
    name: "Countersign virtual FIDO2 authenticator", uniq: "countersign", vendor: 0, product: 0,
    version: UInt32(CountersignVersion.bytes.major) << 8 | UInt32(CountersignVersion.bytes.minor),
    reportDescriptor: fidoReports)

  /// CTAP 2.1 section 11.2.8.2: reports of 64 bytes each way, without a report number.
  private static let fidoReports: [UInt8] = [
    0x06, 0xD0, 0xF1,  // usage page: FIDO alliance
    0x09, 0x01,  // usage: authenticator
    0xA1, 0x01,  // collection: application
    0x09, 0x20,  // usage: data in
    0x15, 0x00,  // logical minimum 0
    0x26, 0xFF, 0x00,  // logical maximum 255
    0x75, 0x08,  // report size 8 bits
    0x95, 0x40,  // report count 64
    0x81, 0x02,  // input: data, variable, absolute
    0x09, 0x21,  // usage: data out
    0x15, 0x00,
    0x26, 0xFF, 0x00,
    0x75, 0x08,
    0x95, 0x40,
    0x91, 0x02,  // output: data, variable, absolute
    0xC0,
  ]
}
