internal import CLinux
internal import Glibc

/// The kernel refused locked memory. Raise `LimitMEMLOCK` (setrlimit(2)) of the service.
package struct SecretMemoryError: Error, Equatable, CustomStringConvertible {
  /// `errno` of mmap(2), mlock(2) or madvise(2).
  package let code: Int32

  package var description: String { "no locked memory for a secret (errno \(code)): raise LimitMEMLOCK" }
}

/// Secret bytes in memory that is locked, left out of core dumps, wiped in forked children and wiped at the end of
/// its life. Never copied by the language; the only exit is ``reveal(_:)``, a name that reviewers can search for.
@safe package struct SecretBytes: ~Copyable, @unchecked Sendable {
  private let address: UnsafeMutableRawPointer

  /// Length in bytes.
  package let count: Int

  /// Allocates `count` bytes and lets `fill` write them in place.
  ///
  /// - Parameters:
  ///   - count: length in bytes, at least 1
  ///   - fill: writes the secret; the memory is zero before
  /// - Throws: ``SecretMemoryError`` where the kernel refuses locked memory, else what `fill` throws
  package init(count: Int, filledBy fill: (inout MutableSpan<UInt8>) throws -> Void) throws {
    precondition(count > 0, "a secret has at least one byte")
    guard let mapped = unsafe cs_secret_allocate(count) else { throw SecretMemoryError(code: errno) }
    // A throwing initialiser of a noncopyable struct must not leave it half made: fill first, then own.
    do {
      let bytes = unsafe mapped.bindMemory(to: UInt8.self, capacity: count)
      var span = unsafe MutableSpan<UInt8>(_unsafeStart: bytes, count: count)
      try fill(&span)
    } catch {
      unsafe cs_secret_free(mapped, count)
      throw error
    }
    unsafe self.address = mapped
    self.count = count
  }

  deinit {
    unsafe cs_secret_free(address, count)
  }

  /// `count` bytes from the kernel's random generator.
  package static func random(count: Int) throws -> SecretBytes {
    try SecretBytes(count: count) { span in
      let status = unsafe span.withUnsafeMutableBytes { unsafe cs_random($0.baseAddress, $0.count) }
      guard status == 0 else { throw SecretMemoryError(code: errno) }
    }
  }

  /// Lends the bytes for the duration of `body`. Do not copy them out.
  package borrowing func reveal<Result: ~Copyable, Failure: Error>(
    _ body: (Span<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let bytes = unsafe address.assumingMemoryBound(to: UInt8.self)
    return try body(unsafe Span<UInt8>(_unsafeStart: bytes, count: count))
  }

  /// Whether both hold the same bytes; time depends on the length only.
  package borrowing func isEqual(to other: borrowing SecretBytes) -> Bool {
    guard count == other.count else { return false }
    return unsafe cs_compare(address, other.address, count) == 0
  }
}
