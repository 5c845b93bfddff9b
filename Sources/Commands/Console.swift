package import Client
package import Platform
package import Secrets

/// A secret text and where it came from. A class, since a secret is never copied.
package final class SecretText: Sendable {
  /// Without a line end.
  package let bytes: SecretBytes
  /// Whether other users of this machine can read the file.
  package let isExposed: Bool

  package init(_ bytes: consuming SecretBytes, isExposed: Bool = false) {
    self.bytes = bytes
    self.isExposed = isExposed
  }
}

/// Everything that a command touches outside of itself. Tests pass one that keeps transcripts.
package struct Console {
  /// Environment variables.
  package var environment: [String: String]
  /// Whose process it is (getuid(2)).
  package var user: UInt32 = 0
  /// Becomes another of our programs, which is beside this one; returns where that fails. The first of the words is the
  /// name by which it goes (argv[0]).
  package var handOver: (_ program: String, _ words: [String]) -> SystemError = { program, _ in
    SystemError(call: "execv \(program)", code: 2)
  }
  /// At most `limit` bytes of standard input.
  package var readInput: (_ limit: Int) throws(SystemError) -> [UInt8]
  /// At most `limit` bytes of a file.
  package var readFile: (_ path: String, _ limit: Int) throws(SystemError) -> [UInt8]
  /// Whether a person sits at standard input.
  package var isInteractive: () -> Bool
  /// One line of a person's, after a prompt; empty at the end.
  package var ask: (_ prompt: String) throws(SystemError) -> String
  /// One line of a person's that the terminal does not show, nil where it is empty; throws `SystemError` or
  /// `SecretMemoryError`.
  package var askSecret: (_ prompt: String) throws -> SecretText?
  /// The content of a file, or of standard input where the path is nil, without one line end; nil where nothing is left.
  /// Throws `SystemError` or `SecretMemoryError`.
  package var readSecret: (_ path: String?) throws -> SecretText?
  package var writeOutput: (_ bytes: [UInt8]) throws(SystemError) -> Void
  package var writeError: (_ bytes: [UInt8]) -> Void
  /// Prepares a file and returns what gives it its content, whole or not at all.
  package var openOutput: (_ path: String) throws(SystemError) -> (_ bytes: [UInt8]) throws(SystemError) -> Void
  /// Opens a file of any length, standard input where the path is nil; each call reads on, and gives nothing at the end.
  package var openInput: (_ path: String?) throws(SystemError) -> () throws(SystemError) -> [UInt8]
  /// The files of a log that is written under a name, in their order.
  package var logFiles: (_ path: String) throws(SystemError) -> [String]
  /// Whether a person reads standard error.
  package var showsProgress: () -> Bool
  /// Gives a file its content, whole or not at all.
  package var replaceFile: (_ path: String, _ bytes: [UInt8], _ mode: UInt32) throws(SystemError) -> Void
  /// Makes a folder that only its owner may use, unless it is there.
  package var makeFolder: (_ path: String) throws(SystemError) -> Void
  /// The names in a folder, in order; nil where there is none.
  package var listFolder: (_ path: String) throws(SystemError) -> [String]?
  /// Locks a file until what is returned has gone; nil where another process holds it.
  package var lock: (_ path: String) throws(SystemError) -> AnyObject?
  /// Seconds since 1970-01-01 UTC.
  package var unixSeconds: () -> Int64
  /// Connects to a socket of the daemon.
  package var connect: (_ path: String, _ deadline: Deadline) throws(ClientError) -> any FrameExchange
  /// For `doctor`.
  package var machine: Machine

  package init(
    environment: [String: String], readInput: @escaping (Int) throws(SystemError) -> [UInt8],
    readFile: @escaping (String, Int) throws(SystemError) -> [UInt8], isInteractive: @escaping () -> Bool,
    ask: @escaping (String) throws(SystemError) -> String, askSecret: @escaping (String) throws -> SecretText?,
    readSecret: @escaping (String?) throws -> SecretText?,
    writeOutput: @escaping ([UInt8]) throws(SystemError) -> Void, writeError: @escaping ([UInt8]) -> Void,
    openOutput: @escaping (String) throws(SystemError) -> ([UInt8]) throws(SystemError) -> Void,
    openInput: @escaping (String?) throws(SystemError) -> () throws(SystemError) -> [UInt8],
    logFiles: @escaping (String) throws(SystemError) -> [String], showsProgress: @escaping () -> Bool,
    replaceFile: @escaping (String, [UInt8], UInt32) throws(SystemError) -> Void,
    makeFolder: @escaping (String) throws(SystemError) -> Void,
    listFolder: @escaping (String) throws(SystemError) -> [String]?,
    lock: @escaping (String) throws(SystemError) -> AnyObject?, unixSeconds: @escaping () -> Int64,
    connect: @escaping (String, Deadline) throws(ClientError) -> any FrameExchange, machine: Machine
  ) {
    self.environment = environment
    self.readInput = readInput
    self.readFile = readFile
    self.isInteractive = isInteractive
    self.ask = ask
    self.askSecret = askSecret
    self.readSecret = readSecret
    self.writeOutput = writeOutput
    self.writeError = writeError
    self.openOutput = openOutput
    self.openInput = openInput
    self.logFiles = logFiles
    self.showsProgress = showsProgress
    self.replaceFile = replaceFile
    self.makeFolder = makeFolder
    self.listFolder = listFolder
    self.lock = lock
    self.unixSeconds = unixSeconds
    self.connect = connect
    self.machine = machine
  }
}
