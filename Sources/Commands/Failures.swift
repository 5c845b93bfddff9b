internal import CTAP
internal import CTAPHID
internal import Client
internal import Glibc
internal import Platform
internal import WebAuthn

// What went wrong elsewhere, in words for a person and with an exit status: the one place where that is decided.

extension CommandFailure {
  /// What the daemon's socket is for, and what to try where it does not answer.
  init(_ what: String, _ error: ClientError, socket: String, namedBy option: String = "--socket or COUNTERSIGN_SOCKET")
  {
    switch error {
    case .unreachable(let error) where error.code == EACCES:
      self.init(
        .unreachable, what, "you may not open \(socket) (\(error))",
        "have the operator let you in; the management socket is for root and the daemon's own user")
    case .unreachable(let error):
      self.init(
        .unreachable, what, "no daemon at \(socket) (\(error))",
        "start countersignd, or name its socket with \(option)")
    case .timedOut:
      self.init(.unreachable, what, "no answer from \(socket) in time", "see countersign status, or raise --timeout")
    case .disconnected:
      self.init(.unreachable, what, "the daemon closed the connection", "see its log, and try again")
    case .malformed(let problem):
      self.init(
        .unreachable, what, "what listens at \(socket) does not speak the protocol (\(problem))",
        "check --socket and the version of countersignd")
    case .requestTooLong(let count):
      self.init(.usage, what, "the request has \(count) bytes, more than a frame holds", "shorten the options")
    case .refused(.channelBusy):
      self.init(.failure, what, "the daemon is busy (\(CTAPHIDError.channelBusy))", "try again")
    case .refused(let error):
      self.init(.failure, what, "the daemon refused the frame (\(error))", "see its log")
    }
  }

  /// A refusal of the authenticator.
  init(_ what: String, _ status: CTAPStatus, relyingPartyID: String) {
    switch status {
    case .operationDenied:
      self.init(
        .refusedByPolicy, what, "no rule allows it to you for \(relyingPartyID) (\(status))",
        "have the operator add a rule, or see the audit log for the reason")
    case .noCredentials:
      self.init(
        .noSuchCredential, what, "no credential of \(relyingPartyID) fits (\(status))",
        "register one, with residentKey or named in allowCredentials, or check rpId")
    case .tpmUnavailable:
      self.init(
        .tpmFailure, what, "the TPM is away or failed (\(status))", "see countersign status and the daemon's log")
    case .storageUnavailable:
      self.init(.failure, what, "the daemon's store cannot be used (\(status))", "see its log; often the disk is full")
    case .auditUnavailable:
      self.init(
        .failure, what, "the audit log cannot be written, so nothing is signed (\(status))",
        "see the daemon's log; often the disk is full")
    default:
      let (why, remedy) = CommandFailure.words(for: status)
      self.init(.failure, what, "\(why) (\(status))", remedy)
    }
  }

  private static func words(for status: CTAPStatus) -> (why: String, remedy: String) {
    switch status {
    case .credentialExcluded:
      ("a credential of excludeCredentials is here already", "authenticate with that one")
    case .unsupportedAlgorithm:
      ("the TPM can do none of the algorithms in pubKeyCredParams", "offer -7 (ES256); EdDSA is not in TPMs")
    case .keyStoreFull: ("the daemon's store is full", "remove credentials, or raise the limit")
    case .channelBusy: ("the queue for the TPM is full", "try again")
    case .notAllowed: ("the daemon takes no such command now", "try again")
    case .keepaliveCancel, .timeout, .userActionTimeout, .actionTimeout:
      ("the request was cancelled or took too long", "try again, or raise --timeout")
    case .unsupportedOption, .invalidOption:
      ("the authenticator lacks an option that is asked for", "see countersign info")
    case .limitExceeded, .requestTooLarge, .invalidLength: ("the request is too large", "shorten the options")
    default: ("the authenticator refused", "see the daemon's log")
    }
  }

  /// A ceremony that gave no credential.
  init(_ what: String, _ error: CeremonyError, relyingPartyID: String, socket: String) {
    switch error {
    case .relyingPartyID(let id, let refusal):
      self.init(
        .usage, what, "RP ID \(quoted(id)) \(refusal)", "give the page's origin with --origin, or correct the RP ID")
    case .crossPlatformWanted:
      self.init(
        .failure, what, "the options ask for a cross-platform authenticator, and this one belongs to its machine",
        "ask for \"platform\", or leave authenticatorAttachment out")
    case .noKnownParameters:
      self.init(.failure, what, "no entry of pubKeyCredParams has the type \"public-key\"", "correct the options")
    case .userVerificationUnavailable:
      self.init(
        .failure, what, "the options require user verification, which this authenticator has not",
        "ask for userVerification \"preferred\" or \"discouraged\"")
    case .residentKeyUnavailable:
      self.init(
        .failure, what, "the options require a resident key, which this authenticator has not",
        "ask for residentKey \"preferred\" or \"discouraged\"")
    case .choiceDespiteAllowList:
      self.init(
        .usage, what, "the options have allowCredentials, which leave --user-handle no choice", "use --credential")
    case .choiceNotAllowed:
      self.init(.usage, what, "the credential of --credential is not among the allowCredentials", "choose one of those")
    case .noSuchAccount:
      self.init(
        .noSuchCredential, what, "no discoverable credential of \(relyingPartyID) is the chosen one",
        "check --user-handle or --credential")
    case .wrongAnswer(let problem):
      self.init(.failure, what, "the daemon's answer cannot be used: \(problem)", "check the version of countersignd")
    case .status(let status):
      self.init(what, status, relyingPartyID: relyingPartyID)
    case .client(let error):
      self.init(what, error, socket: socket)
    }
  }
}
