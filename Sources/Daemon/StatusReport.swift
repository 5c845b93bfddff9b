/// The answer to the admin socket's `status`: what is true now. Encoded as JSON with sorted keys.
struct StatusReport: Codable, Equatable {
  /// Dictionary-attack protection. Keys of ours are exempt from it; the owner's authorization is not everywhere.
  struct Lockout: Codable, Equatable {
    var locked: Bool
    /// Failed authorizations that are counted now.
    var failures: UInt32
    /// At how many it locks.
    var limit: UInt32
    /// After how many seconds one is forgotten; 0: never.
    var forgetsAfter: UInt32
  }

  /// Writes to the TPM's non-volatile memory, of which it bears a limited number.
  struct NVWrites: Codable, Equatable {
    /// Since the device was set up.
    var signatureCounter: UInt64
    /// Since the device was set up.
    var auditAnchor: UInt64
    /// Since the daemon's start.
    var retryRecord: UInt64
  }

  struct TPM: Codable, Equatable {
    /// `hardware`, `software` or `not known yet`.
    var kind: String
    /// The TCTI string, or the software TPM's folder.
    var connection: String
    /// TPM_PT_MANUFACTURER as text.
    var manufacturer: String
    /// The maker's own name for it.
    var vendor: String
    var firmware: String
    /// `ready`, or why it is not.
    var state: String
    /// The storage root key's persistent handle, in hexadecimal.
    var parentHandle: String?
    /// The NV index of the signature counter, in hexadecimal.
    var counterIndex: String?
    /// The NV index of the record of PIN attempts, in hexadecimal.
    var retryIndex: String?
    /// The NV index of the audit log's anchor, in hexadecimal.
    var anchorIndex: String?
    /// nil until the device secret is open.
    var nvWrites: NVWrites?
    var loadedKeys: Int
    /// Whether a resource manager stands before the TPM, so that nothing stays loaded.
    var resourceManager: Bool?
    var pins: Pins?
    /// Requests waiting for the TPM.
    var queue: Int
    var waiting: Waiting
    /// How often the connection to it was lost and had again.
    var reconnections: Int
    /// nil, like what follows, where the TPM did not say so in time.
    var lockout: Lockout?
    /// Whether the owner hierarchy has an authorization value.
    var ownerAuthorization: Bool?
    /// Objects that could be loaded now.
    var freeTransientSlots: UInt32?
    /// Objects that could be made persistent now.
    var freePersistentSlots: UInt32?
    /// NV counters that could be defined now; some TPMs do not say, and answer 0.
    var freeCounterSlots: UInt32?
    /// Resets (boots, losses of power) since the TPM was last cleared: small after somebody has cleared it.
    var resetCount: UInt32?
    /// Restarts and resumes since the last reset.
    var restartCount: UInt32?
    /// Whether the TPM vouches that its clock has never repeated a value.
    var clockSafe: Bool?
  }

  /// How long requests wait for the TPM.
  struct Waiting: Codable, Equatable {
    /// Milliseconds that one may wait.
    var limit: UInt64
    /// Milliseconds that one would wait now, if it came from a user of whom nothing waits.
    var expected: UInt64
    /// Those refused since the start, because they would have waited for longer or too many waited.
    var refused: Int
    /// Those given up since the start, because they had.
    var expired: Int
  }

  /// Keys at persistent handles.
  struct Pins: Codable, Equatable {
    /// How many there are.
    var count: Int
    /// How many there may be.
    var limit: Int
    /// Their handles, in hexadecimal.
    var handles: [String]
    /// Writes to non-volatile memory that may be made for them now.
    var writesLeft: Int
    /// Those ever made or paid for.
    var writes: UInt64
    /// Why the last change was not made.
    var problem: String?
  }

  struct AuditLog: Codable, Equatable {
    var path: String
    /// `ready`, or why it cannot be written.
    var state: String
    /// Of the last record.
    var sequence: Int64
    /// Records made durable since the start.
    var records: Int64
    /// Calls of fdatasync(2) for them.
    var synchronizations: Int64
    /// Records since the last signature over the chain.
    var unsigned: Int64
    /// Copies that journald(8) did not take.
    var lostCopies: Int64
  }

  var version: String
  /// RFC 3339, UTC.
  var startedAt: String
  var socket: String
  var configuration: String
  /// Why the last reload was not taken, so that the files are not what is in force; nil where they are.
  var configurationProblem: String?
  /// Rules in force.
  var rules: Int
  /// Open connections of the job socket.
  var connections: Int
  /// nil where the store cannot be read.
  var credentials: Int?
  var tpm: TPM
  /// Whether the machine has booted as approved, in words; nil where the TPM did not say so in time.
  var bootState: String?
  var auditLog: AuditLog
  /// Whether the runner has been decommissioned, and all of it; nil where it is in service.
  var decommissioned: String?
}
