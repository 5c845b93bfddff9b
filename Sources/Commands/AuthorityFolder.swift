internal import Attestation
internal import Crypto
internal import Platform
internal import Secrets
internal import WebAuthn

/// An authority in its folder, locked for as long as this lives. Every change renews the revocation list.
struct AuthorityFolder: ~Copyable {
  private let context: CommandContext
  private let path: String
  private var authority: CertificateAuthority
  private let policy: EnrolmentPolicy
  private let days: Int64
  private let lock: AnyObject

  private static let readable: UInt32 = 0o644
  private static let secret: UInt32 = 0o600

  /// Opens the folder that `--ca` names, and its key by the passphrase.
  init(opening context: CommandContext) throws(CommandFailure) {
    let path = try AuthorityFolder.path(context)
    // Before a person types a passphrase in vain.
    let days = try AuthorityFolder.days(context)
    let lock = try AuthorityFolder.lock(path, context)
    let register = try AuthorityFolder.register(context)
    let policy = try AuthorityFolder.policy(path, context)
    let certificates = try context.certificates(at: path + "/ca.pem", .authority)
    let pem = try context.content(of: path + "/ca.key", .authority)
    let passphrase = try context.passphrase("the authority's key", isNew: false)
    do {
      guard let certificate = certificates.first else { throw EnrolmentRefusal("ca.pem holds no certificate") }
      authority = try CertificateAuthority(
        register, certificate: certificate, key: try IssuerKey(pem: pem, passphrase: passphrase.bytes))
    } catch is CryptoError {
      throw context.fail(
        .refusedByPolicy, "the passphrase does not open \(quoted(path + "/ca.key"))", "give the right one")
    } catch {
      throw context.fail(.failure, "\(quoted(path)): \(error)", "restore it from a backup")
    }
    self.context = context
    self.path = path
    self.policy = policy
    self.days = days
    self.lock = lock
  }

  /// Makes a new authority in the folder that `--ca` names.
  static func make(_ register: AuthorityRegister, _ context: CommandContext) throws(CommandFailure) {
    let path = try path(context)
    let isTaken: Bool
    do throws(SystemError) {
      isTaken = try context.console.listFolder(path)?.contains("register.json") ?? false
      if !isTaken { for folder in [path, path + "/vendors"] { try context.console.makeFolder(folder) } }
    } catch {
      throw context.fail(.failure, "\(error)", "check --ca")
    }
    guard !isTaken else {
      throw .usage("\(quoted(path)) holds an authority already", "name another folder with --ca")
    }
    let lock = try lock(path, context)
    defer { withExtendedLifetime(lock) {} }
    let passphrase = try context.passphrase("the authority's key", isNew: true)
    do {
      var authority = try CertificateAuthority(new: register, at: context.console.unixSeconds(), random: random)
      try context.console.replaceFile(path + "/ca.key", try authority.encryptedKey(by: passphrase.bytes), secret)
      try context.console.replaceFile(
        path + "/ca.pem", Array(PEM.encode(authority.certificate.der, label: PEM.certificate).utf8), readable)
      let note = "# SHA-256 of endorsement keys that are accepted without a maker's certificate, one a line.\n"
      try context.console.replaceFile(path + "/endorsement-keys", Array(note.utf8), readable)
      try write(&authority, path, context)
    } catch {
      throw context.fail(.failure, "\(error)", "check --ca")
    }
  }

  /// Answers a request or a response.
  mutating func answer(_ file: JSONValue) throws(CommandFailure) -> JSONValue {
    let answer: JSONValue
    do {
      switch try EnrolmentFile.kind(of: file) {
      case .request:
        answer = try authority.challenge(try AttestationRequest(file), under: policy, random: AuthorityFolder.random)
          .json
      case .response:
        answer = try authority.issue(
          try ActivationResponse(file), under: policy, days: days, random: AuthorityFolder.random
        ).json
      case .bootState, .bootApproval:
        throw EnrolmentRefusal("it is of a boot state, which is for countersign pcr")
      case let other: throw EnrolmentRefusal("it is \(other.inWords), which is for the runner")
      }
    } catch {
      throw context.refuse(error)
    }
    // What is given out must be known when the answer comes.
    try save()
    return answer
  }

  mutating func revoke(_ identifier: String) throws(CommandFailure) {
    do {
      _ = try authority.revoke(identifier, at: context.console.unixSeconds())
    } catch {
      throw context.fail(.noSuchCredential, "\(error)", "see countersign ca list")
    }
    try save()
  }

  /// Writes the register and a new revocation list.
  mutating func save() throws(CommandFailure) {
    do {
      try AuthorityFolder.write(&authority, path, context)
    } catch {
      throw context.fail(.failure, "\(error)", "check --ca")
    }
  }

  private static func write(
    _ authority: inout CertificateAuthority, _ path: String, _ context: CommandContext
  ) throws {
    let list = try authority.revocationList(at: context.console.unixSeconds())
    try context.console.replaceFile(path + "/register.json", authority.register.json.line, secret)
    try context.console.replaceFile(
      path + "/ca.crl", Array(PEM.encode(list, label: PEM.revocationList).utf8), readable)
  }

  // MARK: What is in the folder

  /// What was issued, without the key.
  static func register(_ context: CommandContext) throws(CommandFailure) -> AuthorityRegister {
    let file = try path(context) + "/register.json"
    let bytes = try context.content(of: file, .authority)
    do {
      return try AuthorityRegister(try JSONValue.parse(bytes))
    } catch {
      throw context.fail(.failure, "\(quoted(file)): \(error)", "restore it from a backup")
    }
  }

  private static func policy(_ path: String, _ context: CommandContext) throws(CommandFailure) -> EnrolmentPolicy {
    let names: [String]
    do throws(SystemError) {
      names = try context.console.listFolder(path + "/vendors") ?? []
    } catch {
      throw context.fail(.failure, "\(error)", "check --ca")
    }
    var vendors: [Certificate] = []
    for name in names { vendors += try context.certificates(at: "\(path)/vendors/\(name)", .authority) }
    var allowed: Set<[UInt8]> = []
    let list = try context.content(of: path + "/endorsement-keys", .authority)
    for line in String(decoding: list, as: UTF8.self).split(separator: "\n") where !line.hasPrefix("#") {
      guard let hash = [UInt8](hexadecimal: String(line)), hash.count == 32 else {
        throw context.fail(
          .usage, "\(quoted(path + "/endorsement-keys")) has a line that is no SHA-256 in lower case hexadecimal",
          "correct it")
      }
      allowed.insert(hash)
    }
    return EnrolmentPolicy(vendors: vendors, allowed: allowed, time: context.console.unixSeconds())
  }

  private static func path(_ context: CommandContext) throws(CommandFailure) -> String {
    guard let path = context.arguments[.authority] else {
      throw .usage("--ca is missing", "name the authority's folder, or see countersign ca --help")
    }
    return path
  }

  private static func days(_ context: CommandContext) throws(CommandFailure) -> Int64 {
    guard let text = context.arguments[.days] else { return 365 }
    guard let days = Int64(text), (1...3650).contains(days) else {
      throw .usage("--days \(quoted(text)) is not a number from 1 to 3650", "give e.g. --days 90")
    }
    return days
  }

  private static func lock(_ path: String, _ context: CommandContext) throws(CommandFailure) -> AnyObject {
    do throws(SystemError) {
      if let lock = try context.console.lock(path + "/lock") { return lock }
    } catch {
      throw context.fail(.usage, "\(error)", "name the authority's folder with --ca; countersign ca init makes one")
    }
    throw context.fail(.failure, "another process is using \(quoted(path))", "wait for it")
  }

  private static func random(_ count: Int) -> [UInt8] { SystemRandom().bytes(count) }
}

extension CommandContext {
  /// The whole of a file.
  func content(of path: String, _ option: Arguments.Option) throws(CommandFailure) -> [UInt8] {
    let bytes: [UInt8]
    do {
      bytes = try console.readFile(path, CommandContext.maximumInput + 1)
    } catch {
      throw fail(.usage, "\(quoted(path)) cannot be read (\(error))", "check \(option.rawValue)")
    }
    guard bytes.count <= CommandContext.maximumInput else {
      throw fail(.usage, "\(quoted(path)) is longer than 1 MiB", "check \(option.rawValue)")
    }
    return bytes
  }

  /// The passphrase of a key of the operator's: from a file, or typed; twice where it is new.
  func passphrase(_ key: String, isNew: Bool) throws(CommandFailure) -> SecretText {
    do {
      if let file = arguments[.passphraseFile] {
        guard let text = try console.readSecret(file) else {
          throw CommandFailure.usage("the passphrase is empty", "check --passphrase-file")
        }
        return text
      }
      guard console.isInteractive() else {
        throw CommandFailure.usage(
          "no passphrase is given, and nobody is there to type it", "give --passphrase-file")
      }
      guard let text = try console.askSecret("Passphrase of \(key): ") else {
        throw fail(.usage, "the passphrase is empty", "type one")
      }
      if isNew {
        guard let again = try console.askSecret("The same again: "), again.bytes.isEqual(to: text.bytes) else {
          throw fail(.usage, "the two passphrases differ", "type the same twice")
        }
      }
      return text
    } catch let failure as CommandFailure {
      throw failure
    } catch {
      throw fail(.usage, "the passphrase cannot be read (\(error))", "check --passphrase-file")
    }
  }
}
