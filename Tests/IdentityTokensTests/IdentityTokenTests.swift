import TestSupport
import Testing
import WebAuthn

@testable import IdentityTokens

private let now: Int64 = 1_750_000_000
private let rsa = TestKey(.rs256)
private let ec = TestKey(.es256)
private let stranger = TestKey(.rs256)

private func jwk(_ key: TestKey, _ more: [String: JSONValue] = [:]) -> JSONValue {
  var members: [String: JSONValue] = more
  switch key.publicKey {
  case .rs256(let modulus, let exponent):
    members["kty"] = "RSA"
    members["n"] = .string(Base64URL.encode(modulus))
    members["e"] = .string(Base64URL.encode(exponent))
  case .es256(let x, let y), .es384(let x, let y):
    members["kty"] = "EC"
    members["crv"] = x.count == 32 ? "P-256" : "P-384"
    members["x"] = .string(Base64URL.encode(x))
    members["y"] = .string(Base64URL.encode(y))
  }
  return .object(members)
}

private func set(_ keys: JSONValue...) -> [UInt8] { JSONValue.object(["keys": .array(keys)]).serialized() }

private func issuers() throws -> [TokenIssuer] {
  [
    TokenIssuer(
      issuer: "https://token.example.com", audience: "countersign",
      keys: try TokenKey.set(set(jwk(rsa, ["kid": "r"]), jwk(ec, ["kid": "e", "alg": "ES256", "use": "sig"])))),
    TokenIssuer(issuer: "https://one.example.com", audience: "other", keys: try TokenKey.set(set(jwk(rsa)))),
  ]
}

/// What GitHub puts into a token of a job.
private let github: [String: JSONValue] = [
  "iss": "https://token.example.com", "aud": "countersign", "sub": "repo:org/app:ref:refs/heads/main",
  "exp": .integer(now + 300), "nbf": .integer(now - 10), "iat": .integer(now - 10), "jti": "x", "repository": "org/app",
  "repository_owner": "org", "ref": "refs/heads/main", "sha": "abc", "workflow": "deploy", "run_id": "17",
  "run_attempt": "1", "actor": "somebody", "job_workflow_ref": "org/app/.github/workflows/deploy.yml@refs/heads/main",
  "runner_environment": "self-hosted", "something_new": "not asked for",
]

/// What GitLab does.
private let gitlab: [String: JSONValue] = [
  "iss": "https://token.example.com", "aud": .array(["a", "countersign"]),
  "sub": "project_path:group/app:ref_type:branch",
  "exp": .integer(now + 300), "nbf": .integer(now - 5), "iat": .integer(now), "namespace_path": "group",
  "project_path": "group/app",
  "project_id": "22", "pipeline_id": .integer(90), "job_id": "302", "ref": "main", "ref_type": "branch",
  "ref_protected": "true", "environment_protected": .boolean(false), "groups_direct": .array(["a"]),
  "user_login": "somebody",
]

private func token(
  _ payload: [String: JSONValue], _ header: [String: JSONValue] = ["alg": "RS256", "kid": "r"], by key: TestKey = rsa
) -> String {
  let parts = [header, payload].map { Base64URL.encode(JSONValue.object($0).serialized()) }.joined(separator: ".")
  return parts + "." + Base64URL.encode(key.signJWS(Array(parts.utf8)))
}

private func problem(_ text: String) throws -> String? {
  let issuers = try issuers()
  do throws(TokenError) {
    _ = try IdentityToken(text, from: issuers, now: now)
    return nil
  } catch {
    return error.description
  }
}

struct GoodTokens {
  @Test func ofGitHub() throws {
    let read = try IdentityToken(token(github), from: try issuers(), now: now)
    #expect(read.issuer == "https://token.example.com")
    #expect(read.claims["repository"] == "org/app" && read.claims["ref"] == "refs/heads/main")
    #expect(read.claims["job_workflow_ref"] == "org/app/.github/workflows/deploy.yml@refs/heads/main")
    // Neither what is about the token nor what nobody knows.
    for name in ["exp", "nbf", "iat", "jti", "something_new"] { #expect(read.claims[name] == nil) }
  }

  @Test func ofGitLab() throws {
    let read = try IdentityToken(
      token(gitlab, ["alg": "ES256", "kid": "e", "typ": "JWT"], by: ec), from: try issuers(), now: now)
    #expect(read.claims["project_path"] == "group/app" && read.claims["pipeline_id"] == "90")
    #expect(read.claims["environment_protected"] == "false" && read.claims["groups_direct"] == nil)
    // Of several audiences, ours.
    #expect(read.claims["aud"] == "countersign")
  }

  @Test func withoutANameForTheOnlyKey() throws {
    var payload = github
    payload["iss"] = "https://one.example.com"
    payload["aud"] = "other"
    #expect(try problem(token(payload, ["alg": "RS256"])) == nil)
  }
}

struct BadTokens {
  @Test(arguments: ["none", "None", "HS256", "RS384", "PS256", "ES256", ""])
  func anotherAlgorithm(_ algorithm: String) throws {
    let found = try problem(token(github, ["alg": .string(algorithm), "kid": "r"]))
    #expect(found == "its algorithm is not RS256, which its key is for")
  }

  @Test func noSignature() throws {
    let parts = token(github, ["alg": "none"]).split(separator: ".").prefix(2).joined(separator: ".")
    #expect(try problem(parts + ".") != nil)
    #expect(try problem(parts) == "it is no signed JWT")
    #expect(try problem(token(github, ["kid": "r"])) != nil)
  }

  @Test func aSignatureOfSomebodyElse() throws {
    #expect(try problem(token(github, by: stranger)) == "its signature is wrong")
    // The same key cannot be taken for one of another kind.
    #expect(try problem(token(github, ["alg": "ES256", "kid": "e"], by: rsa)) == "its signature is wrong")
    let parts = token(github).split(separator: ".").map(String.init)
    var other = github
    other["ref"] = "refs/heads/evil"
    let payload = Base64URL.encode(JSONValue.object(other).serialized())
    #expect(try problem("\(parts[0]).\(payload).\(parts[2])") == "its signature is wrong")
  }

  @Test func keysThatAreNotThere() throws {
    #expect(try problem(token(github, ["alg": "RS256", "kid": "z"]))?.contains("none of the issuer's") == true)
    #expect(try problem(token(github, ["alg": "RS256"]))?.contains("none of the issuer's") == true)
    #expect(try problem(token(github, ["alg": "RS256", "kid": 5]))?.contains("none of the issuer's") == true)
    let embedded: [String: JSONValue] = ["alg": "RS256", "kid": "z", "jwk": jwk(stranger)]
    #expect(try problem(token(github, embedded, by: stranger))?.contains("none of the issuer's") == true)
    #expect(
      try problem(token(github, ["alg": "RS256", "kid": "r", "crit": .array(["b64"])])) == "it has a critical extension"
    )
  }

  private func changed(_ name: String, _ value: JSONValue?) -> String {
    var payload = github
    payload[name] = value
    return token(payload)
  }

  @Test func issuerAndAudience() throws {
    #expect(
      try problem(changed("iss", "https://evil.example.com"))?.contains("none of those in the configuration") == true)
    #expect(try problem(changed("iss", nil)) != nil)
    for audience: JSONValue? in [nil, "other", .array([]), .array(["x"]), 5] {
      #expect(try problem(changed("aud", audience)) == "it is for another audience")
    }
  }

  @Test func timesWithTheMeasuredSkew() throws {
    let tolerated = " by this machine's clock, of which 60 are tolerated"
    #expect(try problem(changed("exp", .integer(now - 59))) == nil)
    #expect(try problem(changed("exp", .integer(now - 60))) == "it has ended, 60 s" + tolerated)
    #expect(try problem(changed("exp", .integer(now - 3600))) == "it has ended, 3600 s" + tolerated)
    #expect(try problem(changed("nbf", .integer(now + 60))) == nil)
    #expect(try problem(changed("nbf", .integer(now + 61))) == "it is not valid yet, 61 s" + tolerated)
    #expect(try problem(changed("iat", .integer(now + 75))) == "it was issued in the future, 75 s" + tolerated)
    #expect(try problem(changed("exp", nil)) == "it never ends: exp is missing")
    #expect(try problem(changed("exp", "soon")) == "its exp is no time")
    #expect(try problem(changed("exp", .number(1e300))) == "its exp is no time")
    #expect(try problem(changed("exp", .integer(.min))) != nil)
    #expect(try problem(changed("nbf", .integer(.max))) != nil)
    #expect(try problem(changed("nbf", .number(Double(now) + 0.5))) == nil)
  }

  @Test func sizes() throws {
    #expect(try problem(changed("ref", .string(String(repeating: "x", count: 1025))))?.contains("1024") == true)
    #expect(try problem(String(repeating: "a", count: 16_385))?.contains("longer") == true)
  }

  /// Any bytes give a token or an error.
  @Test func anyText() throws {
    let seed = UInt64.random(in: 0 ... .max)
    var random = SeededGenerator(seed: seed)
    let good = token(github)
    for _ in 0..<300 {
      var bytes = Array(good.utf8)
      for _ in 0..<Int.random(in: 1...3, using: &random) {
        bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(in: 0...127, using: &random)
      }
      let text = String(decoding: bytes, as: UTF8.self)
      if text != good { #expect(try problem(text) != nil, "seed \(seed)") }
    }
  }
}

struct KeySets {
  @Test func whatIsOfNoUseIsPassedOver() throws {
    let keys = try TokenKey.set(
      set(
        jwk(TestKey(.es384)), jwk(rsa, ["use": "enc"]), jwk(rsa, ["alg": "RS512"]), .object(["kty": "oct", "k": "AA"]),
        5, jwk(ec, ["kid": "e"])))
    #expect(keys.map(\.id) == ["e"])
  }

  @Test(arguments: ["", "[]", "{}", #"{"keys":5}"#, #"{"keys":[]}"#, #"{"keys":[{"kty":"oct"}]}"#])
  func isNone(_ text: String) {
    #expect(throws: TokenError.self) { try TokenKey.set(Array(text.utf8)) }
  }
}
