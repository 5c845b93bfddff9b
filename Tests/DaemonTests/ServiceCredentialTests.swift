import Glibc
import Platform
import Secrets
import TestSupport
import Testing

@testable import Daemon

@Suite struct ServiceCredentialTests {
  private let credentials = TemporaryDirectory()

  private func read(_ name: String, _ bytes: [UInt8]) throws -> [UInt8]? {
    try overwrite(credentials.path(name), with: bytes)
    guard let secret = try ServiceCredential.read(name, in: credentials.path) else { return nil }
    return secret.reveal { span in span.indices.map { span[$0] } }
  }

  @Test func theLineEndIsNoPartOfIt() throws {
    #expect(try read("plain", Array("secret".utf8)) == Array("secret".utf8))
    #expect(try read("line", Array("secret\n".utf8)) == Array("secret".utf8))
    #expect(try read("windows", Array("secret\r\n".utf8)) == Array("secret".utf8))
    #expect(try read("inside", [1, 0x0a, 0, 0x20, 0xff]) == [1, 0x0a, 0, 0x20, 0xff])
  }

  @Test func emptyAndMissing() throws {
    #expect(try read("empty", []) == nil)
    #expect(try read("blank", [0x0d, 0x0a, 0x0a]) == nil)
    #expect(try ServiceCredential.read("missing", in: credentials.path) == nil)
    #expect(try ServiceCredential.read("missing", in: nil) == nil)
  }

  /// As where a folder is named for a file.
  @Test func whatCannotBeReadIsNoSilence() throws {
    try #require(mkdir(credentials.path("folder"), 0o700) == 0)
    let error = #expect(throws: ServiceCredentialError.self) {
      _ = try ServiceCredential.read("folder", in: credentials.path)
    }
    let words = error?.description ?? ""
    #expect(
      words.hasPrefix("credential folder (\(credentials.path("folder"))): read: Is a directory: have LoadCredential="))
  }

  @Test func theLimit() throws {
    let most = [UInt8](repeating: 9, count: 4095)
    #expect(try read("most", most) == most)
    for (name, bytes) in [("more", most + [9]), ("most and more", most + most)] {
      let error = ServiceCredentialError(
        name: name, path: credentials.path(name), problem: SystemError(call: "credential \(name)", code: EFBIG))
      #expect(throws: error) { try read(name, bytes) }
    }
  }
}
