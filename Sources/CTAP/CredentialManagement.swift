package import CBOR
package import WebAuthn

/// The subcommands of authenticatorCredentialManagement (CTAP 2.1 section 6.8).
package enum CredentialManagementSubcommand: UInt64, CaseIterable, Sendable {
  case getCredsMetadata = 0x01
  case enumerateRPsBegin = 0x02
  case enumerateRPsGetNextRP = 0x03
  case enumerateCredentialsBegin = 0x04
  case enumerateCredentialsGetNextCredential = 0x05
  case deleteCredential = 0x06
  case updateUserInformation = 0x07
}

/// The parameters of a subcommand of authenticatorCredentialManagement.
package struct CredentialManagementParameters: SubcommandParameters {
  /// Of any length, for the authenticator to judge.
  package var relyingPartyIDHash: [UInt8]?
  package var credentialID: CredentialDescriptor?
  package var user: UserEntity?

  package init(
    relyingPartyIDHash: [UInt8]? = nil, credentialID: CredentialDescriptor? = nil, user: UserEntity? = nil
  ) {
    self.relyingPartyIDHash = relyingPartyIDHash
    self.credentialID = credentialID
    self.user = user
  }
}

extension CredentialManagementParameters {
  private enum Key {
    static let relyingPartyIDHash: CBORValue = 0x01
    static let credentialID: CBORValue = 0x02
    static let user: CBORValue = 0x03
  }

  package static func belong(to subCommand: UInt64) -> Bool { true }

  package init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    relyingPartyIDHash = try members.optional(Key.relyingPartyIDHash, Read.bytes)
    credentialID = try members.optional(Key.credentialID, CredentialDescriptor.init)
    user = try members.optional(Key.user, UserEntity.init)
  }

  package var value: CBORMap {
    var map = CBORMap()
    map[Key.relyingPartyIDHash] = relyingPartyIDHash.map(CBORValue.bytes)
    map[Key.credentialID] = credentialID?.value
    map[Key.user] = user?.value
    return map
  }
}

/// The parameters of authenticatorCredentialManagement (CTAP 2.1 section 6.8).
package typealias CredentialManagementRequest = SubcommandRequest<CredentialManagementParameters>

extension SubcommandRequest<CredentialManagementParameters> {
  /// What pinUvAuthParam is computed over (section 6.8.2 and what follows).
  package var authenticatedMessage: [UInt8] {
    [UInt8(truncatingIfNeeded: subCommand)] + signedParameters
  }
}

/// What authenticatorCredentialManagement returns: nothing at all where a credential was deleted or updated.
package struct CredentialManagementResponse: Equatable, Sendable {
  package var existingResidentCredentialsCount: Int?
  package var maxPossibleRemainingResidentCredentialsCount: Int?
  package var relyingParty: RelyingPartyEntity?
  package var relyingPartyIDHash: [UInt8]?
  /// Only in the first of several.
  package var totalRPs: Int?
  package var user: UserEntity?
  package var credentialID: CredentialDescriptor?
  package var publicKey: CredentialPublicKey?
  /// Only in the first of several.
  package var totalCredentials: Int?
  package var credProtect: UInt64?
  package var largeBlobKey: [UInt8]?

  /// Empty.
  package init() {}
}

extension CredentialManagementResponse {
  private enum Key {
    static let existingResidentCredentialsCount: CBORValue = 0x01
    static let maxPossibleRemainingResidentCredentialsCount: CBORValue = 0x02
    static let relyingParty: CBORValue = 0x03
    static let relyingPartyIDHash: CBORValue = 0x04
    static let totalRPs: CBORValue = 0x05
    static let user: CBORValue = 0x06
    static let credentialID: CBORValue = 0x07
    static let publicKey: CBORValue = 0x08
    static let totalCredentials: CBORValue = 0x09
    static let credProtect: CBORValue = 0x0a
    static let largeBlobKey: CBORValue = 0x0b
  }

  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    existingResidentCredentialsCount = try members.optional(Key.existingResidentCredentialsCount, Read.count)
    maxPossibleRemainingResidentCredentialsCount = try members.optional(
      Key.maxPossibleRemainingResidentCredentialsCount, Read.count)
    relyingParty = try members.optional(Key.relyingParty, RelyingPartyEntity.init)
    relyingPartyIDHash = try members.optional(Key.relyingPartyIDHash, Read.bytes)
    totalRPs = try members.optional(Key.totalRPs, Read.count)
    user = try members.optional(Key.user, UserEntity.init)
    credentialID = try members.optional(Key.credentialID, CredentialDescriptor.init)
    publicKey = try members.optional(Key.publicKey, Self.readPublicKey)
    totalCredentials = try members.optional(Key.totalCredentials, Read.count)
    credProtect = try members.optional(Key.credProtect, Read.unsigned)
    largeBlobKey = try members.optional(Key.largeBlobKey, Read.bytes)
  }

  var value: CBORMap {
    var map = CBORMap()
    map[Key.existingResidentCredentialsCount] = existingResidentCredentialsCount.map(CBORValue.count)
    map[Key.maxPossibleRemainingResidentCredentialsCount] = maxPossibleRemainingResidentCredentialsCount.map(
      CBORValue.count)
    map[Key.relyingParty] = relyingParty?.value
    map[Key.relyingPartyIDHash] = relyingPartyIDHash.map(CBORValue.bytes)
    map[Key.totalRPs] = totalRPs.map(CBORValue.count)
    map[Key.user] = user?.value
    map[Key.credentialID] = credentialID?.value
    map[Key.publicKey] = publicKey?.coseKey
    map[Key.totalCredentials] = totalCredentials.map(CBORValue.count)
    map[Key.credProtect] = credProtect.map(CBORValue.unsigned)
    map[Key.largeBlobKey] = largeBlobKey.map(CBORValue.bytes)
    return map
  }

  private static func readPublicKey(_ value: CBORValue) throws(CTAPStatus) -> CredentialPublicKey {
    let map = try Read.map(value)
    do throws(AuthenticatorDataError) {
      return try CredentialPublicKey(coseKey: .map(map))
    } catch {
      if case .missing = error { throw .missingParameter }
      throw .invalidParameter
    }
  }
}
