/// The texts of the operator's commands.
extension Help {
  private static let operatorOptions = """
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text
    """

  static let rotate = """
    Usage: countersign rotate --replaces ID [OPTION]...

    Makes a new credential beside the one with this ID, has it sign once, prints its
    RegistrationResponseJSON for the relying party, and then disables the old one. Reads
    PublicKeyCredentialCreationOptionsJSON as countersign register does; an exclude
    list may name the old one. If anything fails, the old one stays enabled, and the
    new one is removed.

    For root, the daemon's own user and the group of adminGroup, who need the management
    socket, and beside it a rule that allows them register and authenticate for the RP
    ID on the jobs' socket.

    Should the relying party not take the response: countersign credential delete the
    new one, and enable the old one. Once it has, remove the old one there, and delete
    it here.

    Options:
      --replaces ID        the old credential, as for countersign credential show
    \(commonCeremonyOptions)
      --pin-file FILE      read the authenticator's PIN from FILE, - for standard input
      --pin-credential NAME
                           read it from $CREDENTIALS_DIRECTORY/NAME
      --socket PATH        the jobs' socket; default: $COUNTERSIGN_SOCKET, else
                           /run/countersign/ctap.sock
    \(operatorOptions)

    Example:
      sudo countersign rotate --replaces 5Hs0rCmLRXqoR1S0dGX4Pw --in options.json \\
        --out response.json

    """

  static let metrics = """
    Usage: countersign metrics [OPTION]...

    Prints the daemon's metrics in OpenMetrics text: requests by command, rule and
    result, their times, the TPM's queue and how long one waits in it, errors and
    loaded keys, connections, grants, credentials, how far the audit log is behind.
    No label names an RP ID or a user.
    With --out the file appears whole, as a textfile collector wants it.

    Options:
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign metrics --out /var/lib/node-exporter/countersign.prom

    """

  static let decommission = """
    Usage: countersign decommission [OPTION]...

    Takes this runner out of service for good: nobody signs with it any more, every
    credential is disabled, the audit log gets its last, signed record, and every key
    is removed from the state folder and from the TPM. Prints what is to be removed at
    which relying party; the daemon keeps that list, and the key that verifies the
    audit log, in its state folder. Nothing of it can be undone, so it asks first;
    where standard input is no terminal, --yes must be given.

    For root and the daemon's own user; the group of adminGroup may not. Interrupted at
    any point, by a loss of power or of the TPM, it goes on when countersignd starts,
    and it can be run again. Afterwards countersignd refuses everybody and says why. To
    begin anew, stop it and its socket, move the state folder and the audit log away
    (the log is signed by a key that has gone), and start them.

    A copy of the state folder that was made before can be opened in this TPM by who
    is root on this machine. Where such copies exist, clear the TPM (tpm2_clear) or the
    copies as well.

    Options:
      --yes                do not ask
      --dry-run            only print what would be removed
      --json               print a JSON object with all that is known
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign decommission --dry-run

    """

  static let credential = """
    Usage: countersign credential list [OPTION]...
           countersign credential show ID [OPTION]...
           countersign credential delete ID [OPTION]...
           countersign credential disable ID [OPTION]...
           countersign credential enable ID [OPTION]...
           countersign credential rename ID --label TEXT [OPTION]...
           countersign credential pin ID [OPTION]...
           countersign credential unpin ID [OPTION]...

    Shows, changes and removes the credentials that the daemon keeps, discoverable or
    not. For root, the daemon's own user and the group of adminGroup. See countersign
    credential list --help and so on.

    Example:
      sudo countersign credential list --rp-id deploy.example.com

    """

  static let credentialList = """
    Usage: countersign credential list [OPTION]...

    Lists the credentials in the order of their making: ID, state, who has pinned its
    key (operator or use), RP ID, user name, the operator's label, whether
    discoverable, time of creation.

    Options:
      --rp-id ID           only those of this RP ID
      --user-name NAME     only those of this user name
      --json               print {"credentials": [...]} with all that is known
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential list --json |
        jq -r '.credentials[] | select(.discoverable) | .id'

    """

  static let credentialShow = """
    Usage: countersign credential show ID [OPTION]...

    Shows what is known of one credential. ID is its credential ID, in base64url as in
    the list or in hexadecimal as in the audit log. Exit status 4: there is none.

    Options:
      --json               print a JSON object, not a table
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential show 5Hs0rCmLRXqoR1S0dGX4Pw

    """

  static let credentialDelete = """
    Usage: countersign credential delete ID [OPTION]...

    Removes a credential: nobody can sign with it from then on. Shows it and asks
    first; where standard input is no terminal, --yes must be given. ID is as for
    countersign credential show. Exit status 4: there is none.

    Options:
      --yes                do not ask
      --json               print the removed credential as a JSON object
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential delete --yes 5Hs0rCmLRXqoR1S0dGX4Pw

    """

  static let credentialDisable = """
    Usage: countersign credential disable ID [OPTION]...

    Disables a credential: from then on nobody can sign with it, by CTAP2 or U2F, also
    after a restart, until countersign credential enable. Callers are answered as if it
    were not there; the audit log says "credential disabled" where a request named it.
    The operator still sees it, and registering with an exclude list that names it is
    still refused. ID is as for countersign credential show. Exit status 4: there is
    none.

    Options:
      --json               print the credential as a JSON object
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential disable 5Hs0rCmLRXqoR1S0dGX4Pw

    """

  static let credentialEnable = """
    Usage: countersign credential enable ID [OPTION]...

    Enables a credential again. One that is discoverable cannot be while another
    enabled one has the same RP ID and user: disable that one first. ID is as for
    countersign credential show. Exit status 4: there is none.

    Options:
      --json               print the credential as a JSON object
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential enable 5Hs0rCmLRXqoR1S0dGX4Pw

    """

  static let credentialRename = """
    Usage: countersign credential rename ID --label TEXT [OPTION]...

    Gives a credential a label of the operator's own, which only the operator sees.
    The user's names stay as the relying party gave them. ID is as for countersign
    credential show. Exit status 4: there is none.

    Options:
      --label TEXT         at most 64 bytes; empty takes the label away
      --json               print the credential as a JSON object
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential rename 5Hs0rCmLRXqoR1S0dGX4Pw --label "old runner"

    """

  static let credentialPin = """
    Usage: countersign credential pin ID [OPTION]...

    Gives the credential's key a persistent handle of the TPM, so that signing with it
    is one TPM command behind the kernel's resource manager too. It stays until
    countersign credential unpin, or until the credential is disabled or removed; no
    busier key takes its place. Costs two of the writes in tpm.pins.burst. ID is as for
    countersign credential show. Exit status 4: there is none.

    Options:
      --json               print the credential as a JSON object
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential pin 5Hs0rCmLRXqoR1S0dGX4Pw

    """

  static let credentialUnpin = """
    Usage: countersign credential unpin ID [OPTION]...

    Takes the credential's key out of its persistent handle. It signs all the same, and
    may be pinned again by use. ID is as for countersign credential show. Exit
    status 4: there is none.

    Options:
      --json               print the credential as a JSON object
      --out FILE           write to FILE, not to standard output
    \(operatorOptions)

    Example:
      sudo countersign credential unpin 5Hs0rCmLRXqoR1S0dGX4Pw

    """

  static let pin = """
    Usage: countersign pin set [OPTION]...
           countersign pin change [OPTION]...
           countersign pin status [OPTION]...

    Sets, changes and shows the state of the authenticator's PIN: one PIN for all
    callers, which verifies the user where no rule of the operator's does. See
    countersign pin set --help and so on.

    Example:
      sudo countersign pin set

    """

  private static let pinRule = """
    A PIN has 4 to 63 code points (see countersign pin status) and at most 63 bytes of
    UTF-8. It is put into Unicode normalization form C, so that it is the same on
    every keyboard. It never comes from the command line or the environment: it is
    typed unseen at the terminal, or read from a file, which only its owner should be
    able to read, or from a credential of systemd.
    """

  private static let pinOptions = """
      --admin-socket PATH        management socket of the daemon; default:
                                 /run/countersign/admin.sock
      --socket PATH              the jobs' socket instead; there a rule must allow
                                 manage on "*"
      --timeout SECONDS          give up after 1 to 3600 s; default: 60
      --help                     show this text
    """

  static let pinSet = """
    Usage: countersign pin set [OPTION]...

    Sets a PIN where there is none or, on the management socket, where the one that is
    set is blocked: it was wrong too often, or an old backup is in use. No credential
    is lost by that.

    Options:
      --pin-file FILE            read the PIN from FILE, - for standard input; line
                                 ends at its end are left out
      --pin-credential NAME      read it from $CREDENTIALS_DIRECTORY/NAME (systemd's
                                 LoadCredential=)
    \(pinOptions)

    \(pinRule)

    Example:
      sudo countersign pin set --pin-file /root/countersign.pin

    """

  static let pinChange = """
    Usage: countersign pin change [OPTION]...

    Changes the PIN. A wrong PIN gives exit status 3 and takes one of 8 attempts, all
    of which are back after a right one; 3 wrong ones in a row must be followed by a
    restart of the daemon. Without attempts the PIN is blocked until the operator sets
    a new one with countersign pin set.

    Options:
      --pin-file FILE            read the current PIN from FILE, - for standard input
      --pin-credential NAME      read it from $CREDENTIALS_DIRECTORY/NAME
      --new-pin-file FILE        read the new PIN from FILE, - for standard input
      --new-pin-credential NAME  read it from $CREDENTIALS_DIRECTORY/NAME
    \(pinOptions)

    \(pinRule)

    Example:
      sudo countersign pin change --pin-file old.pin --new-pin-file new.pin

    """

  static let pinStatus = """
    Usage: countersign pin status [OPTION]...

    Shows whether a PIN is set, how many attempts are left, whether a restart of the
    daemon is needed before the next one, whether it must be changed, how long it must
    be, and whether verification is always asked for.

    Options:
      --json               print a JSON object, not a table
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --socket PATH        the jobs' socket instead; there some rule must name you
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    Example:
      sudo countersign pin status --json | jq .attemptsLeft

    """
}
