import CBOR
import CTAP
import CTAPHID
import TestSupport

/// What decodes means the same once it is encoded again, and a refusal has one of the statuses that decoding may give.
func checkRequest(_ input: [UInt8]) throws {
  let request: CTAPRequest
  do throws(CTAPStatus) {
    request = try CTAPRequest.decode(input)
  } catch {
    try require(decodingStatuses.contains(error), "\(error) is no status of decoding")
    return
  }
  let encoded = request.encoded()
  try require((try? CTAPRequest.decode(encoded)) == request, "a request survives its encoding")
  try require(encoded.count <= input.count, "encoding adds nothing")
  try checkExtensions(of: request)
}

/// Extension inputs are read in a second step.
private func checkExtensions(of request: CTAPRequest) throws {
  let survive: Bool
  do throws(CTAPStatus) {
    switch request {
    case .makeCredential(let parameters):
      let inputs = try CreationExtensions(parameters.extensions)
      survive = (try? CreationExtensions(inputs.value)) == inputs
    case .getAssertion(let parameters):
      let inputs = try AssertionExtensions(parameters.extensions)
      survive = (try? AssertionExtensions(inputs.value)) == inputs
    default: return
    }
  } catch {
    try require(decodingStatuses.contains(error), "\(error) is no status of decoding extensions")
    return
  }
  try require(survive, "extension inputs survive their encoding")
}

private let decodingStatuses: Set<CTAPStatus> = [
  .invalidCommand, .invalidParameter, .invalidLength, .invalidCBOR, .cborUnexpectedType, .missingParameter,
]

/// The first byte says which command the rest answers.
func checkResponse(_ input: [UInt8]) throws {
  guard let first = input.first else { return }
  let command = CTAPCommand.allCases[Int(first) % CTAPCommand.allCases.count]
  let response: CTAPResponse
  do throws(CTAPReplyError) {
    response = try CTAPResponse.decode(Array(input.dropFirst()), to: command)
  } catch {
    switch error {
    case .refused(let status): try require(status != .ok, "CTAP2_OK is no refusal")
    case .malformed(let status): try require(decodingStatuses.contains(status), "\(status) is no status of decoding")
    }
    return
  }
  try require(
    (try? CTAPResponse.decode(response.encoded(), to: command)) == response, "a response survives its encoding")
}

/// The same bytes as a request of frame command 0x41 and as its answer.
func checkBoundAssertion(_ input: [UInt8]) throws {
  if let response = try? BoundAssertionResponse(decoding: input) {
    try require(
      (try? BoundAssertionResponse(decoding: response.encoded())) == response, "an answer survives its encoding")
  }
  let request: BoundAssertionRequest
  do throws(CTAPStatus) {
    request = try BoundAssertionRequest(decoding: input)
  } catch {
    try require(decodingStatuses.contains(error), "\(error) is no status of decoding")
    return
  }
  let encoded = request.encoded()
  try require((try? BoundAssertionRequest(decoding: encoded)) == request, "a request survives its encoding")
  try require(encoded.count <= input.count, "encoding adds nothing")
  try require((1...1024).contains(request.challenge.count), "a challenge has 1 to 1024 bytes")
  // What is signed is not for the job to say.
  let assertion = request.assertion
  try require(
    assertion.clientDataHash.allSatisfy { $0 == 0 } && assertion.pinUvAuthParam == nil
      && assertion.pinUvAuthProtocol == nil, "nothing about the client data comes from outside")
  try checkExtensions(of: .getAssertion(assertion))
}

/// However a stream is cut, it has the same frames, and these are what it consists of.
///
/// The first eight bytes choose how it is cut.
func checkFrames(_ input: [UInt8]) throws {
  let stream = Array(input.dropFirst(8))
  let whole = read(stream) { $0 }
  var cuts = SeededGenerator(seed: input.prefix(8).reduce(0) { $0 << 8 | UInt64($1) })
  let parts = read(stream) { min($0, Int.random(in: 1...9, using: &cuts)) }
  try require(parts == whole, "the frames do not depend on how the stream is cut")

  let encoded = whole.frames.flatMap { $0.encoded() }
  try require(stream.starts(with: encoded), "frames are what the stream consists of")
  if whole.error == nil {
    try require(whole.isMidFrame == (encoded.count < stream.count), "what is no frame yet is the begin of one")
  }
  for frame in whole.frames {
    if let reply = InitializationReply(decoding: frame.payload) {
      try require(reply.encoded() == frame.payload, "the answer to INIT re-encodes byte for byte")
    }
  }
}

private struct Reading: Equatable {
  var frames: [Frame] = []
  var error: FrameError?
  var isMidFrame = false
}

private func read(_ stream: [UInt8], part: (Int) -> Int) -> Reading {
  var reading = Reading()
  var reader = FrameReader()
  var rest = stream[...]
  while !rest.isEmpty, reading.error == nil {
    var input = rest.prefix(part(rest.count))
    rest.removeFirst(input.count)
    do throws(FrameError) {
      while let frame = try reader.next(from: &input) { reading.frames.append(frame) }
    } catch {
      reading.error = error
    }
  }
  reading.isMidFrame = reader.isMidFrame
  return reading
}
