internal import AuditLog

/// The texts of the commands for the audit log.
extension Help {
  static let audit = """
    Usage: countersign audit show [FILE]... [OPTION]...
           countersign audit verify [FILE]... [OPTION]...
           countersign audit key [OPTION]...

    Shows the audit log and finds out whether somebody has changed it. See countersign
    audit show --help and so on.

    Example:
      sudo countersign audit verify

    """

  private static let files = """
    FILE is - for standard input. Without one, /var/log/countersign/audit.jsonl and the
    files that it was before are read. Files are read in the order of their records,
    not of their names. Compressed files must be given through a pipe.
    """

  static let auditShow = """
    Usage: countersign audit show [FILE]... [OPTION]...

    Shows records of the audit log, one a line, oldest first.

    Options:
      --rp ID              only those of this RP ID
      --job NAME           only those of this grant, systemd unit or connection
      --user USER          only those of this user, by name or number
      --unit UNIT          only those of this systemd unit
      --rule NAME          only those that this rule decided
      --outcome WORD       \(wrapped("only those: \(choice(AuditRecord.Outcome.allCases.map(\.rawValue)))"))
      --operation WORD     \(wrapped("only those: \(choice(AuditRecord.Operation.allCases.map(\.rawValue)))"))
      --credential ID      only those of this credential, in base64url or hexadecimal
      --since TIME         only those from then on: 30m, 2h, 7d, or the beginning of a
                           time in UTC such as 2026-11-28 or 2026-11-28T08:30:00Z
      --until TIME         only those up to then
      --json               print the lines as they stand in the file
      --help               show this text

    \(files)
    What is shown is not verified: see countersign audit verify.

    Example:
      sudo countersign audit show --rp deploy.example.com --since 24h

    """

  static let auditVerify = """
    Usage: countersign audit verify [FILE]... [OPTION]...

    Checks that each line carries the hash of the one before it and that the signatures
    of the TPM fit, and says where and what does not: altered, cut out, reordered,
    repeated, inserted, truncated, rolled back, bad signature, foreign key. Asks the
    daemon for the key, the last record and the anchor, so that a missing end is found;
    then the files must be the whole log up to now.

    Options:
      --key FILE           do not ask the daemon: check with the key in FILE (see
                           countersign audit key). Whether the end is missing cannot be
                           known then
      --json               print a JSON object
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up on the daemon after 1 to 3600 s; default: 60
      --help               show this text

    \(files)
    Also said, but no failure: lines that a crash has left unfinished, records at the
    end that are not signed yet, and what was not given.
    Exit status 7: somebody has changed the log, or, with --key, no signature of the key
    stands in what was given: anybody can write such a log.

    Example:
      countersign audit verify --key runner-1.json audit.jsonl.1 audit.jsonl

    """

  static let auditKey = """
    Usage: countersign audit key [OPTION]...

    Prints the public key that signs the audit log, a JSON object on one line: publicKey
    (SubjectPublicKeyInfo, base64url), pem (the same for openssl), key (its SHA-256,
    which signed lines name) and firstAnchor. Keep it away from the runner.

    Options:
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    Example:
      sudo countersign audit key --out runner-1.json

    """
}
