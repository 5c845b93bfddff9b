/// How many are inside, and of whom.
struct Headcount {
  let limit: Int
  /// 0 is none but ``limit``.
  let limitOfUser: Int
  private var count = 0
  private var users: [UInt32: Int] = [:]

  init(limit: Int, limitOfUser: Int) {
    self.limit = limit
    self.limitOfUser = limitOfUser
  }

  /// Why one more of this user is not taken; nil if there is room.
  func refusal(of user: UInt32) -> String? {
    if count >= limit { return "\(count) connections: no more are taken" }
    let mine = users[user, default: 0]
    guard limitOfUser > 0, mine >= limitOfUser else { return nil }
    return "\(mine) connections of user \(user): no more are taken from this user"
  }

  mutating func enter(_ user: UInt32) {
    count += 1
    users[user, default: 0] += 1
  }

  mutating func leave(_ user: UInt32) {
    count -= 1
    let left = users[user, default: 1] - 1
    users[user] = left > 0 ? left : nil
  }
}
