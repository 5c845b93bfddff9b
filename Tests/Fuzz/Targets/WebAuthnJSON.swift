import Crypto
import RelyingParty
import WebAuthn

/// The same bytes as each of the texts that WebAuthn has, and as an origin.
func checkJSON(_ input: [UInt8]) throws {
  if let value = try? JSONValue.parse(input) {
    try require((try? JSONValue.parse(value.serialized())) == value, "JSON survives its serialisation")
  }
  if let options = try? PublicKeyCredentialCreationOptionsJSON(parsing: input) {
    try require((1...64).contains(options.userHandle.count), "a user handle has 1 to 64 bytes")
    if let id = options.relyingPartyID { try checkOrigin(id, id) }
  }
  if let options = try? PublicKeyCredentialRequestOptionsJSON(parsing: input), let id = options.relyingPartyID {
    try checkOrigin(id, id)
  }
  if let response = try? RegistrationResponseJSON(parsing: input) {
    var sorted = response
    sorted.transports.sort()
    try require(
      (try? RegistrationResponseJSON(parsing: response.json.serialized())) == sorted,
      "a registration response survives its serialisation")
  }
  if let response = try? AuthenticationResponseJSON(parsing: input) {
    try require(
      (try? AuthenticationResponseJSON(parsing: response.json.serialized())) == response,
      "an authentication response survives its serialisation")
  }
  if let data = try? CollectedClientData(parsing: input) {
    try require(
      (try? CollectedClientData(parsing: data.serialized())) == data, "client data survives its serialisation")
    try checkOrigin(data.origin, data.topOrigin ?? data.origin)
  }
  try checkRecord(try? CredentialRecord(parsing: input))
  let text = String(decoding: input, as: UTF8.self)
  if let bytes = Base64URL.decode(text) {
    try require(Base64URL.encode(bytes) == text, "bytes have one base64url text")
  }
  try checkOrigin(text, text)
}

private func checkOrigin(_ text: String, _ relyingPartyID: String) throws {
  guard let origin = (try? Origin(text)) ?? (try? Origin(defaultFor: text)) else { return }
  try require((try? Origin(origin.description)) == origin, "an origin survives its serialisation")
  for id in [relyingPartyID, origin.host, origin.host.split(separator: ".").dropFirst().joined(separator: ".")] {
    guard (try? RelyingPartyID.check(id, isAllowedFor: origin)) != nil else { continue }
    try require(origin.host == id || origin.host.hasSuffix("." + id), "an RP ID is the host or a domain above it")
  }
}

private func checkRecord(_ record: CredentialRecord?) throws {
  guard let record else { return }
  try require(
    (try? CredentialRecord(parsing: record.json.serialized())) == record,
    "a relying party's record survives its serialisation")
}

/// Both ceremonies of a relying party, over one object with what is asked, what is answered and, if at all, which
/// certificate is trusted.
func checkCeremony(_ input: [UInt8]) throws {
  guard case .object(let texts)? = try? JSONValue.parse(input) else { return }
  func text(_ name: String) -> [UInt8] { texts[name]?.serialized() ?? [] }
  guard let creation = try? PublicKeyCredentialCreationOptionsJSON(parsing: text("creationOptions")),
    let registration = try? RegistrationResponseJSON(parsing: text("registration"))
  else { return }
  let relyingPartyID = creation.relyingPartyID ?? "login.example.com"
  let origin = "https://login.example.com:8443"
  // Whatever the attestation is: nothing but the certificates may then stand in the way.
  let kinds = Set(AttestationKind.allCases)
  let anchors = (try? JSONCursor(.object(texts)).optional("anchor")?.bytes()).flatMap { try? Certificate(der: $0) }
  let policy = RelyingPartyPolicy(
    otherOrigins: ["https://example.org"], topOrigins: ["https://example.com"],
    attestation: AttestationPolicy(anchors: anchors.map { [$0] } ?? [], kinds: kinds, time: 1_780_000_000))
  let registered = try? RegistrationVerifier.verify(
    registration, of: creation, origin: origin, relyingPartyID: relyingPartyID, under: policy)
  try checkRecord(registered)
  guard let registered, let request = try? PublicKeyCredentialRequestOptionsJSON(parsing: text("requestOptions")),
    let assertion = try? AuthenticationResponseJSON(parsing: text("assertion"))
  else { return }
  let used = try? AssertionVerifier.verify(
    assertion, of: request, by: registered, origin: origin, relyingPartyID: relyingPartyID, under: policy)
  try checkRecord(used)
}
