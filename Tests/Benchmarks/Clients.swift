import CTAP
import Client
import Platform
import WebAuthn

/// Jobs that sign over the socket.
struct Clients {
  let socket: String

  private func connect() throws -> AuthenticatorClient {
    let deadline = Deadline(milliseconds: 3_600_000)
    return try AuthenticatorClient(try SocketConnection(path: socket, until: deadline), until: deadline)
  }

  /// Registers credentials, one user each, and gives the ID of the last.
  func register(_ count: Int) throws -> [UInt8] {
    let client = try connect()
    var last: [UInt8] = []
    for number in 0..<count {
      let request = MakeCredentialRequest(
        clientDataHash: .init(repeating: 1, count: 32), relyingParty: RelyingPartyEntity(id: "bench.example"),
        user: UserEntity(id: Array("user \(number)".utf8)), parameters: [CredentialParameters(algorithm: -7)],
        options: RequestOptions(rk: true))
      let response = try client.makeCredential(request)
      last = try AuthenticatorData.decode(response.authenticatorData).attestedCredential?.credentialID ?? []
    }
    return last
  }

  /// Has `clients` sign at the same time with one credential, `count` times in all.
  func sign(with credential: [UInt8], clients: Int, count: Int) throws -> Samples {
    let values = Lock<[UInt64]>([])
    let failures = Lock<[String]>([])
    let ended = try EventCounter()
    let remaining = Lock(clients)
    let clock = SystemTime()
    let connections = Lock(try (0..<clients).map { _ in try connect() })
    let begin = clock.monotonicNanoseconds
    for _ in 0..<clients {
      try startThread(named: "client") {
        do {
          guard let client = connections.withLock({ $0.popLast() }) else { return }
          let request = GetAssertionRequest(
            relyingPartyID: "bench.example", clientDataHash: .init(repeating: 2, count: 32),
            allowList: [CredentialDescriptor(id: credential)])
          var mine: [UInt64] = []
          for _ in 0..<count / clients {
            let before = clock.monotonicNanoseconds
            _ = try client.getAssertion(request)
            mine.append(clock.monotonicNanoseconds - before)
          }
          values.withLock { $0 += mine }
        } catch {
          failures.withLock { $0.append("\(error)") }
        }
        if remaining.withLock({
          $0 -= 1; return $0
        }) == 0 {
          ended.signal()
        }
      }
    }
    ended.wait()
    let elapsed = clock.monotonicNanoseconds - begin
    if let failure = failures.withLock({ $0.first }) { throw SystemError(call: failure, code: 0) }
    return Samples(values.withLock { $0 }, elapsed: elapsed)
  }
}
