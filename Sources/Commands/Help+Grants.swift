/// The texts of what is about grants.
extension Help {
  static let grant = """
    Usage: countersign grant create --rule NAME [OPTION]...
           countersign grant list [OPTION]...
           countersign grant revoke ID [OPTION]...

    Lets one job sign for a time: makes a socket of its own for it, which ends with the
    job. For root, the daemon's own user and the group of adminGroup, such as a runner's
    hook.

    Example:
      sudo countersign grant create --rule deploy --uid gitlab-runner --ttl 30m

    """

  static let grantCreate = """
    Usage: countersign grant create --rule NAME [OPTION]...

    Makes a grant and prints the path of its socket, which only the job's user can open.
    Whoever comes in there is judged by that rule and no other; the grant narrows it and
    never widens it.

    Options:
      --rule NAME          the rule, which must be in force
      --uid USER           who may use it: a name or a number, as the host knows it;
                           default: the calling user, behind sudo the one who called
      --ttl TIME           how long it lives: 90s, 15m, 1h, 1d; default: 1h, at most 7d
      --signatures N       how many registrations and assertions it allows
      --rp-id PATTERN      only for these RP IDs of the rule's; may be given several
                           times
      --claim NAME=VALUE   what is said of the job; may be given several times
      --oidc-token-file FILE
                           take the claims from the job's OIDC token, - for standard
                           input, which the daemon verifies by the issuers of its
                           configuration; not together with --claim
      --pid N              end the grant when this process ends
      --cgroup PATH        end the grant when nothing is left in this control group,
                           written as in /proc/PID/cgroup
      --format WORD        path, env (COUNTERSIGN_SOCKET=... and COUNTERSIGN_GRANT=...)
                           or json; default: path
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    The grant ends by its time, its count, its process or control group, by grant
    revoke, and with the daemon. Open connections end with it, and a signature that is
    in progress does not leave, unless the daemon stops in order. Where it is plain that
    nothing will be signed by it, or not all that it names, standard error says so.

    Example:
      sudo countersign grant create --rule deploy --ttl 30m --signatures 5 \\
        --claim repository=org/app --claim ref=refs/heads/main --format env

    """

  static let grantList = """
    Usage: countersign grant list [OPTION]...

    Lists the grants that are alive: ID, rule, user, end, signatures left, claims.

    Options:
      --json               print {"grants": [...]} with all that is known
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    Example:
      sudo countersign grant list --json | jq -r '.grants[].id'

    """

  static let grantRevoke = """
    Usage: countersign grant revoke ID [OPTION]...

    Ends a grant at once. Exit status 1: there is none with this ID, or it has ended.

    Options:
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    Example:
      sudo countersign grant revoke "$COUNTERSIGN_GRANT"

    """
}
