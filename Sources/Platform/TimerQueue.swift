/// A timer of an ``EventLoop``.
package struct LoopTimer: Hashable, Sendable {
  fileprivate let number: UInt64
}

/// Timers by deadline: a binary heap. Removed timers stay in the heap until they are due or more than half of it.
struct TimerQueue {
  private struct Entry {
    let deadline: UInt64
    let number: UInt64

    /// Timers of one deadline fire in the order in which they were made.
    static func < (a: Entry, b: Entry) -> Bool {
      (a.deadline, a.number) < (b.deadline, b.number)
    }
  }

  private var heap: [Entry] = []
  private var bodies: [UInt64: @Sendable () -> Void] = [:]
  private var next: UInt64 = 0

  /// The deadline of the first timer, or of one that was removed before it was due.
  var nextDeadline: UInt64? { heap.first?.deadline }

  /// How long nothing is due, as epoll_wait(2) wants it.
  mutating func milliseconds(from now: UInt64) -> Int32 {
    // Most timers are removed long before they are due, and nobody is to be woken for those.
    while let first = heap.first, bodies[first.number] == nil { removeFirst() }
    guard let deadline = nextDeadline else { return -1 }
    return deadline > now ? Int32(min((deadline - now) / 1_000_000 + 1, 3_600_000)) : 0
  }

  /// Entries in the heap, for tests.
  var weight: Int { heap.count }

  mutating func add(at deadline: UInt64, _ body: @escaping @Sendable () -> Void) -> (LoopTimer, isFirst: Bool) {
    let number = next
    next += 1
    bodies[number] = body
    heap.append(Entry(deadline: deadline, number: number))
    siftUp(heap.count - 1)
    return (LoopTimer(number: number), heap[0].number == number)
  }

  mutating func remove(_ timer: LoopTimer) {
    guard bodies.removeValue(forKey: timer.number) != nil else { return }
    if heap.count > 64 && heap.count > 2 * bodies.count {
      // A sorted array is a heap.
      heap = heap.filter { bodies[$0.number] != nil }.sorted(by: <)
    }
  }

  /// Takes the first timer that is due.
  mutating func takeDue(at now: UInt64) -> (@Sendable () -> Void)? {
    while let first = heap.first, first.deadline <= now {
      removeFirst()
      if let body = bodies.removeValue(forKey: first.number) { return body }
    }
    return nil
  }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    siftDown()
  }

  private mutating func siftUp(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child] < heap[parent] else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func siftDown() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[least] {
        least = child
      }
      if least == parent { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
