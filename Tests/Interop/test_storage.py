"""Disks that are full or read-only, and files that are damaged or somebody else's: a clear answer, nothing lost, and
the daemon serves what can still be served."""

import itertools
import os
import sqlite3
import subprocess

import pytest
from fido2.ctap import CtapError

from harness import (
    AUDIT_UNAVAILABLE,
    STORAGE_UNAVAILABLE,
    authenticate,
    ctap2,
    fill,
    register,
    small_disk,
    status_of,
)

RP = "storage.example.com"
# CounterLease.blockCount.
LEASED_BLOCK = 1024


@pytest.fixture
def small_state(folder):
    """A state directory of one megabyte."""
    try:
        with small_disk(folder / "small", "1m") as disk:
            yield disk
    except PermissionError as error:
        pytest.skip(f"this user may not mount a small disk: {error}")


def test_full_state_disk(make_daemon, small_state):
    daemon = make_daemon()
    daemon.state = small_state
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        accounts = [register(ctap, RP, discoverable=one) for one in (True, False)]
        filler = fill(small_state)
        refused = [status_of(lambda: register(ctap, RP, discoverable=True)) for _ in range(30)]
        # A last one may still fit into what the file has; after the first that does not, none does.
        assert set(refused[1:]) == {CtapError.ERR.KEY_STORE_FULL}, [hex(status) for status in refused]
        # What is there still signs, for many more signatures than one leased block of the counter has, and leasing
        # the next one repeats no value.
        counters = [
            ctap.get_assertion(RP, os.urandom(32), [account.descriptor]).auth_data.counter
            for account in accounts * (LEASED_BLOCK + 50)
        ]
        assert all(earlier < later for earlier, later in itertools.pairwise(counters))
        for account in accounts:
            counters.append(authenticate(ctap, account).auth_data.counter)
        filler.unlink()
        accounts.append(register(ctap, RP, discoverable=True))
    daemon.kill()
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for account in accounts:
            counters.append(authenticate(ctap, account).auth_data.counter)
    assert all(earlier < later for earlier, later in itertools.pairwise(counters))


def test_full_audit_disk(make_daemon, small_state):
    """No signature leaves unaudited."""
    daemon = make_daemon()
    daemon.audit_log = small_state / "audit.jsonl"
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP)
        filler = fill(small_state)
        refused = [status_of(lambda: authenticate(ctap, account)) for _ in range(60)]
        # Some may still fit into the file's last page; after the first that does not, none does.
        room = refused.index(AUDIT_UNAVAILABLE)
        assert refused == [0] * room + [AUDIT_UNAVAILABLE] * (60 - room), [hex(status) for status in refused]
        assert status_of(lambda: register(ctap, RP)) == AUDIT_UNAVAILABLE
        assert ctap.get_info().versions
        filler.unlink()
        challenge = os.urandom(32)
        counter = authenticate(ctap, account, challenge).auth_data.counter
    found = [one for one in daemon.audit() if one.get("clientDataHash") == challenge.hex()]
    assert [one["signCount"] for one in found] == [counter]


def test_read_only_state(make_daemon, small_state):
    daemon = make_daemon()
    daemon.state = small_state
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP)
    daemon.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(small_state)], check=True)
    # It starts, for what is there can be read, but hands out nothing that it could not keep.
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: register(ctap, RP)) == STORAGE_UNAVAILABLE
        authenticate(ctap, account)
    daemon.stop()
    subprocess.run(["mount", "-o", "remount,rw", str(small_state)], check=True)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        authenticate(ctap, account)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("garbage", "is damaged"),
        ("cut short", "is damaged"),
        ("somebody else's", "belongs to another program"),
    ],
)
def test_a_file_that_is_not_ours(make_daemon, damage, words):
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP)
    daemon.stop()
    file = daemon.database()
    good = file.read_bytes()
    if damage == "garbage":
        wrong = os.urandom(len(good))
    elif damage == "cut short":
        wrong = good[: len(good) // 2]
    else:
        file.unlink()
        with sqlite3.connect(file) as other:
            other.execute("CREATE TABLE recipes (name TEXT)")
        other.close()
        wrong = file.read_bytes()
    file.write_bytes(wrong)
    line = daemon.refuses_to_start(1)
    assert f"{file} {words}" in line and "it has been left as it is" in line
    # It is left as it was, for whoever looks into it.
    assert file.read_bytes() == wrong
    file.write_bytes(good)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        authenticate(ctap, account)
