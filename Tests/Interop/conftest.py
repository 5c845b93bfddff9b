"""Fixtures: where the programs are, and a running daemon for each test file."""

import contextlib
import itertools
import os
import random
import re
import secrets
import tempfile
from pathlib import Path

import pytest
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2

from conformance import OK, PIN, RESET, Token
from harness import Bridge, Daemon, SoftwareTPM, ctap2

ROOT = Path(__file__).resolve().parents[2]


def pytest_configure(config):
    config.addinivalue_line("markers", "valgrind: runs the release daemon under valgrind")


def pytest_report_header():
    return f"random seed: {SEED} (set COUNTERSIGN_SEED to repeat)"


SEED = int(os.environ.get("COUNTERSIGN_SEED", secrets.randbelow(2**32)))


@pytest.fixture
def randomness():
    """Randomness that the seed in the header repeats."""
    print(f"random seed: {SEED}")
    return random.Random(SEED)


@pytest.fixture(scope="session")
def programs():
    """Where the programs were built; COUNTERSIGN_PROGRAMS names another build."""
    folder = Path(os.environ.get("COUNTERSIGN_PROGRAMS", ROOT / ".build" / "release")).resolve()
    for name in ("countersign", "countersign-bench", "countersign-hid", "countersignd"):
        assert (folder / name).exists(), f"{folder / name} is missing: make build"
    return folder


@contextlib.contextmanager
def short_folder():
    """A folder with a name short enough for sockets (108 bytes), that other users can pass through."""
    with tempfile.TemporaryDirectory(prefix="countersign-", ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def folder():
    with short_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def daemon(programs, request):
    """One daemon for all tests of a file, with the file's RULES; each test uses an RP ID of its own."""
    with short_folder() as folder:
        daemon = Daemon(folder, programs, getattr(request.module, "RULES", None)).start()
        yield daemon
        print(daemon.errors(), end="")
        daemon.stop()


@pytest.fixture(scope="module")
def bridge(daemon):
    """The bridge before the file's daemon."""
    bridge = Bridge(daemon.folder / "bridge", daemon.programs, daemon.socket).start()
    yield bridge
    print(bridge.errors(), end="")
    bridge.stop()


@pytest.fixture
def make_daemon(folder, programs):
    """Makes daemons that belong to one test; what still runs at its end is stopped."""
    daemons = []

    def make(rules=None, **more):
        own = folder / f"d{len(daemons)}"
        own.mkdir()
        daemons.append(Daemon(own, programs, rules, **more))
        return daemons[-1]

    yield make
    for daemon in daemons:
        print(daemon.errors(), end="")
        daemon.stop()


@pytest.fixture
def software_tpm(folder):
    """A swtpm that is not the daemon's own."""
    tpm = SoftwareTPM(folder / "own-tpm").start()
    yield tpm
    tpm.stop()


@pytest.fixture
def ctap(daemon):
    """python-fido2 over a connection of its own."""
    ctap = ctap2(daemon.socket)
    yield ctap
    ctap.device.close()


@pytest.fixture
def new(daemon):
    """python-fido2 over a connection of its own to the file's daemon, which has been reset."""
    if daemon.process is None:
        # A test before this one ended in the middle.
        daemon.start()
    ctap = ctap2(daemon.socket)
    ctap.reset()
    yield ctap
    ctap.device.close()


@pytest.fixture(scope="module")
def token(daemon):
    """For the conformance tests: a connection to the file's daemon."""
    return Token(daemon)


@pytest.fixture
def fresh(token):
    """The authenticator as after a reset."""
    if token.daemon.process is None:
        # A test before this one ended in the middle.
        token.daemon.start()
    token.connect()
    assert token.status(RESET) == OK
    return token


@pytest.fixture
def locked(fresh):
    """The authenticator with a PIN."""
    assert fresh.set_pin(PIN) == OK
    return fresh


@pytest.fixture(params=[PinProtocolV1, PinProtocolV2], ids=["protocol one", "protocol two"])
def protocol(request):
    return request.param()


_numbers = itertools.count()


@pytest.fixture
def rp_id(request):
    """An RP ID that no other test uses."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    return f"{name}-{next(_numbers)}.example.com"
