import Glibc
import Platform
import Secrets
import Testing

struct SecretBytesTests {
  /// Holds a secret in a collection.
  private final class Box: Sendable {
    let secret: SecretBytes

    init(_ count: Int, _ value: UInt8) throws {
      secret = try SecretBytes(count: count) { span in
        // Memory that was another secret's must not show it.
        for index in span.indices where span[index] != 0 { throw NotZero() }
        for index in span.indices { span[index] = value }
      }
    }

    var isWhole: Bool {
      secret.reveal { span in span.indices.allSatisfy { span[$0] == span[0] } }
    }
    var value: UInt8 { secret.reveal { $0[0] } }
  }

  private struct NotZero: Error {}

  @Test(arguments: [1, 32, 127, 128, 129, 4096, 5000])
  func secretsOfEverySizeKeepApart(count: Int) throws {
    var boxes = try (0..<100).map { try Box(count, UInt8($0)) }
    for index in stride(from: 98, through: 0, by: -2) { boxes.remove(at: index) }
    boxes += try (100..<150).map { try Box(count, UInt8($0)) }
    let odd = (0..<100).filter { !$0.isMultiple(of: 2) }.map { UInt8($0) }
    #expect(boxes.map(\.value) == odd + (100..<150).map { UInt8($0) })
    #expect(boxes.allSatisfy { $0.isWhole })
  }

  /// A thousand connections with several secrets each must fit the 8 MB that a process may lock by default.
  @Test func smallSecretsSharePages() throws {
    let addresses = try (0..<1024).map { _ in try Box(64, 7) }
    let pages = Set(
      addresses.map { box in
        box.secret.reveal { span in
          span.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) / 4096 }
        }
      })
    // Other tests hold some slots of the same pages.
    #expect(pages.count <= 1024 / 32 + 64)
  }

  @Test func manyThreadsMakeAndDropThem() throws {
    let done = try EventCounter()
    let failures = Lock(0)
    let finished = Lock(0)
    for thread in 0..<8 {
      try startThread(named: "secrets-\(thread)") {
        var held: [Box] = []
        for round in 0..<300 {
          do {
            held.append(try Box(1 + round % 128, UInt8(thread)))
          } catch {
            failures.withLock { $0 += 1 }
          }
          if held.count > 20 { held.removeFirst(10) }
          if !held.allSatisfy({ $0.isWhole && $0.value == UInt8(thread) }) { failures.withLock { $0 += 1 } }
        }
        finished.withLock { $0 += 1 }
        done.signal()
      }
    }
    while finished.withLock({ $0 }) < 8 { done.wait() }
    #expect(failures.withLock { $0 } == 0)
  }

  @Test func comparesByContent() throws {
    let one = try Box(32, 1)
    let same = try Box(32, 1)
    let other = try Box(32, 2)
    let longer = try Box(33, 1)
    #expect(one.secret.isEqual(to: same.secret) == true)
    #expect(one.secret.isEqual(to: other.secret) == false)
    #expect(one.secret.isEqual(to: longer.secret) == false)
  }
}
