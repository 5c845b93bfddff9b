/// The version of this build. A release changes it together with CHANGELOG.md.
package enum CountersignVersion {
  package static let text = "0.1.0"
  /// `firmwareVersion` of getInfo and the device version of INIT: major, minor, patch as bytes.
  package static let bytes: (major: UInt8, minor: UInt8, build: UInt8) = (0, 1, 0)
  package static let firmware = UInt64(bytes.major) << 16 | UInt64(bytes.minor) << 8 | UInt64(bytes.build)
}
