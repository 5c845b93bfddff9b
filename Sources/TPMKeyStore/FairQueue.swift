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

  /// Empty places that may be kept at one level: of users and jobs as many as there are, of connections, which cost
  /// nothing, a few.
  fileprivate static func maximumPlaces(at level: Int) -> Int { level < 2 ? 1024 : 64 }
}

extension Caller {
  var workSource: WorkSource {
    isDaemon ? .daemon : .connection(connection, user: user, grant: grant.map { $0.job ?? $0.id })
  }
}

/// Work that waits, taken round robin by user, within a user by job, and within a job by connection; bounded in total and
/// by connection. The daemon counts as a user.
///
/// Who is told to come again keeps a place in the round. Whoever has a turn goes behind it, and so do those who are new,
/// so that at each level no more turns come before it than there were places before it, whatever the others ask for:
/// nobody who comes again in time is refused for ever.
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
    /// Until then it keeps its place also when its turn has come and nothing waits; no place below is kept for longer.
    var keptUntil: UInt64 = 0
  }

  private let limit: Int
  private let limitBySource: Int
  /// How long a place is kept for who has been told to come again.
  private let patience: UInt64
  /// When the last of these places is given up.
  private var lastPlace: UInt64 = 0
  private(set) var root = Branch(turn: .daemon)

  var count: Int { root.count }

  /// - Parameters:
  ///   - limit: of work
  ///   - limitBySource: of work of one source
  ///   - patience: how long a place is kept, in the unit of all times here
  init(limit: Int, limitBySource: Int, patience: UInt64 = 0) {
    self.limit = limit
    self.limitBySource = limitBySource
    self.patience = patience
  }

  /// Appends work; false where a bound is reached. The daemon's own work is exempt: it is as much as there are requests
  /// that end, and must not be lost.
  mutating func append(_ element: Element, id: UInt64, from source: WorkSource) -> Bool {
    guard source == .daemon || (!isFull && isWithinItsBound(source)) else { return false }
    root.append(Entry(id: id, element: element), from: source)
    return true
  }

  /// Whether there is room for work of this source, or can be made by ``makeRoom(for:)``.
  func hasRoom(for source: WorkSource) -> Bool {
    source == .daemon || (isWithinItsBound(source) && (!isFull || root.wayToLast(of: source) != nil))
  }

  /// The daemon's own work takes nobody's room.
  private var isFull: Bool { count - root.waiting(from: .daemon) >= limit }

  private func isWithinItsBound(_ source: WorkSource) -> Bool { root.waiting(from: source) < limitBySource }

  /// Where the queue is full: takes out the work whose turn is last of whoever has most waiting, where that is more than
  /// this source would have with one more; users are compared first, then the jobs of one, then connections. So whoever
  /// has less than its share of the queue has room, and takes it from nobody who has no more than that.
  mutating func makeRoom(for source: WorkSource, at now: UInt64) -> Element? {
    guard source != .daemon, isFull, isWithinItsBound(source), let way = root.wayToLast(of: source) else { return nil }
    lastPlace = now + patience
    return root.removeLast(by: way[...], until: lastPlace).element
  }

  /// Keeps the place of who is told to come again, or gives it one.
  mutating func keepPlace(for source: WorkSource, at now: UInt64) {
    lastPlace = now + patience
    root.keepPlace(for: source, until: lastPlace)
  }

  /// Whether there may be a place that is kept.
  func mayKeepPlaces(at now: UInt64) -> Bool { lastPlace > now }

  /// The oldest work of the connection whose turn it is, of the job whose turn it is, of the user whose turn it is.
  ///
  /// - Parameters:
  ///   - now: when this is
  ///   - isLate: whether work has come to its turn too late. It is no turn then: who comes again is next
  /// - Returns: nil where nothing waits
  mutating func popFirst(at now: UInt64 = 0, isLate: (Element) -> Bool = { _ in false }) -> Element? {
    guard root.count > 0 else { return nil }
    let taken = root.removeFirst(at: now, until: now + patience, isLate).element
    if isLate(taken) { lastPlace = now + patience }
    return taken
  }

  /// Takes out one piece of work, wherever it stands.
  mutating func remove(id: UInt64, from source: WorkSource) -> Element? {
    root.remove(id, from: source)?.element
  }

  /// Takes out all that `condition` names, the oldest first.
  mutating func removeAll(where condition: (Element) -> Bool = { _ in true }) -> [Element] {
    root.removeAll(until: 0, where: condition).sorted { $0.id < $1.id }.map(\.element)
  }

  /// The same of what has waited too long: who comes again has the place that it had.
  mutating func removeLate(at now: UInt64, where isLate: (Element) -> Bool) -> [Element] {
    let late = root.removeAll(until: now + patience, where: isLate).sorted { $0.id < $1.id }.map(\.element)
    if !late.isEmpty { lastPlace = now + patience }
    return late
  }

  /// What will be taken before a next piece of work from this source, as far as it has come by now: the sum of its costs.
  ///
  /// - Parameters:
  ///   - source: of the next piece
  ///   - now: those for whom a place is kept until later count as if they had come; none where nil
  ///   - placeCost: of such a place
  ///   - cost: of work
  /// - Returns: the sum
  func cost(
    before source: WorkSource, placesAt now: UInt64? = nil, ofPlace placeCost: UInt64 = 0,
    of cost: @escaping (Element) -> UInt64
  ) -> UInt64 {
    root.load(before: source, FairQueue.Costs(now: now ?? .max, ofPlace: placeCost, of: cost)).cost
  }

  fileprivate struct Costs {
    let now: UInt64
    let ofPlace: UInt64
    let of: (Element) -> UInt64
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
  mutating func removeFirst(at now: UInt64, until: UInt64, _ isLate: (Element) -> Bool) -> FairQueue.Entry {
    count -= 1
    guard var first = branches.firstIndex(where: { $0.count > 0 }) else { return entries.removeFirst() }
    // Each empty one was put there by a turn of its own, and goes when those that came after it have had theirs; or it
    // is kept for who has been told to come again.
    if branches[..<first].contains(where: { $0.keptUntil <= now }) {
      let kept = branches[..<first].filter { $0.keptUntil > now }
      branches.replaceSubrange(..<first, with: kept)
      first = kept.count
    }
    var next = branches.remove(at: first)
    let entry = next.removeFirst(at: now, until: until, isLate)
    if isLate(entry.element) {
      next.keptUntil = until
      branches.insert(next, at: first)
    } else if count > 0 || next.keptUntil > now {
      branches.append(next)
    }
    if count == 0 { branches.removeAll { $0.keptUntil <= now } }
    return entry
  }

  mutating func keepPlace(for source: WorkSource, until: UInt64, level: Int = 0) {
    guard let turn = source.turn(at: level) else { return }
    if index(of: turn) == nil {
      guard branches.count(where: { $0.count == 0 }) < WorkSource.maximumPlaces(at: level) else { return }
      branches.append(Self(turn: turn))
    }
    guard let index = index(of: turn) else { return }
    branches[index].keptUntil = until
    branches[index].keepPlace(for: source, until: until, level: level + 1)
  }

  /// The branches that lead to the work whose turn is last of whoever has most waiting; nil where that is not more than
  /// `source` would have with one more, level by level.
  ///
  /// - Parameters:
  ///   - source: nil where it has been found to have less
  ///   - level: of turns
  /// - Returns: an index for each level
  func wayToLast(of source: WorkSource?, level: Int = 0) -> [Int]? {
    guard count > 0 else { return nil }
    let others = branches.indices.filter { branches[$0].turn != .daemon }
    guard let most = others.max(by: { (branches[$0].count, $0) < (branches[$1].count, $1) }) else {
      return source == nil ? [] : nil
    }
    let own = source.flatMap { $0.turn(at: level) }.flatMap(index(of:))
    let isMore = source.map { _ in branches[most].count > (own.map { branches[$0].count } ?? 0) + 1 } ?? true
    guard let next = isMore ? most : own else { return nil }
    return branches[next].wayToLast(of: isMore ? nil : source, level: level + 1).map { [next] + $0 }
  }

  /// - Parameters:
  ///   - way: of ``wayToLast(of:level:)``
  ///   - until: how long the user and the job keep their places
  /// - Returns: what was taken out
  mutating func removeLast(by way: ArraySlice<Int>, until: UInt64) -> FairQueue.Entry {
    count -= 1
    guard let index = way.first else { return entries.removeLast() }
    let entry = branches[index].removeLast(by: way.dropFirst(), until: until)
    if way.count > 1 { branches[index].keptUntil = max(branches[index].keptUntil, until) }
    if branches[index].hasNoPlace { branches.remove(at: index) }
    return entry
  }

  /// Whether it goes when its last work is taken out before its turn.
  private var hasNoPlace: Bool { count == 0 && keptUntil == 0 }

  mutating func remove(_ id: UInt64, from source: WorkSource, level: Int = 0) -> FairQueue.Entry? {
    let removed: FairQueue.Entry
    if let turn = source.turn(at: level) {
      guard let index = index(of: turn), let entry = branches[index].remove(id, from: source, level: level + 1) else {
        return nil
      }
      if branches[index].hasNoPlace { branches.remove(at: index) }
      removed = entry
    } else {
      guard let index = entries.firstIndex(where: { $0.id == id }) else { return nil }
      removed = entries.remove(at: index)
    }
    count -= 1
    return removed
  }

  /// - Parameters:
  ///   - until: how long users and jobs of whom something is taken out keep their places; 0: not at all
  ///   - condition: what is taken out
  ///   - level: of turns
  /// - Returns: what was taken out
  mutating func removeAll(until: UInt64, where condition: (Element) -> Bool, level: Int = 0) -> [FairQueue.Entry] {
    var removed = entries.filter { condition($0.element) }
    if !removed.isEmpty { entries.removeAll { condition($0.element) } }
    for index in branches.indices.reversed() {
      let taken = branches[index].removeAll(until: until, where: condition, level: level + 1)
      // Those that were empty before keep their places.
      if !taken.isEmpty {
        if level < 2 { branches[index].keptUntil = max(branches[index].keptUntil, until) }
        if branches[index].hasNoPlace { branches.remove(at: index) }
      }
      removed += taken
    }
    count -= removed.count
    if count == 0 { branches.removeAll { $0.keptUntil == 0 } }
    return removed
  }

  /// How much comes before a next piece of work from this source. Where `n` pieces come before it in its own branch, each
  /// other branch has had `n` turns by then, and one more if it stands before.
  fileprivate func load(
    before source: WorkSource, level: Int = 0, _ costs: FairQueue.Costs
  ) -> (count: Int, cost: UInt64) {
    guard let turn = source.turn(at: level) else { return (count, cost(ofFirst: count, costs)) }
    let own = index(of: turn)
    var load = own.map { branches[$0].load(before: source, level: level + 1, costs) } ?? (count: 0, cost: 0)
    let (turns, place) = (load.count, own ?? branches.count)
    for index in branches.indices where index != place {
      let taken = min(branches[index].pieces(at: costs.now), turns + (index < place ? 1 : 0))
      load.count += taken
      load.cost += branches[index].cost(ofFirst: taken, costs)
    }
    return load
  }

  /// Work here and below, and the places that are kept where there is none.
  private func pieces(at now: UInt64) -> Int {
    // No place below is kept for longer.
    guard keptUntil > now else { return count }
    return max(branches.reduce(entries.count) { $0 + $1.pieces(at: now) }, 1)
  }

  /// What the next `number` pieces cost; no more than there are.
  private func cost(ofFirst number: Int, _ costs: FairQueue.Costs) -> UInt64 {
    if number == 0 { return 0 }
    let pieces = branches.map { $0.pieces(at: costs.now) }
    guard pieces.contains(where: { $0 > 0 }) else {
      return entries.isEmpty ? costs.ofPlace : entries.prefix(number).reduce(0) { $0 + costs.of($1.element) }
    }
    var (rounds, rest) = (0, number)
    while case let served = pieces.count(where: { $0 > rounds }), served > 0, served <= rest {
      rest -= served
      rounds += 1
    }
    return branches.indices.reduce(into: 0) { sum, index in
      let isInLast = pieces[index] > rounds && rest > 0
      if isInLast { rest -= 1 }
      sum += branches[index].cost(ofFirst: min(pieces[index], rounds + (isInLast ? 1 : 0)), costs)
    }
  }

  private func index(of turn: WorkSource.Turn) -> Int? {
    branches.firstIndex { $0.turn == turn }
  }
}
