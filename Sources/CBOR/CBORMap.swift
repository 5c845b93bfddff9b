/// A map whose entries are always in the canonical order and never share a key.
package struct CBORMap: Equatable, Sendable {
  package struct Entry: Equatable, Sendable {
    package let key: CBORValue
    package var value: CBORValue
  }

  package private(set) var entries: [Entry]

  package init() {
    entries = []
  }

  /// For the decoder, which has checked the order on the encoded keys.
  init(inOrder entries: [Entry]) {
    self.entries = entries
  }

  package var isEmpty: Bool { entries.isEmpty }
  package var count: Int { entries.count }

  /// The value of a key. Setting nil removes the entry.
  package subscript(key: CBORValue) -> CBORValue? {
    get {
      let (index, isPresent) = position(of: key)
      return isPresent ? entries[index].value : nil
    }
    set {
      let (index, isPresent) = position(of: key)
      switch newValue {
      case .some(let value) where isPresent: entries[index].value = value
      case .some(let value): entries.insert(Entry(key: key, value: value), at: index)
      case .none where isPresent: entries.remove(at: index)
      case .none: break
      }
    }
  }

  /// Where the key is or belongs, by bisection.
  private func position(of key: CBORValue) -> (index: Int, isPresent: Bool) {
    var range = 0..<entries.count
    while !range.isEmpty {
      let middle = range.lowerBound + range.count / 2
      switch KeyOrder.of(key, entries[middle].key) {
      case .before: range = range.lowerBound..<middle
      case .same: return (middle, true)
      case .after: range = middle + 1..<range.upperBound
      }
    }
    return (range.lowerBound, false)
  }
}

extension CBORMap: ExpressibleByDictionaryLiteral {
  /// Entries in any order; the same key twice is a programmer's error.
  package init(dictionaryLiteral elements: (CBORValue, CBORValue)...) {
    self.init()
    for (key, value) in elements {
      precondition(self[key] == nil, "a map has each key once")
      self[key] = value
    }
  }
}
