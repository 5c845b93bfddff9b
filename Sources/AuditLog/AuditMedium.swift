package import Platform

/// The calls that can fail while the log is written. Tests pass one that fails on demand.
package protocol AuditMedium: Sendable {
  /// Appends; where it throws, any part of `bytes` may have been appended.
  func write(_ bytes: [UInt8], to file: borrowing Descriptor) throws(SystemError)
  /// Returns once everything written is durable.
  func synchronize(_ file: borrowing Descriptor) throws(SystemError)
  func truncate(_ file: borrowing Descriptor, to size: Int64) throws(SystemError)
}

/// The kernel.
package struct SystemMedium: AuditMedium {
  package init() {}

  package func write(_ bytes: [UInt8], to file: borrowing Descriptor) throws(SystemError) {
    try file.write(bytes)
  }

  package func synchronize(_ file: borrowing Descriptor) throws(SystemError) {
    try file.synchronize()
  }

  package func truncate(_ file: borrowing Descriptor, to size: Int64) throws(SystemError) {
    try file.truncate(to: size)
  }
}
