internal import AuditLog
internal import IdentityTokens
internal import Platform
internal import Policy

/// Reads the configuration: one file, then `conf.d/*.json` beside it in byte order of their names. Rules append, of
/// other keys the last one holds. Reading again (SIGHUP) is another call: either everything is right, or it throws and
/// nothing has changed.
package struct ConfigurationLoader: Sendable {
  package static let defaultPath = "/etc/countersign/countersign.json"

  private let accounts: AccountDirectory
  private let reviewed: ReviewedAccounts?

  package init() {
    self.init(accounts: .system)
  }

  init(accounts: AccountDirectory) {
    self.accounts = accounts
    reviewed = nil
  }

  /// For configurations of other machines: whose users are not known here, and whose files belong to whoever reviews
  /// them.
  package init(reviewing accounts: ReviewedAccounts) {
    self.accounts = accounts.directory
    reviewed = accounts
  }

  private var trust: TrustedFile.Trust { reviewed == nil ? .ownerOnly : .anybody }

  /// - Parameters:
  ///   - path: the first file
  ///   - mayBeMissing: whether the defaults do without it: when nobody has named it and the options say where the TPM
  ///     is. There are no rules then, unless conf.d has some.
  ///   - advice: what to do where it is missing
  /// - Returns: the settings, with notices
  /// - Throws: ``ConfigurationError``
  package func load(
    _ path: String = defaultPath, mayBeMissing: Bool = false,
    otherwise advice: String =
      "write one with at least one rule (the package brings an example), or name another with --config; for a trial beside "
      + "it, without root or a TPM, see the example of countersignd --help"
  ) throws(ConfigurationError) -> LoadedSettings {
    var files: [SourceFile] = []
    var notices: [String] = []
    if let bytes = try TrustedFile.read(path, trust) {
      files.append(try SourceFile(path: path, bytes: bytes))
    } else if mayBeMissing {
      notices.append("\(path): there is no such file: going on with the defaults and the options")
    } else {
      throw ConfigurationError(file: path, problem: "there is no such file", advice: advice)
    }
    for file in try TrustedFile.list(Self.directory(beside: path), trust) {
      // It may have gone since the directory was read.
      guard let bytes = try TrustedFile.read(file, trust) else { continue }
      files.append(try SourceFile(path: file, bytes: bytes))
    }

    var settings = Settings()
    for file in files {
      try file.apply(to: &settings)
      if let group = try file.adminGroup(using: accounts) { settings.adminGroup = group }
    }
    try settings.check(path)
    try checkTPM(files, &settings)
    settings.boot = try bootBinding(of: files, trust)
    try checkBootTerms(files, settings)
    let (rules, origins) = try ruleBook(of: files)
    settings.rules = rules
    settings.issuers = try issuers(of: files)
    if settings.rules.rules.isEmpty {
      notices.append("\(path): there are no rules, so every request will be refused: add a rule and reload")
    }
    for (index, text) in rules.overruledGrants() {
      let (file, keyPath) = origins[index]
      notices.append("\(file.path):\(file.position(of: keyPath).line): \(text)")
    }
    for name in reviewed?.unknown ?? [] {
      notices.append("\(name) is not known on this machine: the daemon's must know it")
    }
    return LoadedSettings(settings: settings, files: files.map(\.path), notices: notices)
  }

  private static func directory(beside path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "conf.d" }
    return path[...slash] + "conf.d"
  }

  private typealias Origin = (file: SourceFile, keyPath: String)

  /// The rules, and where each of them stands.
  private func ruleBook(of files: [SourceFile]) throws(ConfigurationError) -> (rules: RuleBook, origins: [Origin]) {
    var rules: [Rule] = []
    var origins: [Origin] = []
    for file in files {
      let ofFile = try file.rules(using: accounts)
      origins += ofFile.indices.map { (file, "rules[\($0)]") }
      rules += ofFile
    }
    do {
      return (try RuleBook(rules), origins)
    } catch {
      let origin = origins[error.rule]
      let earlier = error.earlier.map { index in
        let (file, keyPath) = origins[index]
        return "\(file.path):\(file.position(of: keyPath).line)"
      }
      throw origin.file.error(
        error.keyPath.map { "\(origin.keyPath).\($0)" } ?? origin.keyPath,
        error.problem + (earlier.isEmpty ? "" : " (\(earlier.joined(separator: ", ")))"), error.advice)
    }
  }

  private func issuers(of files: [SourceFile]) throws(ConfigurationError) -> [TokenIssuer] {
    var issuers: [TokenIssuer] = []
    for file in files {
      for (index, entry) in file.document.issuers.enumerated() {
        let path = "issuers[\(index)]"
        let issuer = try file.issuer(entry, path, trust)
        if issuers.contains(where: { $0.issuer == issuer.issuer }) {
          throw file.error("\(path).issuer", "this issuer is there before", "remove one of the two")
        }
        issuers.append(issuer)
      }
    }
    return issuers
  }

  private func checkTPM(_ files: [SourceFile], _ settings: inout Settings) throws(ConfigurationError) {
    let tcti = files.last { $0.document.tpm?.tcti != nil }
    let directory = files.last { $0.document.tpm?.softwareDirectory != nil }
    let forbidding =
      files.last { $0.document.tpm?.allowSoftware != nil }
      .map { " (\($0.path):\($0.position(of: "tpm.allowSoftware").line): allowSoftware is false)" } ?? ""
    guard let directory else {
      // What answers there is a TPM in software, whatever it says of itself.
      if let tcti, !settings.allowSoftwareTPM, let text = tcti.document.tpm?.tcti,
        ["swtpm", "mssim", "libtpms"].contains(text.prefix { $0 != ":" })
      {
        throw tcti.error(
          "tpm.tcti",
          "\(quoted(text)) is a software TPM, which protects keys from nobody who can read its files, and is "
            + "not allowed\(forbidding)",
          "add allowSoftware: true if that is meant, or name a TPM, such as \"device:/dev/tpmrm0\"")
      }
      return
    }
    if let tcti {
      throw directory.error(
        "tpm.softwareDirectory", "tpm.tcti is given too (\(tcti.path):\(tcti.position(of: "tpm.tcti").line))",
        "remove one: either a TPM that is there, or a software TPM that countersignd starts")
    }
    if !settings.allowSoftwareTPM {
      throw directory.error(
        "tpm.softwareDirectory",
        "a software TPM protects keys from nobody who can read its files, and is not allowed"
          + forbidding,
        "add allowSoftware: true if that is meant, or remove softwareDirectory")
    }
  }
}

extension SourceFile {
  /// Puts what this file says of anything but rules over `settings`.
  fileprivate func apply(to settings: inout Settings) throws(ConfigurationError) {
    if let tcti = document.tpm?.tcti {
      settings.tpm = .tcti(try checkedTCTI(tcti, "tpm.tcti"))
    }
    if let directory = document.tpm?.softwareDirectory {
      settings.tpm = .software(directory: try checkedPath(directory, "tpm.softwareDirectory"))
    }
    settings.allowSoftwareTPM = document.tpm?.allowSoftware ?? settings.allowSoftwareTPM
    settings.resourceManager = document.tpm?.resourceManager ?? settings.resourceManager
    try applyPins(to: &settings.pins)
    if let socket = document.socket { settings.socket = try checkedSocket(socket, "socket") }
    if let mode = document.socketMode { settings.socketMode = try checkedMode(mode, "socketMode") }
    if let socket = document.adminSocket { settings.adminSocket = try checkedSocket(socket, "adminSocket") }
    if let directory = document.stateDirectory {
      settings.stateDirectory = try checkedPath(directory, "stateDirectory")
    }
    if let file = document.auditLog { settings.auditLog = try checkedPath(file, "auditLog") }
    try applyAudit(to: &settings.audit)
    if let connections = document.limits?.connections {
      settings.maximumConnections = try checkedCount(connections, "limits.connections", in: 1...65_536)
    }
    if let credentials = document.limits?.credentials {
      settings.maximumCredentials = try checkedCount(credentials, "limits.credentials", in: 1...10_000_000)
    }
    if let seconds = document.limits?.waitSeconds {
      settings.maximumWait = try checkedCount(seconds, "limits.waitSeconds", in: 1...3600)
    }
    if let level = document.log?.level { settings.logLevel = try checkedLevel(level, "log.level") }
  }

  /// With the keys of its file.
  fileprivate func issuer(
    _ entry: IssuerEntry, _ path: String, _ trust: TrustedFile.Trust
  ) throws(ConfigurationError) -> TokenIssuer {
    func required(_ text: String?, _ key: String) throws(ConfigurationError) -> String {
      guard let text, !text.isEmpty else {
        throw error(
          path, "the issuer has no \(key)", "write { issuer: \"https://…\", audience: \"…\", jwksFile: \"/…\" }")
      }
      return text
    }
    let (issuer, audience) = (try required(entry.issuer, "issuer"), try required(entry.audience, "audience"))
    let file = try checkedPath(try required(entry.jwksFile, "jwksFile"), "\(path).jwksFile")
    guard let bytes = try TrustedFile.read(file, trust) else {
      // Whoever reviews another machine's configuration need not have its files.
      if trust == .anybody { return TokenIssuer(issuer: issuer, audience: audience, keys: []) }
      throw error("\(path).jwksFile", "there is no file \(quoted(file))", "put the issuer's JWK Set there")
    }
    do {
      return TokenIssuer(issuer: issuer, audience: audience, keys: try TokenKey.set(bytes))
    } catch {
      throw self.error("\(path).jwksFile", "\(quoted(file)): \(error)", "put the issuer's JWK Set there")
    }
  }

  private func applyAudit(to audit: inout AuditSettings) throws(ConfigurationError) {
    guard let entry = document.audit else { return }
    if let size = entry.rotateAfter { audit.rotateAfter = try checkedSize(size, "audit.rotateAfter") }
    if let keep = entry.keep { audit.keep = try checkedCount(keep, "audit.keep", in: 1...1_000_000) }
    if let records = entry.signAfterRecords {
      audit.signAfterRecords = UInt64(try checkedCount(records, "audit.signAfterRecords", in: 1...1_000_000))
    }
    if let seconds = entry.signAfterSeconds {
      audit.signAfterSeconds = try checkedCount(seconds, "audit.signAfterSeconds", in: 1...86_400)
    }
    audit.copiesToJournal = entry.journal ?? audit.copiesToJournal
  }

  /// `100MB`: decimal units, as du(1) and the makers of disks have them.
  private func checkedSize(_ text: String, _ keyPath: String) throws(ConfigurationError) -> Int64 {
    let units: KeyValuePairs<String, Int64> = ["kB": 1000, "MB": 1_000_000, "GB": 1_000_000_000]
    for (unit, factor) in units where text.hasSuffix(unit) {
      let digits = text.dropLast(unit.count)
      guard digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let number = Int64(digits),
        (1...1_000_000).contains(number)
      else { break }
      return number * factor
    }
    throw error(keyPath, "\(quoted(text)) is not a size", "write one such as \"100MB\", in kB, MB or GB")
  }

  func checkedPath(_ path: String, _ keyPath: String) throws(ConfigurationError) -> String {
    guard path.hasPrefix("/") else {
      throw error(keyPath, "\(quoted(path)) is not an absolute path", "write it from the root, beginning with \"/\"")
    }
    return path
  }

  private func checkedSocket(_ path: String, _ keyPath: String) throws(ConfigurationError) -> String {
    guard path.utf8.count <= UnixSocket.longestPath else {
      throw error(
        keyPath, "the path has \(path.utf8.count) bytes, a socket's has at most \(UnixSocket.longestPath)",
        "choose a shorter one")
    }
    return try checkedPath(path, keyPath)
  }

  private func checkedMode(_ text: String, _ keyPath: String) throws(ConfigurationError) -> UInt32 {
    guard text.utf8.count == 4, text.hasPrefix("0"), let mode = UInt32(text, radix: 8) else {
      throw error(keyPath, "\(quoted(text)) is not a file mode", "write it in octal, such as \"0660\"")
    }
    return mode
  }

  private func checkedTCTI(_ text: String, _ keyPath: String) throws(ConfigurationError) -> String {
    if text.hasPrefix("/") {
      throw error(keyPath, "\(quoted(text)) is a path, not a TCTI string", "write \(quoted("device:" + text))")
    }
    guard let first = text.utf8.first, first != UInt8(ascii: ":"), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f })
    else {
      throw error(keyPath, "\(quoted(text)) is not a TCTI string", "write one such as \"device:/dev/tpmrm0\"")
    }
    return text
  }

  func checkedCount(
    _ value: Double, _ keyPath: String, in range: ClosedRange<Int>
  ) throws(ConfigurationError) -> Int {
    guard let count = Int(exactly: value), range.contains(count) else {
      throw error(
        keyPath, "this is not a limit that can be kept",
        "write a whole number from \(range.lowerBound) to \(range.upperBound)")
    }
    return count
  }

  private func checkedLevel(_ word: String, _ keyPath: String) throws(ConfigurationError) -> Logger.Level {
    let levels: KeyValuePairs<String, Logger.Level> = [
      "error": .error, "warning": .warning, "notice": .notice, "info": .info, "debug": .debug,
    ]
    if let level = levels.first(where: { $0.key == word })?.value { return level }
    let all = levels.map { "\"\($0.key)\"" }.joined(separator: ", ")
    throw error(
      keyPath, "there is no level \(quoted(word, limit: 64))",
      nearest(to: word, among: levels.map(\.key)).map { "write \"\($0)\"" } ?? "write one of \(all)")
  }
}
