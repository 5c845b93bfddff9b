"""The frames of the socket: what is answered, what is refused, and that abuse of one connection harms no other."""

import contextlib
import os
import struct
import threading
import time

import pytest
from fido2 import cbor
from fido2.ctap import CtapError

from harness import (
    ES256,
    RS256,
    Closed,
    Command,
    FrameConnection,
    HIDError,
    SocketDevice,
    ctap2,
    encoded_frame,
    eventually,
    register,
    status_of,
)

GET_INFO = b"\x04"
LIMIT = 65536


@pytest.fixture
def connection(daemon):
    with FrameConnection(daemon.socket) as connection:
        yield connection


@pytest.fixture(autouse=True)
def others_are_served(daemon):
    """A second connection that is open all the while is served afterwards as before."""
    with FrameConnection(daemon.socket) as other:
        yield
        assert other.cbor(GET_INFO)[0] == 0


def make_credential(rp_id, parameters):
    """A makeCredential message with a new user."""
    return b"\x01" + cbor.encode(
        {1: os.urandom(32), 2: {"id": rp_id}, 3: {"id": os.urandom(16)}, 4: [parameters]}
    )


@contextlib.contextmanager
def busy_tpm(daemon, rp_id, connections=6):
    """Keeps the TPM busy: RSA keys take it long to make. Those that still wait at the end leave."""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(FrameConnection(daemon.socket, timeout=120)) for _ in range(connections)]
        for other in others:
            other.send(Command.CBOR, make_credential(rp_id, RS256))
        yield others
        assert others[0].receive_reply()[1][0] == 0


def test_ping(connection):
    for payload in (b"", b"x", os.urandom(1000), os.urandom(LIMIT - 1)):
        assert connection.exchange(Command.PING, payload) == (Command.PING, payload)


def test_init(daemon):
    with SocketDevice(daemon.socket) as device, SocketDevice(daemon.socket) as other:
        assert device.protocol_version == 2
        assert device.capabilities & 0x04, "CBOR"
        assert not device.capabilities & 0x08, "no U2F messages"
        assert device.channel != other.channel


def test_init_with_a_nonce_of_another_length(connection):
    for nonce in (b"", b"\0" * 7, b"\0" * 9):
        connection.send(Command.INIT, nonce)
        assert connection.error() == HIDError.INVALID_LENGTH


def test_wink_is_logged(daemon, connection):
    before = len(daemon.audit())
    assert connection.exchange(Command.WINK) == (Command.WINK, b"")
    eventually(
        lambda: any(record["operation"] == "wink" for record in daemon.audit()[before:]), "a record of the wink"
    )


def test_u2f_messages(connection):
    """A message gets a message, also where it is none."""
    version = b"\x00\x03\x00\x00\x00\x00\x00"
    assert connection.exchange(Command.MSG, version) == (Command.MSG, b"U2F_V2\x90\x00")
    for wrong in (b"\x00", os.urandom(LIMIT - 1)):
        command, reply = connection.exchange(Command.MSG, wrong)
        assert command == Command.MSG and len(reply) == 2 and reply != b"\x90\x00"
    assert connection.exchange(Command.PING, b"alive") == (Command.PING, b"alive")


@pytest.mark.parametrize("command", [Command.CBOR, Command.MSG])
def test_a_message_of_length_zero(connection, command):
    connection.send(command)
    assert connection.error() == HIDError.INVALID_LENGTH
    assert connection.cbor(GET_INFO)[0] == 0


@pytest.mark.parametrize("command", [0x00, 0x02, 0x04, 0x3B, 0x3F, 0x40, 0x86, 0x90, 0xFF])
def test_unknown_command(connection, command):
    connection.send(command, b"payload")
    assert connection.error() == HIDError.INVALID_COMMAND
    assert connection.exchange(Command.PING, b"alive") == (Command.PING, b"alive")


def test_length_of_zero(connection):
    connection.send_bytes(struct.pack(">I", 0))
    assert connection.error() == HIDError.INVALID_LENGTH


@pytest.mark.parametrize("length", [LIMIT + 1, 0x00FFFFFF, 0xFFFFFFFF])
def test_oversized(connection, length):
    connection.send_bytes(struct.pack(">IB", length, Command.PING))
    assert connection.error() == HIDError.INVALID_LENGTH
    # Where the next frame begins is no longer known.
    assert connection.is_closed()


def test_byte_by_byte(connection):
    for byte in encoded_frame(Command.PING, b"slow but steady"):
        connection.send_bytes(bytes([byte]))
    assert connection.receive() == (Command.PING, b"slow but steady")


def test_two_frames_in_one_write(connection):
    connection.send_bytes(encoded_frame(Command.PING, b"one") + encoded_frame(Command.PING, b"two"))
    assert connection.receive() == (Command.PING, b"one")
    assert connection.receive() == (Command.PING, b"two")


def test_stalling_in_mid_frame(daemon):
    stalled = {
        "in the length": b"\x00\x00",
        "after the length": struct.pack(">I", 10),
        "in the payload": encoded_frame(Command.PING, b"0123456789")[:-1],
    }
    with contextlib.ExitStack() as stack:
        idle = stack.enter_context(FrameConnection(daemon.socket))
        connections = [stack.enter_context(FrameConnection(daemon.socket)) for _ in stalled]
        begun = time.monotonic()
        for connection, part in zip(connections, stalled.values()):
            connection.send_bytes(part)
        for connection in connections:
            with contextlib.suppress(Closed):
                assert connection.error() == HIDError.MESSAGE_TIMEOUT
                assert connection.is_closed()
        assert time.monotonic() - begun > 4, "dropped before the 5 s were over"
        # Who is between frames may be silent as long as it likes.
        assert idle.exchange(Command.PING, b"alive") == (Command.PING, b"alive")


def test_keepalives_while_the_tpm_works(daemon, connection, rp_id):
    with busy_tpm(daemon, rp_id):
        begun = time.monotonic()
        connection.send(Command.CBOR, make_credential(rp_id, ES256))
        keepalives = 0
        while True:
            command, payload = connection.receive()
            if command != Command.KEEPALIVE:
                break
            keepalives += 1
            assert payload in (b"\x01", b"\x02")
        elapsed = time.monotonic() - begun
        assert command == Command.CBOR and payload[0] == 0
    print(f"{keepalives} keepalives in {elapsed:.2f} s")
    # The first comes at once, so that there is one however fast the TPM is; the others 100 ms apart, never closer.
    assert 1 <= keepalives <= elapsed / 0.1 + 1, f"{keepalives} keepalives in {elapsed:.2f} s"


def test_one_request_at_a_time(connection, rp_id):
    connection.send_bytes(
        encoded_frame(Command.CBOR, make_credential(rp_id, RS256)) + encoded_frame(Command.CBOR, GET_INFO)
    )
    assert connection.error() == HIDError.CHANNEL_BUSY
    command, payload = connection.receive_reply()
    assert command == Command.CBOR and payload[0] == 0
    assert connection.cbor(GET_INFO)[0] == 0


def test_cancel_of_what_waits(daemon, connection, rp_id):
    with busy_tpm(daemon, rp_id) as others:
        connection.send(Command.CBOR, make_credential(rp_id, ES256))
        begun = time.monotonic()
        connection.send(Command.CANCEL)
        command, payload = connection.receive_reply()
        print(f"cancelled after {(time.monotonic() - begun) * 1000:.1f} ms")
        assert (command, payload) == (Command.CBOR, bytes([CtapError.ERR.KEEPALIVE_CANCEL]))
        # It did not wait for its turn: those before it are still at work.
        assert not all(other.is_answered() for other in others)
    assert connection.exchange(Command.PING, b"alive") == (Command.PING, b"alive")


def test_cancel_by_fido2(daemon, rp_id):
    ctap = ctap2(daemon.socket)
    event = threading.Event()
    with ctap.device, busy_tpm(daemon, rp_id, connections=10):
        # python-fido2 sets the event at the first keepalive, and the device sends CANCEL at the next.
        call = lambda: register(ctap, rp_id, event=event, on_keepalive=lambda _: event.set())  # noqa: E731
        assert status_of(call) == CtapError.ERR.KEEPALIVE_CANCEL


def test_cancel_of_nothing(connection):
    connection.send(Command.CANCEL)
    connection.send(Command.CANCEL)
    assert connection.exchange(Command.PING, b"alive") == (Command.PING, b"alive")


def test_a_cancelled_registration_leaves_nothing_or_all(daemon, rp_id):
    """Cancel may come too late, never in the middle."""
    with FrameConnection(daemon.socket) as connection:
        acknowledged = 0
        for _ in range(20):
            message = b"\x01" + cbor.encode(
                {1: os.urandom(32), 2: {"id": rp_id}, 3: {"id": os.urandom(16)}, 4: [ES256], 7: {"rk": True}}
            )
            connection.send_bytes(encoded_frame(Command.CBOR, message) + encoded_frame(Command.CANCEL))
            command, payload = connection.receive_reply()
            assert command == Command.CBOR and payload[0] in (0, CtapError.ERR.KEEPALIVE_CANCEL)
            acknowledged += payload[0] == 0
    ctap = ctap2(daemon.socket)
    with ctap.device:
        found = 0
        if acknowledged:
            found = len(ctap.get_assertions(rp_id, os.urandom(32)))
        assert found >= acknowledged


def test_clients_that_leave_in_mid_request(daemon, rp_id):
    for _ in range(30):
        with FrameConnection(daemon.socket) as connection:
            connection.send(Command.CBOR, make_credential(rp_id, ES256))
        with FrameConnection(daemon.socket) as connection:
            connection.send_bytes(encoded_frame(Command.PING, b"x" * 1000)[:500])


def test_a_client_that_does_not_read(daemon):
    """Replies that nobody takes hold up nobody else and do not pile up in the daemon."""
    before = daemon.memory()
    with FrameConnection(daemon.socket, timeout=1) as deaf:
        frame = encoded_frame(Command.PING, b"x" * (LIMIT - 1))
        with contextlib.suppress(TimeoutError, BrokenPipeError, ConnectionResetError):
            for _ in range(400):
                deaf.send_bytes(frame)
        with FrameConnection(daemon.socket) as other:
            assert other.cbor(GET_INFO)[0] == 0
        assert daemon.memory() - before < 8


def test_random_frames(daemon, randomness):
    """Any bytes: the daemon answers or closes, and lives."""
    for _ in range(100):
        with FrameConnection(daemon.socket, timeout=1) as connection:
            data = b""
            for _ in range(randomness.randrange(1, 6)):
                command = randomness.choice([*Command, randomness.randrange(256)])
                payload = randomness.randbytes(randomness.randrange(40))
                if command == Command.CBOR and payload[:1] == b"\x07":
                    continue
                length = randomness.choice([1 + len(payload)] * 4 + [randomness.randrange(2**32)])
                data += struct.pack(">IB", length, command) + payload
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.send_bytes(data)
    with FrameConnection(daemon.socket) as connection:
        assert connection.cbor(GET_INFO)[0] == 0
