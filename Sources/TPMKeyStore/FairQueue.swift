internal import Authenticator
internal import Policy

/// On whose behalf work waits.
enum WorkSource: Hashable, Sendable {
  /// The daemon itself: start, evictions, counter blocks fetched ahead.
  case daemon
  /// A connection, and the ID of the grant by whose socket it came.
  case connection(UInt64, user: UInt32, grant: String? = nil)

  /// Between whom turns are taken at each level: users first, who can have many jobs; then the jobs of a user, each of
  /// which can have many connections; then connections.
  fileprivate func turn(at level: Int) -> Turn? {
    switch (self, level) {
    case (.daemon, 0): .daemon
    case (.connection(_, let user, _), 0): .user(user)
    case (.connection(_, _, let grant), 1): .job(grant: grant)
    case (.connection(let connection, _, _), 2): .connection(connection)
    default: nil
    }
  }

  fileprivate enum Turn: Hashable {
    case daemon
    case user(UInt32)
    /// nil: all that came by no grant's socket.
    case job(grant: String?)
    case connection(UInt64)
  }
}

extension Caller {
  var workSource: WorkSource { isDaemon ? .daemon : .connection(connection, user: user, grant: grant?.id) }
}

/// Work that waits, taken round robin by user, within a user by grant, and within a grant by connection; bounded in total
/// and by connection. The daemon counts as a user.
struct FairQueue<Element> {
  struct Entry {
    let id: UInt64
    let element: Element
  }

  /// Those who take turns, and under the last of them the work.
  struct Branch {
    fileprivate let turn: WorkSource.Turn
    /// The next one first. One that has had its last work taken keeps its place until its turn comes round: who asks for
    /// one thing after another, each when it has the one before, is not put behind those who have much waiting once more.
    var branches: [Branch] = []
    /// Of a connection or the daemon, the oldest first.
    var entries: [Entry] = []
    /// Entries here and below.
    var count = 0
  }

  private let limit: Int
  private let limitBySource: Int
  private(set) var root = Branch(turn: .daemon)

  var count: Int { root.count }

  init(limit: Int, limitBySource: Int) {
    self.limit = limit
    self.limitBySource = limitBySource
  }

  /// Appends work; false where a bound is reached. The daemon's own work is exempt: it is as much as there are requests
  /// that end, and must not be lost.
  mutating func append(_ element: Element, id: UInt64, from source: WorkSource) -> Bool {
    guard source == .daemon || (count < limit && root.waiting(from: source) < limitBySource) else { return false }
    root.append(Entry(id: id, element: element), from: source)
    return true
  }

  /// The oldest work of the connection whose turn it is, of the grant whose turn it is, of the user whose turn it is.
  mutating func popFirst() -> Element? {
    root.count > 0 ? root.removeFirst().element : nil
  }

  /// Takes out one piece of work, wherever it stands.
  mutating func remove(id: UInt64, from source: WorkSource) -> Element? {
    root.remove(id, from: source)?.element
  }

  /// Takes out all that `condition` names, the oldest first.
  mutating func removeAll(where condition: (Element) -> Bool = { _ in true }) -> [Element] {
    root.removeAll(where: condition).sorted { $0.id < $1.id }.map(\.element)
  }

  /// What will be taken before a next piece of work from this source, as far as it has come by now: the sum of its costs.
  func cost(before source: WorkSource, of cost: (Element) -> UInt64) -> UInt64 {
    root.load(before: source, cost).cost
  }
}

extension FairQueue.Branch {
  func waiting(from source: WorkSource, level: Int = 0) -> Int {
    guard let turn = source.turn(at: level) else { return count }
    return index(of: turn).map { branches[$0].waiting(from: source, level: level + 1) } ?? 0
  }

  mutating func append(_ entry: FairQueue.Entry, from source: WorkSource, level: Int = 0) {
    count += 1
    guard let turn = source.turn(at: level) else { return entries.append(entry) }
    let index =
      index(of: turn)
      ?? {
        branches.append(Self(turn: turn))
        return branches.count - 1
      }()
    branches[index].append(entry, from: source, level: level + 1)
  }

  /// - Precondition: there is one
  mutating func removeFirst() -> FairQueue.Entry {
    count -= 1
    if branches.isEmpty { return entries.removeFirst() }
    // Each empty one was put there by a turn of its own, and goes when those that came after it have had theirs.
    if let first = branches.firstIndex(where: { $0.count > 0 }) { branches.removeFirst(first) }
    var next = branches.removeFirst()
    let entry = next.removeFirst()
    if count > 0 { branches.append(next) } else { branches = [] }
    return entry
  }

  mutating func remove(_ id: UInt64, from source: WorkSource, level: Int = 0) -> FairQueue.Entry? {
    let removed: FairQueue.Entry
    if let turn = source.turn(at: level) {
      guard let index = index(of: turn), let entry = branches[index].remove(id, from: source, level: level + 1) else {
        return nil
      }
      if branches[index].count == 0 { branches.remove(at: index) }
      removed = entry
    } else {
      guard let index = entries.firstIndex(where: { $0.id == id }) else { return nil }
      removed = entries.remove(at: index)
    }
    count -= 1
    return removed
  }

  mutating func removeAll(where condition: (Element) -> Bool) -> [FairQueue.Entry] {
    var removed = entries.filter { condition($0.element) }
    if !removed.isEmpty { entries.removeAll { condition($0.element) } }
    for index in branches.indices.reversed() {
      let taken = branches[index].removeAll(where: condition)
      // Those that were empty before keep their places.
      if !taken.isEmpty, branches[index].count == 0 { branches.remove(at: index) }
      removed += taken
    }
    count -= removed.count
    if count == 0 { branches = [] }
    return removed
  }

  /// How much comes before a next piece of work from this source. Where `n` pieces come before it in its own branch, each
  /// other branch has had `n` turns by then, and one more if it stands before.
  func load(
    before source: WorkSource, level: Int = 0, _ cost: (Element) -> UInt64
  ) -> (count: Int, cost: UInt64) {
    guard let turn = source.turn(at: level) else { return (count, self.cost(ofFirst: count, cost)) }
    let own = index(of: turn)
    var load = own.map { branches[$0].load(before: source, level: level + 1, cost) } ?? (count: 0, cost: 0)
    let (turns, place) = (load.count, own ?? branches.count)
    for index in branches.indices where index != place {
      let taken = min(branches[index].count, turns + (index < place ? 1 : 0))
      load.count += taken
      load.cost += branches[index].cost(ofFirst: taken, cost)
    }
    return load
  }

  /// What the next `number` pieces of work cost; no more than there are.
  private func cost(ofFirst number: Int, _ cost: (Element) -> UInt64) -> UInt64 {
    if branches.isEmpty { return entries.prefix(number).reduce(0) { $0 + cost($1.element) } }
    var (rounds, rest) = (0, number)
    while case let served = branches.count(where: { $0.count > rounds }), served > 0, served <= rest {
      rest -= served
      rounds += 1
    }
    return branches.reduce(into: 0) { sum, branch in
      let isInLast = branch.count > rounds && rest > 0
      if isInLast { rest -= 1 }
      sum += branch.cost(ofFirst: min(branch.count, rounds + (isInLast ? 1 : 0)), cost)
    }
  }

  private func index(of turn: WorkSource.Turn) -> Int? {
    branches.firstIndex { $0.turn == turn }
  }
}
