package import CBOR

/// subCommandParams of a command whose subcommands share one message.
package protocol SubcommandParameters: Equatable, Sendable {
  /// Whether these are the parameters of a subcommand.
  static func belong(to subCommand: UInt64) -> Bool
  init(_ value: CBORValue) throws(CTAPStatus)
  var value: CBORMap { get }
}

/// The message of authenticatorCredentialManagement and authenticatorConfig (CTAP 2.1 sections 6.8 and 6.11).
package struct SubcommandRequest<Parameters: SubcommandParameters>: Equatable, Sendable {
  /// Known or not.
  package let subCommand: UInt64
  /// nil where there are none, or the subcommand has none that are known.
  package let parameters: Parameters?
  /// As the platform sent them: they are authenticated as bytes, so what is unknown here is kept.
  private let sentParameters: CBORMap?
  package var pinUvAuthProtocol: UInt64?
  package var pinUvAuthParam: [UInt8]?

  /// - Parameters:
  ///   - subCommand: any number
  ///   - parameters: of a subcommand that has some
  ///   - pinUvAuthProtocol: with pinUvAuthParam
  ///   - pinUvAuthParam: nil where nothing protects the authenticator
  package init(
    subCommand: UInt64, parameters: Parameters? = nil, pinUvAuthProtocol: UInt64? = nil,
    pinUvAuthParam: [UInt8]? = nil
  ) {
    precondition(parameters == nil || Parameters.belong(to: subCommand), "this subcommand has no parameters")
    self.subCommand = subCommand
    self.parameters = parameters
    sentParameters = parameters?.value
    self.pinUvAuthProtocol = pinUvAuthProtocol
    self.pinUvAuthParam = pinUvAuthParam
  }

  /// What ``authenticatedMessage`` has of the parameters: their bytes as sent, since there is only one encoding, with
  /// members that are unknown here. Empty where there are none.
  package var signedParameters: [UInt8] {
    sentParameters.map { CanonicalCBOR.encode(.map($0)) } ?? []
  }
}

private enum Key {
  static let subCommand: CBORValue = 0x01
  static let parameters: CBORValue = 0x02
  static let pinUvAuthProtocol: CBORValue = 0x03
  static let pinUvAuthParam: CBORValue = 0x04
}

extension SubcommandRequest {
  init(_ value: CBORValue) throws(CTAPStatus) {
    let members = try Members(value)
    subCommand = try members.required(Key.subCommand, Read.unsigned)
    // An empty map is kept apart from none.
    sentParameters = try members.optional(Key.parameters, Read.map)
    parameters =
      Parameters.belong(to: subCommand) ? try members.optional(Key.parameters, Parameters.init) : nil
    pinUvAuthProtocol = try members.optional(Key.pinUvAuthProtocol, Read.unsigned)
    pinUvAuthParam = try members.optional(Key.pinUvAuthParam, Read.bytes)
  }

  var value: CBORValue {
    var map = CBORMap()
    map[Key.subCommand] = .unsigned(subCommand)
    map[Key.parameters] = sentParameters.map(CBORValue.map)
    map[Key.pinUvAuthProtocol] = pinUvAuthProtocol.map(CBORValue.unsigned)
    map[Key.pinUvAuthParam] = pinUvAuthParam.map(CBORValue.bytes)
    return .map(map)
  }
}
