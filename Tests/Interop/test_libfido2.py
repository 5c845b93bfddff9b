"""libfido2 as a second client that we did not write: a C program, libfido2/client.c, over its transport functions on the
daemon's socket, and with its own CTAPHID on the bridge.

Every line that it prints is one check, and its name is in this file: one that is missing fails.
"""

import contextlib
import re
import subprocess
from pathlib import Path

import pytest

from conftest import short_folder
from harness import Bridge, Daemon
from pins import EVERYTHING

SOURCES = Path(__file__).with_name("libfido2")
# The checks, in their order, as the program names them.
CHECKS = re.findall(r'\b(?:CHECK|IS|WORKS)\(\s*"([^"]+)"', (SOURCES / "client.c").read_text())


@pytest.fixture(scope="module", params=["socket", "bridge"])
def results(programs, tmp_path_factory, request):
    """What the program said of each check, and how it ended."""
    program = tmp_path_factory.mktemp("libfido2") / "client"
    subprocess.run(
        ["cc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]
        + ["-o", str(program), *map(str, sorted(SOURCES.glob("*.c"))), "-lfido2", "-lcrypto"],
        check=True,
    )
    with short_folder() as folder:
        daemon = Daemon(folder, programs, EVERYTHING).start()
        with contextlib.ExitStack() as stack:
            path = daemon.socket
            if request.param == "bridge":
                bridge = Bridge(folder / "bridge", programs, daemon.socket).start()
                stack.callback(bridge.stop)
                path = bridge.reports
            done = subprocess.run([program, path], capture_output=True, text=True, timeout=120)
        print(done.stdout, done.stderr, daemon.errors(), sep="\n")
        daemon.stop()
    found = {}
    for line in done.stdout.splitlines():
        word, name = line.split(" ", 1)
        name, _, why = name.partition(": ")
        found[name] = "" if word == "ok" else why or "failed"
    return found, done


def test_the_checks_have_names_of_their_own():
    assert len(CHECKS) > 80 and len(set(CHECKS)) == len(CHECKS)


@pytest.mark.parametrize("check", CHECKS)
def test_libfido2(results, check):
    found, done = results
    assert check in found, f"not reached; the program ended with {done.returncode}: {done.stderr.strip()}"
    assert not found[check], found[check]


def test_the_program_is_content(results):
    found, done = results
    assert done.returncode == (1 if any(found.values()) else 0), done.stderr
    assert set(found) <= set(CHECKS)
