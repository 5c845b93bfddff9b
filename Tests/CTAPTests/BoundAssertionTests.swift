import CBOR
import TestSupport
import Testing

@testable import CTAP

/// Frame command 0x41.
struct BoundAssertionTests {
  private let request = BoundAssertionRequest(
    challenge: [1, 2, 3], origin: "https://example.com",
    assertion: GetAssertionRequest(
      relyingPartyID: "example.com", clientDataHash: [UInt8](repeating: 0, count: 32),
      allowList: [CredentialDescriptor(id: [9])], options: RequestOptions(uv: true)))

  @Test func theSameAfterEncoding() throws {
    #expect(try BoundAssertionRequest(decoding: request.encoded()) == request)
  }

  @Test func theFormIsAContract() {
    #expect(
      CanonicalCBOR.encode(
        .map([
          1: .bytes([1, 2, 3]), 2: .text("https://example.com"),
          3: .map([
            1: .text("example.com"), 3: .array([.map([.text("id"): .bytes([9]), .text("type"): .text("public-key")])]),
            5: .map([.text("uv"): .boolean(true)]),
          ]),
        ])) == request.encoded())
  }

  private func status(_ change: (inout CBORMap) -> Void) throws -> CTAPStatus? {
    guard case .map(var map) = try CanonicalCBOR.decode(request.encoded()) else { return nil }
    change(&map)
    do throws(CTAPStatus) {
      _ = try BoundAssertionRequest(decoding: CanonicalCBOR.encode(.map(map)))
      return nil
    } catch {
      return error
    }
  }

  /// The job must not say what is signed.
  @Test(arguments: [0x02, 0x06, 0x07] as [CBORValue])
  func whatIsAboutClientDataIsRefused(_ key: CBORValue) throws {
    let found = try status { map in
      guard case .map(var inner)? = map[3] else { return }
      inner[key] = .bytes([UInt8](repeating: 7, count: 32))
      map[3] = .map(inner)
    }
    #expect(found == .invalidParameter)
  }

  @Test func everyMemberIsNeededAndBounded() throws {
    for key: CBORValue in [1, 2, 3] { #expect(try status { $0[key] = nil } == .missingParameter) }
    #expect(try status { $0[1] = .bytes([]) } == .invalidLength)
    #expect(try status { $0[1] = .bytes([UInt8](repeating: 0, count: 1025)) } == .invalidLength)
    #expect(try status { $0[2] = .text(String(repeating: "a", count: 1025)) } == .invalidLength)
    #expect(try status { $0[2] = .bytes([1]) } == .cborUnexpectedType)
    #expect(throws: CTAPStatus.invalidCBOR) { try BoundAssertionRequest(decoding: []) }
  }

  @Test func anyBytes() {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    let good = request.encoded()
    for _ in 0..<2000 {
      var bytes = good
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...255, using: &random)
      }
      if let read = try? BoundAssertionRequest(decoding: bytes) {
        #expect((try? BoundAssertionRequest(decoding: read.encoded())) == read, "seed \(seed)")
      }
    }
  }

  @Test func theAnswer() throws {
    let response = BoundAssertionResponse(
      clientDataJSON: [1], claims: [2],
      assertion: AssertionResponse(credential: CredentialDescriptor(id: [9]), authenticatorData: [3], signature: [4]))
    #expect(response.encoded().first == 0)
    #expect(try BoundAssertionResponse(decoding: response.encoded()) == response)
    #expect(throws: CTAPReplyError.refused(.operationDenied)) {
      try BoundAssertionResponse(decoding: [CTAPStatus.operationDenied.rawValue])
    }
    #expect(throws: CTAPReplyError.malformed(.invalidLength)) { try BoundAssertionResponse(decoding: []) }
    #expect(throws: CTAPReplyError.malformed(.invalidCBOR)) { try BoundAssertionResponse(decoding: [0]) }
  }
}
