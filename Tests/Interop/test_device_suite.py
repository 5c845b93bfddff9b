"""python-fido2's own device tests, every module of them, each in a process of its own against a new device.

Nothing of the suite is left out silently: what it skips is listed here, each with the reason why that is right. A skip
that is not listed fails, and so does one that is listed and does not happen.
"""

import fnmatch
import os
import subprocess
import sys
import urllib.request
import xml.etree.ElementTree as ElementTree

import pytest

from device_suite import HERE, Bench, source
from harness import ME, Closed, Command, FrameConnection, ctap2, register, status_of

# Module: pattern of tests: what the suite says when it skips, and why that is no loss.
NO_ALGORITHM = {
    "*-EdDSA?": ("Algorithm EdDSA not supported", "no TPM has Edwards curves"),
    "*-ES512?": ("Algorithm ES512 not supported", "ES256, ES384 and RS256 are what is served"),
    "*-PS256?": ("Algorithm PS256 not supported", "ES256, ES384 and RS256 are what is served"),
    "*-ES256K?": ("Algorithm ES256K not supported", "no TPM has this curve"),
    "*-MLDSA44?": ("Algorithm MLDSA44 not supported", "a draft, and no TPM has it"),
    "*-MLDSA65?": ("Algorithm MLDSA65 not supported", "a draft, and no TPM has it"),
    "*-MLDSA87?": ("Algorithm MLDSA87 not supported", "a draft, and no TPM has it"),
}
NO_SIGN_DRAFT = {"*": ("previewSign not supported by authenticator", "a draft of an extension")}
SKIPS = {
    "test_bioenroll.py": {"*": ("BioEnrollment not supported by authenticator", "it needs a finger")},
    "test_config.py": {"test_ep_*": ("Enterprise Attestation not supported", "it needs certificates by the operator")},
    "test_credentials.py": NO_ALGORITHM,
    "test_credman.py": NO_ALGORITHM,
    "test_payment.py": {"*": ("thirdPartyPayment not supported by authenticator", "payments need a person who looks")},
    "test_preview_sign.py": NO_SIGN_DRAFT,
    "test_sign_extension_v4.py": NO_SIGN_DRAFT,
}

# The suite refuses to begin where getInfo says `uv`: a second run under a rule with userVerification is not possible,
# test_client_pin.py and test_extensions.py are for that.
RULES = [
    {
        "name": "device suite",
        "callers": [{"user": ME}],
        "relyingParties": ["*"],
        "operations": ["register", "authenticate", "manage", "reset"],
        "userVerification": False,
    }
]


def modules():
    return sorted(file.name for file in (source() / "tests" / "device").glob("test_*.py"))


def run(module, daemon):
    """Runs one module; name of each test, and what it is skipped or fails with."""
    report = daemon.folder / "report.xml"
    with Bench(daemon) as bench:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", f"tests/device/{module}", "--rootdir", str(source()), "--quiet"]
            + ["-p", "device_suite_plugin", "-p", "no:cacheprovider", "-p", "no:unraisableexception"]
            + ["--tb=short", "--controller", bench.url, f"--junit-xml={report}"],
            cwd=source(),
            env={**os.environ, "PYTHONPATH": str(HERE), "COUNTERSIGN_REPORTS": str(bench.bridge.reports)}
            | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
    print(done.stdout)
    assert report.exists(), f"the suite ended with {done.returncode} and without a report"
    passed, skipped, failed = [], {}, {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        trouble = [one for one in case if one.tag in ("failure", "error")]
        skip = case.find("skipped")
        if trouble:
            failed[case.get("name")] = trouble[0].get("message")
        elif skip is not None:
            skipped[case.get("name")] = skip.get("message")
        else:
            passed.append(case.get("name"))
    if done.returncode != 0 and not failed:
        failed[module] = f"the suite ended with {done.returncode}"
    return passed, skipped, failed


@pytest.mark.parametrize("module", modules())
def test_device_suite(make_daemon, record_property, module):
    passed, skipped, failed = run(module, make_daemon(RULES))
    record_property("device suite", f"{module}: {len(passed)} passed, {len(failed)} failed, {len(skipped)} skipped")
    listed = SKIPS.get(module, {})
    unexpected = {
        test: said
        for test, said in skipped.items()
        if not any(fnmatch.fnmatchcase(test, pattern) and said == words for pattern, (words, _) in listed.items())
    }
    missing = [
        pattern
        for pattern, (words, _) in listed.items()
        if not any(fnmatch.fnmatchcase(test, pattern) and said == words for test, said in skipped.items())
    ]
    assert not failed, failed
    assert not unexpected, f"skipped, and not listed: {unexpected}"
    assert not missing, f"listed as skipped, and not skipped: {missing}"
    assert passed or skipped, "no test ran"


def get(bench, path):
    with urllib.request.urlopen(bench.url + path, timeout=30) as reply:
        return reply.status


def test_the_bench(make_daemon):
    """What the suite relies on: power that can be cut, and touches that can be withheld."""
    daemon = make_daemon(RULES)
    with Bench(daemon, patience=1) as bench:
        assert get(bench, "/") == 200
        registration = b"\x01\xa0"
        with FrameConnection(bench.relay.path) as connection:
            # What needs no touch goes through.
            assert connection.cbor(b"\x04")[0] == 0
            connection.send(Command.CBOR, registration)
            assert connection.receive() == (Command.KEEPALIVE, b"\x02")
            connection.send(Command.CANCEL)
            assert connection.receive_reply() == (Command.CBOR, b"\x2d")
            assert connection.cbor(registration) == (0x2F, b"")
            connection.send(Command.CBOR, registration)
            assert connection.receive() == (Command.KEEPALIVE, b"\x02")
            get(bench, "/usb6/touch/on")
            # Now the daemon is asked, and it has something to say about it.
            assert connection.receive_reply() == (Command.CBOR, b"\x14")
            get(bench, "/usb6/touch/off")
            assert connection.exchange(Command.MSG, b"\0\1\0\0\0\0\0") == (Command.MSG, b"\x69\x85")
            assert connection.exchange(Command.MSG, b"\0\3\0\0\0\0\0") == (Command.MSG, b"U2F_V2\x90\0")
            get(bench, "/usb6/power/off")
            with pytest.raises(Closed):
                connection.receive()
        assert not bench.relay.path.exists() and daemon.process is None
        get(bench, "/usb6/power/on")
        get(bench, "/usb6/touch/on")
        ctap = ctap2(bench.relay.path)
        with ctap.device:
            assert status_of(lambda: register(ctap, "bench.example.com")) == 0
