internal import CTAP
internal import WebAuthn

/// How the user is verified in one request.
enum Verification {
  case none
  /// By the authenticator's own means: option `uv`.
  case builtIn
  case token(PINUVToken)

  var option: Bool? {
    if case .builtIn = self { true } else { nil }
  }

  var protocolNumber: UInt64? {
    if case .token(let token) = self { token.version.rawValue } else { nil }
  }

  /// pinUvAuthParam of a message.
  func parameter(of message: [UInt8]) -> [UInt8]? {
    if case .token(let token) = self { token.authenticate(message) } else { nil }
  }

  var isNone: Bool {
    if case .none = self { true } else { false }
  }
}

/// What one ceremony asks of user verification.
struct VerificationDemand {
  /// Of the relying party.
  let requirement: UserVerificationRequirement
  /// Whether the authenticator does without it not.
  var isForced: Bool
  /// Of a token.
  let permissions: Permissions
  let relyingPartyID: String

  var isNeeded: Bool { isForced || requirement == .required }
}

extension AuthenticatorInfo {
  /// Whether it verifies users by itself; here a rule of the operator's says so.
  var hasBuiltInVerification: Bool { options["uv"] == true }
  var hasPIN: Bool { options["clientPin"] == true }
  /// Whether there is any way to verify the user.
  var isProtected: Bool { hasBuiltInVerification || hasPIN }
  var alwaysVerifies: Bool { options["alwaysUv"] == true }
}

extension WebAuthnClient {
  /// Carries out a request with the verification that is demanded and available: the authenticator's own one first, then
  /// the PIN (WebAuthn section 6.2.3, CTAP 2.1 section 6.5.3).
  func verifying<Answer>(
    _ demand: VerificationDemand, _ info: AuthenticatorInfo,
    _ perform: (Verification) throws(CeremonyError) -> Answer
  ) throws(CeremonyError) -> Answer {
    if demand.requirement == .discouraged, !demand.isForced || info.hasBuiltInVerification {
      do throws(CeremonyError) {
        return try perform(.none)
      } catch {
        // The rule for this RP ID may be another one than that which verifies: only the authenticator knows whether it
        // does without.
        guard case .status(.puatRequired) = error, demand.isForced else { throw error }
      }
    }
    guard info.hasBuiltInVerification else { return try perform(try verificationByPIN(demand, info)) }
    do throws(CeremonyError) {
      return try perform(.builtIn)
    } catch {
      // The rule for this RP ID may be another one than that which verifies, and then the PIN is left, or nothing.
      switch error {
      case .status(.puatRequired): return try perform(try verificationByPIN(demand, info))
      case .status(.operationDenied) where demand.requirement != .required: return try perform(.none)
      default: throw error
      }
    }
  }

  private func verificationByPIN(
    _ demand: VerificationDemand, _ info: AuthenticatorInfo
  ) throws(CeremonyError) -> Verification {
    guard info.hasPIN else {
      if demand.requirement == .required { throw .userVerificationUnavailable }
      // What the authenticator makes of it, it says itself.
      return .none
    }
    guard let pin else {
      if demand.isNeeded { throw .pinNeeded }
      return .none
    }
    guard info.forcePINChange != true else { throw .pinMustBeChanged }
    do {
      return .token(
        try authenticator.token(by: pin, demand.permissions, relyingPartyID: demand.relyingPartyID, info))
    } catch {
      throw CeremonyError(error)
    }
  }
}
