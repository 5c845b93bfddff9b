import AuditLog
import Authenticator
import CTAP
import Policy

/// A request on its way.
final class EngineRequest {
  let message: [UInt8]
  let caller: Caller
  /// What its platform knows of it, and nobody else.
  let authored: Authored
  /// nil where the message is none.
  let decoded: CTAPRequest?
  let isU2F: Bool
  /// nil where the message is none.
  let u2f: U2FRequest?
  /// Every policy that was in force meanwhile.
  var books: [RuleBook]
  /// How many records there were before it.
  let firstRecord: Int
  /// Monotonic nanoseconds.
  let time: UInt64
  /// What was left by the command before it.
  var walk: EngineWitness.Walk?
  /// The token whose code it has, if that could be used when it came.
  var grant: Grant?
  /// Whether user verification was always wanted when it came, for all that is known.
  var needsVerification = false
  var isCancelled = false

  init(
    _ written: Written, isU2F: Bool, caller: Caller, books: [RuleBook], firstRecord: Int, time: UInt64
  ) {
    message = written.message
    authored = written.authored
    self.isU2F = isU2F
    self.caller = caller
    self.books = books
    self.firstRecord = firstRecord
    self.time = time
    let isMessage = !isU2F && message.count <= AuthenticatorLimits.maximumMessageSize
    decoded = isMessage ? try? CTAPRequest.decode(message) : nil
    u2f = isU2F ? try? U2FRequest.decode(message) : nil
  }

  /// Whether a policy that was in force allows it.
  func isAllowed(_ operation: Policy.Operation, _ scope: Scope) -> Bool {
    books.contains { judged($0, operation, scope) != nil }
  }

  /// Whether a policy that was in force lets its caller count as verified.
  func isVerified(_ operation: Policy.Operation, _ scope: Scope) -> Bool {
    books.contains { judged($0, operation, scope) == true }
  }

  /// nil where it is refused, else whether the caller counts as verified.
  private func judged(_ book: RuleBook, _ operation: Policy.Operation, _ scope: Scope) -> Bool? {
    do {
      return try book.judge(caller, operation, scope).userVerification
    } catch {
      return nil
    }
  }

  /// The PIN that its hash belongs to, if it came through as it was written and can be read.
  var pin: [UInt8]? {
    guard let (sent, written) = clientPIN, let agreement = authored.agreement, agreement.isCurrent,
      sent.pinHashEnc == written.pinHashEnc, isUnderTheSecret(sent, written)
    else { return nil }
    return authored.pin
  }

  /// The new PIN, on the same terms.
  var newPIN: [UInt8]? {
    guard let (sent, written) = clientPIN, sent.newPinEnc == written.newPinEnc, isUnderTheSecret(sent, written)
    else { return nil }
    return authored.newPIN
  }

  /// What the answer is encrypted under, on the same terms.
  var answersUnder: Agreement? {
    guard let (sent, written) = clientPIN, isUnderTheSecret(sent, written) else { return nil }
    return authored.agreement
  }

  private var clientPIN: (sent: ClientPINRequest, written: ClientPINRequest)? {
    guard case .clientPIN(let sent)? = decoded, case .clientPIN(let written)? = authored.request else { return nil }
    return (sent, written)
  }

  private func isUnderTheSecret(_ sent: ClientPINRequest, _ written: ClientPINRequest) -> Bool {
    sent.keyAgreement == written.keyAgreement && sent.pinUvAuthProtocol == written.pinUvAuthProtocol
  }

  /// Whether one of its records says that this was allowed.
  func isRecorded(_ operation: AuditRecord.Operation, _ detail: String?, in records: [AuditRecord]) -> Bool {
    records[firstRecord...].contains {
      $0.outcome == .allowed && $0.operation == operation && $0.detail == detail && $0.connection == caller.connection
    }
  }
}

struct EngineAnswer {
  let request: EngineRequest
  let reply: [UInt8]
}
