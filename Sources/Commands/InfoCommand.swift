internal import Client
internal import CTAP
internal import Platform
internal import WebAuthn

/// `countersign info`.
func info(_ context: CommandContext) throws(CommandFailure) {
  let output = try context.prepareOutput()
  let info = try context.authenticatorInfo()
  try output(context.arguments.has(.json) ? info.json.line : info.table.text)
}

extension CommandContext {
  /// authenticatorGetInfo, by the jobs' socket.
  func authenticatorInfo() throws(CommandFailure) -> AuthenticatorInfo {
    let authenticator = try authenticator(until: try deadline())
    do {
      return try authenticator.getInfo()
    } catch {
      switch error {
      case .status(let status): throw CommandFailure(what, status, relyingPartyID: "any RP ID")
      case .wrongPIN(let attemptsLeft): throw CommandFailure(what, wrongPIN: attemptsLeft)
      case .client(let error): throw CommandFailure(what, error, socket: socket)
      }
    }
  }
}

extension AuthenticatorInfo {
  /// The members that are there, by the names of CTAP 2.1 section 6.4.
  var json: JSONValue {
    var members: [String: JSONValue] = [
      "aaguid": .string(AAGUIDText.encode(aaguid)),
      "options": .object(options.mapValues { .boolean($0) }),
      "versions": .texts(versions),
    ]
    if !extensions.isEmpty { members["extensions"] = .texts(extensions) }
    if !transports.isEmpty { members["transports"] = .texts(transports) }
    if !attestationFormats.isEmpty { members["attestationFormats"] = .texts(attestationFormats) }
    if !algorithms.isEmpty {
      members["algorithms"] = .array(
        algorithms.map { .object(["alg": .integer($0.algorithm), "type": .string($0.type)]) })
    }
    if !pinUvAuthProtocols.isEmpty {
      members["pinUvAuthProtocols"] = .array(pinUvAuthProtocols.map { .integer(Int64(clamping: $0)) })
    }
    if !certifications.isEmpty {
      members["certifications"] = .object(certifications.mapValues { .integer(Int64(clamping: $0)) })
    }
    for (name, value) in numbers { members[name] = value.map { .integer($0) } }
    members["forcePINChange"] = forcePINChange.map { .boolean($0) }
    members["longTouchForReset"] = longTouchForReset.map { .boolean($0) }
    members["pinComplexityPolicy"] = pinComplexityPolicy.map { .boolean($0) }
    members["pinComplexityPolicyURL"] = pinComplexityPolicyURL.map { .string(String(decoding: $0, as: UTF8.self)) }
    members["encIdentifier"] = encIdentifier.map { .string(Base64URL.encode($0)) }
    members["encCredStoreState"] = encCredStoreState.map { .string(Base64URL.encode($0)) }
    if !transportsForReset.isEmpty { members["transportsForReset"] = .texts(transportsForReset) }
    if !authenticatorConfigCommands.isEmpty {
      members["authenticatorConfigCommands"] = .array(
        authenticatorConfigCommands.map { .integer(Int64(clamping: $0)) })
    }
    return .object(members)
  }

  private var numbers: [(String, Int64?)] {
    [
      ("maxMessageSize", maxMessageSize.map(Int64.init)),
      ("maxCredentialCountInList", maxCredentialCountInList.map(Int64.init)),
      ("maxCredentialIdLength", maxCredentialIDLength.map(Int64.init)),
      ("remainingDiscoverableCredentials", remainingDiscoverableCredentials.map(Int64.init)),
      ("maxSerializedLargeBlobArray", maxSerializedLargeBlobArray.map(Int64.init)),
      ("minPINLength", minPINLength.map(Int64.init)),
      ("maxPINLength", maxPINLength.map(Int64.init)),
      ("uvCountSinceLastPINEntry", uvCountSinceLastPINEntry.map(Int64.init)),
      ("firmwareVersion", firmwareVersion.map { Int64(clamping: $0) }),
      ("maxCredBlobLength", maxCredBlobLength.map(Int64.init)),
      ("maxRPIDsForSetMinPINLength", maxRPIDsForSetMinPINLength.map(Int64.init)),
      ("preferredPlatformUvAttempts", preferredPlatformUvAttempts.map(Int64.init)),
      ("uvModality", uvModality.map { Int64(clamping: $0) }),
    ]
  }

  fileprivate var table: Table {
    var table = Table()
    table.add("versions", versions.joined(separator: ", "))
    table.add("AAGUID", AAGUIDText.encode(aaguid))
    table.add("options", options.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value ? "yes" : "no")" }.list)
    table.add("extensions", extensions.list)
    table.add("transports", transports.list)
    table.add("algorithms", algorithms.map { AuthenticatorInfo.name(of: $0.algorithm) }.list)
    table.add("attestation formats", attestationFormats.list)
    table.add("PIN protocols", pinUvAuthProtocols.map { "\($0)" }.list)
    table.add("longest message", maxMessageSize.map { "\($0) bytes" })
    table.add("credentials in a list", maxCredentialCountInList.map { "\($0)" })
    table.add("longest credential ID", maxCredentialIDLength.map { "\($0) bytes" })
    table.add("discoverable credentials left", remainingDiscoverableCredentials.map { "\($0)" })
    table.add("PIN", minPINLength.map { "\($0) to \(maxPINLength ?? PIN.maximumCount) code points" })
    table.add("large blobs", maxSerializedLargeBlobArray.map { "\($0) bytes" })
    table.add("longest credBlob", maxCredBlobLength.map { "\($0) bytes" })
    table.add("firmware", firmwareVersion.map { "\($0 >> 16 & 0xff).\($0 >> 8 & 0xff).\($0 & 0xff)" })
    return table
  }

  private static func name(of algorithm: Int64) -> String {
    switch COSEAlgorithm(rawValue: algorithm) {
    case .es256: "ES256"
    case .es384: "ES384"
    case .rs256: "RS256"
    case nil: "\(algorithm)"
    }
  }
}

extension JSONValue {
  static func texts(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
}

extension [String] {
  /// nil where there is nothing to show.
  fileprivate var list: String? { isEmpty ? nil : joined(separator: ", ") }
}
