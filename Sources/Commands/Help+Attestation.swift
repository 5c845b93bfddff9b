/// The texts of enrolment: the runner's side and the authority's.
extension Help {
  static let runnerOptions = """
      --admin-socket PATH  management socket of the daemon; default:
                           /run/countersign/admin.sock
      --timeout SECONDS    give up after 1 to 3600 s; default: 60
      --help               show this text
    """

  private static let authorityOptions = """
      --ca DIR             folder of the authority
      --passphrase-file FILE
                           read the passphrase of its key from FILE, not from the
                           terminal
      --help               show this text
    """

  static let attestation = """
    Usage: countersign attestation request [OPTION]...
           countersign attestation respond [OPTION]...
           countersign attestation install [OPTION]...
           countersign attestation enroll --ca DIR [OPTION]...
           countersign attestation metadata --root FILE [OPTION]...

    Enrols this runner with an attestation authority, so that relying parties that
    trust the authority can check that credential keys are in this TPM. For root, the
    daemon's own user and the group of adminGroup. Files go to and fro by hand: see
    countersign attestation request --help and so on, and countersign ca --help for the
    other side.

    Example:
      sudo countersign attestation request --out request.json

    """

  static let attestationRequest = """
    Usage: countersign attestation request [OPTION]...

    Prints what an authority needs to know: the TPM's endorsement key with its maker's
    certificate, the attestation key, which is made the first time, and a quote over
    the PCRs of the boot. Next: countersign ca issue, on the authority's machine.

    Options:
      --out FILE           write to FILE, not to standard output
    \(runnerOptions)

    Example:
      sudo countersign attestation request --out request.json

    """

  static let attestationRespond = """
    Usage: countersign attestation respond [OPTION]...

    Answers the authority's challenge, which only the TPM can open that has both keys
    of the newest request. Next: countersign ca issue with the response.

    Options:
      --in FILE            the challenge; default: standard input
      --out FILE           write to FILE, not to standard output
    \(runnerOptions)

    Example:
      sudo countersign attestation respond --in challenge.json --out response.json

    """

  static let attestationInstall = """
    Usage: countersign attestation install [OPTION]...

    Puts the authority's certificates into service: from now on registrations are
    attested by them. They must be for this runner's attestation key.

    Options:
      --in FILE            the certificates; default: standard input
    \(runnerOptions)

    Example:
      sudo countersign attestation install --in certificates.json

    """

  static let attestationEnroll = """
    Usage: countersign attestation enroll --ca DIR [OPTION]...

    Enrols where the authority's folder is on the runner itself: request, issue,
    respond, issue and install in one. Convenient, and worth less: who owns the runner
    then owns the authority.

    Options:
      --ca DIR             folder of the authority
      --passphrase-file FILE
                           read the passphrase of its key from FILE, not from the
                           terminal
      --days N             how long the certificates hold; default: 365
    \(runnerOptions)

    Example:
      sudo countersign attestation enroll --ca /root/authority

    """

  static let attestationMetadata = """
    Usage: countersign attestation metadata --root FILE [OPTION]...

    Prints a FIDO metadata statement (version 3) of this authenticator, for relying
    parties that take such files. It has what the running daemon says of itself.

    Options:
      --root FILE          certificate of the attestation authority, DIR/ca.pem;
                           repeatable
      --out FILE           write to FILE, not to standard output
      --socket PATH        socket of the daemon; default: $COUNTERSIGN_SOCKET, else
                           /run/countersign/ctap.sock
    \(runnerOptions)

    Example:
      sudo countersign attestation metadata --root ca.pem --out metadata.json

    """

  static let authority = """
    Usage: countersign ca init --ca DIR [OPTION]...
           countersign ca issue --ca DIR [OPTION]...
           countersign ca list --ca DIR [OPTION]...
           countersign ca revoke --ca DIR ID [OPTION]...
           countersign ca crl --ca DIR [OPTION]...

    The operator's attestation authority: a folder on a machine that needs no network,
    no TPM and no daemon. Relying parties are given DIR/ca.pem and DIR/ca.crl. Which
    TPMs it accepts:
      DIR/vendors/           certificates of makers of TPMs, PEM or DER
      DIR/endorsement-keys   SHA-256 of endorsement keys that are known, in
                             hexadecimal, one a line, and behind it the maker of
                             that TPM (IFX, STM, ...), if it is to pass for hardware

    Example:
      countersign ca init --ca authority --organization Example --country DE

    """

  static let authorityInit = """
    Usage: countersign ca init --ca DIR --organization NAME --country CC [OPTION]...

    Makes an authority: a P-256 key, encrypted under a passphrase, a certificate of
    ten years and an empty revocation list. DIR must not hold one already.

    Options:
      --organization NAME  who runs it; stands in every certificate
      --country CC         where, as two capital letters (ISO 3166)
    \(authorityOptions)

    Example:
      countersign ca init --ca authority --organization Example --country DE

    """

  static let authorityIssue = """
    Usage: countersign ca issue --ca DIR [OPTION]...

    Answers what a runner sent. To a request: checks that its TPM is a known one, and
    prints a challenge, good for 7 days. To a response: checks that it is the right
    one, and prints certificates. Each response is good once.

    Options:
      --in FILE            the request or response; default: standard input
      --out FILE           write to FILE, not to standard output
      --days N             how long certificates hold; default: 365
    \(authorityOptions)

    Example:
      countersign ca issue --ca authority --in request.json --out challenge.json

    """

  static let authorityList = """
    Usage: countersign ca list --ca DIR [OPTION]...

    Lists what was issued: serial number, format, end, attestation key, and whether it
    is revoked.

    Options:
      --ca DIR             folder of the authority
      --json               print {"issued": [...]} with all that is known
      --out FILE           write to FILE, not to standard output
      --help               show this text

    Example:
      countersign ca list --ca authority --json | jq -r '.issued[].serialNumber'

    """

  static let authorityRevoke = """
    Usage: countersign ca revoke --ca DIR ID [OPTION]...

    Revokes the certificate with serial number ID, or all of the attestation key ID,
    and writes DIR/ca.crl anew: give it to the relying parties.

    Options:
    \(authorityOptions)

    Example:
      countersign ca revoke --ca authority 5e0c2f6a9b1d4c7f8a3e6d5c4b3a2918

    """

  static let authorityRenew = """
    Usage: countersign ca crl --ca DIR [OPTION]...

    Writes DIR/ca.crl anew, which holds for 30 days. Relying parties refuse every
    certificate once it has expired.

    Options:
    \(authorityOptions)

    Example:
      countersign ca crl --ca authority --passphrase-file passphrase

    """
}
