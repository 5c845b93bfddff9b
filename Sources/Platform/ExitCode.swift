/// The exit statuses of both programs: a contract, which countersign(1) and countersignd(8) list.
package enum ExitCode: Int32, Sendable {
  case done = 0
  case failure = 1
  case usage = 2
  case refusedByPolicy = 3
  case noSuchCredential = 4
  case unreachable = 5
  case tpmFailure = 6
  case verificationFailed = 7
}
