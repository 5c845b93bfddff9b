internal import CTAP
internal import Client
internal import Configuration
internal import Glibc
internal import Platform
internal import Policy
internal import WebAuthn

/// `countersign doctor`: everything that stands between this machine and a signature, each with what mends it.
func doctor(_ context: CommandContext) throws(CommandFailure) {
  let output = try context.prepareOutput()
  var examination = Examination(context)
  let findings = examination.run(until: try context.deadline())
  if context.arguments.has(.json) {
    try output(
      JSONValue.object([
        "ok": .boolean(!findings.hasFailure), "checks": .array(findings.map(\.json)),
      ]).line)
  } else {
    try output(findings.report)
  }
  guard !findings.hasFailure else {
    let failed = findings.filter { $0.verdict == .failed }.map(\.subject)
    throw context.fail(.failure, "failed: \(failed.joined(separator: ", "))", "do what stands below each of them")
  }
}

/// The checks, from the outside in: each one's words presume that those before it are known.
private struct Examination {
  private typealias Members = [String: JSONValue]

  /// Bytes below which the audit log will soon have no room: some 100,000 records.
  private static let littleSpace: UInt64 = 64 << 20

  private var context: CommandContext
  private let machine: Machine
  private let configuration: String

  init(_ context: CommandContext) {
    self.context = context
    machine = context.console.machine
    configuration = context.arguments[.configuration] ?? ConfigurationLoader.defaultPath
  }

  mutating func run(until deadline: Deadline) -> [Finding] {
    let (settings, ofConfiguration) = readConfiguration()
    context.configuredAdminSocket = settings?.adminSocket
    let (status, ofDaemon) = askDaemon(until: deadline)
    var findings = [ofConfiguration, ofDaemon]
    if let status {
      findings += examine(status, until: deadline)
      // Whatever else there is to be found, nothing is signed here any more.
      if status.text("decommissioned") != nil { return findings }
    } else if let settings {
      // The daemon would say more than the file system does.
      findings += examineDevice(settings)
    }
    let path = socket(status, settings)
    findings += examineSocket(path, until: deadline)
    if let settings { findings += examineCallers(of: settings.rules, path) }
    if status != nil { findings += examinePIN(until: deadline) }
    return findings
  }

  // MARK: Configuration and daemon

  private func readConfiguration() -> (Settings?, Finding) {
    do {
      let loaded = try machine.settings(configuration)
      let count = loaded.settings.rules.rules.count
      guard count > 0 else {
        return (
          loaded.settings,
          .failed(
            "configuration", "\(configuration) has no rules, so every request is refused",
            mend: "add a rule, see countersign.json(5); then: systemctl reload countersignd")
        )
      }
      return (loaded.settings, .ok("configuration", "\(configuration): \(count) \(count == 1 ? "rule" : "rules")"))
    } catch {
      let place = error.position.map { "\(error.file):\($0.line)" } ?? error.file
      let text = [place, error.keyPath, error.problem].compactMap(\.self).joined(separator: ": ")
      return (nil, .failed("configuration", text, mend: error.advice))
    }
  }

  private func askDaemon(until deadline: Deadline) -> (Members?, Finding) {
    let path = context.adminSocket
    let members: Members
    do {
      let connection = try context.console.connect(path, deadline)
      try connection.requireDaemon(at: path)
      members = try AdminClient(connection).status(until: deadline)
    } catch {
      let failure = CommandFailure(context.what, error, socket: path, namedBy: "--admin-socket")
      let mend =
        switch error {
        case .unreachable(let error) where error.code == EACCES: "ask as root: sudo countersign doctor"
        case .unreachable:
          "systemctl enable --now countersignd.socket countersignd.service; why it ends: journalctl -u countersignd"
        default: failure.remedy
        }
      return (nil, .failed("daemon", failure.why, mend: mend))
    }
    if let problem = members.text("error") {
      return (nil, .failed("daemon", "it refuses: \(problem)", mend: "ask as root: sudo countersign doctor"))
    }
    guard let version = members.text("version"), let since = members.text("startedAt") else {
      return (nil, .failed("daemon", "its status cannot be read", mend: "systemctl restart countersignd"))
    }
    guard version == CountersignVersion.text else {
      return (
        members,
        .warning(
          "daemon", "it is version \(version), this command is \(CountersignVersion.text)",
          mend: "systemctl restart countersignd")
      )
    }
    return (members, .ok("daemon", "countersignd \(version), running since \(since)"))
  }

  // MARK: What the daemon says

  private func examine(_ status: Members, until deadline: Deadline) -> [Finding] {
    var findings: [Finding] = []
    if let state = status.text("decommissioned") {
      // Everything else would be of something that is gone.
      return [
        .failed(
          "service",
          state == "yes" ? "this runner has been decommissioned" : "this runner is being decommissioned: \(state)",
          mend: state == "yes"
            ? "to begin anew: systemctl stop countersignd.socket countersignd, move the state folder and the audit log "
              + "away, start both"
            : "countersign decommission")
      ]
    }
    findings += examineChanges(until: deadline)
    if let problem = status.text("configurationProblem") {
      findings.append(
        .failed(
          "rules in force", "older than the files, which were not taken: \(problem)",
          mend: "mend the file; then: systemctl reload countersignd"))
    }
    let tpm = status.members("tpm")
    findings.append(examineTPM(tpm))
    if let state = status.text("bootState") { findings.append(contentsOf: examineBoot(state)) }
    if tpm.text("state") == "ready" {
      if tpm.text("kind") == "software" {
        findings.append(
          .warning(
            "protection", "a software TPM, which protects keys from nobody who can read its files",
            mend: "use a hardware TPM, and set tpm.allowSoftware to false"))
      }
      findings.append(contentsOf: examineCondition(of: tpm))
    }
    findings.append(examineStore(status))
    findings.append(examineAudit(status.members("auditLog")))
    if let chain = examineChain() { findings.append(chain) }
    return findings
  }

  /// What stands in the files and is not in force: a daemon that is younger than its files says nothing of it otherwise.
  private func examineChanges(until deadline: Deadline) -> [Finding] {
    func unknown(_ why: String, mend: String) -> [Finding] {
      [.warning("settings in force", "they cannot be compared with the files: \(why)", mend: mend)]
    }
    let changes: Members
    do {
      let connection = try context.connect(to: context.adminSocket, until: deadline)
      changes = try AdminClient(connection).configurationChanges(until: deadline)
    } catch let failure as CommandFailure {
      return unknown(failure.why, mend: failure.remedy)
    } catch {
      return unknown("\(error)", mend: "try again: countersign doctor")
    }
    if let problem = changes.text("problem") {
      return unknown(problem, mend: "mend the file; then: countersign doctor")
    }
    func listed(_ name: String) -> String? {
      guard case .array(let keys)? = changes[name] else { return nil }
      return keys.compactMap { if case .string(let key) = $0 { key } else { nil } }.joined(separator: ", ")
    }
    guard let restart = listed("restart"), let reload = listed("reload") else {
      return unknown(
        "the daemon does not tell (\(changes.text("error") ?? "its answer cannot be read"))",
        mend: changes.text("remedy") ?? "use the same version of both programs: systemctl restart countersignd")
    }
    let file = changes.text("configuration") ?? "?"
    var findings: [Finding] = []
    if !restart.isEmpty {
      findings.append(
        .warning(
          "settings in force", "changed in the files of \(file) since the daemon's start: \(restart)",
          mend: "systemctl restart countersignd"))
    }
    if !reload.isEmpty {
      findings.append(
        .warning(
          "rules in force", "older than the files of \(file): \(reload)", mend: "systemctl reload countersignd"))
    }
    return findings
  }

  private func examineTPM(_ tpm: Members) -> Finding {
    let state = tpm.text("state") ?? "unknown"
    let connection = tpm.text("connection") ?? "?"
    guard state == "ready" else {
      return .failed("TPM", state, mend: "see journalctl -u countersignd; no restart is needed once the TPM is back")
    }
    let words = ["manufacturer", "vendor"].compactMap { tpm.text($0) }.filter { !$0.isEmpty }
    return .ok("TPM", "\(words.joined(separator: " ")), firmware \(tpm.text("firmware") ?? "?"), by \(connection)")
  }

  /// Only where something is bound to it.
  private func examineBoot(_ state: String) -> [Finding] {
    let mend = "if it is meant, approve it: countersign pcr allow; see countersign pcr show"
    switch state {
    case "not bound": return []
    case "approved": return [.ok("boot state", "as the operator has approved")]
    default:
      return state.hasPrefix("waiting")
        ? [.failed("boot state", "\(state); nothing is signed", mend: mend)]
        : [.warning("boot state", "\(state); the next start of the daemon will wait for that", mend: mend)]
    }
  }

  private func examineCondition(of tpm: Members) -> [Finding] {
    guard case .object(let lockout)? = tpm["lockout"] else {
      return [
        .warning(
          "TPM's lockout", "the TPM has not said in time whether it is locked", mend: "try again: countersign doctor")
      ]
    }
    if lockout["locked"] == .boolean(true) {
      return [
        .warning(
          "TPM's lockout", "the TPM is locked after failed authorizations of others; keys of ours sign all the same",
          mend: "wait, or: tpm2_dictionarylockout --clear-lockout")
      ]
    }
    guard case .integer(let failures)? = lockout["failures"], case .integer(let limit)? = lockout["limit"] else {
      return []
    }
    return [.ok("TPM's lockout", "not locked, \(failures) of \(limit) failures")]
  }

  private func examineStore(_ status: Members) -> Finding {
    guard case .integer(let count)? = status["credentials"] else {
      return .failed(
        "credentials", "the store cannot be read",
        mend: "see journalctl -u countersignd, and whether the disk is full or read-only: df /var/lib/countersign")
    }
    return count == 0
      ? .ok("credentials", "none yet: a job enrols with countersign register")
      : .ok("credentials", "\(count) enrolled")
  }

  private func examineAudit(_ audit: Members) -> Finding {
    let path = audit.text("path") ?? "?"
    guard audit.text("state") == "ready" else {
      return .failed(
        "audit log", "\(audit.text("state") ?? "unknown"): nothing is signed until it can be written",
        mend: "make room or mend the disk: df \(path)")
    }
    guard let free = try? machine.freeBytes(path), free < Self.littleSpace else {
      return .ok("audit log", "\(path) can be written")
    }
    return .warning(
      "audit log", "\(path) can be written, but only \(free >> 20) MiB are left there",
      mend: "make room: nothing is signed once it is full")
  }

  /// The end of the audit log against what the daemon and its TPM say of it; nil where they cannot say it now, which
  /// another finding tells.
  private func examineChain() -> Finding? {
    let mend = "countersign audit verify reads all of it and says where; see SECURITY.md for what each finding means"
    guard let daemon = try? AuditDaemon(context), let expectation = daemon.expectation else { return nil }
    do {
      guard let flaw = try machine.logFlaw(daemon.path, daemon.key, expectation) else {
        return .ok("audit chain", "its end is as the daemon wrote it, up to what its TPM has signed and behind it")
      }
      return .failed("audit chain", "NOT VERIFIED: \(flaw)", mend: mend)
    } catch {
      return .warning("audit chain", "it cannot be looked at (\(error))", mend: "ask as root: sudo countersign doctor")
    }
  }

  // MARK: What the machine shows

  /// Why the daemon might not have come up.
  private func examineDevice(_ settings: Settings) -> [Finding] {
    guard case .tcti(let tcti) = settings.tpm, tcti.hasPrefix("device:") else { return [] }
    let path = String(tcti.dropFirst("device:".count))
    do {
      let status = try machine.status(path)
      guard status.kind == .characterDevice else {
        return [.failed("TPM device", "\(path) is no device", mend: "correct tpm.tcti in \(configuration)")]
      }
      let group = try machine.groupName(status.group) ?? String(status.group)
      guard group == "tss", status.permissions & 0o060 == 0o060 else {
        return [
          .failed(
            "TPM device", "\(path) is not for the group tss to read and write",
            mend: "udevadm control --reload && udevadm trigger --subsystem-match=tpmrm")
        ]
      }
      return [.ok("TPM device", "\(path) is there, for the group tss")]
    } catch  where error.code == ENOENT {
      return [
        .failed(
          "TPM device", "there is no \(path)",
          mend: "turn the TPM on in the firmware's settings, or give the virtual machine one")
      ]
    } catch {
      return [.failed("TPM device", "\(error)", mend: "look at \(path)")]
    }
  }

  private func socket(_ status: Members?, _ settings: Settings?) -> String {
    context.namedSocket ?? status?.text("socket") ?? settings?.socket ?? context.socket
  }

  private func examineSocket(_ path: String, until deadline: Deadline) -> [Finding] {
    do {
      let connection = try context.console.connect(path, deadline)
      let info = try AuthenticatorClient(connection, until: deadline).getInfo()
      return [.ok("jobs' socket", "\(path) answers (\(info.versions.joined(separator: ", ")))")]
    } catch let error as ClientError {
      let failure = CommandFailure(context.what, error, socket: path)
      return [.failed("jobs' socket", failure.why, mend: "systemctl enable --now countersignd.socket")]
    } catch AuthenticatorClient.Failure.status(let status) {
      return [.failed("jobs' socket", "\(path) refuses (\(status))", mend: "see the other findings, and its log")]
    } catch {
      return [.failed("jobs' socket", "\(path) does not answer as it should (\(error))", mend: "see its log")]
    }
  }

  /// Users whom a rule names and whom the socket keeps out.
  private func examineCallers(of rules: RuleBook, _ path: String) -> [Finding] {
    guard let status = try? machine.status(path), status.kind == .socket else { return [] }
    var findings: [Finding] = []
    var seen: Set<UInt32> = []
    for rule in rules.rules {
      for user in rule.callers.compactMap(\.user) where seen.insert(user).inserted {
        let groups = (try? machine.groups(user)) ?? []
        guard !status.isReadableAndWritable(user: user, groups: groups) else { continue }
        let name = (try? machine.userName(user)) ?? String(user)
        findings.append(
          .failed(
            "callers", "user \(name) of rule \(quoted(rule.name)) may not open \(path)",
            mend: admission(of: name, to: status)))
      }
    }
    if findings.isEmpty { findings.append(.ok("callers", "every user whom a rule names may open \(path)")) }
    return findings
  }

  /// What lets a user open the jobs' socket.
  private func admission(of user: String, to socket: PathStatus) -> String {
    // Whoever is in root's group can do far more than open a socket.
    guard socket.group != 0 else {
      return "have countersignd run as a user and group of its own, as its unit does: the socket is of the group root, "
        + "into which nobody belongs"
    }
    guard socket.permissions & 0o060 == 0o060 else {
      return "let the socket's group read and write: SocketMode=0660 in countersignd.socket, or socketMode: \"0660\""
    }
    let group = (try? machine.groupName(socket.group)) ?? String(socket.group)
    return "usermod --append --groups \(group) \(user), and restart what runs its jobs"
  }

  private func examinePIN(until deadline: Deadline) -> [Finding] {
    guard let connection = try? context.connect(to: context.adminSocket, until: deadline) else { return [] }
    let client = AuthenticatorClient(ofOperator: connection, until: deadline)
    do {
      guard try client.getInfo().options["clientPin"] == true else {
        return [.ok("PIN", "none is set: users are verified by rules alone")]
      }
      let retries = try client.pinRetries()
      if retries.attemptsLeft == 0 {
        return [.warning("PIN", "blocked: nobody is verified by it", mend: "countersign pin set")]
      }
      if retries.isBlockedUntilRestart {
        return [
          .warning(
            "PIN", "wrong too often since the daemon started", mend: "systemctl restart countersignd")
        ]
      }
      return [.ok("PIN", "set, \(retries.attemptsLeft) attempts left")]
    } catch {
      return [.failed("PIN", "its state cannot be read (\(error))", mend: "see journalctl -u countersignd")]
    }
  }
}

extension [String: JSONValue] {
  fileprivate func text(_ name: String) -> String? {
    guard case .string(let text)? = self[name] else { return nil }
    return text
  }

  fileprivate func members(_ name: String) -> [String: JSONValue] {
    guard case .object(let members)? = self[name] else { return [:] }
    return members
  }
}
