internal import Policy

/// On whose behalf work waits.
enum WorkSource: Hashable, Sendable {
  /// The daemon itself: start, evictions, counter blocks fetched ahead.
  case daemon
  case connection(UInt64, user: UInt32)

  /// Between whom turns are taken first: a user can have many connections.
  fileprivate var owner: Owner {
    switch self {
    case .daemon: .daemon
    case .connection(_, let user): .user(user)
    }
  }

  fileprivate enum Owner: Hashable {
    case daemon
    case user(UInt32)
  }
}

extension Caller {
  var workSource: WorkSource { .connection(connection, user: user) }
}

/// Work that waits, taken round robin by user, and within a user round robin by connection; bounded in total and by
/// connection. The daemon counts as a user.
struct FairQueue<Element> {
  private struct Entry {
    let id: UInt64
    let element: Element
  }

  private let limit: Int
  private let limitBySource: Int
  private var entries: [WorkSource: [Entry]] = [:]
  /// Users with work, the next one first.
  private var turns: [WorkSource.Owner] = []
  /// Connections with work of each, the next one first; never empty.
  private var sources: [WorkSource.Owner: [WorkSource]] = [:]
  private(set) var count = 0

  init(limit: Int, limitBySource: Int) {
    self.limit = limit
    self.limitBySource = limitBySource
  }

  /// Appends work; false where a bound is reached. The daemon's own work is exempt: it is as much as there are requests
  /// that end, and must not be lost.
  mutating func append(_ element: Element, id: UInt64, from source: WorkSource) -> Bool {
    let waiting = entries[source]?.count ?? 0
    guard source == .daemon || (waiting < limitBySource && count < limit) else { return false }
    if waiting == 0 {
      if sources[source.owner] == nil { turns.append(source.owner) }
      sources[source.owner, default: []].append(source)
    }
    entries[source, default: []].append(Entry(id: id, element: element))
    count += 1
    return true
  }

  /// The oldest work of the connection whose turn it is, of the user whose turn it is.
  mutating func popFirst() -> Element? {
    guard let owner = turns.first, let source = sources[owner]?.first, let first = entries[source]?.removeFirst() else {
      return nil
    }
    turns.removeFirst()
    sources[owner]?.removeFirst()
    if entries[source]?.isEmpty ?? true { entries[source] = nil } else { sources[owner]?.append(source) }
    if sources[owner]?.isEmpty ?? true { sources[owner] = nil } else { turns.append(owner) }
    count -= 1
    return first.element
  }

  /// Takes out one piece of work, wherever it stands.
  mutating func remove(id: UInt64, from source: WorkSource) -> Element? {
    guard let index = entries[source]?.firstIndex(where: { $0.id == id }) else { return nil }
    let element = entries[source]?.remove(at: index).element
    count -= 1
    guard entries[source]?.isEmpty ?? true else { return element }
    let owner = source.owner
    entries[source] = nil
    sources[owner]?.removeAll { $0 == source }
    if sources[owner]?.isEmpty ?? true {
      sources[owner] = nil
      turns.removeAll { $0 == owner }
    }
    return element
  }

  /// Takes out everything.
  mutating func removeAll() -> [Element] {
    defer { self = FairQueue(limit: limit, limitBySource: limitBySource) }
    return entries.values.joined().sorted { $0.id < $1.id }.map(\.element)
  }
}
