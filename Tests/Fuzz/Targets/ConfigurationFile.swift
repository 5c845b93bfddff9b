import Glibc
import Platform
import TestSupport

@testable import Configuration

/// Any file is a configuration, or a complaint that says where: one line, at a place that the file has.
func checkConfiguration(_ input: [UInt8]) throws {
  let path = folder.path + "/countersign.json"
  try overwrite(path, with: input)
  chmod(path, 0o600)
  do throws(ConfigurationError) {
    _ = try ConfigurationLoader(accounts: accounts).load(path)
  } catch {
    try check(error, of: input)
  }
}

private let folder = TemporaryDirectory(inMemory: true)

private let accounts = AccountDirectory(
  user: { name throws(SystemError) in
    if name == "broken" { throw SystemError(call: "getpwnam", code: EIO) }
    return ["root": 0, "gitlab-runner": 997][name]
  },
  group: { name throws(SystemError) in ["root": 0, "ci": 500][name] })

private func check(_ error: ConfigurationError, of input: [UInt8]) throws {
  let text = error.description
  try require(!text.utf8.contains { $0 < 0x20 || $0 == 0x7f }, "a complaint is one line without control characters")
  try require(!error.problem.isEmpty && !error.advice.isEmpty, "a complaint says what is wrong and what to do")
  guard let position = error.position else { return }
  let lines = input.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
  try require(lines.indices.contains(position.line - 1), "the file has a line \(position.line)")
  try require(
    (1...lines[position.line - 1].count + 1).contains(position.column), "line \(position.line) is that long")
}
