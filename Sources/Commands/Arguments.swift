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
    case label = "--label"
    case replaces = "--replaces"
    case pinFile = "--pin-file"
    case pinCredential = "--pin-credential"
    case newPINFile = "--new-pin-file"
    case newPINCredential = "--new-pin-credential"
    case help = "--help"

    var takesValue: Bool { self != .json && self != .yes && self != .help }
  }

  private(set) var values: [Option: String] = [:]
  /// What stands there without an option's name; nil where the command takes no such thing.
  private(set) var operand: String?

  /// Takes `--option VALUE` and `--option=VALUE`, each at most once.
  ///
  /// - Parameters:
  ///   - words: what follows the name of the command
  ///   - command: its name, for complaints
  ///   - allowed: what it takes; `--help` goes without saying
  ///   - operandName: what it takes besides, and must have
  /// - Throws: ``CommandFailure`` of status ``ExitCode/usage``
  init(
    _ words: ArraySlice<String>, of command: String, allowing allowed: [Option], operandName: String? = nil
  ) throws(CommandFailure) {
    let remedy = "see countersign \(command) --help"
    var words = words
    while let word = words.popFirst() {
      guard Arguments.isOption(word), operandName == nil || !Arguments.isIdentifier(word) else {
        guard operandName != nil, operand == nil else { throw .usage("unexpected argument \"\(word)\"", remedy) }
        operand = word
        continue
      }
      let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
      guard let option = word == "-h" ? .help : Option(rawValue: parts[0]), allowed.contains(option) || option == .help
      else { throw .usage("unknown option \(parts[0]) of \(command)", remedy) }
      guard values[option] == nil else { throw .usage("\(parts[0]) is there twice", remedy) }
      if !option.takesValue {
        guard parts.count == 1 else { throw .usage("\(parts[0]) takes no value", remedy) }
        values[option] = ""
      } else if parts.count == 2 {
        values[option] = parts[1]
      } else if let value = words.popFirst() {
        values[option] = value
      } else {
        throw .usage("\(parts[0]) lacks its value", remedy)
      }
    }
    if let operandName, operand == nil, !has(.help) { throw .usage("\(command) lacks its \(operandName)", remedy) }
  }

  private static func isOption(_ word: String) -> Bool { word.hasPrefix("-") && word != "-" }

  /// One in 64 credential IDs begins with a dash in base64url.
  private static func isIdentifier(_ word: String) -> Bool {
    Option(rawValue: word) == nil && word.utf8.count >= 22 && Base64URL.decode(word) != nil
  }

  subscript(option: Option) -> String? { values[option] }

  func has(_ option: Option) -> Bool { values[option] != nil }
}
