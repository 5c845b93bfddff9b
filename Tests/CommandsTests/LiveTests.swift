import CTAPHID
import Client
import Commands
import Glibc
import Platform
import Testing

/// A folder that goes away with the test.
final class Folder {
  let path: String

  init() throws {
    path = "/tmp/countersign-test-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    try checked("mkdir") { mkdir(path, 0o700) }
  }

  deinit {
    for name in names { unlink(path + "/" + name) }
    rmdir(path)
  }

  var names: [String] {
    guard let folder = opendir(path) else { return [] }
    defer { closedir(folder) }
    var names: [String] = []
    while let entry = readdir(folder) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  func read(_ name: String) throws -> String {
    let file = try Descriptor(opening: path + "/" + name, flags: O_RDONLY)
    return String(decoding: try file.read(upTo: 4096), as: UTF8.self)
  }

  func write(_ name: String, _ text: String) throws {
    try Descriptor(opening: path + "/" + name, flags: O_WRONLY | O_CREAT).write([UInt8](text.utf8))
  }
}

@Suite struct AtomicFileTests {
  let folder: Folder

  init() throws {
    folder = try Folder()
  }

  @Test func appearsWhole() throws {
    let file = try AtomicFile(path: folder.path + "/out")
    #expect(!folder.names.contains("out"))
    try file.commit([UInt8]("text".utf8))
    #expect(folder.names == ["out"])
    #expect(try folder.read("out") == "text")
  }

  @Test func doesNotAppearWithoutContent() throws {
    try folder.write("out", "old")
    do { _ = try AtomicFile(path: folder.path + "/out") }
    #expect(folder.names == ["out"])
    #expect(try folder.read("out") == "old")
  }

  @Test func replacesThroughSymbolicLinks() throws {
    try folder.write("target", "old")
    try checked("symlink") { symlink(folder.path + "/target", folder.path + "/link") }
    try AtomicFile(path: folder.path + "/link").commit([UInt8]("new".utf8))
    #expect(folder.names == ["link", "target"])
    #expect(try folder.read("target") == "new")
  }

  @Test func writesToDevicesAsTheyAre() throws {
    try AtomicFile(path: "/dev/null").commit([1])
    var status = stat()
    try checked("stat") { stat("/dev/null", &status) }
    #expect(status.st_mode & S_IFMT == S_IFCHR)
  }

  @Test func namesWhatFails() {
    #expect(throws: SystemError.self) { try AtomicFile(path: "/nonexistent/out") }
  }
}

@Suite struct LiveConsoleTests {
  @Test func worksOverASocketAndFiles() throws {
    let folder = try Folder()
    try folder.write("options", creationOptions())
    let server = try ScriptedServer { connection in
      let authenticator = FakeAuthenticator()
      while let request = ScriptedServer.read(connection),
        let answer = try? authenticator.exchange(request, until: Deadline(milliseconds: 1000))
      {
        try? connection.write(Frame.keepalive(.processing).encoded() + answer.encoded())
      }
    }
    let path = { (name: String) in folder.path + "/" + name }
    #expect(
      CommandLineProgram.run(
        ["register", "--socket", server.path, "--in", path("options"), "--out", path("response")], .live()) == .done)
    server.finish()
    #expect(
      CommandLineProgram.run(
        [
          "verify", "registration", "--options", path("options"), "--response", path("response"), "--out",
          path("record"),
        ], .live()) == .done)
    #expect(try folder.read("record").hasPrefix("{\"aaguid\":\"00000000-"))
  }
}
