"""Who gets how much of a TPM that is as slow as a chip, and what it says to those whom it cannot serve in time."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time

import pytest
from fido2 import cbor
from fido2.ctap import CtapError

from grants import connected, create
from harness import Command, FrameConnection, ctap2, eventually, register
from slow_tpm import SlowTPM
from test_policy import rule

BUSY, TIMEOUT = CtapError.ERR.CHANNEL_BUSY, CtapError.ERR.TIMEOUT
RP = "deploy.example.com"


@pytest.fixture
def slow(software_tpm, folder):
    with SlowTPM(folder, software_tpm.path) as relay:
        yield relay


def served(make_daemon, slow, seconds=25):
    """A daemon for jobs with grants, and for one more without."""
    callers = [{"grant": True}, {"user": os.getuid()}]
    rules = [rule("deploy", [RP], ["register", "authenticate"], callers)]
    daemon = make_daemon(tcti=slow.tcti)
    daemon.write_configuration(
        json.dumps({"tpm": {"allowSoftware": True}, "limits": {"waitSeconds": seconds}, "rules": rules})
    )
    return daemon.start()


def job(daemon):
    return create(daemon, "--rule", "deploy", "--uid", str(os.getuid()))


class Requests:
    """One connection that asks for signatures, one after another."""

    def __init__(self, path, account):
        self.connection = FrameConnection(path, timeout=60)
        self.message = b"\x02" + cbor.encode({1: RP, 2: bytes(32), 3: [account.descriptor]})

    def ask(self):
        self.connection.send(Command.CBOR, self.message)

    def status(self):
        command, payload = self.connection.receive_reply()
        assert command == Command.CBOR, (command, payload)
        return payload[0]

    def timed(self):
        """The status of one request, and the seconds that it took."""
        begun = time.monotonic()
        self.ask()
        return self.status(), time.monotonic() - begun


class Flood:
    """Asks on many connections of one socket at once, again and again, until it is closed."""

    def __init__(self, path, account, connections):
        self.answers = []
        self._failure = None
        self._stop = threading.Event()
        self._connections = [Requests(path, account) for _ in range(connections)]
        self._threads = [threading.Thread(target=self._run, args=(one,)) for one in self._connections]
        for thread in self._threads:
            thread.start()

    def _run(self, requests):
        try:
            while not self._stop.is_set():
                answer = requests.timed()
                self.answers.append(answer)
                if answer[0] != 0:
                    # As CTAP1_ERR_CHANNEL_BUSY asks for.
                    self._stop.wait(0.1)
        except BaseException as failure:
            self._failure = failure

    @property
    def signatures(self):
        return sum(status == 0 for status, _ in self.answers)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()
        for one in self._connections:
            one.connection.close()
        if self._failure:
            raise self._failure


def test_two_jobs_of_one_user_share_fairly(slow, make_daemon):
    """Sixteen connections of one grant are worth one of another."""
    daemon = served(make_daemon, slow)
    flooding, working = job(daemon), job(daemon)
    ctap = connected(working)
    with ctap.device:
        account = register(ctap, RP)
    one = Requests(working["socket"], account)
    assert one.timed()[0] == 0
    slow.delay = 0.06
    with Flood(flooding["socket"], account, 16) as flood:
        eventually(lambda: flood.signatures > 16, "the flood to be under way")
        before, begun = flood.signatures, time.monotonic()
        assert [one.timed()[0] for _ in range(25)] == [0] * 25
        others, took = flood.signatures - before, time.monotonic() - begun
    one.connection.close()
    print(f"25 signatures of one connection beside {others} of 16 connections, in {took:.1f} s")
    # Without turns of grants it would be 16 to one.
    assert others <= 25 / 0.6


def test_a_flood_is_refused_early_and_hurts_itself_only(slow, make_daemon):
    """A job that asks for more than can be done in time is told so at once; another of the same user does not notice."""
    daemon = served(make_daemon, slow, seconds=2)
    flooding, working = job(daemon), job(daemon)
    ctap = connected(working)
    with ctap.device:
        account = register(ctap, RP)
    one = Requests(working["socket"], account)
    slow.delay = 0.25
    # The daemon learns how long a signature takes from those that it makes.
    for _ in range(20):
        assert one.timed()[0] == 0
    with Flood(flooding["socket"], account, 16) as flood:
        eventually(lambda: len(flood.answers) > 30, "the flood to be under way")
        mine = [one.timed() for _ in range(8)]
    one.connection.close()
    refused = [seconds for status, seconds in flood.answers if status == BUSY]
    # Those that were let in before the other job came, which then took every second turn.
    expired = [seconds for status, seconds in flood.answers if status == TIMEOUT]
    waited = [seconds for status, seconds in flood.answers if status == 0]
    print(
        f"flood: {len(waited)} signatures after at most {max(waited):.2f} s, {len(refused)} refusals after at most "
        f"{max(refused):.2f} s, {len(expired)} given up; the other: 8 signatures after at most {max(seconds for _, seconds in mine):.2f} s"
    )
    assert {status for status, _ in mine} == {0} and {status for status, _ in flood.answers} <= {0, BUSY, TIMEOUT}
    assert len(refused) > len(expired) and all(2 <= seconds for seconds in expired)
    # By the daemon's own clock, in microseconds: at once, which on a busy machine may be any small part of the limit.
    records = [record for record in daemon.audit() if "TPM has work for" in record.get("reason", "")]
    latencies = [record["latency"] for record in records]
    assert sorted(latencies)[len(latencies) // 2] < 200_000
    # They cannot fill the log: a hundred, then one a second with the number of those left out.
    suppressed = sum(record.get("suppressed", 0) for record in daemon.audit())
    assert min(100, len(refused)) <= len(records) < 100 + 60 and len(records) + suppressed <= len(refused)
    waiting = json.loads(daemon.run("status", "--json", "--admin-socket", str(daemon.admin_socket)).stdout)["tpm"]["waiting"]
    assert waiting["limit"] == 2000 and (waiting["refused"], waiting["expired"]) == (len(refused), len(expired))
    assert "warning: TPM: request of uid" in daemon.errors() and "(limits.waitSeconds)" in daemon.errors()
    reasons = [record["reason"] for record in daemon.audit() if record["outcome"] == "failed"]
    assert len(reasons) == len(records) + len(expired) and all("limits.waitSeconds" in reason for reason in reasons)
    # The values of the counter that a refusal might have spent would wear the TPM.
    counters = [record["signCount"] for record in daemon.audit() if record["outcome"] == "allowed" and "signCount" in record]
    assert max(counters) - min(counters) == len(counters) - 1


def test_a_new_job_is_let_in_beside_those_that_fill_the_limit(slow, make_daemon):
    """More jobs of its user than can be served in time ask again as soon as they are answered. A new one has its turns
    all the same, and what it is refused meanwhile costs it none of its signatures."""
    daemon = served(make_daemon, slow, seconds=2)
    first = job(daemon)
    ctap = connected(first)
    with ctap.device:
        account = register(ctap, RP)
    one = Requests(first["socket"], account)
    delay, others, signatures = 0.25, 14, 4
    slow.delay = delay
    # The daemon learns how long a signature takes from those that it makes.
    for _ in range(20):
        assert one.timed()[0] == 0
    one.connection.close()
    with contextlib.ExitStack() as floods:
        flooding = [floods.enter_context(Flood(job(daemon)["socket"], account, 1)) for _ in range(others)]
        eventually(lambda: all(flood.signatures for flood in flooding), "every other job to be under way")
        eventually(lambda: any(status == BUSY for flood in flooding for status, _ in flood.answers), "a refusal")
        mine = create(daemon, "--rule", "deploy", "--uid", str(os.getuid()), "--signatures", str(signatures))
        new = Requests(mine["socket"], account)
        took, refusals, begun = [], 0, time.monotonic()
        while len(took) < signatures:
            status, _ = new.timed()
            assert status in (0, BUSY, TIMEOUT)
            if status == 0:
                took.append(time.monotonic() - begun)
                begun = time.monotonic()
            else:
                refusals += status == BUSY
                # As CTAP1_ERR_CHANNEL_BUSY asks for.
                threading.Event().wait(0.1)
        new.connection.close()
    print(f"{signatures} signatures after {refusals} refusals, each in at most {max(took):.1f} s")
    # A round is one signature of each, and what was too late for one is for the next.
    assert refusals > 0 and max(took) < 3 * (others + 1) * delay


def test_a_request_that_has_waited_too_long_is_given_up(slow, make_daemon):
    """The TPM hangs, so that nothing could be foreseen. What it has begun with goes on."""
    daemon = served(make_daemon, slow, seconds=1)
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP)
    first, second = Requests(daemon.socket, account), Requests(daemon.socket, account)
    assert first.timed()[0] == 0
    slow.hold()
    first.ask()
    assert slow.held.wait(20)
    status, seconds = second.timed()
    print(f"given up after {seconds:.2f} s")
    # The TPM is still held: it was given up, not served.
    assert status == TIMEOUT and seconds >= 1
    assert not first.connection.is_answered()
    slow.let_go()
    assert first.status() == 0 and second.timed()[0] == 0
    for one in (first, second):
        one.connection.close()
    assert "waited for the TPM for as long as it may" in daemon.errors()
