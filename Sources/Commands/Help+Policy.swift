/// The texts of what is about rules.
extension Help {
  static let policy = """
    Usage: countersign policy check [FILE] [OPTION]...
           countersign policy explain [OPTION]...

    Checks the rules of a configuration, and says which rule decides for a caller, and
    why. See countersign policy check --help and so on.

    Example:
      countersign policy check countersign.json

    """

  static let policyCheck = """
    Usage: countersign policy check [FILE] [OPTION]...

    Reads a configuration as the daemon does, with conf.d/*.json beside it, and says
    what is wrong with it, in one line with file, line and key. For the machine that
    keeps the configuration and needs no daemon: users and groups that this machine
    does not know are told, and are no errors; neither is who may change the files. On
    the runner, countersignd --check-config is stricter. Told too: where grants for a
    rule have no effect, since a more specific rule decides. FILE is
    /etc/countersign/countersign.json where none is given.

    Options:
      --json      print {"files": [...], "rules": [...], "notices": [...]}, or
                  {"error": {...}} for what is wrong
      --out FILE  write to FILE, not to standard output
      --help      show this text

    Example:
      countersign policy check etc/countersign.json

    Exit status 2: something is wrong.

    """

  static let policyExplain = """
    Usage: countersign policy explain [OPTION]...

    Says which rule decides about a caller, and for each other rule the first thing that
    does not match. The rules are those in force in the daemon, or those of --config.

    The caller is a living process, or invented; what is not given is not known, and
    what is not known never matches:
      --pid N              the process N of this machine
      --user NAME          its user, by name or number
      --group NAME         one of its groups; may be given several times
      --unit UNIT          its systemd unit
      --slice SLICE        the unit's slice
      --container ID       the container that it is in
      --executable PATH    what it executes
      --executable-sha256 HEX
                           the digest of that file
      --caller-socket NAME
                           the socket that it comes in by; default: ctap
      --rule NAME          it comes by a grant for this rule
      --claim NAME=VALUE   the grant's claim; may be given several times

    Options:
      --rp-id ID           for this RP ID; only manage and reset do without, for what
                           concerns all of them
      --operation WORD     register, authenticate (where none is given), manage or reset
      --user-handle ID     for the account with this user handle (base64url)
      --user-name NAME     for the account with this name
      --config FILE        the rules of FILE; the daemon is not asked
      --json               print a JSON object, not a table
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    How often was asked before is not looked at: rates are named, not counted. Where the
    answer is no, the closest rule that a grant would open is named, with the command
    that makes the grant. Users and groups that this machine does not know are told.

    Example:
      countersign policy explain --config countersign.json --user gitlab-runner \\
        --rp-id deploy.example.com

    Exit status 0: allowed, 3: refused.

    """
}
