import Authenticator
import Policy
import TestSupport
import Testing

@testable import TPMKeyStore

/// Nobody is kept out for ever by what others ask for.
@Suite struct PlaceTests {
  /// Jobs that ask again and again, each on some connections, beside one that is new.
  private final class Crowd {
    /// What may be before whoever is let in.
    let limit: UInt64
    let keepsPlaces: Bool
    var queue = FairQueue<WorkSource>(limit: 10_000, limitBySource: 64, patience: 100)
    var now: UInt64 = 0
    var waiting: Set<WorkSource> = []
    private var nextID: UInt64 = 0

    init(limit: UInt64, keepsPlaces: Bool) {
      self.limit = limit
      self.keepsPlaces = keepsPlaces
    }

    /// Whether it is let in.
    func ask(_ source: WorkSource) -> Bool {
      let work = queue.cost(before: source, of: { _ in 1 })
      let all = queue.cost(before: source, placesAt: now, ofPlace: 1, of: { _ in 1 })
      #expect(all >= work && (keepsPlaces || all == work))
      guard work == 0 || all <= limit else {
        if keepsPlaces { queue.keepPlace(for: source, at: now) }
        return false
      }
      nextID += 1
      let isIn = queue.append(source, id: nextID, from: source)
      #expect(isIn)
      waiting.insert(source)
      return true
    }

    func serve() -> WorkSource? {
      now += 1
      let served = queue.popFirst(at: now)
      if let served { waiting.remove(served) }
      return served
    }

    func giveUp(_ source: WorkSource) {
      let late = queue.removeLate(at: now) { $0 == source }
      #expect(late.count <= 1)
      waiting.remove(source)
    }
  }

  /// How many are served before the new one is let in, though all the others ask before it each time; nil if it never is.
  private func servedBefore(
    _ newcomer: WorkSource, limit: UInt64, keepsPlaces: Bool, _ random: inout SeededGenerator
  ) -> Int? {
    let crowd = Crowd(limit: limit, keepsPlaces: keepsPlaces)
    let others = (0..<18).map { (number: UInt64) in
      WorkSource.connection(number, user: UInt32(number % 3), grant: "\(number)")
    }
    for served in 0..<100 {
      for other in others.shuffled(using: &random) where !crowd.waiting.contains(other) { _ = crowd.ask(other) }
      if crowd.ask(newcomer) { return served }
      #expect(crowd.serve() != nil)
    }
    return nil
  }

  /// A new job of a user who has others, and a new user.
  @Test(arguments: [(0, 3...8), (7, 1...2)] as [(UInt32, ClosedRange<UInt64>)])
  func whoComesAgainIsLetIn(user: UInt32, limits: ClosedRange<UInt64>) {
    var random = SeededGenerator()
    print("seed \(random.seed)")
    let newcomer = WorkSource.connection(100, user: user, grant: "new")
    for _ in 0..<10 {
      let limit = UInt64.random(in: limits, using: &random)
      // Three users take turns, each of whom has six jobs.
      let served = servedBefore(newcomer, limit: limit, keepsPlaces: true, &random)
      #expect(served.map { $0 <= 3 * 7 } ?? false)
      #expect(servedBefore(newcomer, limit: limit, keepsPlaces: false, &random) == nil)
    }
  }

  /// Others leave the places before it empty until nobody counts with them any more, and fill them when it is in, so that
  /// it is given up. It comes again, and does not lose its place by that.
  @Test func whoIsGivenUpStandsWhereItStood() {
    let crowd = Crowd(limit: 3, keepsPlaces: true)
    let others = (0..<12).map { WorkSource.connection(UInt64($0), user: 1, grant: "\($0)") }
    let newcomer = WorkSource.connection(100, user: 1, grant: "new")
    for other in others { _ = crowd.ask(other) }
    #expect(crowd.waiting.count == 4)
    #expect(!crowd.ask(newcomer))
    let firsts = (0..<4).compactMap { _ in crowd.serve() }
    #expect(firsts == Array(others[..<4]))
    // Eight have places before it.
    #expect(crowd.queue.cost(before: newcomer, placesAt: crowd.now, ofPlace: 1, of: { _ in 1 }) == 8)
    crowd.now += 200
    #expect(crowd.ask(newcomer))
    for round in [4..<8, 8..<12] {
      for other in others[round] { #expect(crowd.ask(other)) }
      crowd.giveUp(newcomer)
      for other in others[round] {
        // Those that have been served come behind it.
        #expect(crowd.serve() == other)
        _ = crowd.ask(firsts[0])
      }
      #expect(crowd.ask(newcomer))
    }
    #expect(crowd.serve() == newcomer)
  }

  /// Work that comes to its turn too late had none: who comes again is next.
  @Test func whoseTurnCameTooLateIsNext() {
    var queue = FairQueue<String>(limit: 100, limitBySource: 64, patience: 10)
    for (id, job) in ["a", "late", "b", "c"].enumerated() {
      let isIn = queue.append(job, id: UInt64(id), from: .connection(UInt64(id), user: 1, grant: job))
      #expect(isIn)
    }
    var taken = queue.popFirst(at: 1) { $0 == "late" }
    #expect(taken == "a")
    taken = queue.popFirst(at: 2) { $0 == "late" }
    #expect(taken == "late")
    taken = queue.popFirst(at: 3)
    #expect(taken == "b")
    let again = queue.append("again", id: 9, from: .connection(9, user: 1, grant: "late"))
    #expect(again)
    taken = queue.popFirst(at: 4)
    #expect(taken == "again")
  }

  /// Places that are kept are bounded, and go when nobody has come.
  @Test func placesThatAreKeptDoNotPileUp() {
    var queue = FairQueue<Int>(limit: 100, limitBySource: 64, patience: 10)
    func places(_ branch: FairQueue<Int>.Branch) -> Int {
      branch.branches.reduce(branch.branches.count) { $0 + places($1) }
    }
    let isIn = queue.append(1, id: 1, from: .connection(1, user: 1))
    #expect(isIn)
    for connection in UInt64(2)...5000 {
      queue.keepPlace(for: .connection(connection, user: 1), at: 1)
      queue.keepPlace(for: .connection(connection, user: UInt32(connection), grant: "a"), at: 1)
    }
    // The first user, its job and the places of its connections; and users with a job and a connection each.
    #expect(places(queue.root) == 2 + 1 + 64 + 3 * 1024)
    var now: UInt64 = 20
    for id in UInt64(2)...3 {
      let isIn = queue.append(0, id: id, from: .connection(id, user: 0))
      #expect(isIn)
    }
    while queue.popFirst(at: now) != nil { now += 1 }
    #expect(places(queue.root) == 0)
  }

  /// Whoever has less than its share of a full queue has room in it, at the cost of who has most; nobody else has.
  @Test func aFullQueueIsShared() {
    var random = SeededGenerator()
    print("seed \(random.seed)")
    for _ in 0..<50 {
      let limit = Int.random(in: 5...40, using: &random)
      var queue = FairQueue<UInt64>(limit: limit, limitBySource: 64)
      var ofDaemon: Set<UInt64> = []
      var model: [(id: UInt64, user: UInt32, grant: String?, connection: UInt64)] = []
      for id in UInt64(1)...300 {
        let connection = UInt64(
          Double.random(in: 0..<1, using: &random) * Double.random(in: 0..<1, using: &random) * 20)
        let user = UInt32(connection % 3)
        let grant = connection % 5 == 0 ? nil : "\(connection % 5)"
        let source = WorkSource.connection(connection, user: user, grant: grant)
        func most(_ counts: [some Hashable], over own: Int) -> Bool {
          Dictionary(grouping: counts) { $0 }.values.contains { $0.count > own + 1 }
        }
        let ofUser = model.filter { $0.user == user }
        let ofJob = ofUser.filter { $0.grant == grant }
        let ofConnection = ofJob.filter { $0.connection == connection }
        let hasLess =
          most(model.map(\.user), over: ofUser.count) || most(ofUser.map(\.grant), over: ofJob.count)
          || most(ofJob.map(\.connection), over: ofConnection.count)
        let isFull = model.count == limit
        #expect(queue.hasRoom(for: source) == (!isFull || hasLess))
        let displaced = queue.makeRoom(for: source, at: 0)
        #expect((displaced != nil) == (isFull && hasLess))
        if let displaced { model.removeAll { $0.id == displaced } }
        let isIn = queue.append(id, id: id, from: source)
        #expect(isIn == (!isFull || hasLess))
        if isIn { model.append((id, user, grant, connection)) }
        #expect(queue.count == model.count + ofDaemon.count && model.count <= limit)
        if UInt8.random(in: 0..<6, using: &random) == 0, let next = queue.popFirst() {
          model.removeAll { $0.id == next }
          ofDaemon.remove(next)
        }
        // The daemon's own takes nobody's room, and is in nobody's way.
        if UInt8.random(in: 0..<12, using: &random) == 0 {
          let isIn = queue.append(1000 + id, id: 1000 + id, from: .daemon)
          #expect(isIn)
          ofDaemon.insert(1000 + id)
        }
      }
    }
  }

  /// What the daemon does for itself is not lost.
  @Test func nobodyTakesTheDaemonsRoom() {
    var queue = FairQueue<Int>(limit: 3, limitBySource: 64)
    for id in 0..<5 {
      let isIn = queue.append(id, id: UInt64(id), from: .daemon)
      #expect(isIn)
    }
    let displaced = queue.makeRoom(for: .connection(1, user: 1), at: 0)
    #expect(displaced == nil && queue.count == 5)
  }

  /// A job that has many grants made for its process has the turns of one.
  @Test func grantsOfOneProcessAreOneJob() {
    func source(_ id: String, _ job: String?, user: UInt32 = 1000) -> WorkSource {
      Caller(
        connection: 1, user: user, group: 0, process: 1, supplementaryGroups: [], unit: nil,
        grant: Grant(id: id, rule: "r", user: user, job: job)
      ).workSource
    }
    #expect(source("a", "process 1") == source("b", "process 1"))
    #expect(source("a", "process 1") != source("b", "process 2"))
    #expect(source("a", nil) != source("b", nil))
  }
}
