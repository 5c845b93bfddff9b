internal import Platform

/// The authenticator's randomness in tests.
package final class SeededRandom: RandomSource {
  private let generator: Lock<SeededGenerator>

  package init(seed: UInt64) {
    generator = Lock(SeededGenerator(seed: seed))
  }

  package func bytes(_ count: Int) -> [UInt8] {
    generator.withLock { $0.bytes(count) }
  }
}
