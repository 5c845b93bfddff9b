/// What can stand in one configuration file, by name; nil where the file is silent. Meaning comes later.
struct Document: Decodable {
  var tpm: TPMEntry?
  var socket: String?
  var socketMode: String?
  var adminSocket: String?
  var adminGroup: AccountEntry?
  var stateDirectory: String?
  var auditLog: String?
  var audit: AuditEntry?
  var limits: LimitsEntry?
  var log: LogEntry?
  var rules: [RuleEntry]

  enum CodingKeys: String, CodingKey, CaseIterable {
    case tpm, socket, socketMode, adminSocket, adminGroup, stateDirectory, auditLog, audit, limits, log, rules
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    tpm = try container.optional(.tpm)
    socket = try container.optional(.socket)
    socketMode = try container.optional(.socketMode)
    adminSocket = try container.optional(.adminSocket)
    adminGroup = try container.optional(.adminGroup)
    stateDirectory = try container.optional(.stateDirectory)
    auditLog = try container.optional(.auditLog)
    audit = try container.optional(.audit)
    limits = try container.optional(.limits)
    log = try container.optional(.log)
    rules = try container.optional(.rules) ?? []
  }
}

struct TPMEntry: Decodable {
  var tcti: String?
  var allowSoftware: Bool?
  var softwareDirectory: String?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case tcti, allowSoftware, softwareDirectory
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    tcti = try container.optional(.tcti)
    allowSoftware = try container.optional(.allowSoftware)
    softwareDirectory = try container.optional(.softwareDirectory)
  }
}

struct AuditEntry: Decodable {
  var rotateAfter: String?
  var keep: Double?
  var signAfterRecords: Double?
  var signAfterSeconds: Double?
  var journal: Bool?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case rotateAfter, keep, signAfterRecords, signAfterSeconds, journal
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    rotateAfter = try container.optional(.rotateAfter)
    keep = try container.optional(.keep)
    signAfterRecords = try container.optional(.signAfterRecords)
    signAfterSeconds = try container.optional(.signAfterSeconds)
    journal = try container.optional(.journal)
  }
}

struct LimitsEntry: Decodable {
  var connections: Double?
  var credentials: Double?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case connections, credentials
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    connections = try container.optional(.connections)
    credentials = try container.optional(.credentials)
  }
}

struct LogEntry: Decodable {
  var level: String?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case level
  }

  init(from decoder: any Decoder) throws {
    level = try decoder.strictContainer(keyedBy: CodingKeys.self).optional(.level)
  }
}

/// Accounts, rates, hours, grants and claims will stand here too.
struct RuleEntry: Decodable {
  var name: String?
  var callers: [CallerEntry]
  var relyingParties: [String]
  var operations: [String]
  var userVerification: Bool
  var signatureCounter: String?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, callers, relyingParties, operations, userVerification, signatureCounter
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    name = try container.optional(.name)
    callers = try container.optional(.callers) ?? []
    relyingParties = try container.optional(.relyingParties) ?? []
    operations = try container.optional(.operations) ?? []
    userVerification = try container.optional(.userVerification) ?? false
    signatureCounter = try container.optional(.signatureCounter)
  }
}

struct CallerEntry: Decodable {
  var user: AccountEntry?
  var group: AccountEntry?
  var unit: String?
  /// `X` is the unit `X.service`.
  var service: String?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case user, group, unit, service
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    user = try container.optional(.user)
    group = try container.optional(.group)
    unit = try container.optional(.unit)
    service = try container.optional(.service)
  }
}

/// A user or group: its name, or its number as number or text of digits.
enum AccountEntry: Decodable {
  case name(String)
  case number(Double)

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let text = try? container.decode(String.self) {
      let isNumber = !text.isEmpty && text.utf8.allSatisfy { $0 >= 0x30 && $0 <= 0x39 }
      self = isNumber ? .number(Double(text) ?? .infinity) : .name(text)
    } else if let number = try? container.decode(Double.self) {
      self = .number(number)
    } else {
      throw ShapeError.mismatch(keyPath: rendered(decoder.codingPath), expected: "a name in quotes or a number")
    }
  }
}
