import Authenticator
import CBOR
import CTAP
import Crypto
import Policy

/// Requests that are nearly right.
struct RequestWriter {
  static let relyingParties = [
    "example.com", "a.example.org", "zero.example", "b.example.org", "example.net", ".dummy", "EXAMPLE.com", "",
  ]

  /// Good ones first; then ones that are too short, too long, no UTF-8 and not ended.
  static let pins: [[UInt8]] =
    ["1234", "87654321", "pä\u{1F511}s", "12345678901234567890", "123"].map { Array($0.utf8) } + [
      [UInt8](repeating: 0x39, count: 63), [UInt8](repeating: 0x39, count: 64), [0x31, 0x32, 0xff, 0x33, 0x34],
      [0x31, 0, 0x32, 0x33, 0x34, 0x35],
    ]

  /// Credential IDs that there are, or were.
  let known: [[UInt8]]
  /// Tokens that there are, or were, the newest last.
  let grants: [Grant]
  /// Key agreements of the connection, the newest last.
  let agreements: [Agreement]
  let connection: UInt64

  // MARK: Signatures

  func makeCredential(_ script: inout Script) throws -> Written {
    let relyingParty = script.choice(of: Self.relyingParties)
    let details = script.byte()
    var authored = Authored()
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
    if details & 64 == 0 { return written(.makeCredential(request), authored, details & 128 != 0, &script) }
    let rare = script.byte()
    if rare & 1 != 0 { request.enterpriseAttestation = 1 }
    if rare & 2 != 0 { request.pinUvAuthParam = [] }
    if rare & 4 != 0 { request.pinUvAuthProtocol = 2 }
    if rare & 8 != 0 { request.extensions = try creationExtensions(&script, &authored) }
    if rare & 16 != 0 { request.attestationFormatsPreference = ["none"] }
    if rare & 32 != 0 { request.parameters = [] }
    let complete = rare & 64 != 0 ? authorized(.makeCredential(request), &script) : .makeCredential(request)
    return written(complete, authored, details & 128 != 0, &script)
  }

  func getAssertion(_ script: inout Script) throws -> Written {
    let relyingParty = script.choice(of: Self.relyingParties)
    let details = script.byte()
    var authored = Authored()
    var request = GetAssertionRequest(
      relyingPartyID: relyingParty, clientDataHash: [UInt8](repeating: script.byte(), count: 32))
    if details & 1 != 0 { request.allowList = descriptors(&script) }
    if details & 2 != 0 { request.options = options(&script) }
    if details & 4 != 0 { request.extensions = try assertionExtensions(&script, &authored) }
    if details & 8 != 0 { request.pinUvAuthParam = [] }
    if details & 16 != 0 { request.pinUvAuthProtocol = 1 }
    let complete = details & 32 != 0 ? authorized(.getAssertion(request), &script) : .getAssertion(request)
    return written(complete, authored, details & 128 != 0, &script)
  }

  func u2f(_ script: inout Script) -> [UInt8] {
    let application = SHA256.hash(Array(script.choice(of: Self.relyingParties).utf8))
    let details = script.byte()
    let challenge = [UInt8](repeating: script.byte(), count: 32)
    let message =
      switch details & 7 {
      case 0, 1: U2FRequest.register(challenge: challenge, application: application).encoded()
      case 7: U2FRequest.version.encoded()
      default:
        U2FRequest.authenticate(
          control: script.choice(of: U2FControl.allCases), challenge: challenge, application: application,
          keyHandle: credentialID(script.byte())
        ).encoded()
      }
    return details & 128 != 0 ? script.mutate(message) : message
  }

  // MARK: Extensions

  private func creationExtensions(_ script: inout Script, _ authored: inout Authored) throws -> CBORMap? {
    let details = script.byte()
    var inputs = CreationExtensions()
    if details & 1 != 0 { inputs.credProtect = UInt64(script.choice(of: [3, 2, 1, 0, 4])) }
    if details & 2 != 0 { inputs.hmacSecret = true }
    if details & 4 != 0 { inputs.hmacSecretMC = try hmacSecret(&script, &authored) }
    if details & 8 != 0 { inputs.credBlob = [UInt8](repeating: 0x0b, count: Int(script.byte() % 68)) }
    if details & 16 != 0 { inputs.largeBlobKey = true }
    if details & 32 != 0 { inputs.minPINLength = true }
    if details & 64 != 0 { (inputs.hmacSecret, inputs.largeBlobKey) = (false, false) }
    return inputs.value
  }

  private func assertionExtensions(_ script: inout Script, _ authored: inout Authored) throws -> CBORMap? {
    let details = script.byte()
    var inputs = AssertionExtensions()
    if details & 1 != 0 { inputs.hmacSecret = try hmacSecret(&script, &authored) }
    if details & 2 != 0 { inputs.credBlob = true }
    if details & 4 != 0 { inputs.largeBlobKey = details & 8 == 0 }
    return inputs.value
  }

  private func hmacSecret(_ script: inout Script, _ authored: inout Authored) throws -> HMACSecretInput? {
    let details = script.byte()
    guard let agreement = agreements.last else { return nil }
    let salts = [UInt8](repeating: details >> 4, count: details & 1 == 0 ? 32 : details & 2 == 0 ? 64 : 48)
    let encrypted = try agreement.encrypt(salts)
    var code = agreement.secret.authenticate(encrypted)
    if details & 4 != 0 { code[0] ^= 1 }
    authored.agreement = agreement
    authored.salts = salts
    return HMACSecretInput(
      keyAgreement: agreement.point, saltEnc: encrypted, saltAuth: code,
      pinUvAuthProtocol: details & 8 == 0 ? agreement.version.rawValue : nil)
  }

  // MARK: PIN

  func clientPIN(_ script: inout Script, _ agreement: Agreement) throws -> Written {
    let (kind, details) = (script.choice(8), script.byte())
    var authored = Authored(agreement: agreement)
    var request = ClientPINRequest(
      subCommand: 0, pinUvAuthProtocol: agreement.version.rawValue, keyAgreement: agreement.point)
    if kind == 0 || kind == 1 {
      request.subCommand = kind == 0 ? 3 : 4
      let pin = script.choice(of: Self.pins)
      authored.newPIN = pin
      request.newPinEnc = try agreement.encrypt(pin + [UInt8](repeating: 0, count: 64 - pin.count))
    }
    if kind == 1 || kind == 2 || kind == 3 || kind == 4 {
      let pin = script.choice(of: Self.pins)
      authored.pin = pin
      request.pinHashEnc = try agreement.encrypt(Array(SHA256.hash(pin).prefix(16)))
    }
    if kind < 2 {
      var code = agreement.secret.authenticate((request.newPinEnc ?? []) + (request.pinHashEnc ?? []))
      if details & 1 != 0 { code[0] ^= 1 }
      request.pinUvAuthParam = code
    } else {
      request.subCommand = kind == 2 ? 5 : kind < 5 ? 9 : 6
      if kind > 2 { request.permissions = script.choice(of: Self.permissions) }
      if kind > 2, details & 2 == 0 { request.relyingPartyID = script.choice(of: Self.relyingParties) }
    }
    return written(.clientPIN(request), authored, details & 128 != 0, &script)
  }

  private static let permissions: [UInt64] = [
    0x03, 0x01, 0x02, 0x04, 0x10, 0x20, 0x40, 0x37, 0x13, 0x24, 0x41, 0x08, 0x00, 0x80,
  ]

  // MARK: Management

  func credentialManagement(_ script: inout Script) -> Written {
    let (sub, details) = (UInt64(script.choice(9)), script.byte())
    var parameters: CredentialManagementParameters?
    switch sub {
    case 4:
      let hash = SHA256.hash(Array(script.choice(of: Self.relyingParties).utf8))
      parameters = CredentialManagementParameters(relyingPartyIDHash: details & 1 == 0 ? hash : [1])
    case 6, 7:
      parameters = CredentialManagementParameters(
        credentialID: CredentialDescriptor(id: credentialID(script.byte())),
        user: UserEntity(id: [details & 3], name: details & 4 == 0 ? "new" : nil))
    default: break
    }
    if details & 64 != 0 { parameters = nil }
    let request = CTAPRequest.credentialManagement(
      CredentialManagementRequest(subCommand: sub, parameters: parameters))
    let isNext = sub == 3 || sub == 5
    return written(isNext ? request : authorized(request, &script), Authored(), details & 128 != 0, &script)
  }

  func config(_ script: inout Script) -> Written {
    let (sub, details) = (script.choice(of: [UInt64(2), 3, 3, 1, 0xff]), script.byte())
    var parameters: ConfigParameters?
    if sub == 3 {
      parameters = ConfigParameters()
      if details & 1 != 0 { parameters?.newMinPINLength = script.choice(of: [6, 8, 4, 63, 64, .max]) }
      let informed = details & 2 != 0 ? Array(Self.relyingParties.prefix(script.choice(9))) : nil
      parameters?.minPINLengthRelyingParties = informed
      if details & 4 != 0 { parameters?.forceChangePIN = details & 8 == 0 }
    }
    let request = CTAPRequest.config(ConfigRequest(subCommand: sub, parameters: parameters))
    return written(authorized(request, &script), Authored(), details & 128 != 0, &script)
  }

  /// An array of one text with its check, in fragments; some of them are wrong.
  func largeBlobs(_ script: inout Script) -> Written {
    let details = script.byte()
    if details & 3 == 0 {
      let read = LargeBlobsRequest(get: script.choice(of: [7545, 17, 0, 7546]), offset: UInt64(script.choice(40)))
      return written(.largeBlobs(read), Authored(), details & 128 != 0, &script)
    }
    let content = [0x81, 0x58, script.byte() % 64] + [UInt8](repeating: details, count: 64)
    var array = Array(content.prefix(3 + Int(content[2])))
    array += SHA256.hash(array).prefix(16)
    if details & 16 != 0 { array[0] ^= 1 }
    let start = script.choice(of: [0, 16, 32, 8])
    let end = details & 4 == 0 ? array.count : min(array.count, start + 16)
    let fragment = start < end ? Array(array[start..<end]) : []
    let write = LargeBlobsRequest(
      set: fragment, offset: UInt64(start), length: start == 0 || details & 8 != 0 ? UInt64(array.count) : nil)
    return written(authorized(.largeBlobs(write), &script), Authored(), details & 128 != 0, &script)
  }

  // MARK: Parts

  /// With the code of a token: mostly the connection's own, at times another's or a wrong one, or none.
  private func authorized(_ request: CTAPRequest, _ script: inout Script) -> CTAPRequest {
    let choice = script.byte()
    guard choice != 0, let message = authenticatedMessage(of: request) else { return request }
    let own = grants.last { $0.caller.connection == connection }
    let grant = choice < 192 ? own : grants.isEmpty ? nil : grants[Int(choice) % grants.count]
    guard let grant, var code = grant.code(of: message) else {
      return request.authorized([UInt8](repeating: choice, count: 32), 2)
    }
    if choice == 255 { code[0] ^= 1 }
    return request.authorized(code, choice == 254 ? 3 - grant.version.rawValue : grant.version.rawValue)
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
      return CredentialDescriptor(type: choice % 16 == 15 ? "other" : "public-key", id: credentialID(choice))
    }
  }

  private func credentialID(_ choice: UInt8) -> [UInt8] {
    known.isEmpty || choice >= 240 ? [UInt8](repeating: choice, count: 16) : known[Int(choice) % known.count]
  }

  private func written(
    _ request: CTAPRequest, _ authored: Authored, _ isMutated: Bool, _ script: inout Script
  ) -> Written {
    var authored = authored
    authored.request = request
    let message = request.encoded()
    return Written(message: isMutated ? script.mutate(message) : message, authored: authored)
  }
}
