internal import CTAP
internal import CTAPHID
internal import Client
internal import Glibc
internal import Platform
internal import WebAuthn

// What went wrong elsewhere, in words for a person and with an exit status: the one place where that is decided.

extension CommandFailure {
  /// Whether it is the path of a grant's socket: `…/jobs/ID/ctap.sock`.
  private static func isOfGrant(_ socket: String) -> Bool {
    let parts = socket.split(separator: "/")
    return parts.count >= 3 && parts.last == "ctap.sock" && parts[parts.count - 3] == "jobs"
  }

  private static let adminOption = Arguments.Option.adminSocket.rawValue

  /// Where the operator's socket most likely is.
  private static func operatorsSocket(beside socket: String) -> String {
    guard !isOfGrant(socket), socket.hasPrefix("/"), let slash = socket.lastIndex(of: "/") else {
      return CommandContext.defaultAdminSocket
    }
    return socket[...slash] + "admin.sock"
  }

  /// What the daemon's socket is for, and what to try where it does not answer.
  init(_ what: String, _ error: ClientError, socket: String, namedBy option: String = "--socket or COUNTERSIGN_SOCKET")
  {
    switch error {
    case .unreachable(let error) where error.code == EACCES && CommandFailure.isOfGrant(socket):
      self.init(
        .unreachable, what, "you may not open \(socket) (\(error))",
        "have a grant made for your user: this one is another's")
    case .unreachable(let error) where error.code == EACCES:
      self.init(
        .unreachable, what, "you may not open \(socket) (\(error))",
        "the jobs' socket is for the group countersign, of which a service learns when it starts; the operator's for root, "
          + "the daemon's own user and the group of adminGroup")
    case .unreachable(let error) where error.code == ENOENT && CommandFailure.isOfGrant(socket):
      self.init(
        .unreachable, what, "the grant of \(socket) has ended",
        "have a new one made: it ends by its time, its signatures, its revocation, or with the daemon")
    case .unreachable(let error):
      self.init(
        .unreachable, what, "no daemon at \(socket) (\(error))",
        "start countersignd, or name its socket with \(option)")
    case .timedOut:
      self.init(.unreachable, what, "no answer from \(socket) in time", "see countersign status, or raise --timeout")
    case .disconnected:
      self.init(.unreachable, what, "the daemon closed the connection", "see its log, and try again")
    case .stranger:
      self.init(
        .unreachable, what, "\(socket) is not the daemon's (\(error))",
        "take the socket of a daemon that runs as root, as you or as countersign")
    case .malformed(let problem):
      self.init(
        .unreachable, what, "what listens at \(socket) does not speak the protocol (\(problem))",
        "check --socket and the version of countersignd")
    case .requestTooLong(let count):
      self.init(.usage, what, "the request has \(count) bytes, more than a frame holds", "shorten the options")
    case .noSecrets(let problem):
      self.init(.failure, what, "this machine gives no memory for secrets (\(problem))", "raise its limit (ulimit -l)")
    // The operator's socket knows every frame that this program sends to it.
    case .refused(.invalidCommand) where option == CommandFailure.adminOption:
      self.init(
        .usage, what, "\(socket) is a socket for jobs",
        "give --admin-socket the operator's: \(CommandFailure.operatorsSocket(beside: socket)), unless adminSocket or the "
          + "daemon's --admin-socket says otherwise")
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
        .refusedByPolicy, what, "the policy does not allow it to you now for \(relyingPartyID) (\(status))",
        "have the operator look into the audit log for the reason: no rule; its rate, hours or number; user verification"
      )
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
      if let (why, remedy) = CommandFailure.wordsOfVerification(for: status) {
        self.init(.refusedByPolicy, what, "\(why) (\(status))", remedy)
      } else {
        let (why, remedy) = CommandFailure.words(for: status)
        self.init(.failure, what, "\(why) (\(status))", remedy)
      }
    }
  }

  init(_ what: String, wrongPIN attemptsLeft: Int?) {
    let why = "the PIN is wrong (\(CTAPStatus.pinInvalid))"
    switch attemptsLeft {
    case nil: self.init(.refusedByPolicy, what, why, "give the right one")
    case 0?: self.init(what, .pinBlocked, relyingPartyID: "")
    case 1?: self.init(.refusedByPolicy, what, "\(why), and 1 attempt is left", "give the right one: it is the last")
    case let attempts?:
      self.init(.refusedByPolicy, what, "\(why), and \(attempts) attempts are left", "give the right one")
    }
  }

  /// Refusals that have to do with PINs.
  private static func wordsOfVerification(for status: CTAPStatus) -> (why: String, remedy: String)? {
    switch status {
    case .pinAuthBlocked:
      (
        "the PIN was wrong too often since the daemon started",
        "make sure of the right one, and restart countersignd"
      )
    case .pinBlocked:
      (
        "the PIN is blocked: it was wrong too often, or an old backup is in use",
        "have the operator set a new one with countersign pin set, which loses no credential"
      )
    case .pinPolicyViolation:
      ("the new PIN is not one that the authenticator takes", "choose another one: see countersign pin status")
    case .pinNotSet: ("no PIN is set", "set one with countersign pin set")
    case .puatRequired:
      (
        "the authenticator asks for a verified user",
        "give --pin-file or --pin-credential, or have the operator add userVerification to the rule"
      )
    case .pinAuthInvalid:
      ("the authenticator did not take the PIN's token", "try again, or see the audit log for the reason")
    case .uvBlocked: ("no rule lets you count as verified there", "give --pin-file or --pin-credential")
    default: nil
    }
  }

  private static func words(for status: CTAPStatus) -> (why: String, remedy: String) {
    switch status {
    case .credentialExcluded:
      ("a credential of excludeCredentials is here already", "authenticate with that one")
    case .unsupportedAlgorithm:
      ("the TPM can do none of the algorithms in pubKeyCredParams", "offer -7 (ES256); EdDSA is not in TPMs")
    case .keyStoreFull: ("the daemon's store is full", "remove credentials, or raise the limit")
    case .channelBusy:
      (
        "so much waits for the TPM that this would not be done in time",
        "ask again, every second or so: the place in the round is kept meanwhile; or ask for less at once"
      )
    case .notAllowed:
      (
        "the daemon takes no such command now",
        "try again; where that does not help, the runner may have been decommissioned"
      )
    case .timeout:
      ("it has waited for the TPM for as long as it may", "try again; the operator sees more by countersign status")
    case .keepaliveCancel, .userActionTimeout, .actionTimeout:
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
        .refusedByPolicy, what,
        "the options require user verification, and nothing verifies one here, neither a rule nor a PIN",
        "have the operator add userVerification to the rule, or set a PIN (countersign pin set) and give it with "
          + "--pin-file or --pin-credential; or ask for \"preferred\"")
    case .pinNeeded:
      self.init(
        .refusedByPolicy, what, "a verified user is asked for, and only the PIN verifies one here",
        "give --pin-file or --pin-credential, or have the operator add userVerification to the rule")
    case .pinMustBeChanged:
      self.init(
        .refusedByPolicy, what, "the PIN must be changed before it is of use", "use countersign pin change")
    case .wrongPIN(let attemptsLeft):
      self.init(what, wrongPIN: attemptsLeft)
    case .extensionUnavailable(let name):
      self.init(.failure, what, "the extension \(name) cannot be had here", CommandFailure.remedy(for: name))
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

  private static func remedy(for name: String) -> String {
    switch name {
    case "largeBlob": "it needs a discoverable credential that was registered with largeBlob"
    case "prf": "it needs a verified user: set a PIN, or have the operator add userVerification to the rule"
    default: "see countersign info, or do without it"
    }
  }

  /// What did not work out although the ceremony did.
  init(_ warning: WebAuthnClient.Warning, relyingPartyID: String, socket: String) {
    switch warning {
    case .blobNotWritten(let error):
      let what = "large blob not written"
      switch error {
      case .status(let status) where status == .operationDenied || status == .uvBlocked:
        self.init(
          .done, what, "no rule lets you manage what all RP IDs share (\(status))",
          "have the operator allow \"manage\" on \"*\"")
      case .status(.largeBlobStorageFull):
        self.init(
          .done, what, "the large blobs of all RP IDs take up the room (\(CTAPStatus.largeBlobStorageFull))",
          "shorten it, or remove credentials and their blobs")
      default: self.init(what, error, relyingPartyID: relyingPartyID, socket: socket)
      }
    }
  }
}
