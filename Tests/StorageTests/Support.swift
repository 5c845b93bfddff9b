import Authenticator
import Database
import Platform
import Secrets
import Storage
import TestSupport
import Testing
import WebAuthn

/// Lines of a log, for tests to look at.
final class Lines: Sendable {
  private let lines = Lock<[String]>([])

  var all: [String] { lines.withLock { $0 } }
  var logger: Logger { Logger(level: .debug) { [self] _, line in lines.withLock { $0.append(line) } } }
}

/// One thread for all stores of the tests.
let storeThread: ThreadExecutor = {
  do {
    return try ThreadExecutor(name: "store-tests")
  } catch {
    fatalError("\(error)")
  }
}()

func deviceSecret(_ byte: UInt8 = 1) throws -> DeviceSecret {
  DeviceSecret(
    try SecretBytes(count: DeviceSecret.count) { span in for index in span.indices { span[index] = byte } })
}

/// A state directory and the stores that are opened in it, one after the other.
struct Fixture {
  let temporary = TemporaryDirectory(inMemory: true)
  let log = Lines()
  var directory: String { temporary.path + "/state" }
  var file: String { directory + "/credentials.db" }

  /// A store that is not open yet.
  func store(maximum: Int = 100_000, fileSystem: String? = nil) throws -> CredentialDatabase {
    try CredentialDatabase(
      stateDirectory: directory, executor: storeThread, maximumCredentials: maximum, log: log.logger,
      fileSystem: fileSystem)
  }

  /// An open and unlocked store.
  func unlocked(
    _ secret: UInt8 = 1, maximum: Int = 100_000, fileSystem: String? = nil
  ) async throws -> CredentialDatabase {
    let store = try store(maximum: maximum, fileSystem: fileSystem)
    try await store.unlock(with: try deviceSecret(secret))
    return store
  }

  /// Lends the file as any program with SQLite would see it. The store must be closed.
  func alter(_ statements: String...) throws {
    var connection = try Connection(opening: file, mode: .existing)
    for statement in statements { try connection.execute(statement) }
  }

  /// The first column of every row, as any program with SQLite would see it. The store must be closed.
  func rows(_ query: String) throws -> [[UInt8]] {
    var connection = try Connection(opening: file, mode: .existing)
    var statement = try connection.prepare(query)
    var rows: [[UInt8]] = []
    try statement.query { row in
      rows.append(row.bytes(0))
      return true
    }
    return rows
  }
}

/// A credential that differs from others by `number`.
func sample(
  _ number: Int, relyingParty: String = "example.com", user: [UInt8]? = nil, discoverable: Bool = true,
  publicKey: CredentialPublicKey? = nil, protection: CredentialProtection = .userVerificationOptional
) -> Credential {
  let digits = withUnsafeBytes(of: UInt64(number).bigEndian) { Array($0) }
  let publicKey =
    publicKey
    ?? .es256(x: [UInt8](repeating: UInt8(truncatingIfNeeded: number), count: 32), y: [UInt8](repeating: 2, count: 32))
  return Credential(
    relyingPartyID: relyingParty, relyingPartyName: "Example", userHandle: user ?? [0xAA] + digits,
    userName: "user \(number)", userDisplayName: "Üser \(number)", isDiscoverable: discoverable, publicKey: publicKey,
    key: CredentialKey(
      algorithm: publicKey.algorithm,
      binding: KeyBinding(credentialID: [0xC0, 0xFF, 0xEE, 0, 0, 0, 0, 0] + digits, relyingPartyID: relyingParty),
      blob: [UInt8](repeating: 0xB0, count: 300) + digits),
    protection: protection, createdAt: 1_700_000_000_000 + Int64(number))
}

/// One that was made by U2F: it knows a hash and no RP ID.
func sampleByU2F(_ number: Int, relyingParty: String = "https://example.com/app-id.json") -> Credential {
  var credential = sample(number, relyingParty: relyingParty, user: [], discoverable: false)
  credential.relyingPartyID = nil
  credential.relyingPartyName = nil
  credential.userName = nil
  credential.userDisplayName = nil
  return credential
}

/// Settings that differ from others by `number`.
func settings(_ number: UInt8) -> AuthenticatorSettings {
  var settings = AuthenticatorSettings(deviceIdentifier: [UInt8](repeating: number, count: 16))
  settings.generation = .max - UInt64(number)
  settings.pin = AuthenticatorSettings.PIN(verifier: [UInt8](repeating: number &+ 1, count: 32), codePoints: 63)
  settings.minPINLength = 8
  settings.minPINLengthRelyingParties = ["example.com", "", "ü.example"]
  settings.forcePINChange = true
  settings.alwaysUV = true
  settings.enterpriseAttestation = true
  settings.persistentTokenNonce = [UInt8](repeating: number &+ 2, count: 16)
  return settings
}

/// Large blobs whose every byte depends on `number`.
func largeBlobs(_ number: Int, count: Int = CredentialDatabase.maximumLargeBlobs) -> [UInt8] {
  (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ number &* 7 &+ $0 >> 8) }
}

func hash(_ relyingPartyID: String) -> [UInt8] {
  KeyBinding(credentialID: [], relyingPartyID: relyingPartyID).relyingPartyIDHash
}

extension Credential: CustomTestStringConvertible {
  /// Short: a failed expectation prints many.
  public var testDescription: String { "credential \(id.suffix(8).map { $0 })@\(relyingPartyID ?? "U2F")" }
}

func message(_ error: StoreError?) -> String { error?.description ?? "no error" }

extension CredentialDatabase {
  /// The whole walk over a relying party's accounts, newest first.
  func discoverableCredentials(
    relyingPartyID: String, verified: Bool = true
  ) throws(StoreError) -> [Credential] {
    var found: [Credential] = []
    var position: Int64?
    while let next = try discoverableCredential(
      relyingPartyIDHash: hash(relyingPartyID), olderThan: position, verified: verified)
    {
      found.append(next.credential)
      position = next.position
    }
    return found
  }

  /// The whole walk over all credentials, oldest first.
  func allCredentials() throws(StoreError) -> [Credential] {
    var found: [Credential] = []
    var position: Int64?
    while let next = try credential(after: position) {
      found.append(next.credential)
      position = next.position
    }
    return found
  }

  /// The whole walk over the relying parties: names by RP ID.
  func relyingParties() throws(StoreError) -> [String: String] {
    var found: [String: String] = [:]
    var position: Int64?
    while let next = try relyingParty(after: position) {
      if found.updateValue(next.name ?? "no name", forKey: next.id) != nil {
        throw .unavailable("\(next.id) comes twice")
      }
      position = next.position
    }
    return found
  }
}
