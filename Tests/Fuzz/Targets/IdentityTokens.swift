import IdentityTokens
import TestSupport
import WebAuthn

/// Keys that the run has made: what is signed by one of them is the fuzzer's, and its signature good.
private let signer = TestKey(.es256)
private let now: Int64 = 1_750_000_000
private let audience = "countersign"

/// The RSA and the P-256 key of RFC 7515, appendices A.2 and A.3, of which the seeds have the tokens.
private let published = """
  {"keys":[{"kty":"RSA","kid":"r","e":"AQAB","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-\
  4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rex\
  MdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaG\
  NdLf4qDvqT0sl5NnjMUBQ"},{"kty":"EC","kid":"e","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",\
  "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}
  """

private func key(_ key: TestKey) -> JSONValue {
  guard case .es256(let x, let y) = key.publicKey else { return .null }
  return .object([
    "kty": "EC", "kid": "e", "crv": "P-256", "x": .string(Base64URL.encode(x)), "y": .string(Base64URL.encode(y)),
  ])
}

/// The first byte says what the rest is: a JWK Set, a token, or a header and a payload (after a zero byte) that somebody
/// has signed whom the operator believes.
func checkIdentityTokens(_ input: [UInt8]) throws {
  guard let first = input.first else { return }
  let rest = Array(input.dropFirst())
  switch first % 3 {
  case 0:
    guard let keys = try? TokenKey.set(rest) else { return }
    try require((1...64).contains(keys.count), "a set has 1 to 64 keys")
    // None of them has signed this.
    let issuer = TokenIssuer(issuer: "joe", audience: audience, keys: keys)
    let token = sealed(Array(#"{"alg":"ES256"}"#.utf8), Array(#"{"iss":"joe","aud":"countersign","exp":9e9}"#.utf8))
    try require((try? IdentityToken(token, from: [issuer], now: now)) == nil, "nobody else's signature is taken")
  case 1:
    let issuer = TokenIssuer(issuer: "joe", audience: audience, keys: try TokenKey.set(Array(published.utf8)))
    // The two that were signed name no audience.
    let text = String(decoding: rest, as: UTF8.self)
    try require(
      (try? IdentityToken(text, from: [issuer], now: 1_300_819_000)) == nil, "nothing is taken that nobody signed")
  default: try checkSigned(rest)
  }
}

private func sealed(_ header: [UInt8], _ payload: [UInt8]) -> String {
  let signed = "\(Base64URL.encode(header)).\(Base64URL.encode(payload))"
  return signed + "." + Base64URL.encode(signer.signJWS(Array(signed.utf8)))
}

private func checkSigned(_ input: [UInt8]) throws {
  let parts = input.split(separator: 0, maxSplits: 1, omittingEmptySubsequences: false).map(Array.init)
  guard parts.count == 2 else { return }
  let keys = try TokenKey.set(JSONValue.object(["keys": .array([key(signer)])]).serialized())
  let issuers = ["joe", "https://token.example.com"].map { TokenIssuer(issuer: $0, audience: audience, keys: keys) }
  let token = sealed(parts[0], parts[1])
  guard let read = try? IdentityToken(token, from: issuers, now: now) else { return }
  try require(issuers.contains { $0.issuer == read.issuer }, "an issuer of the configuration")
  try require(
    read.claims["iss"] == read.issuer && read.claims["aud"] == audience, "it is from whom and for whom it says")
  try require(IdentityToken.claimNames.isSuperset(of: read.claims.keys), "claims that are known")
  try require(read.claims.values.allSatisfy { $0.utf8.count <= 1024 }, "claims that are bounded")
  guard case .object(let header) = try JSONValue.parse(parts[0]),
    case .object(let payload) = try JSONValue.parse(parts[1])
  else { throw Finding("a token consists of two objects") }
  try require(header["alg"] == "ES256" && header["crit"] == nil, "the key's own algorithm, and nothing critical")
  switch payload["exp"] {
  case .integer(let end)?:
    try require(end > now - IdentityToken.toleratedSkew, "it has not ended")
    let (late, overflow) = end.addingReportingOverflow(IdentityToken.toleratedSkew)
    if !overflow { try require((try? IdentityToken(token, from: issuers, now: late)) == nil, "it ends") }
  case .number(let end)?: try require(end > Double(now - IdentityToken.toleratedSkew), "it has not ended")
  default: throw Finding("a token ends")
  }
}
