internal import CLinux
internal import Glibc
package import Platform

/// Copies of records for journald(8), in its native protocol: a sentence for people, and each value as a field of its
/// own (COUNTERSIGN_OPERATION, COUNTERSIGN_RPID …). Never waits, and nothing waits for it: what the journal does not
/// take at once is counted and lost. Where there is no journal there are no copies.
package final class JournalCopies: Sendable {
  package static let socket = "/run/systemd/journal/socket"

  private struct State {
    var connection: Connection?
    var lost: UInt64 = 0
    var hasComplained = false
  }

  private final class Connection: Sendable {
    let descriptor: Descriptor

    init(_ descriptor: consuming Descriptor) {
      self.descriptor = descriptor
    }
  }

  private let path: String
  private let log: Logger
  private let state = Lock(State())

  /// nil where there is no journal's socket.
  ///
  /// - Parameters:
  ///   - path: of the socket
  ///   - log: told of the first lost copy
  package init?(path: String = JournalCopies.socket, log: Logger) {
    guard unsafe access(path, F_OK) == 0 else { return nil }
    self.path = path
    self.log = log
  }

  /// Copies that the journal did not take.
  package var lost: UInt64 { state.withLock { $0.lost } }

  func send(_ record: AuditRecord) {
    let message = JournalCopies.message(record)
    let complaint = state.withLock { state -> String? in
      do throws(SystemError) {
        if state.connection == nil {
          let raw = try checked("connect \(path)") { unsafe cs_unix_connect_datagram(path) }
          state.connection = Connection(Descriptor(owning: raw))
        }
        guard let connection = state.connection else { return nil }
        guard try connection.descriptor.sendNow(message[...]) == message.count else {
          throw SystemError(call: "send", code: EAGAIN)
        }
        state.hasComplained = false
        return nil
      } catch {
        // The journal may have been started anew.
        if error.code != EAGAIN { state.connection = nil }
        state.lost += 1
        defer { state.hasComplained = true }
        return state.hasComplained ? nil : "journald does not take copies of the audit log (\(error)): some are lost"
      }
    }
    if let complaint { log.warning(complaint) }
  }

  /// The fields of one entry; a value with a line feed, which none of ours has, would need another form.
  static func message(_ record: AuditRecord) -> [UInt8] {
    var text = ""
    func add(_ name: String, _ value: String?) {
      guard let value else { return }
      text += name + "=" + String(String.UnicodeScalarView(value.unicodeScalars.map { $0.value < 0x20 ? "?" : $0 }))
      text += "\n"
    }
    let what = [record.operation.rawValue, record.detail, record.relyingPartyID].compactMap(\.self).joined(
      separator: " ")
    let why = record.reason.map { ": \($0)" } ?? ""
    add("MESSAGE", "audit: \(record.outcome.rawValue) \(what) for uid \(record.user)\(why)")
    add("PRIORITY", record.outcome == .allowed || record.outcome == .done ? "6" : "5")
    add("SYSLOG_IDENTIFIER", "countersignd")
    add("COUNTERSIGN_OUTCOME", record.outcome.rawValue)
    add("COUNTERSIGN_OPERATION", record.operation.rawValue)
    add("COUNTERSIGN_DETAIL", record.detail)
    add("COUNTERSIGN_TIME", Timestamp.text(unixMilliseconds: record.time))
    add("COUNTERSIGN_CONNECTION", String(record.connection))
    add("COUNTERSIGN_UID", String(record.user))
    add("COUNTERSIGN_GID", String(record.group))
    add("COUNTERSIGN_PID", record.process.map { String($0) })
    add("COUNTERSIGN_UNIT", record.unit)
    add("COUNTERSIGN_RULE", record.rule)
    add("COUNTERSIGN_GRANT", record.grant)
    for (name, value) in (record.claims ?? [:]).sorted(by: { $0.key < $1.key }) {
      add("COUNTERSIGN_CLAIM", "\(name)=\(value)")
    }
    add("COUNTERSIGN_FOR_UID", record.grantTerms.map { String($0.user) })
    add("COUNTERSIGN_FOR_PID", record.grantTerms?.process.map { String($0) })
    add("COUNTERSIGN_FOR_CGROUP", record.grantTerms?.controlGroup)
    add("COUNTERSIGN_ENDS_AT", record.grantTerms.map { Timestamp.text(unixMilliseconds: $0.end) })
    add("COUNTERSIGN_RPID", record.relyingPartyID)
    add("COUNTERSIGN_CREDENTIAL", record.credentialID.map { hexadecimal($0) })
    add("COUNTERSIGN_USER_HANDLE_HASH", record.userHandleHash.map { hexadecimal($0) })
    add("COUNTERSIGN_SIGN_COUNT", record.signatureCounter.map { String($0) })
    add("COUNTERSIGN_CLIENT_DATA_HASH", record.clientDataHash.map { hexadecimal($0) })
    add("COUNTERSIGN_REASON", record.reason)
    add("COUNTERSIGN_RESULT", record.result)
    add("COUNTERSIGN_LATENCY_USEC", record.latency.map { String($0) })
    return Array(text.utf8)
  }
}
