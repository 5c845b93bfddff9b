import Glibc
import Platform
import TestSupport
import Testing

@testable import Benchmarking
@testable import Commands

struct OptionTests {
  @Test func withoutOptionsEverythingIsMeasured() throws {
    let options = try BenchOptions([])
    #expect(options.action == .run && options.plan == Plan() && options.tcti == nil && !options.printsJSON)
    #expect(options.plan.stored == [1, 1000, 100_000] && options.plan.clients == [1, 4, 16, 64])
  }

  @Test func optionsCount() throws {
    let options = try BenchOptions([
      "--rounds", "2", "--stored=10,1", "--parts", "load,stores", "--quick", "--json", "--tpm", "device:/dev/tpmrm0",
      "--daemon", "d", "--documents", "docs", "--folder", "/tmp",
    ])
    // Whatever their order.
    #expect(options.plan.rounds == 2 && options.plan.stored == [1, 10] && options.plan.parts == [.load, .stores])
    #expect(options.plan.nanoseconds == Plan.quick.nanoseconds)
    #expect(options.tcti == "device:/dev/tpmrm0" && options.daemon == "d" && options.documents == "docs")
    #expect(options.parent == "/tmp" && options.printsJSON)
    #expect(try BenchOptions(["--clean", "/x"]).action == .clean(folder: "/x"))
  }

  @Test(arguments: [
    ["--rounds", "0"], ["--rounds", "101"], ["--rounds", "1,2"], ["--rounds", "x"], ["--rounds"], ["--stored", "1,,2"],
    ["--stored", "0"], ["--stored", "1000001"], ["--stored", "1,2,3,4,5,6,7,8,9"], ["--parts", "load,all"],
    ["--parts", ""], ["--folder", "here"], ["--quick=1"], ["--slow"], ["load"],
  ])
  func whatMeansNothingIsRefused(_ arguments: [String]) {
    #expect(throws: UsageError.self) { try BenchOptions(arguments) }
  }
}

struct HelpTests {
  /// The command line has the text, and this program the options.
  @Test func theHelpNamesTheOptionsThatThereAre() {
    let options = HelpText.options(in: Help.bench)
    #expect(options.count >= 12)
    for option in options {
      let value = ["--folder": "/tmp", "--parts": "load", "--stored": "1", "--rounds": "1"][option.name] ?? "x"
      #expect(throws: Never.self, "\(option.name)") {
        try BenchOptions(option.value == nil ? [option.name] : [option.name, value])
      }
    }
  }
}

struct BenchFolderTests {
  @Test func aFolderIsItsOwnersAlone() throws {
    let parent = TemporaryDirectory()
    let folder = try BenchFolder(in: parent.path, tcti: "device:/dev/tpm9")
    var status = stat()
    #expect(stat(folder.path, &status) == 0 && status.st_mode & 0o7777 == 0o700)
    let left = try BenchFolder(leftAt: folder.path)
    #expect(left.path == folder.path && left.tcti == "device:/dev/tpm9")
    // Nothing has been set up in the TPM, so that no daemon is started.
    try left.remove(program: "/nonexistent")
    #expect(access(folder.path, F_OK) != 0)
  }

  @Test func whatNoRunHasMadeIsLeftAlone() throws {
    let parent = TemporaryDirectory()
    func make(_ name: String, mode: UInt32 = 0o700) -> String {
      let path = parent.path(name)
      mkdir(path, 0o700)
      chmod(path, mode)
      return path
    }
    let good = make("countersign-bench-0")
    symlink(good, parent.path("countersign-bench-1"))
    for path in [
      make("state"), make("countersign-bench-2", mode: 0o755), parent.path("countersign-bench-1"),
      parent.path("countersign-bench-3"), "countersign-bench-0",
    ] { #expect(throws: (any Error).self, "\(path)") { try BenchFolder(leftAt: path) } }
    #expect(try BenchFolder(leftAt: good).tcti == nil)
  }

  @Test func whereTheTPMCannotBeCleanedTheFolderStays() throws {
    let parent = TemporaryDirectory()
    let folder = try BenchFolder(in: parent.path, tcti: "device:/dev/tpm9")
    mkdir(folder.path + "/state", 0o700)
    try AtomicFile(path: folder.path + "/state/credentials.db").commit([1])
    let failure = #expect(throws: BenchFailure.self) { try folder.remove(program: "/nonexistent") }
    #expect(failure?.description.contains("countersign bench --clean \(folder.path)") == true)
    #expect(access(folder.path, F_OK) == 0)
  }
}
