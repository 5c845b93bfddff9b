import Authenticator
import Glibc
import Platform
import Secrets
import Storage
import WebAuthn

/// `StorageChild DIRECTORY FIRST SEED`: changes a store until it is killed; credentials are numbered from FIRST. Each
/// change is announced before and acknowledged (`did`) after:
///
/// * `insert NUMBER USER d` or `n`: USER repeats, so that discoverable ones replace each other
/// * `update NUMBER VERSION` and `remove NUMBER`: of one that may have gone
/// * `settings VERSION`, `blobs VERSION`, `reset VERSION`
///
/// `StorageChild DIRECTORY fill COUNT` inserts, says how much memory it holds, and ends.
@main struct StorageChild {
  static func main() async throws {
    let arguments = CommandLine.arguments
    let store = try CredentialDatabase(
      stateDirectory: arguments[1], executor: try ThreadExecutor(name: "store"), log: .silent)
    try await store.unlock(with: try secret())
    if arguments[2] == "fill" {
      for number in 1...(Int(arguments[3]) ?? 1) {
        _ = try await store.insert(credential(number, number, number % 2 == 0))
      }
      print(resident())
      for number in 1...(Int(arguments[3]) ?? 1) {
        let binding = credential(number, 0, true).key.binding
        _ = try await store.credential(id: binding.credentialID)
      }
      print(resident())
      return
    }
    guard var number = Int(arguments[2]), var state = UInt64(arguments[3]) else { exit(2) }
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    while true {
      try await change(store, &number, random)
      say("did")
    }
  }

  static func change(_ store: CredentialDatabase, _ next: inout Int, _ random: (Int) -> Int) async throws {
    let version = random(1 << 16)
    let recent = max(1, next - 1 - random(20))
    switch random(48) {
    case 0:
      say("reset \(version)")
      try await store.reset(to: try secret(), record: [1], settings: settings(version))
    case 1..<5:
      say("settings \(version)")
      try await store.save(settings(version))
    case 5..<10:
      say("blobs \(version)")
      try await store.save(largeBlobs: largeBlobs(version))
    case 10..<18:
      say("update \(recent) \(version)")
      let binding = credential(recent, 0, true).key.binding
      let found = try await store.credential(id: binding.credentialID)
      if var credential = found {
        credential.userName = String(repeating: "\(version) ", count: 1 + version % 60)
        _ = try await store.update(credential)
      }
    case 18..<24:
      say("remove \(recent)")
      _ = try await store.remove(id: credential(recent, 0, true).id)
    default:
      let user = random(16)
      let isDiscoverable = random(2) == 0
      say("insert \(next) \(user) \(isDiscoverable ? "d" : "n")")
      _ = try await store.insert(credential(next, user, isDiscoverable))
      next += 1
    }
  }

  static func secret() throws -> DeviceSecret {
    DeviceSecret(try SecretBytes(count: 32) { span in for index in span.indices { span[index] = 1 } })
  }

  static func settings(_ version: Int) -> AuthenticatorSettings {
    var settings = AuthenticatorSettings(deviceIdentifier: [UInt8](repeating: 1, count: 16))
    settings.generation = UInt64(version)
    return settings
  }

  /// Up to 256 KiB of the version's low byte, preceded by the version.
  static func largeBlobs(_ version: Int) -> [UInt8] {
    [UInt8(version >> 8), UInt8(version & 0xFF)]
      + [UInt8](repeating: UInt8(version & 0xFF), count: version * 4 % (256 * 1024 - 1))
  }

  static func credential(_ number: Int, _ user: Int, _ isDiscoverable: Bool) -> Credential {
    let digits = withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
    return Credential(
      relyingPartyID: "example.com", userHandle: withUnsafeBytes(of: UInt64(user).bigEndian) { Array($0) },
      userName: "0", isDiscoverable: isDiscoverable,
      publicKey: .es256(x: [UInt8](repeating: 1, count: 32), y: [UInt8](repeating: 2, count: 32)),
      key: CredentialKey(
        algorithm: .es256, binding: KeyBinding(credentialID: digits + digits, relyingPartyID: "example.com"),
        blob: [UInt8](repeating: 3, count: 300)),
      createdAt: 0)
  }

  /// One write(2), so that a killed process leaves whole lines.
  static func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(STDOUT_FILENO, bytes, bytes.count)
  }

  static func resident() -> String {
    guard let status = try? Descriptor(opening: "/proc/self/status", flags: O_RDONLY).read(upTo: 4096) else {
      return ""
    }
    return String(decoding: status, as: UTF8.self).split(separator: "\n").first { $0.hasPrefix("VmRSS") }.map(
      String.init)
      ?? ""
  }
}
