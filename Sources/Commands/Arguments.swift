internal import Platform
internal import WebAuthn

/// The options of one command as they were given.
struct Arguments {
  /// An option of a command.
  enum Option: String, CaseIterable {
    case input = "--in"
    case output = "--out"
    case socket = "--socket"
    case adminSocket = "--admin-socket"
    case configuration = "--config"
    case origin = "--origin"
    case timeout = "--timeout"
    case json = "--json"
    case userHandle = "--user-handle"
    case credential = "--credential"
    case options = "--options"
    case response = "--response"
    case relyingPartyID = "--rp-id"
    case userName = "--user-name"
    case yes = "--yes"
    case dryRun = "--dry-run"
    case label = "--label"
    case replaces = "--replaces"
    case pinFile = "--pin-file"
    case pinCredential = "--pin-credential"
    case newPINFile = "--new-pin-file"
    case newPINCredential = "--new-pin-credential"
    case user = "--user"
    case group = "--group"
    case unit = "--unit"
    case slice = "--slice"
    case container = "--container"
    case executable = "--executable"
    case executableDigest = "--executable-sha256"
    case callerSocket = "--caller-socket"
    case process = "--pid"
    case operation = "--operation"
    case rule = "--rule"
    case claim = "--claim"
    case userID = "--uid"
    case lifetime = "--ttl"
    case signatures = "--signatures"
    case token = "--oidc-token-file"
    case controlGroup = "--cgroup"
    case format = "--format"
    case requireClaims = "--require-claims"
    case program = "--program"
    case key = "--key"
    case relyingParty = "--rp"
    case outcome = "--outcome"
    case job = "--job"
    case since = "--since"
    case until = "--until"
    case root = "--root"
    case revocationList = "--crl"
    case aaguid = "--aaguid"
    case vendor = "--vendor"
    case topOrigin = "--top-origin"
    case deviceBound = "--device-bound"
    case authority = "--ca"
    case organization = "--organization"
    case country = "--country"
    case days = "--days"
    case passphraseFile = "--passphrase-file"
    case pcr = "--pcr"
    case help = "--help"

    var takesValue: Bool { ![.json, .yes, .dryRun, .deviceBound, .requireClaims, .help].contains(self) }
  }

  /// In the order given.
  private var values: [Option: [String]] = [:]
  /// What stands there without an option's name; nil where the command takes no such thing.
  private(set) var operand: String?
  /// File names that stand there so, where the command takes any.
  private(set) var files: [String] = []

  /// Takes `--option VALUE` and `--option=VALUE`, most of them at most once.
  ///
  /// - Parameters:
  ///   - words: what follows the name of the command
  ///   - command: its name, for complaints
  ///   - allowed: what it takes; `--help` goes without saying
  ///   - operandName: what it takes besides
  ///   - operandMayBeMissing: whether it does without
  ///   - lists: what may be there several times
  ///   - takesFiles: whether it takes any number of file names
  ///   - isHandedOver: whether all words but `--help` are for another program, which ``files`` has then
  /// - Throws: ``CommandFailure`` of status ``ExitCode/usage``
  init(
    _ words: ArraySlice<String>, of command: String, allowing allowed: [Option], operandName: String? = nil,
    operandMayBeMissing: Bool = false, repeating lists: [Option] = [], takesFiles: Bool = false,
    isHandedOver: Bool = false
  ) throws(CommandFailure) {
    if isHandedOver {
      if words.contains("--help") || words.contains("-h") { values[.help] = [""] } else { files = Array(words) }
      return
    }
    let remedy = "see countersign \(command) --help"
    var words = words
    while let word = words.popFirst() {
      guard Arguments.isOption(word), operandName == nil || !Arguments.isIdentifier(word) else {
        if takesFiles {
          files.append(word)
          continue
        }
        guard operandName != nil, operand == nil else { throw .usage("unexpected argument \"\(word)\"", remedy) }
        operand = word
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let option = word == "-h" ? .help : Option(rawValue: parts[0]), allowed.contains(option) || option == .help
      else { throw .usage("unknown option \(parts[0]) of \(command)", remedy) }
      guard values[option] == nil || lists.contains(option) else { throw .usage("\(parts[0]) is there twice", remedy) }
      if !option.takesValue {
        guard parts.count == 1 else { throw .usage("\(parts[0]) takes no value", remedy) }
        values[option] = [""]
      } else if parts.count == 2 {
        values[option, default: []].append(parts[1])
      } else if let value = words.popFirst() {
        values[option, default: []].append(value)
      } else {
        throw .usage("\(parts[0]) lacks its value", remedy)
      }
    }
    if let operandName, operand == nil, !operandMayBeMissing, !has(.help) {
      throw .usage("\(command) lacks its \(operandName)", remedy)
    }
  }

  private static func isOption(_ word: String) -> Bool { word.hasPrefix("-") && word != "-" }

  /// One in 64 credential IDs begins with a dash in base64url.
  private static func isIdentifier(_ word: String) -> Bool {
    Option(rawValue: word) == nil && word.utf8.count >= 22 && Base64URL.decode(word) != nil
  }

  subscript(option: Option) -> String? { values[option]?.first }

  /// Of an option that may be repeated.
  func all(_ option: Option) -> [String] { values[option] ?? [] }

  func has(_ option: Option) -> Bool { values[option] != nil }
}
