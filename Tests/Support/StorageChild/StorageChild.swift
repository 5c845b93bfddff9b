import Authenticator
import Glibc
import Platform
import Secrets
import Storage
import WebAuthn

/// `StorageChild DIRECTORY FIRST SEED`: inserts credentials numbered from FIRST into a store until it is killed. Each is
/// announced (`try NUMBER USER KIND`) before and acknowledged (`did NUMBER`) after; `USER` repeats, so that discoverable
/// ones (KIND d, not n) replace each other. `StorageChild DIRECTORY fill COUNT` inserts, says how much memory it holds,
/// and ends.
@main struct StorageChild {
  static func main() async throws {
    let arguments = CommandLine.arguments
    let store = try CredentialDatabase(
      stateDirectory: arguments[1], executor: try ThreadExecutor(name: "store"), log: .silent)
    try await store.unlock(
      with: DeviceSecret(try SecretBytes(count: 32) { span in for index in span.indices { span[index] = 1 } }))
    if arguments[2] == "fill" {
      for number in 1...(Int(arguments[3]) ?? 1) {
        _ = try await store.insert(credential(number, number, number % 2 == 0))
      }
      print(resident())
      for number in 1...(Int(arguments[3]) ?? 1) {
        _ = try await store.credential(id: credential(number, 0, true).id, relyingPartyID: "example.com")
      }
      print(resident())
      return
    }
    guard var number = Int(arguments[2]), var state = UInt64(arguments[3]) else { exit(2) }
    while true {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let user = Int(state >> 60)
      let isDiscoverable = state >> 33 & 1 == 0
      say("try \(number) \(user) \(isDiscoverable ? "d" : "n")")
      _ = try await store.insert(credential(number, user, isDiscoverable))
      say("did \(number)")
      number += 1
    }
  }

  static func credential(_ number: Int, _ user: Int, _ isDiscoverable: Bool) -> Credential {
    let digits = withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
    return Credential(
      relyingPartyID: "example.com", userHandle: withUnsafeBytes(of: UInt64(user).bigEndian) { Array($0) },
      userName: "user \(user)", isDiscoverable: isDiscoverable,
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
