import Authenticator
import CBOR
import CTAP
import Policy

/// A story of several connections with one authenticator, told by the input: see ``EngineStory``.
func checkEngine(_ input: [UInt8]) throws {
  var script = Script(input)
  let story = try EngineStory(&script)
  var steps = 0
  while !script.isAtEnd, steps < 96 {
    try story.step(&script)
    steps += 1
  }
  try story.end()
}

/// The input as a row of choices; at its end every choice is the first one.
struct Script {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) {
    rest = bytes[...]
  }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

  /// One of `0..<count`.
  mutating func choice(_ count: Int) -> Int { count < 1 ? 0 : Int(byte()) % count }

  mutating func choice<Element>(of elements: [Element]) -> Element { elements[choice(elements.count)] }

  mutating func bytes(_ count: Int) -> [UInt8] {
    defer { rest = rest.dropFirst(count) }
    return Array(rest.prefix(count))
  }
}

/// Requests that are nearly right.
struct RequestWriter {
  static let relyingParties = [
    "example.com", "a.example.org", "zero.example", "b.example.org", "example.net", ".dummy", "EXAMPLE.com", "",
  ]

  /// Credential IDs that there are, or were.
  let known: [[UInt8]]

  func makeCredential(_ script: inout Script) -> [UInt8] {
    let relyingParty = script.choice(of: Self.relyingParties)
    let details = script.byte()
    var request = MakeCredentialRequest(
      clientDataHash: [UInt8](repeating: script.byte(), count: 32),
      relyingParty: RelyingPartyEntity(id: relyingParty, name: details & 1 == 0 ? nil : "Example"),
      user: UserEntity(id: [script.byte() & 3]),
      parameters: [CredentialParameters(algorithm: script.choice(of: [-7, -35, -257, -8]))],
      options: RequestOptions(rk: details & 2 == 0 ? true : nil))
    if details & 4 != 0 { request.excludeList = descriptors(&script) }
    if details & 8 != 0 {
      request.parameters.insert(CredentialParameters(type: "other", algorithm: -257), at: 0)
      request.parameters.append(CredentialParameters(algorithm: script.choice(of: [-7, -35, -257])))
    }
    if details & 16 != 0 { request.options = options(&script) }
    if details & 32 != 0 { request.user.name = String(repeating: "é", count: Int(script.byte()) * 16) }
    if details & 64 != 0 { rare(&request, script.byte()) }
    return mutated(CTAPRequest.makeCredential(request).encoded(), details & 128 != 0, &script)
  }

  func getAssertion(_ script: inout Script) -> [UInt8] {
    let relyingParty = script.choice(of: Self.relyingParties)
    let details = script.byte()
    var request = GetAssertionRequest(
      relyingPartyID: relyingParty, clientDataHash: [UInt8](repeating: script.byte(), count: 32))
    if details & 1 != 0 { request.allowList = descriptors(&script) }
    if details & 2 != 0 { request.options = options(&script) }
    if details & 4 != 0 { request.extensions = ["credBlob": true] }
    if details & 8 != 0 { request.pinUvAuthParam = [] }
    if details & 16 != 0 { request.pinUvAuthProtocol = 1 }
    return mutated(CTAPRequest.getAssertion(request).encoded(), details & 128 != 0, &script)
  }

  private func rare(_ request: inout MakeCredentialRequest, _ details: UInt8) {
    if details & 1 != 0 { request.enterpriseAttestation = 1 }
    if details & 2 != 0 { request.pinUvAuthParam = [] }
    if details & 4 != 0 { request.pinUvAuthProtocol = 2 }
    if details & 8 != 0 { request.extensions = ["credProtect": 2] }
    if details & 16 != 0 { request.attestationFormatsPreference = ["none"] }
    if details & 32 != 0 { request.parameters = [] }
  }

  private func options(_ script: inout Script) -> RequestOptions {
    let values: [Bool?] = [nil, true, false]
    return RequestOptions(rk: script.choice(of: values), up: script.choice(of: values), uv: script.choice(of: values))
  }

  /// Often more than one may be there, seldom too many.
  private func descriptors(_ script: inout Script) -> [CredentialDescriptor] {
    let count = script.choice(of: [1, 2, 0, 3, 65])
    return (0..<count).map { index in
      let choice = index < 4 ? script.byte() : 0
      let id = known.isEmpty || choice >= 240 ? [UInt8](repeating: choice, count: 16) : known[Int(choice) % known.count]
      return CredentialDescriptor(type: choice % 16 == 15 ? "other" : "public-key", id: id)
    }
  }

  private func mutated(_ message: [UInt8], _ isMutated: Bool, _ script: inout Script) -> [UInt8] {
    guard isMutated else { return message }
    var message = message
    for _ in 0..<1 + script.choice(3) where !message.isEmpty {
      let place = (Int(script.byte()) << 8 | Int(script.byte())) % message.count
      switch script.choice(4) {
      case 0: message[place] = script.byte()
      case 1: message.insert(script.byte(), at: place)
      case 2: message.remove(at: place)
      default: message = Array(message.prefix(place))
      }
    }
    return message
  }
}
