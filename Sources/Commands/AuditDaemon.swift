internal import AuditLog
internal import Client
internal import Platform
internal import WebAuthn

/// What the daemon says of its log.
struct AuditDaemon {
  let path: String
  let key: AuditKey
  /// nil where the TPM could not be asked.
  let expectation: ChainExpectation?
  let problem: String

  init(_ context: CommandContext) throws(CommandFailure) {
    let deadline = try context.deadline()
    let connection = try context.connect(to: context.adminSocket, until: deadline)
    let members: [String: JSONValue]
    do {
      members = try AdminClient(connection).audit(until: deadline)
    } catch {
      throw CommandFailure(context.what, error, socket: context.adminSocket, namedBy: "--admin-socket")
    }
    if let refusal = context.refusal(
      in: members, otherwise: "ask as root, the daemon's own user or a member of adminGroup")
    {
      throw refusal
    }
    do {
      let answer = JSONCursor(.object(members))
      path = try answer.required("path", "a path").string()
      key = try AuditKey(answer)
      problem = try answer.optional("problem")?.string() ?? "it did not say why"
      let hash = Platform.bytes(hexadecimal: try answer.required("hash", "a hash").string()) ?? []
      let sequence = UInt64(try answer.required("sequence", "a number").integer(in: 0...Int64.max))
      expectation = try answer.optional("anchor").map { anchor throws(JSONInputError) in
        ChainExpectation(
          end: ChainEnd(sequence: sequence, hash: hash), anchor: UInt64(try anchor.integer(in: 0...Int64.max)))
      }
    } catch {
      throw CommandFailure(
        context.what, .malformed("\(error)"), socket: context.adminSocket, namedBy: "--admin-socket")
    }
  }
}

extension AuditKey {
  /// Reads what ``json`` gives.
  init(parsing bytes: [UInt8]) throws(JSONInputError) {
    try self.init(JSONCursor(try JSONValue.parse(bytes)))
  }

  init(_ object: JSONCursor) throws(JSONInputError) {
    let publicKey = try object.required("publicKey", "a public key in base64url")
    let anchor = try object.required("firstAnchor", "a number").integer(in: 0...Int64.max)
    guard let key = AuditKey(publicKey: try publicKey.bytes(), firstAnchor: UInt64(anchor)) else {
      throw publicKey.complaint(expected: "SubjectPublicKeyInfo of a P-256 key", found: "something else")
    }
    self = key
  }

  var json: JSONValue {
    .object([
      "publicKey": .string(Base64URL.encode(publicKey)), "firstAnchor": .integer(Int64(clamping: firstAnchor)),
      "key": .string(hexadecimal(identifier)), "pem": .string(pem),
    ])
  }

  /// RFC 7468, for openssl(1).
  private var pem: String {
    let base64 = Base64URL.encode(publicKey).map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }
    let padded = base64 + [Character](repeating: "=", count: (4 - base64.count % 4) % 4)
    let lines = stride(from: 0, to: padded.count, by: 64).map { String(padded[$0..<min($0 + 64, padded.count)]) }
    return (["-----BEGIN PUBLIC KEY-----"] + lines + ["-----END PUBLIC KEY-----", ""]).joined(separator: "\n")
  }
}
