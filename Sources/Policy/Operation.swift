/// What a rule can allow (the `operations` of the configuration).
package enum Operation: String, CaseIterable, Sendable {
  case register
  case authenticate
  case manage
  case reset
}
