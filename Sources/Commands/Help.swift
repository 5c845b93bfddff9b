/// The texts of `--help`. The manual pages are written from them.
enum Help {
  static func of(_ command: Command) -> String {
    switch command {
    case .register: register
    case .authenticate: authenticate
    case .info: info
    case .status: status
    case .doctor: doctor
    case .completion: completion
    case .metrics: metrics
    case .bench: bench
    case .rotate: rotate
    case .decommission: decommission
    case .credentialList: credentialList
    case .credentialShow: credentialShow
    case .credentialDelete: credentialDelete
    case .credentialDisable: credentialDisable
    case .credentialEnable: credentialEnable
    case .credentialRename: credentialRename
    case .credentialPin: credentialPin
    case .credentialUnpin: credentialUnpin
    case .pinSet: pinSet
    case .pinChange: pinChange
    case .pinStatus: pinStatus
    case .auditShow: auditShow
    case .auditVerify: auditVerify
    case .auditKey: auditKey
    case .attestationRequest: attestationRequest
    case .attestationRespond: attestationRespond
    case .attestationInstall: attestationInstall
    case .attestationEnroll: attestationEnroll
    case .bootKey: bootKey
    case .bootShow: bootShow
    case .bootAllow: bootAllow
    case .bootInstall: bootInstall
    case .attestationMetadata: attestationMetadata
    case .authorityInit: authorityInit
    case .authorityIssue: authorityIssue
    case .authorityList: authorityList
    case .authorityRevoke: authorityRevoke
    case .authorityRenew: authorityRenew
    case .verifyRegistration: verifyRegistration
    case .verifyAssertion: verifyAssertion
    case .policyCheck: policyCheck
    case .policyExplain: policyExplain
    case .grantCreate: grantCreate
    case .grantList: grantList
    case .grantRevoke: grantRevoke
    }
  }

  /// `a, b or c`
  static func choice(_ words: [String]) -> String {
    words.count < 2 ? words.joined() : words.dropLast().joined(separator: ", ") + " or " + words[words.count - 1]
  }

  /// An option's description that is put together, in lines of up to 86 columns that begin at this one.
  static func wrapped(_ text: String, at column: Int = 23) -> String {
    var lines: [String] = [""]
    for word in text.split(separator: " ") {
      if column + lines[lines.count - 1].utf8.count + word.utf8.count > 86 { lines.append("") }
      lines[lines.count - 1] += word + " "
    }
    return lines.map { String($0.dropLast()) }.joined(separator: "\n" + String(repeating: " ", count: column))
  }

  static let overview = """
    Usage: countersign COMMAND [OPTION]...

    WebAuthn for machines: keys in this machine's TPM, used through countersignd.

    Commands:
      register              make a credential for a relying party's creation options
      authenticate          answer a relying party's challenge
      info                  show what the authenticator can do
      status                show how the daemon is (for the operator)
      doctor                find what keeps this machine from signing, and how to mend
                            it (for the operator)
      completion            print a script that completes command lines in a shell
      rotate                make a credential that takes another one's place (for the
                            operator)
      metrics               print the daemon's metrics (for the operator)
      decommission          end this runner's service for good: remove every key (for
                            the operator)
      bench                 measure what an assertion costs on this machine
      credential list       list the credentials (for the operator)
      credential show       show one of them
      credential delete     remove one of them
      credential disable    have one of them sign nothing, until it is enabled
      credential enable     have it sign again
      credential rename     give one of them a label of the operator's own
      credential pin        give its key a place of its own in the TPM
      credential unpin      take that away
      pin set               set the authenticator's PIN (for the operator)
      pin change            change it
      pin status            show how many attempts are left, and more
      audit show            show the audit log (for the operator)
      audit verify          find out whether somebody has changed it
      audit key             show the key that signs it
      attestation request   ask an attestation authority for certificates (operator)
      attestation respond   answer its challenge
      attestation install   put its certificates into service
      attestation enroll    all three, where authority and runner are one machine
      attestation metadata  print a FIDO metadata statement for relying parties
      pcr key               make a key that approves boots (offline, without a TPM)
      pcr show              show how the machine has booted (for the operator)
      pcr allow             approve a boot, on the operator's machine or here
      pcr install           give the daemon an approval
      ca init               make an attestation authority (offline, without a TPM)
      ca issue              answer a runner's request or response
      ca list               list what was issued
      ca revoke             revoke certificates
      ca crl                renew the revocation list
      verify registration   check a registration as a relying party does
      verify assertion      check an assertion as a relying party does
      grant create          let one job sign, for a time (for the operator)
      grant list            list the grants that are alive
      grant revoke          end one of them
      policy check          check a configuration, on any machine
      policy explain        say which rule decides, and why

    Options:
      --help     show this text; after a command, the command's own
      --version  show the version

    Commands read and write the JSON of WebAuthn Level 3, from standard input to
    standard output unless told otherwise. Errors are one line on standard error:
    countersign: what failed: why: what to do

    Exit status:
      0  done
      1  other failure
      2  wrong usage or malformed input, also where only the daemon can tell
      3  refused by policy, or for want of user verification or of the right PIN or
         passphrase
      4  no such credential
      5  daemon not reachable
      6  TPM failure
      7  verification failed

    Example:
      curl -s https://login.example.com/webauthn/options |
        countersign authenticate |
        curl -s --json @- https://login.example.com/webauthn/verify

    """

  static let commonCeremonyOptions = """
      --in FILE          read the options from FILE, not from standard input
      --out FILE         write the response to FILE, not to standard output; FILE
                         appears whole, and only if the command succeeds
      --origin ORIGIN    origin of the page, https://HOST[:PORT] or
                         http://localhost[:PORT]; default: https:// and the RP ID
    """

  private static let pinOptions = """
      --pin-file FILE    read the authenticator's PIN from FILE, - for standard
                         input, to verify the user where no rule does
      --pin-credential NAME
                         read it from $CREDENTIALS_DIRECTORY/NAME (systemd's
                         LoadCredential=)
    """

  private static let daemonOptions = """
      --socket PATH      socket of the daemon; default: $COUNTERSIGN_SOCKET, else
                         /run/countersign/ctap.sock
      --timeout SECONDS  give up after 1 to 3600 s; default: the options' timeout,
                         kept between 1 s and 10 min, else 60 s
    """

  private static let relyingPartyIDRule = """
    The RP ID must be the origin's host or a domain above it that is no public
    suffix, as in a browser: from https://foo.com "com" is refused. IP addresses
    always are. Without an RP ID in the options, --origin must be given and its host
    is the RP ID.
    """

  private static let verificationRule = """
    A user counts as verified if the operator's rule says so, or by the PIN that
    --pin-file or --pin-credential names. Where verification is required and neither
    is there, be it that no PIN is set or that none is given, the exit status is 3.
    """

  private static let register = """
    Usage: countersign register [OPTION]...

    Makes a credential in the TPM. Reads PublicKeyCredentialCreationOptionsJSON, bare
    or as {"publicKey": {...}}, and prints RegistrationResponseJSON on one line, byte
    for byte what a browser's toJSON() gives.

    Options:
    \(commonCeremonyOptions)
    \(pinOptions)
    \(daemonOptions)
      --help             show this text

    \(relyingPartyIDRule)

    With attestation "none" or absent the attestation statement and the AAGUID are
    taken away, as a browser does; "direct", "indirect" and "enterprise" keep the
    daemon's own. authenticatorAttachment "cross-platform" is refused: the key belongs
    to this machine, which makes it a platform authenticator.

    \(verificationRule)
    Where a PIN is set, discoverable credentials are made for verified users only.

    Of the extensions these are answered: credProps, prf, largeBlob, credBlob,
    credentialProtectionPolicy, minPinLength. Others are ignored. prf is evaluated
    for verified users only.

    Example:
      countersign register --in options.json --out response.json

    There options.json is what the server sent, such as:
      {"challenge": "kE6_Fm2Q4vl0nV0o1RPvcA",
       "rp": {"id": "deploy.example.com", "name": "Deploy"},
       "user": {"id": "cnVubmVyLTE", "name": "runner-1", "displayName": "Runner 1"},
       "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
       "authenticatorSelection": {"residentKey": "required"}}

    """

  private static let authenticate = """
    Usage: countersign authenticate [OPTION]...

    Signs a relying party's challenge. Reads PublicKeyCredentialRequestOptionsJSON,
    bare or as {"publicKey": {...}}, and prints AuthenticationResponseJSON on one line,
    byte for byte what a browser's toJSON() gives.

    Options:
    \(commonCeremonyOptions)
      --user-handle ID   choose the account with this user handle (base64url)
      --credential ID    choose the credential with this ID (base64url)
    \(pinOptions)
    \(daemonOptions)
      --help             show this text

    \(relyingPartyIDRule)

    If there are several accounts of the RP ID and no allowCredentials in the options,
    the newest is taken unless --user-handle or --credential chooses. The accounts are
    asked newest first, and each that is passed over costs one signature.
    With allowCredentials the relying party has chosen: then --user-handle is refused,
    and --credential must name one of them.

    \(verificationRule)

    Of the extensions these are answered: prf, largeBlob, getCredBlob. prf asks for a
    verified user whatever userVerification says. To write a large blob takes a rule
    that allows manage on "*"; without it the answer says "written": false, and a
    line on standard error why.

    Example:
      countersign authenticate --in options.json --out response.json

    There options.json is what the server sent, such as:
      {"challenge": "kE6_Fm2Q4vl0nV0o1RPvcA", "rpId": "deploy.example.com"}

    Without allowCredentials in the options only credentials count that were
    registered with residentKey "required" or "preferred".

    """

  private static let info = """
    Usage: countersign info [OPTION]...

    Shows what the authenticator says of itself (authenticatorGetInfo).

    Options:
      --json             print a JSON object with the names of CTAP 2.1, not a table
      --out FILE         write to FILE, not to standard output
      --socket PATH      socket of the daemon; default: $COUNTERSIGN_SOCKET, else
                         /run/countersign/ctap.sock
      --timeout SECONDS  give up after 1 to 3600 s; default: 60
      --help             show this text

    Example:
      countersign info --json

    """

  private static let status = """
    Usage: countersign status [OPTION]...

    Shows how the daemon is: version, TPM, credentials, connections, rules, audit log.
    Asks the management socket, which only the operator may open.

    Options:
      --json               print the daemon's JSON object, not a table
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    Example:
      sudo countersign status

    """

  private static let doctor = """
    Usage: countersign doctor [OPTION]...

    Looks at everything that stands between this machine and a signature:
    configuration, daemon, what of the files waits for a reload or a restart, TPM, its
    lockout, credentials, audit log, the jobs' socket, whether the users of the rules
    may open it, PIN. Each that fails is shown with what mends it. Of the audit log it
    compares the end with what the daemon and its TPM say; audit verify reads all of it.
    For root.

    Exit status: 0 nothing failed (there may be warnings), 1 something did.

    Options:
      --config FILE        configuration of the daemon; default:
                           /etc/countersign/countersign.json
      --json               print {"ok": ..., "checks": [...]}, not a table
      --out FILE           write to FILE, not to standard output
      --admin-socket PATH  management socket of the daemon; default: that of the
                           configuration, else /run/countersign/admin.sock
      --socket PATH        the jobs' socket; default: COUNTERSIGN_SOCKET, else the
                           daemon's own
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text

    Example:
      sudo countersign doctor

    """

  private static let completion = """
    Usage: countersign completion bash|zsh|fish [OPTION]...

    Prints a script that completes the command line of countersign in a shell, or that
    of another of our programs. The packages bring them all; this is for other places.

    Options:
      --program NAME     of this program, whose --help is standard input
      --out FILE         write the script to FILE, not to standard output
      --help             show this text

    Example:
      source <(countersign completion bash)
      countersignd --help | countersign completion fish --program countersignd

    """

  static let verify = """
    Usage: countersign verify registration [OPTION]...
           countersign verify assertion [OPTION]...

    Checks what register and authenticate print, as a relying party does. Needs no
    daemon. See countersign verify registration --help and countersign verify
    assertion --help.

    Example:
      countersign verify registration --options options.json --response response.json

    """

  private static let verifyRegistration = """
    Usage: countersign verify registration --options FILE [OPTION]...

    Checks a registration as a relying party does (WebAuthn sections 7.1, 8 and
    13.4): type, challenge, origin, RP ID, flags, algorithm, attestation and whether
    to trust it. Prints the credential record that a relying party keeps, a JSON
    object on one line, and on standard error in words what was proven.

    Options:
      --options FILE     the creation options, as given to register
      --response FILE    the response of register; default: standard input
      --origin ORIGIN    origin of the page; default: https:// and the RP ID
      --top-origin ORIGIN
                         origin of a page that may show it in a frame; repeatable
      --root FILE        certificates that are trusted, PEM or DER; repeatable. With
                         it the attestation must lead to one of them; without it
                         only "none" and "packed-self" are accepted
      --crl FILE         certificate revocation lists, PEM or DER; repeatable. With it
                         every certificate below a trusted one needs one
      --format NAME      accept this attestation only: none, packed-self, packed, tpm,
                         fido-u2f; repeatable
      --aaguid UUID      accept this model of authenticator only; repeatable
      --vendor NAME      with tpm accept TPMs of this maker only, by the TCG's name
                         (IFX) or identifier (id:49465800); repeatable
      --device-bound     refuse keys that can be copied to other devices
      --json             say nothing in words; the record has the same in "proven"
      --out FILE         write the record to FILE, not to standard output; FILE
                         appears whole, and only if the response is verified
      --help             show this text

    One of the files may be - for standard input. A response that is not verified
    gives exit status 7 and the reason.

    Example:
      countersign verify registration --options options.json \\
        --response response.json --root ca.pem --crl ca.crl --format tpm \\
        --out credential.json

    """

  private static let verifyAssertion = """
    Usage: countersign verify assertion --options FILE --credential FILE [OPTION]...

    Checks an assertion as a relying party does (WebAuthn section 7.2): credential,
    user handle, type, challenge, origin, RP ID, flags, signature and counter. Prints
    the updated credential record, a JSON object on one line, and on standard error
    in words what was proven.

    Options:
      --options FILE     the request options, as given to authenticate
      --credential FILE  the credential record, as printed by verify
      --response FILE    the response of authenticate; default: standard input
      --origin ORIGIN    origin of the page; default: https:// and the RP ID
      --top-origin ORIGIN
                         origin of a page that may show it in a frame; repeatable
      --device-bound     refuse keys that can be copied to other devices
      --json             say nothing in words
      --require-claims   fail where the response proves no claims of a job
      --out FILE         write the record to FILE, not to standard output; FILE
                         appears whole, and only if the response is verified
      --help             show this text

    One of the files may be - for standard input. A response that is not verified
    gives exit status 7 and the reason. Claims that the response shows are proved with
    it, stand in the record as "claims", and are said in words too.

    Example:
      countersign verify assertion --options options.json \\
        --credential credential.json --response response.json --out credential.json

    """
}
