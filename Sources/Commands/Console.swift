package import Client
package import Platform

/// Everything that a command touches outside of itself. Tests pass one that keeps transcripts.
package struct Console {
  /// Environment variables.
  package var environment: [String: String]
  /// At most `limit` bytes of standard input.
  package var readInput: (_ limit: Int) throws(SystemError) -> [UInt8]
  /// At most `limit` bytes of a file.
  package var readFile: (_ path: String, _ limit: Int) throws(SystemError) -> [UInt8]
  package var writeOutput: (_ bytes: [UInt8]) throws(SystemError) -> Void
  package var writeError: (_ bytes: [UInt8]) -> Void
  /// Prepares a file and returns what gives it its content, whole or not at all.
  package var openOutput: (_ path: String) throws(SystemError) -> (_ bytes: [UInt8]) throws(SystemError) -> Void
  /// Connects to a socket of the daemon.
  package var connect: (_ path: String, _ deadline: Deadline) throws(ClientError) -> any FrameExchange

  package init(
    environment: [String: String], readInput: @escaping (Int) throws(SystemError) -> [UInt8],
    readFile: @escaping (String, Int) throws(SystemError) -> [UInt8],
    writeOutput: @escaping ([UInt8]) throws(SystemError) -> Void, writeError: @escaping ([UInt8]) -> Void,
    openOutput: @escaping (String) throws(SystemError) -> ([UInt8]) throws(SystemError) -> Void,
    connect: @escaping (String, Deadline) throws(ClientError) -> any FrameExchange
  ) {
    self.environment = environment
    self.readInput = readInput
    self.readFile = readFile
    self.writeOutput = writeOutput
    self.writeError = writeError
    self.openOutput = openOutput
    self.connect = connect
  }
}
