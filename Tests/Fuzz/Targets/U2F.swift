import CTAP

/// The same bytes as an APDU, and as the answer to each request: what decodes means the same once it is encoded again.
func checkU2F(_ input: [UInt8]) throws {
  try checkAPDU(input)
  for request in answered {
    let response: U2FResponse
    do throws(U2FReplyError) {
      response = try U2FResponse.decode(input, to: request)
    } catch {
      try require(error != .refused(.noError), "SW_NO_ERROR is no refusal")
      continue
    }
    try require(response.encoded() == input, "a U2F response re-encodes byte for byte")
  }
}

private func checkAPDU(_ input: [UInt8]) throws {
  let request: U2FRequest
  do throws(U2FStatus) {
    request = try U2FRequest.decode(input)
  } catch {
    try require(apduStatuses.contains(error), "\(error) is no status word of decoding")
    return
  }
  let encoded = request.encoded()
  try require((try? U2FRequest.decode(encoded)) == request, "a U2F request survives its encoding")
  try require((try? U2FRequest.decode(Array(encoded.dropLast(2)))) == request, "a U2F request does without Le")
}

private let answered: [U2FRequest] = {
  let hash = [UInt8](repeating: 0, count: U2FRequest.hashCount)
  return [
    .register(challenge: hash, application: hash),
    .authenticate(control: .enforceUserPresence, challenge: hash, application: hash, keyHandle: [1]), .version,
  ]
}()

private let apduStatuses: Set<U2FStatus> = [
  .wrongLength, .incorrectParameters, .instructionNotSupported, .classNotSupported,
]
