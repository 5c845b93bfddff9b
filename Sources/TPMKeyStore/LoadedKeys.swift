internal import Authenticator
internal import TPM

/// Keys that are loaded in the TPM, least recently used first. At most a handful, so an array is its own index.
struct LoadedKeys {
  struct Entry {
    let binding: KeyBinding
    let object: WrappedObject
    let reference: TPMReference
    /// The TPM's own handle.
    let handle: UInt32
  }

  private(set) var entries: [Entry] = []

  var count: Int { entries.count }

  /// The key, which counts as used now.
  mutating func use(_ binding: KeyBinding, _ object: WrappedObject) -> TPMReference? {
    guard let index = entries.firstIndex(where: { $0.binding == binding && $0.object == object }) else { return nil }
    let entry = entries.remove(at: index)
    entries.append(entry)
    return entry.reference
  }

  mutating func append(_ entry: Entry) {
    entries.append(entry)
  }

  mutating func removeLeastRecentlyUsed() -> Entry? {
    entries.isEmpty ? nil : entries.removeFirst()
  }

  /// Takes out those that `condition` names.
  mutating func remove(where condition: (Entry) -> Bool) -> [Entry] {
    let removed = entries.filter(condition)
    entries.removeAll(where: condition)
    return removed
  }
}
