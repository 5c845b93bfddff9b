/// The texts of what is about the machine's boot.
extension Help {
  private static let keyOptions = """
      --key FILE           the approval key, encrypted
      --passphrase-file FILE
                           read its passphrase from FILE, not from the terminal
    """

  static let boot = """
    Usage: countersign pcr key --key FILE [OPTION]...
           countersign pcr show [OPTION]...
           countersign pcr allow --key FILE [OPTION]...
           countersign pcr install [OPTION]...

    Binds the daemon to the way in which the machine boots. With tpm.approvalKey in
    the configuration the TPM opens the device secret only in boots whose PCRs the
    operator has signed for with the approval key, which stays away from the runner. In
    any other boot the daemon comes up, refuses to sign, and says which PCRs differ,
    until an approval arrives. Files go to and fro by hand:

      countersign pcr key --key approval.key --out approval.pem     the operator, once
      sudo countersign pcr show --json --out state.json             the runner
      countersign pcr allow --key approval.key --in state.json --out approval.json
      sudo countersign pcr install --in approval.json               the runner

    Example:
      sudo countersign pcr show

    """

  static let bootKey = """
    Usage: countersign pcr key --key FILE [OPTION]...

    Makes an approval key, and prints its public half for tpm.approvalKey. For the
    operator's machine, which needs no TPM and no daemon.

    Options:
    \(keyOptions)
      --out FILE           write to FILE, not to standard output
      --help               show this text

    Example:
      countersign pcr key --key approval.key --out approval.pem

    """

  static let bootShow = """
    Usage: countersign pcr show [OPTION]...

    Shows the PCRs of this boot, the policy that they make, and whether the operator has
    approved it. With --json it is the file that countersign pcr allow takes.

    Options:
      --json               print JSON
      --out FILE           write to FILE, not to standard output
    \(runnerOptions)

    Example:
      sudo countersign pcr show --json --out state.json

    """

  static let bootAllow = """
    Usage: countersign pcr allow --key FILE [OPTION]...

    Signs an approval of a boot. With --in it does so offline and prints the approval,
    for countersign pcr install. Without, it asks the daemon of this machine and gives
    it the approval at once: convenient, and worth less, since who owns the runner then
    has seen the approval key. An approval does not expire: it holds until
    tpm.approvalKey or tpm.pcrs are others.

    Options:
    \(keyOptions)
      --in FILE            the state, from countersign pcr show --json; - is standard
                           input
      --pcr N=HEX          PCR N as it will be, e.g. after an update of the kernel;
                           repeatable
      --out FILE           write to FILE, not to standard output
    \(runnerOptions)

    Example:
      countersign pcr allow --key approval.key --in state.json --out approval.json

    """

  static let bootInstall = """
    Usage: countersign pcr install [OPTION]...

    Gives the daemon an approval, and shows the state as it is then. If it is for this
    boot and the daemon has been waiting for it, it begins to sign.

    Options:
      --in FILE            the approval; default: standard input
      --out FILE           write to FILE, not to standard output
    \(runnerOptions)

    Example:
      sudo countersign pcr install --in approval.json

    """
}
