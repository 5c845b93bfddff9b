import CTAP
import TestSupport
import Testing

@Suite("Requests of U2F")
struct U2FRequestTests {
  static let challenge = [UInt8](0..<32)
  static let application = [UInt8](32..<64)
  static let keyHandle = [UInt8](0..<16)
  static let registerData = challenge + application
  static let authenticateData = challenge + application + [16] + keyHandle

  static let requests: [(U2FRequest, header: [UInt8], data: [UInt8])] = [
    (.register(challenge: challenge, application: application), [0, 1, 0, 0], registerData),
    (authenticate(.enforceUserPresence), [0, 2, 3, 0], authenticateData),
    (authenticate(.checkOnly), [0, 2, 7, 0], authenticateData),
    (authenticate(.dontEnforceUserPresence), [0, 2, 8, 0], authenticateData),
    (.version, [0, 3, 0, 0], []),
  ]

  static func authenticate(_ control: U2FControl, keyHandle: [UInt8] = keyHandle) -> U2FRequest {
    .authenticate(control: control, challenge: challenge, application: application, keyHandle: keyHandle)
  }

  /// Every form that ISO 7816-4 has for these data, and the one that platforms send in spite of it.
  static func forms(_ header: [UInt8], _ data: [UInt8]) -> [[UInt8]] {
    let (high, low) = (UInt8(data.count >> 8), UInt8(data.count & 0xff))
    if data.isEmpty {
      return [
        header, header + [0], header + [6], header + [0, 0, 0], header + [0, 0, 6], header + [0, 1, 0],
        header + [0, 0, 0, 0, 0], header + [0, 0, 0, 1, 0],
      ]
    }
    let short: [[UInt8]] = [[low] + data, [low] + data + [0], [low] + data + [0xff]]
    let extended: [[UInt8]] = [
      [0, high, low] + data, [0, high, low] + data + [0, 0], [0, high, low] + data + [1, 0],
    ]
    return ((data.count < 256 ? short : []) + extended).map { header + $0 }
  }

  @Test("As python-fido2 2.2.1 sends them")
  func fixtures() throws {
    let hashes = (Self.challenge + Self.application).hex
    let fixtures: [(U2FRequest, String)] = [
      (Self.requests[0].0, "00010000000040" + hashes + "0000"),
      (Self.requests[1].0, "00020300000051" + hashes + "10000102030405060708090a0b0c0d0e0f0000"),
      (Self.requests[2].0, "00020700000051" + hashes + "10000102030405060708090a0b0c0d0e0f0000"),
    ]
    for (request, hex) in fixtures {
      #expect(try U2FRequest.decode([UInt8](hex: hex)) == request)
      #expect(request.encoded().hex == hex)
    }
    #expect(try U2FRequest.decode([UInt8](hex: "000300000000000000")) == .version)
    #expect(U2FRequest.version.encoded().hex == "00030000" + "000000")
  }

  @Test("In every form", arguments: requests.indices)
  func everyForm(_ index: Int) throws {
    let (request, header, data) = Self.requests[index]
    for form in Self.forms(header, data) {
      #expect(try U2FRequest.decode(form) == request, "\(form.hex)")
    }
    #expect(try U2FRequest.decode(request.encoded()) == request)
  }

  @Test("Every truncation", arguments: requests.indices)
  func everyTruncation(_ index: Int) throws {
    let (_, header, data) = Self.requests[index]
    let forms = Self.forms(header, data)
    for form in forms {
      for count in 0..<form.count where !forms.contains([UInt8](form.prefix(count))) {
        // All of an extended APDU but the last byte of its Le, and the four bytes without data, are not forms either.
        #expect(throws: U2FStatus.wrongLength, "\(form.prefix(count).map { [$0].hex })") {
          try U2FRequest.decode([UInt8](form.prefix(count)))
        }
      }
    }
  }

  @Test("Trailing bytes", arguments: requests.indices)
  func trailingBytes(_ index: Int) throws {
    let (_, header, data) = Self.requests[index]
    let forms = Self.forms(header, data)
    for form in forms {
      for more in [[0], [0, 0], [0, 0, 0], [1, 2, 3, 4, 5, 6, 7]] as [[UInt8]] where !forms.contains(form + more) {
        // Some of these are another form, with a Le that is not in the list.
        let request = try? U2FRequest.decode(form + more)
        if request != nil { #expect(isForm(form + more, of: header, data), "\((form + more).hex)") }
      }
    }
    let longest = header + [0, UInt8(data.count >> 8), UInt8(data.count & 0xff)] + data + [0, 0]
    for count in 1...8 {
      #expect(throws: U2FStatus.wrongLength) { try U2FRequest.decode(longest + [UInt8](repeating: 0, count: count)) }
    }
  }

  /// Whether an APDU holds these data, as told by the standard's table of forms.
  private func isForm(_ apdu: [UInt8], of header: [UInt8], _ data: [UInt8]) -> Bool {
    guard apdu.starts(with: header) else { return false }
    let body = [UInt8](apdu.dropFirst(4))
    if data.isEmpty {
      return body.count <= 1 || body.count == 3 && body[0] == 0 || body.count == 5 && body.starts(with: [0, 0, 0])
    }
    let (high, low) = (UInt8(data.count >> 8), UInt8(data.count & 0xff))
    let isShort = body.starts(with: [low] + data) && (1...2).contains(body.count - data.count)
    let isExtended = body.starts(with: [0, high, low] + data) && [3, 5].contains(body.count - data.count)
    return isShort || isExtended
  }

  @Test("Every class and every instruction but those that there are")
  func classesAndInstructions() {
    for byte in UInt8(1)...UInt8.max {
      #expect(throws: U2FStatus.classNotSupported) { try U2FRequest.decode([byte, 3, 0, 0]) }
    }
    for byte in UInt8.min...UInt8.max where !(1...3).contains(byte) {
      #expect(throws: U2FStatus.instructionNotSupported) { try U2FRequest.decode([0, byte, 0, 0]) }
      #expect(throws: U2FStatus.instructionNotSupported) { try U2FRequest.decode([0, byte, 0, 0, 0]) }
    }
  }

  @Test("Every control byte")
  func controlBytes() throws {
    for byte in UInt8.min...UInt8.max {
      let apdu = [0, 2, byte, 0, 81] + Self.authenticateData
      if let control = U2FControl(rawValue: byte) {
        #expect(try U2FRequest.decode(apdu) == Self.authenticate(control))
      } else {
        #expect(throws: U2FStatus.incorrectParameters) { try U2FRequest.decode(apdu) }
      }
    }
    #expect(U2FControl.allCases.map(\.rawValue) == [3, 7, 8])
  }

  @Test("Parameters without a meaning are ignored")
  func ignoredParameters() throws {
    #expect(try U2FRequest.decode([0, 1, 3, 0, 64] + Self.registerData) == Self.requests[0].0)
    #expect(try U2FRequest.decode([0, 1, 0x83, 9, 64] + Self.registerData) == Self.requests[0].0)
    #expect(try U2FRequest.decode([0, 2, 7, 9, 81] + Self.authenticateData) == Self.authenticate(.checkOnly))
    #expect(try U2FRequest.decode([0, 3, 9, 9]) == .version)
  }

  @Test("Lengths of data")
  func lengthsOfData() throws {
    for count in 0..<256 {
      let data = [UInt8](repeating: 0, count: count)
      for instruction in UInt8(1)...3 {
        let apdu = [0, instruction, 3, 0, 0, 0, UInt8(count)] + data + [0, 0]
        // Zeros are a key handle of no bytes.
        let fitting = [1: 64, 2: 65, 3: 0][instruction]
        if count == fitting {
          #expect(throws: Never.self) { try U2FRequest.decode(apdu) }
        } else {
          #expect(throws: U2FStatus.wrongLength) { try U2FRequest.decode(apdu) }
        }
      }
    }
  }

  @Test("Lengths of key handles", arguments: [0, 1, 190, 191, 255])
  func lengthsOfKeyHandles(_ count: Int) throws {
    let request = Self.authenticate(.checkOnly, keyHandle: [UInt8](repeating: 7, count: count))
    let apdu = request.encoded()
    #expect(try U2FRequest.decode(apdu) == request)
    for wrong in [count - 1, count + 1] where (0...255).contains(wrong) {
      var apdu = apdu
      apdu[7 + 64] = UInt8(wrong)
      #expect(throws: U2FStatus.wrongLength) { try U2FRequest.decode(apdu) }
    }
  }

  @Test("Random bytes")
  func randomBytes() {
    var generator = SeededGenerator()
    print("seed \(generator.seed)")
    for _ in 0..<20_000 {
      var apdu = (0..<Int.random(in: 0...90, using: &generator)).map { _ in
        UInt8.random(in: .min ... .max, using: &generator)
      }
      // Mostly with a head that is one, since few others get past it.
      let head: [UInt8] = [0, UInt8.random(in: 1...3, using: &generator), 3, 0, 0, 0]
      apdu.replaceSubrange(0..<min(head.count, apdu.count), with: head.prefix(apdu.count))
      guard let request = try? U2FRequest.decode(apdu) else { continue }
      #expect((try? U2FRequest.decode(request.encoded())) == request, "seed \(generator.seed)")
    }
  }
}
