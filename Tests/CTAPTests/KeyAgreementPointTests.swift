import CBOR
import Crypto
import TestSupport
import Testing

@testable import CTAP

@Suite("Key agreement points")
struct KeyAgreementPointTests {
  private let x = [UInt8](repeating: 1, count: 32)
  private let y = [UInt8](repeating: 2, count: 32)

  private var map: CBORMap { [1: 2, 3: -25, -1: 1, -2: .bytes(x), -3: .bytes(y)] }

  @Test("As python-fido2 sends one")
  func encoding() throws {
    let bytes = try PINProtocolVectors.named("pin.platform.coseKey")
    let point = try PINProtocolVectors.point("pin.platform")
    #expect(CanonicalCBOR.encode(point.value) == bytes)
    #expect(try KeyAgreementPoint(CanonicalCBOR.decode(bytes)) == point)
  }

  @Test("Of one's own key")
  func ownKey() throws {
    let key = try KeyAgreementKey()
    let point = KeyAgreementPoint(of: key)
    #expect(point == KeyAgreementPoint(x: key.publicKey.x, y: key.publicKey.y))
    #expect(try KeyAgreementPoint(point.value) == point)
  }

  @Test("Every missing member")
  func missing() {
    for key: CBORValue in [1, 3, -1, -2, -3] {
      var map = map
      map[key] = nil
      #expect(status(map) == .missingParameter, "\(key)")
    }
    #expect(status([:]) == .missingParameter)
  }

  @Test("Every member of another type")
  func types() {
    let numbers: [CBORValue] = ["1", .bytes([1]), .array([]), .map([:]), true, .null]
    for key: CBORValue in [1, 3, -1] {
      for value in numbers { #expect(status(replacing(key, value)) == .cborUnexpectedType, "\(key): \(value)") }
    }
    // True and false are how a compressed point has its y.
    let coordinates: [CBORValue] = [1, "1", .array([]), .map([:]), true, false, .null]
    for key: CBORValue in [-2, -3] {
      for value in coordinates { #expect(status(replacing(key, value)) == .cborUnexpectedType, "\(key): \(value)") }
    }
    for value in numbers where value != .map([:]) {
      #expect(throws: CTAPStatus.cborUnexpectedType) { try KeyAgreementPoint(value) }
    }
  }

  @Test("Every member with another value")
  func values() {
    for (key, wrong) in [(1, [0, 1, 3, -2]), (3, [-7, -26, -24, 25, 0]), (-1, [0, 2, 3, 6, -1])] as [(Int64, [Int64])] {
      for value in wrong {
        #expect(status(replacing(.integer(key), .integer(value))) == .invalidParameter, "\(key): \(value)")
      }
    }
  }

  @Test("Coordinates of every length")
  func lengths() {
    for count in 0...66 {
      let bytes = [UInt8](repeating: 3, count: count)
      let expected: CTAPStatus = count == 32 ? .ok : .invalidParameter
      #expect(status(replacing(-2, .bytes(bytes))) == expected, "\(count) bytes")
      #expect(status(replacing(-3, .bytes(bytes))) == expected, "\(count) bytes")
      #expect((KeyAgreementPoint(x: bytes, y: y) != nil) == (count == 32))
      #expect((KeyAgreementPoint(x: x, y: bytes) != nil) == (count == 32))
    }
  }

  @Test("Unknown members are ignored")
  func unknown() {
    #expect(status(replacing(2, .bytes([1]))) == .ok)
    #expect(status(replacing("kid", 1)) == .ok)
  }

  private func replacing(_ key: CBORValue, _ value: CBORValue) -> CBORMap {
    var map = map
    map[key] = value
    return map
  }

  private func status(_ map: CBORMap) -> CTAPStatus {
    do throws(CTAPStatus) {
      _ = try KeyAgreementPoint(.map(map))
      return .ok
    } catch {
      return error
    }
  }
}
