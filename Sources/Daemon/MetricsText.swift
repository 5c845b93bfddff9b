internal import Authenticator
internal import Platform
internal import TPMKeyStore

/// How many grants there are, and how many there were.
struct GrantFigures: Equatable {
  /// Those that have not ended.
  var alive = 0
  /// Since the start.
  var made = 0
  /// Open connections of those that are alive.
  var connections = 0
}

/// What `metrics` says besides the engine's tally.
struct Gauges {
  var tpm: TPMStatus
  /// Of jobs, by their common socket.
  var connections: Int
  var grants: GrantFigures
  /// nil where the store cannot tell.
  var credentials: Int?
  var rules: Int
  var isAuditWritable: Bool
  var auditRecordsWaiting: Int
}

/// The operator's metrics in OpenMetrics text 1.0. Labels are the names of commands, rules and results: never an RP ID, a
/// user or a credential.
enum MetricsText {
  static func make(_ tally: RequestTally, _ gauges: Gauges) -> String {
    var text = Exposition()
    text.family("countersign_build", "info", "The version that runs.")
    text.sample("countersign_build_info", [("version", CountersignVersion.text)], "1")
    requests(tally, &text)
    latency(tally, &text)
    tpm(gauges.tpm, &text)
    text.gauge(
      "countersign_connections", "Connections of jobs, those by grants included.",
      gauges.connections + gauges.grants.connections)
    text.gauge("countersign_grants", "Job grants that have not ended.", gauges.grants.alive)
    text.counter("countersign_grants_made", "Job grants made since the start.", gauges.grants.made)
    if let credentials = gauges.credentials {
      text.gauge("countersign_credentials", "Credentials in the store, disabled ones included.", credentials)
    }
    text.gauge("countersign_rules", "Rules in force.", gauges.rules)
    text.gauge(
      "countersign_audit_writable", "Whether the audit log can be written: 1 or 0.", gauges.isAuditWritable ? 1 : 0)
    text.gauge(
      "countersign_audit_waiting_records", "Audit records that are not being written yet.", gauges.auditRecordsWaiting)
    return text.finished()
  }

  private static func requests(_ tally: RequestTally, _ text: inout Exposition) {
    text.family("countersign_requests", "counter", "Requests answered, by command, deciding rule and result.")
    let sorted = tally.counts.sorted {
      ($0.key.command, $0.key.rule, $0.key.result.rawValue) < ($1.key.command, $1.key.rule, $1.key.result.rawValue)
    }
    for (key, count) in sorted {
      text.sample(
        "countersign_requests_total", [("command", key.command), ("rule", key.rule), ("result", key.result.rawValue)],
        String(count))
    }
  }

  private static func latency(_ tally: RequestTally, _ text: inout Exposition) {
    text.family(
      "countersign_request_duration_seconds", "histogram", "Time from a request's arrival to its answer.",
      unit: "seconds")
    let name = "countersign_request_duration_seconds"
    for (command, times) in tally.times.sorted(by: { $0.key < $1.key }) {
      var total: UInt64 = 0
      for (bound, count) in zip(RequestTally.bounds.map(seconds(milliseconds:)) + ["+Inf"], times.buckets) {
        total += count
        text.sample(name + "_bucket", [("command", command), ("le", bound)], String(total))
      }
      text.sample(name + "_count", [("command", command)], String(total))
      text.sample(name + "_sum", [("command", command)], seconds(milliseconds: times.sum / 1_000_000))
    }
  }

  private static func tpm(_ status: TPMStatus, _ text: inout Exposition) {
    text.gauge("countersign_tpm_up", "Whether the TPM is connected: 1 or 0.", status.disconnected == nil ? 1 : 0)
    text.gauge("countersign_tpm_queue_length", "Requests that wait for the TPM.", status.queueLength)
    text.family(
      "countersign_tpm_wait_seconds", "gauge", "How long a request would wait of whose user none waits yet.",
      unit: "seconds")
    text.sample("countersign_tpm_wait_seconds", [], seconds(milliseconds: status.waiting.expected))
    text.counter(
      "countersign_tpm_refused_requests",
      "Requests refused because they would have waited for the TPM for too long, or too many waited.",
      status.waiting.refused)
    text.counter(
      "countersign_tpm_expired_requests", "Requests given up because they had waited for the TPM for too long.",
      status.waiting.expired)
    text.gauge("countersign_tpm_loaded_keys", "Keys that are loaded in the TPM.", status.loadedKeys)
    if let writes = status.writes {
      text.counter(
        "countersign_tpm_counter_increments", "Increments of the signature counter since the device was set up.",
        Int(clamping: writes.signatureCounter))
      text.counter(
        "countersign_tpm_anchor_increments", "Increments of the audit log's anchor since the device was set up.",
        Int(clamping: writes.auditAnchor))
    }
    if let pins = status.pins {
      text.gauge("countersign_tpm_pinned_keys", "Keys at persistent handles of the TPM.", pins.pins.count)
      text.gauge(
        "countersign_tpm_pin_writes_left", "Writes to the TPM's non-volatile memory that pins may cost now.",
        pins.writesLeft)
      text.counter(
        "countersign_tpm_pin_writes", "Writes to the TPM's non-volatile memory for pins, ever.",
        Int(clamping: pins.writes))
    }
    text.counter("countersign_tpm_errors", "Errors of the TPM or of the way to it.", status.errors)
    text.counter("countersign_tpm_reconnections", "Times that the TPM was lost and had again.", status.reconnections)
  }

  /// Without floating point, whose text differs between languages.
  static func seconds(milliseconds: UInt64) -> String {
    let fraction = String(milliseconds % 1000 + 1000).dropFirst()
    return "\(milliseconds / 1000).\(fraction)"
  }
}

/// The lines of an OpenMetrics text.
private struct Exposition {
  private var text = ""

  mutating func family(_ name: String, _ type: String, _ help: String, unit: String? = nil) {
    text += "# TYPE \(name) \(type)\n"
    if let unit { text += "# UNIT \(name) \(unit)\n" }
    text += "# HELP \(name) \(help)\n"
  }

  mutating func gauge(_ name: String, _ help: String, _ value: Int) {
    family(name, "gauge", help)
    sample(name, [], String(value))
  }

  mutating func counter(_ name: String, _ help: String, _ value: Int) {
    family(name, "counter", help)
    sample(name + "_total", [], String(value))
  }

  mutating func sample(_ name: String, _ labels: [(name: String, value: String)], _ value: String) {
    let inner = labels.map { "\($0.name)=\"\(escaped($0.value))\"" }.joined(separator: ",")
    text += name + (inner.isEmpty ? "" : "{\(inner)}") + " \(value)\n"
  }

  func finished() -> String { text + "# EOF\n" }

  private func escaped(_ value: String) -> String {
    value.unicodeScalars.reduce(into: "") { text, scalar in
      switch scalar {
      case "\\": text += "\\\\"
      case "\"": text += "\\\""
      case "\n": text += "\\n"
      default: text.unicodeScalars.append(scalar)
      }
    }
  }
}
