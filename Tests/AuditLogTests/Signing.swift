import AuditLog
import Crypto
import Platform
import TestSupport
import WebAuthn

/// A TPM that signs heads, in memory.
final class TestSigner: AuditSigner {
  struct State {
    var anchor: UInt64
    var clock: UInt64 = 1000
    var resetCount: UInt32 = 4_000_000_000
    var isAway = false
    var signatures = 0
  }

  let key = TestKey()
  let auditKey: AuditKey
  private let state: Lock<State>

  init(firstAnchor: UInt64 = 40) {
    guard let auditKey = AuditKey(publicKey: key.publicKey.subjectPublicKeyInfo, firstAnchor: firstAnchor) else {
      fatalError("a test key is a P-256 key")
    }
    self.auditKey = auditKey
    state = Lock(State(anchor: firstAnchor))
  }

  var now: State { state.withLock { $0 } }

  func change(_ body: @Sendable (inout State) -> Void) { state.withLock { body(&$0) } }

  private func check() throws(AuditError) {
    if now.isAway { throw AuditError("the TPM is away") }
  }

  func anchor() async throws(AuditError) -> UInt64 {
    try check()
    return now.anchor
  }

  func advanceAnchor() async throws(AuditError) -> UInt64 {
    try check()
    change { $0.anchor += 1 }
    return now.anchor
  }

  func attest(_ digest: [UInt8]) async throws(AuditError) -> AuditStatement {
    try check()
    change {
      $0.signatures += 1
      $0.clock += 1
    }
    return statement(digest)
  }

  func statement(_ digest: [UInt8]) -> AuditStatement {
    let attested = attestation(of: digest, clock: now.clock, resetCount: now.resetCount)
    return AuditStatement(attested: attested, signature: key.sign(attested))
  }
}

/// TPMS_ATTEST of TPM2_Quote.
func attestation(of digest: [UInt8], clock: UInt64, resetCount: UInt32) -> [UInt8] {
  func number(_ value: UInt64, _ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
  }
  func sized(_ bytes: [UInt8]) -> [UInt8] { number(UInt64(bytes.count), 2) + bytes }
  var bytes = number(0xFF54_4347, 4) + number(0x8018, 2) + sized([0, 11] + SHA256.hash([1])) + sized(digest)
  bytes += number(clock, 8) + number(UInt64(resetCount), 4) + number(7, 4) + [1] + number(99, 8)
  return bytes + number(0, 4) + sized(SHA256.hash([]))
}
