/// The commands, each with the options that it takes.
enum Command: String, CaseIterable {
  case register
  case authenticate
  case info
  case status
  case verifyRegistration = "verify registration"
  case verifyAssertion = "verify assertion"

  var options: [Arguments.Option] {
    switch self {
    case .register: [.input, .output, .origin, .socket, .timeout]
    case .authenticate: [.input, .output, .origin, .userHandle, .credential, .socket, .timeout]
    case .info: [.json, .output, .socket, .timeout]
    case .status: [.json, .output, .adminSocket, .timeout]
    case .verifyRegistration: [.options, .response, .origin, .output]
    case .verifyAssertion: [.options, .response, .credential, .origin, .output]
    }
  }

  /// How complaints begin.
  var complaint: String {
    switch self {
    case .register: "cannot register"
    case .authenticate: "cannot authenticate"
    case .info: "cannot get the authenticator's information"
    case .status: "cannot get the daemon's status"
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
    case .verifyRegistration: try Commands.verifyRegistration(context)
    case .verifyAssertion: try Commands.verifyAssertion(context)
    }
  }
}
