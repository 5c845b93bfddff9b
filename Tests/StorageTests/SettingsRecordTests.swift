import Authenticator
import CBOR
import TestSupport
import Testing

@testable import Storage

/// What lies sealed in the slot of the settings.
@Suite struct SettingsRecordTests {
  private func map(_ settings: AuthenticatorSettings = settings(1)) throws -> CBORMap {
    guard case .map(let map) = try CanonicalCBOR.decode(SettingsRecord.encode(settings)) else {
      throw Unexpected("no map")
    }
    return map
  }

  private func refusal(_ map: CBORMap) -> String? { refusal(CanonicalCBOR.encode(.map(map))) }

  private func refusal(_ bytes: [UInt8]) -> String? {
    do throws(RecordError) {
      _ = try SettingsRecord.decode(bytes)
      return nil
    } catch {
      return error.description
    }
  }

  /// A stored format: whoever changes it writes a migration.
  @Test func theEncodingStays() {
    let identifier = String(repeating: "07", count: 16)
    var settings = AuthenticatorSettings(deviceIdentifier: [UInt8](repeating: 7, count: 16))
    #expect(
      SettingsRecord.encode(settings).hex
        == "a7" + "0100" + "0304" + "0480" + "05f4" + "06f4" + "07f4" + "0850\(identifier)")
    settings.generation = .max
    settings.pin = AuthenticatorSettings.PIN(verifier: [UInt8](repeating: 8, count: 32), codePoints: 6)
    settings.minPINLength = 63
    settings.minPINLengthRelyingParties = ["a", "b"]
    settings.forcePINChange = true
    settings.alwaysUV = true
    settings.enterpriseAttestation = true
    settings.persistentTokenNonce = [UInt8](repeating: 9, count: 16)
    #expect(
      SettingsRecord.encode(settings).hex
        == "a9" + "011bffffffffffffffff" + "02825820\(String(repeating: "08", count: 32))06" + "03183f"
        + "048261616162" + "05f5" + "06f5" + "07f5" + "0850\(identifier)" + "0950\(String(repeating: "09", count: 16))")
  }

  @Test func theyComeBack() throws {
    for number: UInt8 in [0, 1, 255] {
      #expect(try SettingsRecord.decode(SettingsRecord.encode(settings(number))) == settings(number))
    }
    let plain = AuthenticatorSettings(deviceIdentifier: [UInt8](repeating: 1, count: 16))
    #expect(try SettingsRecord.decode(SettingsRecord.encode(plain)) == plain)
  }

  @Test func unknownFieldsAreRefused() throws {
    for key: CBORValue in [0, 10, -1, "x", .bytes([1])] {
      var map = try map()
      map[key] = 1
      #expect(refusal(map)?.contains("newer version") == true)
    }
  }

  @Test func everyFieldHasItsType() throws {
    for key in Int64(1)...9 {
      var map = try map()
      #expect(map[.integer(key)] != nil)
      map[.integer(key)] = nil
      #expect((refusal(map) == nil) == [2, 9].contains(key))
      let wrongs: [CBORValue] = [
        .null, .array([1]), .map([:]), .float16(0), -1, .bytes([]), .bytes([UInt8](repeating: 1, count: 15)),
        .bytes([UInt8](repeating: 1, count: 17)), "x", 0,
      ]
      for wrong in wrongs where !(wrong == 0 && [1, 3].contains(key)) {
        map[.integer(key)] = wrong
        #expect(refusal(map) != nil, "\(key): \(wrong)")
      }
    }
    var map = try map()
    map[3] = .unsigned(.max)
    #expect(refusal(map) != nil)
    let verifier = CBORValue.bytes([UInt8](repeating: 1, count: 32))
    for wrong: CBORValue in [
      .array([]), .array([verifier]), .array([verifier, 6, 6]), .array([verifier, -6]), .array([6, verifier]),
      .array([.bytes([UInt8](repeating: 1, count: 31)), 6]), .array([verifier, .unsigned(.max)]),
    ] {
      var map = try self.map()
      map[2] = wrong
      #expect(refusal(map) != nil)
    }
  }

  @Test func anyBytesAreRefusedOrTaken() throws {
    let whole = SettingsRecord.encode(settings(1))
    for length in 0..<whole.count { #expect(refusal(Array(whole.prefix(length))) != nil) }
    #expect(refusal(whole + [0]) != nil)
    var random = SeededGenerator()
    print("SettingsRecordTests.anyBytesAreRefusedOrTaken: seed \(random.seed)")
    for _ in 0..<2000 {
      var bytes = whole
      bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
      // What is taken is exactly what would be written.
      if let settings = try? SettingsRecord.decode(bytes) { #expect(SettingsRecord.encode(settings) == bytes) }
      _ = refusal(random.bytes(40))
    }
  }
}
