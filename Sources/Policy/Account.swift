/// One account at a relying party, as a registration or a credential names it.
package struct Account: Equatable, Sendable {
  /// Empty where the credential was made by U2F: such an account is not known.
  package let userHandle: [UInt8]
  package let userName: String?

  package init(userHandle: [UInt8], userName: String?) {
    self.userHandle = userHandle
    self.userName = userName
  }
}

/// One entry of a rule's `accounts`.
package enum AccountPattern: Hashable, Sendable {
  /// These bytes.
  case userHandle([UInt8])
  /// This name, byte for byte.
  case userName(String)
  /// Names that begin so (`deploy-*`).
  case userNamePrefix(String)

  /// What is not known never matches.
  func matches(_ account: Account) -> Bool {
    switch self {
    case .userHandle(let handle): !account.userHandle.isEmpty && account.userHandle == handle
    case .userName(let name): account.userName.map { $0.utf8.elementsEqual(name.utf8) } ?? false
    case .userNamePrefix(let prefix): account.userName.map { $0.utf8.starts(with: prefix.utf8) } ?? false
    }
  }

  /// A user handle is more specific than a name, a name than a beginning, and a longer beginning than a shorter one.
  /// Equal for two that match one account only where they are the same.
  var specificity: Int {
    switch self {
    case .userHandle: 2_000_000
    case .userName: 1_000_000
    case .userNamePrefix(let prefix): 1 + prefix.utf8.count
    }
  }
}
