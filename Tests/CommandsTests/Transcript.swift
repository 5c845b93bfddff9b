import Client
import Commands
import Platform
import Secrets
import WebAuthn

/// The world of one run: files in memory, a daemon in memory, and what the run said.
final class Transcript {
  var input: [UInt8] = []
  var files: [String: [UInt8]] = [:]
  /// Paths that cannot be written.
  var readOnly: Set<String> = []
  var environment: [String: String] = [:]
  var daemon: (any FrameExchange)?
  /// Paths that other users can read.
  var exposed: Set<String> = []
  /// What a person types, line by line; nil where nobody is there.
  var person: [String]?
  /// For `doctor`.
  var machine = Machine.live()
  var folders: Set<String> = []
  var modes: [String: UInt32] = [:]
  /// Files that another process holds.
  var locked: Set<String> = []
  var unixSeconds: Int64 = 1_800_000_000
  private(set) var prompts: [String] = []
  private(set) var connectedTo: [String] = []
  private(set) var output: [UInt8] = []
  private(set) var errors: [UInt8] = []

  init(daemon: (any FrameExchange)? = nil, input: String = "") {
    self.daemon = daemon
    self.input = [UInt8](input.utf8)
  }

  var outputText: String { String(decoding: output, as: UTF8.self) }
  var errorText: String { String(decoding: errors, as: UTF8.self) }

  private static let enoent: Int32 = 2
  private static let eacces: Int32 = 13

  /// Runs the command line, given as one would type it.
  func run(_ line: String) -> ExitCode {
    output = []
    errors = []
    return CommandLineProgram.run(line.split(separator: " ").map(String.init), console)
  }

  private func type(_ prompt: String) -> String {
    prompts.append(prompt)
    return person?.isEmpty == false ? person?.removeFirst() ?? "" : ""
  }

  private func secretText(_ bytes: [UInt8], isExposed: Bool) throws -> SecretText? {
    bytes.isEmpty ? nil : SecretText(try secret(bytes), isExposed: isExposed)
  }

  var console: Console {
    Console(
      environment: environment,
      readInput: { limit throws(SystemError) in Array(self.input.prefix(limit)) },
      readFile: { path, limit throws(SystemError) in
        guard let file = self.files[path] else { throw SystemError(call: "open \(path)", code: Self.enoent) }
        return Array(file.prefix(limit))
      },
      isInteractive: { self.person != nil },
      ask: { prompt throws(SystemError) in self.type(prompt) },
      askSecret: { prompt in try self.secretText([UInt8](self.type(prompt).utf8), isExposed: false) },
      readSecret: { path in
        var bytes = self.input
        if let path {
          guard let file = self.files[path] else { throw SystemError(call: "open \(path)", code: Self.enoent) }
          bytes = file
        }
        if bytes.last == 0x0a { bytes.removeLast() }
        return try self.secretText(bytes, isExposed: path.map(self.exposed.contains) ?? false)
      },
      writeOutput: { bytes throws(SystemError) in self.output += bytes },
      writeError: { self.errors += $0 },
      openOutput: { path throws(SystemError) in
        if self.readOnly.contains(path) { throw SystemError(call: "open \(path)", code: Self.eacces) }
        return { bytes throws(SystemError) in self.files[path] = bytes }
      },
      openInput: { path throws(SystemError) in
        var rest = self.input
        if let path {
          guard let file = self.files[path] else { throw SystemError(call: "open \(path)", code: Self.enoent) }
          rest = file
        }
        return { () throws(SystemError) in
          // Small, so that lines come in pieces.
          defer { rest.removeFirst(min(rest.count, 100)) }
          return Array(rest.prefix(100))
        }
      },
      logFiles: { path throws(SystemError) in self.files.keys.filter { $0.hasPrefix(path) }.sorted(by: >) },
      showsProgress: { false },
      replaceFile: { path, bytes, mode throws(SystemError) in
        self.files[path] = bytes
        self.modes[path] = mode
      },
      makeFolder: { self.folders.insert($0) },
      listFolder: { path throws(SystemError) in
        guard self.folders.contains(path) else { return nil }
        return self.files.keys.filter { $0.hasPrefix(path + "/") }.map { String($0.dropFirst(path.count + 1)) }.sorted()
      },
      lock: { path throws(SystemError) in self.locked.contains(path) ? nil : self },
      unixSeconds: { self.unixSeconds },
      connect: { path, _ throws(ClientError) in
        self.connectedTo.append(path)
        guard let daemon = self.daemon else {
          throw .unreachable(SystemError(call: "connect", code: Self.enoent))
        }
        return daemon
      }, machine: machine)
  }
}

func json(_ bytes: [UInt8]) throws -> JSONCursor { JSONCursor(try JSONValue.parse(bytes)) }
