import FoundationEssentials
import Glibc
import Platform
import TestSupport
import Testing

@testable import Configuration

extension TemporaryDirectory {
  @discardableResult
  func write(_ text: String, to name: String = "countersign.json") throws -> String {
    try write(Array(text.utf8), to: name)
  }

  @discardableResult
  func write(_ bytes: [UInt8], to name: String = "countersign.json") throws -> String {
    let file = path(name)
    if let slash = name.lastIndex(of: "/") {
      mkdir(path(String(name[..<slash])), 0o755)
    }
    try Descriptor(opening: file, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644).write(bytes)
    // Whatever the umask says.
    chmod(file, 0o644)
    return file
  }
}

let testAccounts = AccountDirectory(
  user: { name throws(SystemError) in
    if name == "broken" { throw SystemError(call: "getpwnam", code: EIO) }
    return ["root": 0, "gitlab-runner": 997][name]
  },
  group: { name throws(SystemError) in ["root": 0, "ci": 500][name] })

let loader = ConfigurationLoader(accounts: testAccounts)

/// The one line that is said of a file with this text; nil if nothing is wrong with it. The folder is written `F`.
func complaint(_ text: String) throws -> String? {
  try complaint(["countersign.json": text])
}

func complaint(_ files: [String: String]) throws -> String? {
  let folder = TemporaryDirectory()
  for (name, text) in files { try folder.write(text, to: name) }
  return try complaint(in: folder)
}

func complaint(in folder: TemporaryDirectory) throws -> String? {
  do throws(ConfigurationError) {
    _ = try loader.load(folder.path + "/countersign.json")
    return nil
  } catch {
    let line = error.description
    #expect(!line.contains("\n"))
    return line.replacing(folder.path, with: "F")
  }
}

/// A configuration with one rule in which one thing can be different.
func withRule(
  name: String = "\"deploy\"", callers: String = "[{ user: 'root' }]", parties: String = "['a.example']",
  operations: String = "['authenticate']", more: String = ""
) -> String {
  "{ rules: [{ name: \(name), callers: \(callers), relyingParties: \(parties), operations: \(operations)\(more) }] }"
}
