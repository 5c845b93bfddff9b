/// One decision, as one JSON line of the audit log. Binary values are lower-case hexadecimal in the file.
package struct AuditRecord: Equatable, Sendable {
  package enum Outcome: String, CaseIterable, Sendable {
    /// Policy said yes; the signature leaves only once this record is durable.
    case allowed
    /// Policy said no.
    case refused
    /// Allowed, and then not done (the TPM failed, the caller cancelled, no such credential): no signature left. Where
    /// the TPM had been asked already, it follows an `allowed` record of the same connection and client data.
    case failed
    /// An act of the operator's or of the daemon itself, for which no policy was asked.
    case done
  }

  /// What a record is about: every word that the log knows.
  package enum Operation: String, CaseIterable, Sendable {
    // What policy decides.
    case register
    case authenticate
    case manage
    case reset
    // The other commands of the jobs' socket.
    case clientPIN
    case token
    case largeBlobs
    case wink
    case selection
    // The operator's.
    case grant
    case attestation
    case boot
    case decommission
    // The daemon's own.
    case start
    case reload
    case stop
    /// The chain's head, signed by the TPM.
    case head = "log.head"
    /// With outcome `failed`: by it a daemon that starts says what ``LogTail`` has found. Signed with the rest, it can go
    /// only together with everything that the TPM signed after it.
    case chainBreak = "log.break"
  }

  /// Who may use a grant, and until when.
  package struct GrantTerms: Equatable, Sendable {
    package let user: UInt32
    /// With whose end the grant ends; nil where it is with nobody's.
    package let process: Int32?
    /// The same of a control group, as in /proc/PID/cgroup.
    package let controlGroup: String?
    /// Milliseconds since 1970-01-01 UTC, by the clock at its making; at the latest.
    package let end: Int64

    package init(user: UInt32, process: Int32? = nil, controlGroup: String? = nil, end: Int64) {
      self.user = user
      self.process = process
      self.controlGroup = controlGroup
      self.end = end
    }
  }

  /// Milliseconds since 1970-01-01 UTC.
  package var time: Int64
  package var outcome: Outcome
  package var operation: Operation
  /// Which of its kind, where there are several: `pin.set`, `credential.delete`, `config.toggleAlwaysUv`, `u2f`.
  package var detail: String?
  package var connection: UInt64
  package var user: UInt32
  package var group: UInt32
  package var process: Int32?
  package var unit: String?
  /// The rule that decided, be it a refusal; nil where none matched, or it was not known yet which one decides.
  package var rule: String?
  /// The identifier of the job grant that the caller used.
  package var grant: String?
  /// What the grant says of its job; in the file with sorted keys.
  package var claims: [String: String]?
  /// Of a grant that is made: for whom, and for how long.
  package var grantTerms: GrantTerms?
  package var relyingPartyID: String?
  package var credentialID: [UInt8]?
  /// SHA-256 of the user handle.
  package var userHandleHash: [UInt8]?
  /// The flags byte of authenticatorData (WebAuthn section 6.1).
  package var flags: UInt8?
  package var signatureCounter: UInt32?
  /// SHA-256 of the client data, so that the RP's own log can be matched.
  package var clientDataHash: [UInt8]?
  /// For the operator: why it was refused or failed.
  package var reason: String?
  /// The status that the caller was given, by its name in the standard; nil where the outcome says it all.
  package var result: String?
  /// Microseconds from the receipt of the request to this record.
  package var latency: UInt64?
  /// How many records of this user that concern no signature were left out before this one; nil for none.
  package var suppressed: UInt64?

  package init(
    time: Int64, outcome: Outcome, operation: Operation, connection: UInt64, user: UInt32, group: UInt32,
    process: Int32? = nil, unit: String? = nil, rule: String? = nil, relyingPartyID: String? = nil,
    credentialID: [UInt8]? = nil, userHandleHash: [UInt8]? = nil, flags: UInt8? = nil,
    signatureCounter: UInt32? = nil, clientDataHash: [UInt8]? = nil, reason: String? = nil
  ) {
    self.time = time
    self.outcome = outcome
    self.operation = operation
    self.connection = connection
    self.user = user
    self.group = group
    self.process = process
    self.unit = unit
    self.rule = rule
    self.relyingPartyID = relyingPartyID
    self.credentialID = credentialID
    self.userHandleHash = userHandleHash
    self.flags = flags
    self.signatureCounter = signatureCounter
    self.clientDataHash = clientDataHash
    self.reason = reason
  }
}

extension AuditRecord {
  /// How many bytes of a record's line these claims take, where each character that is not ASCII takes six or twelve.
  package static func count(ofClaims claims: [String: String]) -> Int { AuditLine.count(ofClaims: claims) }
}

/// The audit log could not be written: nothing may be signed until it can.
package struct AuditError: Error, Equatable, Sendable, CustomStringConvertible {
  /// For the operator, e.g. `write: No space left on device`.
  package let description: String

  package init(_ description: String) {
    self.description = description
  }
}

/// A record on its way to the disk. Waiting is separate from submitting, so that the TPM signs at the same time.
package protocol AuditTicket: Sendable {
  /// Returns once the record is durable (fdatasync(2)).
  func durable() async throws(AuditError)

  /// Ends the waiting of a record that waits for others (``AuditSink/submit(_:_:)``). Does not wait.
  func hasten()
}

extension AuditTicket {
  /// For sinks that let nothing wait.
  package func hasten() {}
}

/// When a record is to be written.
package enum AuditUrgency: Sendable {
  /// As soon as the disk is free.
  case now
  /// Together with others that may come: once its ticket is hastened or waited for, or a tenth of a second has passed.
  case whenWanted
}

/// Where decisions are recorded.
package protocol AuditSink: Sendable {
  /// Hands over a record, in order, without waiting. Records of one sink become durable in the order of submission, so
  /// that one hastens those before it.
  func submit(_ record: AuditRecord, _ urgency: AuditUrgency) -> any AuditTicket
}

extension AuditSink {
  /// Hands over a record to be written as soon as the disk is free.
  package func submit(_ record: AuditRecord) -> any AuditTicket { submit(record, .now) }
}
