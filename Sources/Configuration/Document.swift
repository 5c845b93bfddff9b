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
  var issuers: [IssuerEntry]

  enum CodingKeys: String, CodingKey, CaseIterable {
    /// For editors.
    case schema = "$schema"
    case tpm, socket, socketMode, adminSocket, adminGroup, stateDirectory, auditLog, audit, limits, log
    case rules, issuers
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    let _: String? = try container.optional(.schema)
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
    issuers = try container.optional(.issuers) ?? []
  }
}

struct TPMEntry: Decodable {
  var tcti: String?
  var allowSoftware: Bool?
  var softwareDirectory: String?
  var pcrs: [Double]?
  var approvalKey: String?
  var resourceManager: Bool?
  var pins: PinsEntry?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case tcti, allowSoftware, softwareDirectory, pcrs, approvalKey, resourceManager, pins
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    tcti = try container.optional(.tcti)
    allowSoftware = try container.optional(.allowSoftware)
    softwareDirectory = try container.optional(.softwareDirectory)
    pcrs = try container.optional(.pcrs)
    approvalKey = try container.optional(.approvalKey)
    resourceManager = try container.optional(.resourceManager)
    pins = try container.optional(.pins)
  }
}

/// Hot keys at persistent handles.
struct PinsEntry: Decodable {
  var handles: String?
  var count: Double?
  var writesPerDay: Double?
  var burst: Double?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case handles, count, writesPerDay, burst
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    handles = try container.optional(.handles)
    count = try container.optional(.count)
    writesPerDay = try container.optional(.writesPerDay)
    burst = try container.optional(.burst)
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
  var waitSeconds: Double?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case connections, credentials, waitSeconds
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    connections = try container.optional(.connections)
    credentials = try container.optional(.credentials)
    waitSeconds = try container.optional(.waitSeconds)
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

struct RuleEntry: Decodable {
  var name: String?
  var callers: [CallerEntry]
  var relyingParties: [String]
  var operations: [String]
  var accounts: [UserEntry]?
  var userVerification: Bool
  var signatureCounter: String?
  var bootState: String?
  var attestation: OneOrMore?
  var enterpriseAttestation: Bool
  var rate: RateEntry?
  var maxRegistrations: Double?
  var hours: OneOrMore?
  var requireGrant: Bool
  var requireClaims: [String: OneOrMore]?
  var bindClaims: Bool

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, callers, relyingParties, operations, accounts, userVerification, signatureCounter, bootState, attestation
    case enterpriseAttestation, rate, maxRegistrations, hours, requireGrant, requireClaims, bindClaims
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    name = try container.optional(.name)
    callers = try container.optional(.callers) ?? []
    relyingParties = try container.optional(.relyingParties) ?? []
    operations = try container.optional(.operations) ?? []
    userVerification = try container.optional(.userVerification) ?? false
    signatureCounter = try container.optional(.signatureCounter)
    bootState = try container.optional(.bootState)
    accounts = try container.optional(.accounts)
    attestation = try container.optional(.attestation)
    enterpriseAttestation = try container.optional(.enterpriseAttestation) ?? false
    rate = try container.optional(.rate)
    maxRegistrations = try container.optional(.maxRegistrations)
    hours = try container.optional(.hours)
    requireGrant = try container.optional(.requireGrant) ?? false
    requireClaims = try container.optional(.requireClaims)
    bindClaims = try container.optional(.bindClaims) ?? false
  }
}

/// Somebody whose tokens are believed.
struct IssuerEntry: Decodable {
  var issuer: String?
  var audience: String?
  var jwksFile: String?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case issuer, audience, jwksFile
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    issuer = try container.optional(.issuer)
    audience = try container.optional(.audience)
    jwksFile = try container.optional(.jwksFile)
  }
}

struct RateEntry: Decodable {
  var perMinute: Double?
  var burst: Double?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case perMinute, burst
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    perMinute = try container.optional(.perMinute)
    burst = try container.optional(.burst)
  }
}

/// An account at a relying party.
struct UserEntry: Decodable {
  var userHandle: String?
  var userName: String?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case userHandle, userName
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    userHandle = try container.optional(.userHandle)
    userName = try container.optional(.userName)
  }
}

/// A text, or a list of texts any of which will do.
struct OneOrMore: Decodable {
  var texts: [String]
  var isList = false

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let text = try? container.decode(String.self) {
      texts = [text]
    } else {
      do {
        texts = try container.decode([String].self)
        isList = true
      } catch {
        throw ShapeError.mismatch(
          keyPath: rendered(decoder.codingPath), expected: "text in quotes, or a list of such texts")
      }
    }
  }
}

struct CallerEntry: Decodable {
  var user: AccountEntry?
  var group: AccountEntry?
  var unit: String?
  /// `X` is the unit `X.service`.
  var service: String?
  var slice: String?
  var container: String?
  var executable: String?
  var executableSHA256: String?
  var socket: String?
  var grant: Bool?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case user, group, unit, service, slice, container, executable, executableSHA256, socket, grant
  }

  init(from decoder: any Decoder) throws {
    let container = try decoder.strictContainer(keyedBy: CodingKeys.self)
    user = try container.optional(.user)
    group = try container.optional(.group)
    unit = try container.optional(.unit)
    service = try container.optional(.service)
    slice = try container.optional(.slice)
    self.container = try container.optional(.container)
    executable = try container.optional(.executable)
    executableSHA256 = try container.optional(.executableSHA256)
    socket = try container.optional(.socket)
    grant = try container.optional(.grant)
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
