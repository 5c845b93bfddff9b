import Platform
import Testing

@Suite struct OptionReaderTests {
  @Test func bothForms() throws {
    var reader = OptionReader(["--a", "1", "--b=2=3", "-h", "--c"], of: "program")
    #expect(reader.next() == "--a")
    #expect(try reader.value() == "1")
    #expect(reader.next() == "--b")
    #expect(try reader.value() == "2=3")
    #expect(reader.next() == "-h")
    #expect(reader.next() == "--c")
    try reader.refuseValue()
    #expect(throws: UsageError(description: "--c needs a value: see program --help")) { try reader.value() }
    #expect(reader.unknown.description == "unknown argument --c: see program --help")
    #expect(reader.next() == nil)
  }

  @Test func empty() throws {
    var reader = OptionReader(["--a=", "--b", ""], of: "program")
    #expect(reader.next() == "--a")
    #expect(throws: UsageError(description: "--a takes no value: see program --help")) { try reader.refuseValue() }
    #expect(throws: UsageError(description: "--a needs a value: see program --help")) { try reader.value() }
    #expect(reader.next() == "--b")
    #expect(throws: UsageError.self) { try reader.value() }
  }

  @Test func whereTheSocketIs() {
    let environment = ["COUNTERSIGN_SOCKET": "/b"]
    #expect(JobSocket.path(option: "/a") { environment[$0] } == "/a")
    #expect(JobSocket.path(option: nil) { environment[$0] } == "/b")
    #expect(JobSocket.path(option: nil) { _ in "" } == "/run/countersign/ctap.sock")
    #expect(JobSocket.path(option: nil) { _ in nil } == "/run/countersign/ctap.sock")
  }
}
