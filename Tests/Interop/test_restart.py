"""Restarts and reloads while jobs sign, behind a listening socket that stays open, as systemd keeps it: what is answered
is good and logged, what is not answered ends with a clean close and is served by the next daemon, and who comes in
between waits."""

import contextlib
import itertools
import signal
import threading
import time

from fido2 import cbor

from harness import (
    DEFAULT_RULES,
    ES256,
    Closed,
    Command,
    FrameConnection,
    SocketDevice,
    authenticate,
    ctap2,
    encoded_frame,
    register,
)
from test_crashes import logged_signatures
from test_frames import make_credential

RP = "restart.example.com"


class Clients:
    """Clients that sign until they are told to end, each on a new connection whenever the last was closed."""

    def __init__(self, daemon, accounts, randomness, count: int = 6):
        self.socket = daemon.socket
        self.signatures: list[tuple[bytes, int]] = []
        self.closed = 0
        self.failures: list[BaseException] = []
        self.condition = threading.Condition()
        self.ended = False
        seeds = [randomness.randbytes(16) for _ in range(count)]
        self.threads = [
            threading.Thread(target=self._work, args=(account, seed))
            for account, seed in zip(itertools.cycle(accounts), seeds)
        ]
        for thread in self.threads:
            thread.start()

    def _work(self, account, seed: bytes) -> None:
        challenges = (seed + number.to_bytes(16) for number in itertools.count())
        challenge = next(challenges)
        try:
            while not self.ended:
                try:
                    ctap = ctap2(self.socket)
                    with ctap.device:
                        while not self.ended:
                            # Verified; any answer but a good one is a failure.
                            counter = authenticate(ctap, account, challenge).auth_data.counter
                            with self.condition:
                                self.signatures.append((challenge, counter))
                                self.condition.notify_all()
                            challenge = next(challenges)
                except (Closed, ConnectionError):
                    # Not answered: the same request once more, of the next daemon.
                    self.closed += 1
        except BaseException as failure:
            with self.condition:
                self.failures.append(failure)
                self.condition.notify_all()

    def await_signatures(self, more: int) -> None:
        with self.condition:
            wanted = len(self.signatures) + more
            assert self.condition.wait_for(lambda: len(self.signatures) >= wanted or self.failures, timeout=60)
        for failure in self.failures:
            raise failure

    def end(self) -> None:
        self.ended = True
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        for failure in self.failures:
            raise failure


def check(daemon, clients: Clients) -> None:
    counters = [counter for _, counter in clients.signatures]
    assert len(counters) == len(set(counters)), "a signature counter was used twice"
    logged = logged_signatures(daemon)
    for challenge, counter in clients.signatures:
        assert logged.get(challenge.hex()) == counter, "a signature that the audit log does not have"


def registered(daemon) -> list:
    """Accounts to sign with."""
    ctap = ctap2(daemon.socket)
    with ctap.device:
        return [register(ctap, RP) for _ in range(3)]


def test_restarts_under_load(make_daemon, randomness):
    daemon = make_daemon()
    daemon.activate()
    daemon.start()
    clients = Clients(daemon, registered(daemon), randomness)
    try:
        for _ in range(5):
            clients.await_signatures(randomness.randrange(1, 40))
            daemon.stop()
            daemon.start()
        clients.await_signatures(50)
    finally:
        clients.end()
    check(daemon, clients)
    print(f"{len(clients.signatures)} signatures, {clients.closed} connections closed by 5 restarts")
    assert clients.closed > 0, "no client noticed, so nothing was tested"


def test_who_connects_in_between_waits(make_daemon):
    """Connections and requests of the time without a daemon are served by the next one, in whatever number."""
    daemon = make_daemon()
    daemon.activate()
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP)
    daemon.stop()
    waiting = [FrameConnection(daemon.socket, timeout=60) for _ in range(50)]
    message = b"\x02" + cbor.encode({1: RP, 2: bytes(32), 3: [account.descriptor]})
    for connection in waiting:
        connection.send(Command.CBOR, message)
    daemon.start()
    for connection in waiting:
        with connection:
            command, payload = connection.receive_reply()
            assert (command, payload[0]) == (Command.CBOR, 0)


def test_the_end_comes_between_requests_and_answers(make_daemon):
    """Many requests wait for the TPM when SIGTERM comes: each that was begun is answered in full before the end."""
    daemon = make_daemon()
    daemon.activate()
    daemon.start()
    connections = [FrameConnection(daemon.socket, timeout=60) for _ in range(40)]
    for connection in connections:
        connection.send_bytes(encoded_frame(Command.CBOR, make_credential(RP, ES256)))
    # The first answer shows that the others, which came before anything else was read, have been taken.
    first = connections[0].receive_reply()
    assert first[1][0] == 0
    daemon.process.send_signal(signal.SIGTERM)
    answered = 1
    for connection in connections[1:]:
        with connection:
            try:
                command, payload = connection.receive_reply()
            except Closed:
                continue
            assert (command, payload[0]) == (Command.CBOR, 0)
            answered += 1
    assert daemon.exit_status() == 0
    assert len(logged_signatures(daemon)) == answered
    print(f"{answered} of 40 answered")


def reload_under_load(daemon, randomness, rounds, change=lambda number: None):
    """Not one connection closes, not one request fails."""
    clients = Clients(daemon, registered(daemon), randomness)
    try:
        for number in range(rounds):
            clients.await_signatures(randomness.randrange(1, 10))
            change(number)
            daemon.process.send_signal(signal.SIGHUP)
            assert daemon.await_notification("RELOADING=1") and daemon.await_notification("READY=1")
        clients.await_signatures(10)
    finally:
        clients.end()
    assert clients.closed == 0
    check(daemon, clients)


def test_reloads_under_load(make_daemon, randomness):
    """A reload disturbs nobody."""
    reload_under_load(make_daemon().start(), randomness, 20)


def test_a_reload_is_whole(make_daemon, randomness):
    """Two sets of rules in turn: each request is judged by one of them, never by neither and never by parts."""
    # All rules of a set together let sign: a wide one that refuses, and a narrow one.
    sets = [
        [
            {**DEFAULT_RULES[0], "name": f"wide {name}", "relyingParties": ["*"], "requireGrant": True},
            {**DEFAULT_RULES[0], "name": f"narrow {name}", "relyingParties": [RP]},
        ]
        for name in "ab"
    ]
    daemon = make_daemon(sets[0]).start()
    reload_under_load(daemon, randomness, 30, lambda number: daemon.configure(sets[(number + 1) % 2]))
    records = [one for one in daemon.audit() if one["operation"] == "authenticate"]
    assert {one["outcome"] for one in records} == {"allowed"}, [one for one in records if one["outcome"] != "allowed"][:3]
    assert {one["rule"] for one in records} == {"narrow a", "narrow b"}


def test_a_client_that_does_not_read_delays_no_restart(make_daemon):
    """Its answers wait until it takes them; the daemon waits for it a bounded time only."""
    daemon = make_daemon().start()
    with SocketDevice(daemon.socket) as device:
        # More pongs than the socket takes.
        device.connection.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while True:
                device.connection.send(Command.PING, bytes(65535))
        begun = time.monotonic()
        daemon.process.send_signal(signal.SIGTERM)
        assert daemon.exit_status() == 0
        print(f"ended after {time.monotonic() - begun:.1f} s")
        assert time.monotonic() - begun < 12
