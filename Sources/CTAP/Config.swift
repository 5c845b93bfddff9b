package import CBOR

/// The subcommands of authenticatorConfig (CTAP 2.1 section 6.11).
package enum ConfigSubcommand: UInt64, CaseIterable, Sendable {
  case enableEnterpriseAttestation = 0x01
  case toggleAlwaysUv = 0x02
  case setMinPINLength = 0x03
  case vendorPrototype = 0xff
}

/// The parameters of setMinPINLength, the only subcommand served that has any.
package struct ConfigParameters: SubcommandParameters {
  package var newMinPINLength: UInt64?
  /// minPinLengthRPIDs: who may see the minimum length.
  package var minPINLengthRelyingParties: [String]?
  package var forceChangePIN: Bool?

  package init(
    newMinPINLength: UInt64? = nil, minPINLengthRelyingParties: [String]? = nil, forceChangePIN: Bool? = nil
  ) {
    self.newMinPINLength = newMinPINLength
    self.minPINLengthRelyingParties = minPINLengthRelyingParties
    self.forceChangePIN = forceChangePIN
  }
}

extension ConfigParameters {
  private enum Key {
    static let newMinPINLength: CBORValue = 0x01
    static let minPINLengthRelyingParties: CBORValue = 0x02
    static let forceChangePIN: CBORValue = 0x03
  }

  /// To other subcommands the same members mean something else.
  package static func belong(to subCommand: UInt64) -> Bool {
    subCommand == ConfigSubcommand.setMinPINLength.rawValue
  }

  package init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    newMinPINLength = try members.optional(Key.newMinPINLength, Read.unsigned)
    minPINLengthRelyingParties = try members.optional(
      Key.minPINLengthRelyingParties, Read.array(of: RelyingPartyEntity.readID))
    forceChangePIN = try members.optional(Key.forceChangePIN, Read.boolean)
  }

  package var value: CBORMap {
    var map = CBORMap()
    map[Key.newMinPINLength] = newMinPINLength.map(CBORValue.unsigned)
    map[Key.minPINLengthRelyingParties] = minPINLengthRelyingParties.map(CBORValue.texts)
    map[Key.forceChangePIN] = forceChangePIN.map(CBORValue.boolean)
    return map
  }
}

/// The parameters of authenticatorConfig (CTAP 2.1 section 6.11).
package typealias ConfigRequest = SubcommandRequest<ConfigParameters>

extension SubcommandRequest<ConfigParameters> {
  /// What pinUvAuthParam is computed over (section 6.11, step 4).
  package var authenticatedMessage: [UInt8] {
    PINUVAuthProtocol.messageHead(.config) + [UInt8(truncatingIfNeeded: subCommand)] + signedParameters
  }
}
