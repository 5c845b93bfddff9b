import Glibc
import Platform
import Testing

@testable import HIDRelay

@Suite struct RelayOptionsTests {
  @Test func nothingGiven() throws {
    let options = try RelayOptions([])
    #expect(options.action == .run && options.source == .uhid("/dev/uhid") && options.socket == nil)
    #expect(!options.isDebugging)
  }

  @Test func everyOption() throws {
    let options = try RelayOptions(["--socket=/s", "--reports", "/r", "--debug"])
    #expect(options.socket == "/s" && options.source == .reports("/r") && options.isDebugging)
    #expect(try RelayOptions(["--uhid", "/u"]).source == .uhid("/u"))
    #expect(try RelayOptions(["-h"]).action == .help)
    #expect(try RelayOptions(["--help", "--nonsense"]).action == .help)
    #expect(try RelayOptions(["--version"]).action == .version)
  }

  @Test(arguments: [
    (["--nonsense"], "unknown argument --nonsense: see countersign-hid --help"), (["run"], "unknown argument run"),
    (["--socket"], "--socket needs a value"), (["--uhid="], "--uhid needs a value"),
    (["--debug=1"], "--debug takes no value"),
    (["--uhid", "a", "--reports", "b"], "one of --uhid and --reports, once: leave one out"),
    (["--reports", "a", "--reports", "b"], "one of --uhid and --reports"),
  ])
  func mistakes(_ arguments: [String], _ complaint: String) {
    do throws(UsageError) {
      _ = try RelayOptions(arguments)
      Issue.record("taken: \(arguments)")
    } catch {
      #expect(error.description.hasPrefix(complaint) && !error.description.contains("\n"))
    }
  }

  @Test func whyThereIsNoDevice() {
    let missing = DeviceError(path: "/dev/uhid", cause: SystemError(call: "open /dev/uhid", code: ENOENT))
    #expect(
      missing.description == "no virtual device on /dev/uhid: open /dev/uhid: No such file or directory: "
        + "load the kernel's module uhid (modprobe uhid), or use --reports")
    #expect(
      DeviceError(path: "x", cause: SystemError(call: "open", code: EACCES)).description.contains("only the service"))
  }
}
