"""A thousand operations of the release daemon under valgrind: no definite leak, no error."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from fido2.ctap import CtapError

from harness import authenticate, ctap2, register, status_of

RP = "valgrind.example.com"
OPERATIONS = int(os.environ.get("COUNTERSIGN_OPERATIONS", 1000))


@pytest.mark.valgrind
def test_no_definite_leak(make_daemon, software_tpm, programs, folder):
    if not shutil.which("valgrind"):
        pytest.skip("valgrind is not installed")
    # valgrind 3.19 has no pidfd_open(2), without which the daemon supervises no swtpm of its own.
    daemon = make_daemon(tcti=software_tpm.tcti, patience=240)
    # valgrind 3.19 gives up on Swift's debug information; the symbols stay.
    for name in ("countersign", "countersignd"):
        subprocess.run(["strip", "--strip-debug", "-o", folder / name, programs / name], check=True)
    daemon.programs = folder
    log = daemon.folder / "valgrind.txt"
    # Optimised Swift tests tags of enumerations together with bits that no case has set, so undefined values are not
    # asked for; reads and writes out of place are.
    daemon.wrapper = [
        *("valgrind", "--quiet", "--leak-check=full", "--undef-value-errors=no"),
        "--show-leak-kinds=definite",
        *("--errors-for-leak-kinds=definite", "--error-exitcode=99", f"--log-file={log}"),
        f"--suppressions={Path(__file__).with_name('valgrind.supp')}",
    ]
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        accounts = [register(ctap, RP, discoverable=number % 2 == 0) for number in range(20)]
        done = len(accounts)
        while done < OPERATIONS:
            account = accounts[done % len(accounts)]
            match done % 10:
                case 0:
                    ctap.get_info()
                case 1:
                    assert status_of(lambda: register(ctap, RP, exclude_list=[account.descriptor])) == (
                        CtapError.ERR.CREDENTIAL_EXCLUDED
                    )
                case 2:
                    assert status_of(lambda: ctap.get_assertion("other." + RP, os.urandom(32))) == (
                        CtapError.ERR.NO_CREDENTIALS
                    )
                case 3:
                    ctap.get_assertion(RP, os.urandom(32))
                    ctap.get_next_assertion()
                    done += 1
                case 4:
                    other = ctap2(daemon.socket)
                    other.device.close()
                    done += 1
                case _:
                    authenticate(ctap, account)
            done += 1
    process = daemon.process
    try:
        daemon.stop()
    finally:
        report = log.read_text() if log.exists() else "valgrind left no report"
        print(report)
    assert process.returncode == 0
    assert "definitely lost" not in report
