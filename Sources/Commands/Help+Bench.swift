/// The text of the command that measures; its options are countersign-bench's.
extension Help {
  static let bench = """
    Usage: countersign bench [OPTION]...

    Measures what an assertion costs, as ratios to a bare TPM2_Sign loop against the
    same TPM in the same run. It starts daemons of its own, with a state folder, an
    audit log, rules and credentials that are made for the run and removed after it:
    the daemon in service, its rules and its audit log are not touched. Prints a
    document in Markdown; what it is doing goes to standard error.

    Options:
      --tpm TCTI       measure this TPM, e.g. device:/dev/tpmrm0; default: a software
                       TPM that is made for the run (needs swtpm)
      --quick          about a minute, too short to quote; else about ten
      --parts LIST     some of load, costs, stores, chips, with commas between them
      --rounds N       rounds of each part (5)
      --stored LIST    sizes of the store (1,1000,100000)
      --json           print the result file instead of the document
      --documents DIR  also write performance.md, performance.svg and
                       performance.json there
      --daemon FILE    the countersignd to measure; default: the installed one
      --folder DIR     where the run's own folder is made (/var/tmp); the audit log is
                       there, so it is this disk that counts
      --clean DIR      remove what a run has left that was killed: its folder, and
                       what it has defined in the TPM
      --version        show the version
      --help           show this text

    With --tpm it defines three NV indices, and removes them in the end; it writes to
    NV as often as a hundred starts of the daemon do. The owner authorization must be
    empty. A storage root key that the TPM lacked stays, as it does after a first
    start. Whoever uses the TPM meanwhile disturbs the figures, and is disturbed.
    Latencies of chips can be imitated with the software TPM only. SIGINT and SIGTERM
    end it in order.

    Example:
      countersign bench --quick

    The TPM of a runner, and what a killed run has left:
      sudo countersign bench --tpm device:/dev/tpmrm0 --parts load,costs
      sudo countersign bench --clean /var/tmp/countersign-bench-3f81a2c4

    """
}
