/// The answer to the admin socket's `status`: what is true now. Encoded as JSON with sorted keys.
struct StatusReport: Codable, Equatable {
  struct TPM: Codable, Equatable {
    /// `hardware` or `software`.
    var kind: String
    /// The TCTI string, or the software TPM's folder.
    var connection: String
    /// TPM_PT_MANUFACTURER as text.
    var manufacturer: String
    var firmware: String
    /// `ready`, or why it is not.
    var state: String
    /// The storage root key's persistent handle, in hexadecimal.
    var parentHandle: String?
    /// The NV index of the signature counter, in hexadecimal.
    var counterIndex: String?
    /// The NV index of the record of PIN attempts, in hexadecimal.
    var retryIndex: String?
    var loadedKeys: Int
    /// Requests waiting for the TPM.
    var queue: Int
  }

  struct AuditLog: Codable, Equatable {
    var path: String
    /// `ready`, or why it cannot be written.
    var state: String
  }

  var version: String
  /// RFC 3339, UTC.
  var startedAt: String
  var socket: String
  var configuration: String
  /// Rules in force.
  var rules: Int
  /// Open connections of the job socket.
  var connections: Int
  /// nil where the store cannot be read.
  var credentials: Int?
  var tpm: TPM
  var auditLog: AuditLog
}
