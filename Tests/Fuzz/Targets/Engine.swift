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

  /// Changes some bytes of a message.
  mutating func mutate(_ message: [UInt8]) -> [UInt8] {
    var message = message
    for _ in 0..<1 + choice(3) where !message.isEmpty {
      let place = (Int(byte()) << 8 | Int(byte())) % message.count
      switch choice(4) {
      case 0: message[place] = byte()
      case 1: message.insert(byte(), at: place)
      case 2: message.remove(at: place)
      default: message = Array(message.prefix(place))
      }
    }
    return message
  }
}
