internal import CLinux

/// The kernel's generator (getrandom(2)).
package struct SystemRandom: RandomSource {
  package init() {}

  package func bytes(_ count: Int) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
      // Fails on kernels without getrandom(2) only; an identifier must never be predictable.
      precondition(unsafe cs_random(bytes.baseAddress, count) == 0, "getrandom(2) failed")
      filled = count
    }
  }
}
