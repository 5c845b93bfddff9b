import Attestation
import Crypto
import TestSupport
import Testing
import WebAuthn

/// The files of the boot state, without a TPM.
@Suite struct BootFileTests {
  private let key: TestKey
  private let state: BootState

  init() throws {
    key = TestKey()
    guard case .es256(let x, let y) = key.publicKey,
      let policy = BootPolicy(x: x, y: y, pcrs: [0, 7, 23], reference: [UInt8](repeating: 5, count: 32))
    else { throw EnrolmentRefusal("no policy") }
    state = BootState(policy: policy, values: [1, 2, 3].map { [UInt8](repeating: $0, count: 32) })
  }

  /// Digests that were made by hand: TPM 2.0 Library, part 3, sections 23.7 and 23.16, with hashlib.
  @Test func digestsAreTheTPMs() throws {
    let numbers = [UInt8](repeating: 0x11, count: 32)
    let policy = try #require(
      BootPolicy(x: numbers, y: [UInt8](repeating: 0x22, count: 32), pcrs: [0, 7, 23], reference: numbers))
    #expect(
      policy.keyArea.hex
        == "0023000b000400400000001000100003001000201111111111111111111111111111111111111111111111111111111111111111"
        + "00202222222222222222222222222222222222222222222222222222222222222222")
    #expect(policy.keyName.hex == "000b" + "aa0381ded75d00f2a912d1fc866879fc322b5c5a5f3f9b2bc265c62d08c3e250")
    #expect(policy.authorizedPolicy.hex == "40ac37828f53474c270429b5d07b0cfd6808799c3cbcaa724f48c3fce9c34cde")
    #expect(policy.authorizedValuePolicy.hex == "9417e5b7a0d9292755ad24506ee5d693cdbfdc3b2cf060375669242e3b0e4f58")
    #expect(policy.policy(of: state.values).hex == "67a09545a17eab3458220286c615b92b2d648d1421da6bd7ab5219ed374e4844")
  }

  @Test func comesBack() throws {
    #expect(try BootState(state.json) == state)
    let approval = try approval()
    #expect(try BootApproval(approval.json) == approval)
    try approval.check(for: state.policy)
  }

  private func approval() throws -> BootApproval {
    guard case .object(var members) = EnrolmentFileJSON.approval(state) else { throw EnrolmentRefusal("no object") }
    members["signature"] = .string(Base64URL.encode(key.sign(state.message)))
    return try BootApproval(.object(members))
  }

  @Test(arguments: [[], [24], [-1], [7, 0], [7, 7]]) func onlySuchPCRs(pcrs: [Int]) {
    #expect(BootPolicy(x: state.policy.x, y: state.policy.y, pcrs: pcrs, reference: state.policy.reference) == nil)
  }

  /// Any bytes: a value that says the same again, or a refusal.
  @Test func otherFilesAreRefused() throws {
    let good = try approval().json.serialized()
    var random = SeededGenerator()
    print("seed \(random.seed)")
    for _ in 0..<5000 {
      var bytes = good
      bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0x20..<0x7f, using: &random)
      if Bool.random(using: &random) { bytes.removeLast(Int.random(in: 0..<bytes.count, using: &random)) }
      guard let value = try? JSONValue.parse(bytes), let read = try? BootApproval(value) else { continue }
      #expect(try BootApproval(read.json) == read)
      if bytes != good, read != (try approval()) {
        #expect(throws: EnrolmentRefusal.self) { try read.check(for: state.policy) }
      }
    }
  }
}

private enum EnrolmentFileJSON {
  static func approval(_ state: BootState) -> JSONValue {
    .object(state.members.merging(["countersign": "boot state approval", "version": .integer(1)]) { $1 })
  }
}
