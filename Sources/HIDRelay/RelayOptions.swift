internal import Platform

/// The command line of `countersign-hid`.
struct RelayOptions: Equatable {
  enum Action: Equatable {
    case run
    case help
    case version
  }

  /// Where reports come from.
  enum Source: Equatable {
    /// The kernel's device for devices in user space.
    case uhid(String)
    /// A socket for packets of 64 bytes.
    case reports(String)
  }

  static let defaultDevice = "/dev/uhid"

  var action = Action.run
  /// As the option says.
  var socket: String?
  var source = Source.uhid(defaultDevice)
  var isDebugging = false

  /// - Parameter arguments: without the program's name
  /// - Throws: `UsageError`
  init(_ arguments: [String]) throws(UsageError) {
    var reader = OptionReader(arguments, of: "countersign-hid")
    var isChosen = false
    func choose(_ source: Source) throws(UsageError) -> Source {
      if isChosen { throw UsageError(description: "one of --uhid and --reports, once: leave one out") }
      isChosen = true
      return source
    }
    while let name = reader.next() {
      switch name {
      case "-h", "--help": action = .help
      case "--version": action = .version
      case "--debug": isDebugging = true
      case "--socket": socket = try reader.value()
      case "--uhid": source = try choose(.uhid(try reader.value()))
      case "--reports": source = try choose(.reports(try reader.value()))
      default: throw reader.unknown
      }
      if ["-h", "--help", "--version", "--debug"].contains(name) { try reader.refuseValue() }
      if action != .run { return }
    }
  }

  static let help = """
    Usage: countersign-hid [OPTION]...

    Shows the authenticator of countersignd as a USB security key, to programs that
    know nothing else: a virtual HID device whose messages it relays to the daemon's
    socket. It holds no keys, and may do what the rules allow to its service:
    callers: [{ service: "countersign-hid" }]

      --socket PATH           socket of the daemon; default: $COUNTERSIGN_SOCKET,
                              else /run/countersign/ctap.sock
      --uhid PATH             the kernel's device for virtual HID devices (/dev/uhid)
      --reports PATH          no kernel device: listen on a SOCK_SEQPACKET socket, on
                              which each connection is a USB port of its own and each
                              packet one report of 64 bytes: for tests and emulators
      --debug                 log every step
      --version               print the version, then exit
      -h, --help              print this, then exit

    SIGTERM stops after the request in progress and removes the device.

    Example, beside a daemon for a test, without root:
      countersign-hid --socket /tmp/cs/ctap.sock --reports /tmp/cs/reports.sock

    Exit status: 0 done, 1 failure, 2 usage.
    """
}
