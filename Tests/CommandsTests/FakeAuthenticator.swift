import CBOR
import CTAP
import CTAPHID
import Client
import Crypto
import Platform
import Secrets
import TestSupport
import WebAuthn

/// An authenticator in memory, behind frames. Scripted where a test needs another answer.
final class FakeAuthenticator: FrameExchange {
  struct Account {
    let id: [UInt8]
    let relyingPartyID: String
    let user: UserEntity
    let isDiscoverable: Bool
    let key: TestKey
  }

  static let aaguid: [UInt8] = Array(0xa0..<0xb0)

  var info = FakeAuthenticator.defaultInfo
  /// Newest last.
  var accounts: [Account] = []
  private(set) var requests: [CTAPRequest] = []
  /// Instead of an answer to the next CBOR request that is not getInfo.
  var refusal: CTAPStatus?
  /// Instead of an answer to every frame.
  var failure: ClientError?
  /// Changes every authenticator data.
  var spoilData: (inout AuthenticatorData) -> Void = { _ in }
  var algorithm = COSEAlgorithm.es256
  private var counter: UInt32 = 0
  private var pending: [Account] = []
  private var pendingHash: [UInt8] = []
  /// Of PINs, tokens and extensions.
  var pin = PINState()
  let agreementKey = FakeAuthenticator.newAgreementKey()
  var largeBlobs: [UInt8] = [0x80] + SHA256.hash([0x80]).prefix(16)
  var writesLargeBlobs = true
  /// Whether its own verification gives tokens.
  var verifiesByRule = true
  /// What `answer` says of the administration's requests.
  var administration: (_ request: JSONValue) -> JSONValue = { _ in .object(["error": "unknown request"]) }

  static var defaultInfo: AuthenticatorInfo {
    var info = AuthenticatorInfo(versions: ["FIDO_2_0"], aaguid: aaguid)
    info.options = ["plat": true, "rk": true, "up": true]
    info.maxMessageSize = 7609
    info.maxCredentialCountInList = 8
    info.maxCredentialIDLength = 16
    info.transports = ["internal"]
    info.algorithms = [CredentialParameters(algorithm: -7), CredentialParameters(algorithm: -257)]
    info.firmwareVersion = 0x000100
    info.remainingDiscoverableCredentials = 1000
    return info
  }

  /// The requests that could make or use keys.
  var ceremonies: [CTAPRequest] { requests.filter { $0 != .getInfo } }

  func exchange(_ request: Frame, until deadline: Deadline) throws(ClientError) -> Frame {
    if let failure { throw failure }
    switch request.command {
    case .initialize:
      let reply = InitializationReply(
        nonce: request.payload, channel: 1, version: DeviceVersion(major: 0, minor: 1, build: 0),
        capabilities: [.cbor, .wink, .noMessage])
      return Frame(.initialize, reply.encoded())
    case .cbor:
      return Frame(.cbor, answer(request.payload))
    case .administration:
      let json = (try? JSONValue.parse(request.payload)) ?? .null
      return Frame(.administration, administration(json).serialized())
    default:
      throw .refused(.invalidCommand)
    }
  }

  private func answer(_ message: [UInt8]) -> [UInt8] {
    do throws(CTAPStatus) {
      let request = try CTAPRequest.decode(message)
      requests.append(request)
      if let status = refusal, request != .getInfo {
        refusal = nil
        throw status
      }
      return try response(to: request).encoded()
    } catch {
      return error.encoded()
    }
  }

  private func response(to request: CTAPRequest) throws(CTAPStatus) -> CTAPResponse {
    switch request {
    case .getInfo: return .info(info)
    case .makeCredential(let request): return .makeCredential(try makeCredential(request))
    case .getAssertion(let request): return .assertion(try getAssertion(request))
    case .getNextAssertion:
      guard let account = pending.popLast() else { throw .notAllowed }
      return .assertion(try assertion(account, pendingHash, up: true, false, AssertionExtensions()))
    case .clientPIN(let request): return .clientPIN(try clientPIN(request))
    case .largeBlobs(let request): return .largeBlobs(try largeBlobs(request))
    case .credentialManagement, .config: throw .invalidCommand
    case .reset, .selection: return .done
    }
  }

  private func makeCredential(_ request: MakeCredentialRequest) throws(CTAPStatus) -> MakeCredentialResponse {
    let isVerified = try verify(
      request.pinUvAuthParam, request.clientDataHash, request.options, isNeeded: request.options.rk == true)
    let excluded = (request.excludeList ?? []).map(\.id)
    guard !accounts.contains(where: { excluded.contains($0.id) }) else { throw .credentialExcluded }
    let account = Account(
      id: [UInt8](repeating: UInt8(accounts.count + 1), count: 16), relyingPartyID: request.relyingParty.id,
      user: request.user, isDiscoverable: request.options.rk ?? false, key: TestKey(algorithm))
    accounts.append(account)
    let data = data(
      account, flags: isVerified ? [.up, .at, .uv] : [.up, .at],
      AttestedCredential(aaguid: Self.aaguid, credentialID: account.id, publicKey: account.key.publicKey),
      try outputs(try CreationExtensions(request.extensions), account, isVerified))
    return MakeCredentialResponse(
      format: "packed", authenticatorData: data,
      attestationStatement: [
        "alg": .integer(algorithm.rawValue), "sig": .bytes(account.key.sign(data + request.clientDataHash)),
      ],
      largeBlobKey: try CreationExtensions(request.extensions).largeBlobKey == true ? Self.largeBlobKey(account) : nil)
  }

  private func getAssertion(_ request: GetAssertionRequest) throws(CTAPStatus) -> AssertionResponse {
    let known = accounts.filter { $0.relyingPartyID == request.relyingPartyID }
    let isVerified = try verify(request.pinUvAuthParam, request.clientDataHash, request.options, isNeeded: false)
    let inputs = try AssertionExtensions(request.extensions)
    if let list = request.allowList {
      guard list.count <= info.maxCredentialCountInList ?? .max else { throw .limitExceeded }
      guard let account = known.last(where: { account in list.contains { $0.id == account.id } }) else {
        throw .noCredentials
      }
      return try assertion(account, request.clientDataHash, up: request.options.up ?? true, isVerified, inputs)
    }
    pending = known.filter(\.isDiscoverable)
    pendingHash = request.clientDataHash
    let count = pending.count
    guard let account = pending.popLast() else { throw .noCredentials }
    var response = try assertion(account, request.clientDataHash, up: true, isVerified, inputs)
    if count > 1 { response.numberOfCredentials = count }
    return response
  }

  private func assertion(
    _ account: Account, _ hash: [UInt8], up: Bool, _ isVerified: Bool, _ inputs: AssertionExtensions
  ) throws(CTAPStatus) -> AssertionResponse {
    var flags: AuthenticatorDataFlags = up ? [.up] : []
    if isVerified { flags.insert(.uv) }
    let data = data(account, flags: flags, nil, try outputs(inputs, account, isVerified))
    return AssertionResponse(
      credential: CredentialDescriptor(id: account.id), authenticatorData: data,
      signature: account.key.sign(data + hash),
      user: account.isDiscoverable ? UserEntity(id: account.user.id) : nil,
      largeBlobKey: inputs.largeBlobKey == true ? Self.largeBlobKey(account) : nil)
  }

  private func data(
    _ account: Account, flags: AuthenticatorDataFlags, _ credential: AttestedCredential?, _ extensions: CBORMap? = nil
  ) -> [UInt8] {
    counter += 1
    var data = AuthenticatorData(
      relyingPartyIDHash: SHA256.hash([UInt8](account.relyingPartyID.utf8)),
      flags: info.options["uv"] == true ? flags.union(.uv) : flags, signatureCounter: counter,
      attestedCredential: credential, extensions: extensions)
    spoilData(&data)
    return data.encoded()
  }
}
