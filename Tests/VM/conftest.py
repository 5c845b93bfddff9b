"""One machine for all checks: booted once, the package installed in it, then taken through what a runner goes through.

The checks are one story, in the order of CHAPTERS; what a chapter leaves behind the later ones find.
"""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from image import image
from machine import Machine

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
# Where `make deb` leaves packages; the test step has made these two, of the same programs.
PACKAGES = ROOT / ".build" / "deb"
PREVIOUS = "+test1"
NEXT = "+test2"

CHAPTERS = [
    "test_install",
    "test_jobs",
    "test_tpm",
    "test_hid",
    "test_upgrade",
    "test_reboot",
    "test_power",
    "test_loss",
]

RULES = [
    {
        "name": "deploy",
        "callers": [{"user": "job"}],
        "relyingParties": ["deploy.example.com"],
        "operations": ["register", "authenticate"],
    },
    {
        "name": "pipeline",
        "callers": [{"user": "job", "unit": "pipeline.service"}],
        "relyingParties": ["pipeline.example.com"],
        "operations": ["register", "authenticate"],
    },
    {
        "name": "virtual key",
        "callers": [{"service": "countersign-hid"}],
        "relyingParties": ["*"],
        "operations": ["register", "authenticate", "manage"],
    },
]


def pytest_collection_modifyitems(items):
    names = [item.module.__name__ for item in items]
    assert set(names) <= set(CHAPTERS), f"a file that CHAPTERS does not name: {set(names) - set(CHAPTERS)}"
    items.sort(key=lambda item: CHAPTERS.index(item.module.__name__))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """With a failure goes what the machine has to say of it."""
    outcome = yield
    report = outcome.get_result()
    machine = getattr(item.session, "machine", None)
    if report.failed and machine:
        report.sections.append(("the machine's console", machine.last_words()[-3000:]))
        if machine.process and machine.process.poll() is None:
            log = machine.run("journalctl --no-pager --lines=60 --output=short-monotonic", status=None).out
            report.sections.append(("the machine's log", log))


def package(suffix: str) -> Path:
    found = sorted(PACKAGES.glob(f"countersign_*{suffix}_*.deb"))
    assert len(found) == 1, f"{PACKAGES} has {len(found)} packages {suffix}: run this by `make test-vm`"
    return found[0]


@pytest.fixture(scope="session")
def stopped_machine():
    """The machine before its first boot."""
    with tempfile.TemporaryDirectory(prefix="countersign-vm-") as name:
        folder = Path(name)
        files = folder / "files"
        shutil.copytree(HERE / "guest", files)
        shutil.copytree(ROOT / "Tests" / "Interop", files / "interop", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(package(PREVIOUS), files / "previous.deb")
        shutil.copy(package(NEXT), files / "next.deb")
        machine = Machine(folder, image(), files)
        yield machine
        if machine.process:
            machine.cut_power()
        if keep := os.environ.get("COUNTERSIGN_VM_LOGS"):
            for log in (machine.console, machine.tpm.log):
                shutil.copy(log, keep)


@pytest.fixture(scope="session")
def machine(stopped_machine, request):
    """The machine, booted; later chapters boot it again."""
    request.session.machine = stopped_machine
    seconds = stopped_machine.start()
    print(f"booted in {seconds:.1f} s")
    return stopped_machine
