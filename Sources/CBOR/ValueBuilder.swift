/// Builds a value from the items of the stream, without recursion: arrays and maps that are not complete yet wait on a
/// stack, which is never higher than the allowed depth.
struct ValueBuilder {
  private struct Container {
    enum Content {
      case array([CBORValue])
      case map([CBORMap.Entry], pendingKey: CBORValue?)
    }

    var content: Content
    /// Items that are still to come: in a map, keys and values.
    var missing: Int
    /// Where the item that comes next begins.
    var itemStart: Int
    /// The encoded key before the pending one, or of the last entry.
    var lastKey: Range<Int>?

    var value: CBORValue {
      switch content {
      case .array(let elements): .array(elements)
      case .map(let entries, _): .map(CBORMap(inOrder: entries))
      }
    }
  }

  private let maximumDepth: Int
  private var open: [Container] = []

  init(maximumDepth: Int) {
    self.maximumDepth = maximumDepth
  }

  /// Takes one item of the stream.
  ///
  /// - Parameters:
  ///   - item: what libcbor saw
  ///   - start: where the item begins
  ///   - end: where it ends; for an array or map, where its content begins
  ///   - bytes: the whole input
  /// - Returns: the outermost value once it is complete
  /// - Throws: what the canonical form does not allow
  mutating func add(
    _ item: StreamItem, from start: Int, to end: Int, of bytes: Span<UInt8>
  ) throws(CBORError) -> CBORValue? {
    try requireShortest(item, initial: bytes[start])
    let value: CBORValue
    switch item.kind {
    case .unsigned: value = .unsigned(item.argument)
    case .negative: value = .negative(item.argument)
    case .bytes: value = .bytes(content(of: item, to: end, of: bytes))
    case .text: value = .text(try text(bytes.extracting((end - Int(item.argument))..<end)))
    case .boolean: value = .boolean(item.argument == 1)
    case .null: value = .null
    case .undefined: value = .undefined
    case .simple: value = .simple(UInt8(item.argument))
    case .float16: value = .float16(UInt16(bits(from: start, to: end, of: bytes)))
    case .float32: value = .float32(UInt32(bits(from: start, to: end, of: bytes)))
    case .float64: value = .float64(bits(from: start, to: end, of: bytes))
    case .tag: throw .tag
    case .indefinite: throw .indefiniteLength
    case .array, .map:
      guard try openContainer(item, contentStart: end, of: bytes) else { return nil }
      value = item.kind == .array ? .array([]) : .map(CBORMap())
    }
    return try close(value, endingAt: end, of: bytes)
  }

  /// Puts an array or map on the stack, unless it is empty.
  ///
  /// - Returns: whether it is empty and therefore complete
  private mutating func openContainer(
    _ item: StreamItem, contentStart: Int, of bytes: Span<UInt8>
  ) throws(CBORError) -> Bool {
    guard open.count < maximumDepth else { throw .tooDeep }
    // Each item takes at least one byte, so a count beyond what is left is refused before anything is kept for it.
    let itemsPerEntry: UInt64 = item.kind == .map ? 2 : 1
    guard item.argument <= UInt64(bytes.count - contentStart) / itemsPerEntry else { throw .truncated }
    guard item.argument > 0 else { return true }
    open.append(
      Container(
        content: item.kind == .array ? .array([]) : .map([], pendingKey: nil),
        missing: Int(item.argument * itemsPerEntry), itemStart: contentStart))
    return false
  }

  /// Hands a complete value to the array or map around it, and so on outwards while these become complete.
  private mutating func close(
    _ value: CBORValue, endingAt end: Int, of bytes: Span<UInt8>
  ) throws(CBORError) -> CBORValue? {
    var value = value
    while !open.isEmpty {
      let isComplete = try append(value, endingAt: end, of: bytes, to: &open[open.count - 1])
      guard isComplete else { return nil }
      value = open.removeLast().value
    }
    return value
  }

  private func append(
    _ value: CBORValue, endingAt end: Int, of bytes: Span<UInt8>, to container: inout Container
  ) throws(CBORError) -> Bool {
    switch container.content {
    case .array(var elements):
      // Emptied first, so that the array is not copied for each element.
      container.content = .array([])
      elements.append(value)
      container.content = .array(elements)
    case .map(let entries, pendingKey: nil):
      let key = container.itemStart..<end
      if let last = container.lastKey {
        switch KeyOrder.of(bytes.extracting(last), bytes.extracting(key)) {
        case .before: break
        case .same: throw .duplicateKey
        case .after: throw .unsortedKeys
        }
      }
      container.lastKey = key
      container.content = .map(entries, pendingKey: value)
    case .map(var entries, pendingKey: .some(let key)):
      container.content = .array([])
      entries.append(CBORMap.Entry(key: key, value: value))
      container.content = .map(entries, pendingKey: nil)
    }
    container.itemStart = end
    container.missing -= 1
    return container.missing == 0
  }
}

extension ValueBuilder {
  /// libcbor takes every form of an argument; the canonical form has only the shortest.
  private func requireShortest(_ item: StreamItem, initial: UInt8) throws(CBORError) {
    switch item.kind {
    case .unsigned, .negative, .bytes, .text, .array, .map: break
    default: return
    }
    let smallest: UInt64 =
      switch initial & 0x1f {
      case 24: 24
      case 25: 1 << 8
      case 26: 1 << 16
      case 27: 1 << 32
      default: 0
      }
    guard item.argument >= smallest else { throw .nonMinimal }
  }

  private func content(of item: StreamItem, to end: Int, of bytes: Span<UInt8>) -> [UInt8] {
    let content = bytes.extracting((end - Int(item.argument))..<end)
    return [UInt8](capacity: content.count) { output in
      for index in content.indices {
        output.append(content[index])
      }
    }
  }

  private func text(_ bytes: Span<UInt8>) throws(CBORError) -> String {
    do {
      return String(copying: try UTF8Span(validating: bytes))
    } catch {
      throw .invalidUTF8
    }
  }

  /// The bytes behind the first, as a number.
  private func bits(from start: Int, to end: Int, of bytes: Span<UInt8>) -> UInt64 {
    (start + 1..<end).reduce(0) { $0 << 8 | UInt64(bytes[$1]) }
  }
}
