import Platform
import TestSupport
import Testing

@Suite struct AccountTests {
  @Test func rootHasANameAndGroups() throws {
    #expect(try Accounts.name(ofUser: 0) == "root")
    #expect(try Accounts.name(ofGroup: 0) == "root")
    #expect(try Accounts.groups(ofUser: 0).contains(0))
    #expect(try Accounts.user(named: "root") == 0)
    #expect(try Accounts.group(named: "root") == 0)
  }

  @Test func nobodyHasThese() throws {
    #expect(try Accounts.name(ofUser: 4_000_000_001) == nil)
    #expect(try Accounts.name(ofGroup: 4_000_000_001) == nil)
    #expect(try Accounts.groups(ofUser: 4_000_000_001).isEmpty)
    #expect(try Accounts.user(named: "no-such-user") == nil)
    #expect(try Accounts.user(named: "root\0") == nil)
  }
}

@Suite struct PathStatusTests {
  @Test func kinds() throws {
    let folder = TemporaryDirectory()
    #expect(try PathStatus(of: folder.path).kind == .directory)
    #expect(try PathStatus(of: "/dev/null").kind == .characterDevice)
    #expect(try PathStatus(of: "/proc/self/status").kind == .regular)
    let listener = try UnixSocket.listen(at: folder.path + "/s", mode: 0o620)
    let status = try PathStatus(of: folder.path + "/s")
    #expect(status.kind == .socket && status.permissions == 0o620)
    withExtendedLifetime(listener) {}
    #expect(throws: SystemError.self) { try PathStatus(of: folder.path + "/nothing") }
    #expect(try freeBytes(at: folder.path) > 0)
    #expect(throws: SystemError.self) { try freeBytes(at: folder.path + "/nothing") }
  }

  /// As the kernel decides: the first of owner, group and others that applies, and no other.
  @Test(
    arguments: [
      (0o660, 1, [2], true), (0o660, 5, [2], true), (0o660, 5, [3], false), (0o066, 1, [2], false),
      (0o606, 5, [2], false), (0o606, 5, [3], true), (0o640, 5, [2], false), (0o000, 0, [], true),
    ] as [(UInt32, UInt32, [UInt32], Bool)])
  func whoMayReadAndWrite(permissions: UInt32, user: UInt32, groups: [UInt32], expected: Bool) {
    let status = PathStatus(kind: .socket, permissions: permissions, owner: 1, group: 2)
    #expect(status.isReadableAndWritable(user: user, groups: groups) == expected)
  }
}
