"""Many connections, many credentials, and what they weigh."""

import contextlib
import os
import resource
import threading
import time

import pytest
from fido2 import cbor

from grants import create
from harness import (
    Command,
    FrameConnection,
    SocketDevice,
    authenticate,
    ctap2,
    encoded_frame,
    eventually,
    register,
)
from test_policy import rule

RP = "load.example.com"


def test_three_hundred_connections(daemon):
    """All open at once, each with a request under way at the same time, each answered."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 1024), hard), hard))
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP, discoverable=True)
    with contextlib.ExitStack() as stack:
        devices = [stack.enter_context(SocketDevice(daemon.socket)) for _ in range(300)]
        assert len({device.channel for device in devices}) == 300
        message = b"\x02" + cbor.encode(
            {1: RP, 2: os.urandom(32), 3: [account.descriptor]}
        )
        for device in devices:
            device.connection.send(Command.CBOR, message)
        counters = set()
        for device in devices:
            command, payload = device.connection.receive_reply()
            assert command == Command.CBOR and payload[0] == 0
            data = cbor.decode(payload[1:])[2]
            counters.add(data[33:37])
        assert len(counters) == 300
        print(f"resident with 300 connections: {daemon.memory():.1f} MB")


def test_more_connections_than_the_limit(daemon):
    """Those within the limit are served; those beyond it are closed or wait, and harm nobody."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip(f"this user may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(SocketDevice(daemon.socket))
        for _ in range(1200):
            with contextlib.suppress(BlockingIOError, ConnectionError):
                stack.enter_context(FrameConnection(daemon.socket, timeout=0.5))
        assert first.call(Command.PING, b"alive") == b"alive"
    with SocketDevice(daemon.socket) as device:
        assert device.call(Command.PING, b"alive") == b"alive"


def test_memory_and_time(make_daemon):
    """Figures; COUNTERSIGN_CREDENTIALS sets how many credentials."""
    count = int(os.environ.get("COUNTERSIGN_CREDENTIALS", 500))
    daemon = make_daemon()
    begun = time.monotonic()
    daemon.start()
    print(f"first start to ready: {(time.monotonic() - begun) * 1000:.0f} ms")
    print(f"resident, idle: {daemon.memory():.1f} MB")
    first: list = []

    def work(number: int) -> None:
        ctap = ctap2(daemon.socket)
        with ctap.device:
            for _ in range(number):
                first.append(register(ctap, RP, discoverable=True))

    threads = [threading.Thread(target=work, args=(count // 4,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(first) == count // 4 * 4
    print(f"resident after making {len(first)} credentials: {daemon.memory():.1f} MB")
    daemon.stop()
    begun = time.monotonic()
    daemon.start()
    print(f"next start to ready: {(time.monotonic() - begun) * 1000:.0f} ms")
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for account in first[:50]:
            authenticate(ctap, account)
        latencies = []
        for _ in range(200):
            begun = time.monotonic()
            authenticate(ctap, first[0])
            latencies.append(time.monotonic() - begun)
    print(f"resident with {len(first)} credentials, after 250 assertions: {daemon.memory():.1f} MB")
    print(f"one client, median with fido2's own verification: {sorted(latencies)[100] * 1000:.2f} ms")
    assert daemon.memory() < 30


def test_memory_under_the_largest_frames(make_daemon):
    """
    As many connections as one user gets, some of them of grants, all in the middle of the largest frame, and then with
    answers as large that nobody reads. A connection holds a frame or an answer of 64 KiB and never both; half of that is
    allowed besides for what allocators keep.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2000:
        pytest.skip(f"this user may open {hard} files only")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2000), hard))
    callers = [{"grant": True}, {"user": os.getuid()}]
    daemon = make_daemon([rule("load", [RP], ["register", "authenticate"], callers)]).start()
    sockets = [create(daemon, "--rule", "load", "--uid", str(os.getuid()))["socket"] for _ in range(8)]
    before = daemon.memory()
    frame = encoded_frame(Command.PING, bytes(65_535))
    with contextlib.ExitStack() as stack:
        # 16 are what a grant has, 512 what a user has of the 1024.
        paths = [path for path in sockets for _ in range(16)] + [daemon.socket] * 500
        connections = [stack.enter_context(FrameConnection(path)) for path in paths]
        bound = before + len(connections) * 1.5 * 64 / 1024
        for connection in connections:
            connection.send_bytes(frame[:-1])
        with SocketDevice(daemon.socket) as device:
            assert device.call(Command.PING, b"alive") == b"alive"
        receiving = daemon.memory()
        for connection in connections:
            connection.send_bytes(frame[-1:])
        with SocketDevice(daemon.socket) as device:
            assert device.call(Command.PING, b"alive") == b"alive"
        answering = daemon.memory()
        print(
            f"resident: {before:.1f} MB before, {receiving:.1f} MB with {len(connections)} frames that lack a byte, "
            f"{answering:.1f} MB with as many answers that nobody reads; bound {bound:.1f} MB"
        )
        # Each has arrived: the measurement is of what it says.
        assert before + len(connections) * 64 / 1024 * 0.8 < receiving < bound and answering < bound
        for connection in connections:
            assert connection.receive() == (Command.PING, bytes(65_535))
    eventually(lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd")) < 80, "the connections to be given back")
    print(f"resident afterwards: {daemon.memory():.1f} MB")
