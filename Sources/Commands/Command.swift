/// The commands, each with the options that it takes.
enum Command: String, CaseIterable {
  case register
  case authenticate
  case info
  case status
  case doctor
  case metrics
  case rotate
  case credentialList = "credential list"
  case credentialShow = "credential show"
  case credentialDelete = "credential delete"
  case credentialDisable = "credential disable"
  case credentialEnable = "credential enable"
  case credentialRename = "credential rename"
  case pinSet = "pin set"
  case pinChange = "pin change"
  case pinStatus = "pin status"
  case verifyRegistration = "verify registration"
  case verifyAssertion = "verify assertion"

  var options: [Arguments.Option] {
    switch self {
    case .register: [.input, .output, .origin, .pinFile, .pinCredential, .socket, .timeout]
    case .authenticate:
      [.input, .output, .origin, .userHandle, .credential, .pinFile, .pinCredential, .socket, .timeout]
    case .info: [.json, .output, .socket, .timeout]
    case .status: [.json, .output, .adminSocket, .timeout]
    case .doctor: [.configuration, .json, .output, .adminSocket, .socket, .timeout]
    case .rotate:
      [.replaces, .input, .output, .origin, .pinFile, .pinCredential, .adminSocket, .socket, .timeout]
    case .metrics: [.output, .adminSocket, .timeout]
    case .credentialList: [.relyingPartyID, .userName, .json, .output, .adminSocket, .timeout]
    case .credentialShow: [.json, .output, .adminSocket, .timeout]
    case .credentialDelete: [.yes, .json, .output, .adminSocket, .timeout]
    case .credentialDisable, .credentialEnable: [.json, .output, .adminSocket, .timeout]
    case .credentialRename: [.label, .json, .output, .adminSocket, .timeout]
    case .pinSet: [.pinFile, .pinCredential, .adminSocket, .socket, .timeout]
    case .pinChange:
      [.pinFile, .pinCredential, .newPINFile, .newPINCredential, .adminSocket, .socket, .timeout]
    case .pinStatus: [.json, .output, .adminSocket, .socket, .timeout]
    case .verifyRegistration: [.options, .response, .origin, .output]
    case .verifyAssertion: [.options, .response, .credential, .origin, .output]
    }
  }

  /// What it takes besides options.
  var operandName: String? {
    switch self {
    case .credentialShow, .credentialDelete, .credentialDisable, .credentialEnable, .credentialRename:
      "credential ID"
    default: nil
    }
  }

  /// How complaints begin.
  var complaint: String {
    switch self {
    case .register: "cannot register"
    case .authenticate: "cannot authenticate"
    case .info: "cannot get the authenticator's information"
    case .status: "cannot get the daemon's status"
    case .doctor: "this machine is not fit to sign"
    case .rotate: "cannot rotate the credential"
    case .metrics: "cannot get the daemon's metrics"
    case .credentialList: "cannot list credentials"
    case .credentialShow: "cannot show the credential"
    case .credentialDelete: "cannot delete the credential"
    case .credentialDisable: "cannot disable the credential"
    case .credentialEnable: "cannot enable the credential"
    case .credentialRename: "cannot rename the credential"
    case .pinSet: "cannot set the PIN"
    case .pinChange: "cannot change the PIN"
    case .pinStatus: "cannot get the PIN's status"
    case .verifyRegistration: "registration not verified"
    case .verifyAssertion: "assertion not verified"
    }
  }

  func run(_ context: CommandContext) throws(CommandFailure) {
    switch self {
    case .register: try Commands.register(context)
    case .authenticate: try Commands.authenticate(context)
    case .info: try Commands.info(context)
    case .status: try Commands.status(context)
    case .doctor: try Commands.doctor(context)
    case .rotate: try Commands.rotate(context)
    case .metrics: try Commands.metrics(context)
    case .credentialList: try Commands.listCredentials(context)
    case .credentialShow: try Commands.showCredential(context)
    case .credentialDelete: try Commands.deleteCredential(context)
    case .credentialDisable: try Commands.disableCredential(context)
    case .credentialEnable: try Commands.enableCredential(context)
    case .credentialRename: try Commands.renameCredential(context)
    case .pinSet: try Commands.setPIN(context)
    case .pinChange: try Commands.changePIN(context)
    case .pinStatus: try Commands.pinStatus(context)
    case .verifyRegistration: try Commands.verifyRegistration(context)
    case .verifyAssertion: try Commands.verifyAssertion(context)
    }
  }
}

/// Commands of two words, by their first.
enum CommandGroup: String {
  case credential
  case pin
  case verify

  /// The second words.
  var kinds: [String] {
    switch self {
    case .credential: ["list", "show", "delete", "disable", "enable", "rename"]
    case .pin: ["set", "change", "status"]
    case .verify: ["registration", "assertion"]
    }
  }

  /// e.g. `list, show or delete`
  var choice: String { kinds.dropLast().joined(separator: ", ") + " or " + kinds[kinds.count - 1] }

  var help: String {
    switch self {
    case .credential: Help.credential
    case .pin: Help.pin
    case .verify: Help.verify
    }
  }
}
