/// What an authenticator can do, as the answer to INIT says it (CTAP 2.1 section 11.2.9.1.3).
package struct Capabilities: OptionSet, Hashable, Sendable {
  package let rawValue: UInt8

  package init(rawValue: UInt8) {
    self.rawValue = rawValue
  }

  /// WINK is implemented.
  package static let wink = Capabilities(rawValue: 0x01)
  /// CBOR is implemented.
  package static let cbor = Capabilities(rawValue: 0x04)
  /// MSG is **not** implemented.
  package static let noMessage = Capabilities(rawValue: 0x08)
}

/// The device version in the answer to INIT; what it means is the vendor's business.
package struct DeviceVersion: Hashable, Sendable {
  package let major: UInt8
  package let minor: UInt8
  package let build: UInt8

  package init(major: UInt8, minor: UInt8, build: UInt8) {
    self.major = major
    self.minor = minor
    self.build = build
  }
}

/// The payload of the answer to INIT: nonce, channel, protocol version 2, device version, capabilities.
package struct InitializationReply: Equatable, Sendable {
  /// Bytes of the nonce, which is the whole payload of the request.
  package static let nonceCount = 8
  /// Bytes of the reply.
  package static let count = 17
  /// The CTAPHID protocol version.
  package static let protocolVersion: UInt8 = 2

  package let nonce: [UInt8]
  package let channel: UInt32
  package let version: DeviceVersion
  package let capabilities: Capabilities

  /// Makes a reply.
  ///
  /// - Parameters:
  ///   - nonce: as the client sent it, 8 bytes
  ///   - channel: which channel the connection is
  ///   - version: of the device
  ///   - capabilities: of the device
  package init(nonce: [UInt8], channel: UInt32, version: DeviceVersion, capabilities: Capabilities) {
    precondition(nonce.count == InitializationReply.nonceCount, "the nonce of INIT has 8 bytes")
    self.nonce = nonce
    self.channel = channel
    self.version = version
    self.capabilities = capabilities
  }

  package func encoded() -> [UInt8] {
    var bytes = nonce
    for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: channel >> UInt32(shift))) }
    bytes += [Self.protocolVersion, version.major, version.minor, version.build, capabilities.rawValue]
    return bytes
  }

  /// Reads a reply; nil unless it has exactly ``count`` bytes and speaks protocol version 2.
  package init?(decoding payload: [UInt8]) {
    guard payload.count == Self.count, payload[12] == Self.protocolVersion else { return nil }
    self.init(
      nonce: Array(payload[0..<8]),
      channel: payload[8..<12].reduce(0) { $0 << 8 | UInt32($1) },
      version: DeviceVersion(major: payload[13], minor: payload[14], build: payload[15]),
      capabilities: Capabilities(rawValue: payload[16]))
  }
}
