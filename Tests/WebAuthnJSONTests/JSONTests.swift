import Testing
import WebAuthn

func bytes(_ text: String) -> [UInt8] { [UInt8](text.utf8) }
func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

@Suite struct JSONValueTests {
  @Test func serializesLikeABrowser() {
    let value = JSONValue.object([
      "z": .array([.null, true, .integer(-7), .number(1.5)]),
      "a": .string("https://x/\"\\\u{8}\u{c}\n\r\t\u{1}\u{7f}é"),
      "publicKeyAlgorithm": 1, "publicKey": 2, "B": .object([:]),
    ])
    #expect(
      text(value.serialized())
        == #"{"B":{},"a":"https://x/\"\\\b\f\n\r\t\u0001"# + "\u{7f}é"
        + #"","publicKey":2,"publicKeyAlgorithm":1,"z":[null,true,-7,1.5]}"#)
  }

  @Test func parsesWhatItSerializes() throws {
    let source = #"{"a":[1,-2,true,null,"x/y"],"b":{"c":9007199254740993}}"#
    #expect(text(try JSONValue.parse(bytes(source)).serialized()) == source)
  }

  @Test(arguments: [
    (#""\"\\\/\b\f\n\r\té\u00e9\uD83D\ude00""#, JSONValue.string("\"\\/\u{8}\u{c}\n\r\té\u{e9}😀")),
    (" \t\r\n[ 1 , -0.5e+1 ] ", .array([1, .number(-5)])), ("{ }", .object([:])), ("[]", .array([])),
    ("9223372036854775807", .integer(.max)), ("9223372036854775808", .number(9.223372036854775808e18)),
    ("-0", 0), ("1E2", .number(100)), (#"{"":null}"#, .object(["": .null])),
  ])
  func parses(source: String, value: JSONValue) throws {
    #expect(try JSONValue.parse(bytes(source)) == value)
  }

  @Test(arguments: [
    ("", "expected a JSON text, found nothing"), ("{", "its end at line 1, column 2"),
    ("[1,]", "an unexpected ] at line 1, column 4"), ("{\"a\":1}}", "more after the value at line 1, column 8"),
    ("{\"a\":1,}", "an unexpected } at line 1, column 8"), ("{a:1}", "an unexpected a at line 1, column 2"),
    ("{\"a\" 1}", "an unexpected 1 at line 1, column 6"), ("'a'", "an unexpected ' at line 1, column 1"),
    ("nul", "an unexpected n at line 1, column 1"), ("\u{feff}1", "an unexpected byte at line 1, column 1"),
    ("\"\u{1}\"", "a control character in a string at line 1, column 2"), ("\"a", "its end at line 1, column 3"),
    ("01", "more after the value at line 1, column 2"), ("-", "its end at line 1, column 2"),
    ("1.", "its end at line 1, column 3"), (".5", "an unexpected . at line 1, column 1"),
    ("1e", "its end at line 1, column 3"), ("+1", "an unexpected + at line 1, column 1"),
    ("1e999", "a number that is too large at line 1, column 1"), ("// x\n1", "an unexpected / at line 1, column 1"),
    ("[1,\n 2,\n x]", "an unexpected x at line 3, column 2"), (#""\x""#, "an unexpected x at line 1, column 3"),
    (#""\u12g4""#, "an unexpected g at line 1, column 6"), (#""\ud83d""#, "half a surrogate pair at line 1, column 8"),
    (#""\ude00""#, "half a surrogate pair at line 1, column 8"),
    (#""\ud83d\u0041""#, "half a surrogate pair at line 1, column 14"),
    (#"{"a":1,"b":{"a":2},"a":3}"#, "a member named twice at line 1, column 20"),
  ])
  func refusesWhatIsNotJSON(source: String, complaint: String) {
    #expect {
      try JSONValue.parse(bytes(source))
    } throws: {
      "\($0)".hasSuffix(complaint)
    }
  }

  @Test func boundsNesting() throws {
    func nested(_ depth: Int) -> [UInt8] {
      [UInt8](repeating: 0x5b, count: depth) + [UInt8](repeating: 0x5d, count: depth)
    }
    _ = try JSONValue.parse(nested(64))
    #expect(throws: JSONInputError.self) { try JSONValue.parse(nested(65)) }
  }

  @Test func survivesDeepNesting() {
    #expect(throws: JSONInputError.self) { try JSONValue.parse([UInt8](repeating: UInt8(ascii: "["), count: 1 << 20)) }
  }

  @Test func refusesBrokenUTF8() {
    #expect(throws: JSONInputError.self) { try JSONValue.parse([0x22, 0xff, 0x22]) }
  }
}

@Suite struct CollectedClientDataTests {
  @Test func serializesLikeABrowser() {
    let data = CollectedClientData(
      type: "webauthn.create", challenge: [0xfb, 0xff], origin: "https://example.com:8443")
    #expect(
      text(data.serialized())
        == #"{"type":"webauthn.create","challenge":"-_8","origin":"https://example.com:8443","crossOrigin":false}"#)
  }

  @Test func escapesAsTheStandardSays() {
    let data = CollectedClientData(
      type: "a/b", challenge: [], origin: "\"\\\n\u{7f}é", crossOrigin: true, topOrigin: "https://t")
    #expect(
      text(data.serialized())
        == #"{"type":"a/b","challenge":"","origin":"\"\\\u000a"# + "\u{7f}é"
        + #"","crossOrigin":true,"topOrigin":"https://t"}"#)
  }

  @Test func parsesItsOwnAndOthers() throws {
    let data = CollectedClientData(type: "webauthn.get", challenge: [1, 2, 3], origin: "https://example.com")
    #expect(try CollectedClientData(parsing: data.serialized()) == data)
    let other = #"{ "origin": "https:\/\/example.com", "type": "webauthn.get", "new": {}, "challenge": "AQID" }"#
    #expect(try CollectedClientData(parsing: bytes(other)) == data)
  }

  @Test(arguments: [
    (#"{"challenge":"","origin":""}"#, "type: expected a string, found nothing"),
    (
      #"{"type":"","challenge":"=","origin":""}"#,
      "challenge: expected base64url text without padding, found a string that is not base64url"
    ),
    (#"{"type":"","challenge":"","origin":1}"#, "origin: expected a string, found a number"),
    (
      #"{"type":"","challenge":"","origin":"","crossOrigin":"no"}"#,
      "crossOrigin: expected true or false, found a string"
    ),
    ("[]", "expected an object, found an array"),
  ])
  func refuses(source: String, complaint: String) {
    #expect {
      try CollectedClientData(parsing: bytes(source))
    } throws: {
      "\($0)" == complaint
    }
  }
}
