"""countersign-hid before the release daemon: python-fido2's own CTAPHID over it, and packets that break the rules."""

import contextlib
import os
import re
import socket
import statistics
import struct
import threading
import time

import pytest
from fido2.ctap import CtapError
from fido2.ctap1 import Ctap1
from fido2.ctap2 import Ctap2
from fido2.ctap2.blob import LargeBlobs
from fido2.ctap2.pin import ClientPin, PinProtocolV2
from fido2.hid import CTAPHID

from harness import (
    ES256,
    RS256,
    Bridge,
    Command,
    FrameConnection,
    HIDError,
    PortConnection,
    SocketDevice,
    authenticate,
    ctap2,
    descriptor,
    eventually,
    hid_device,
    register,
    sha256,
    status_of,
)
from pins import EVERYTHING, LBW, MC, PIN, UV, register_with, set_pin, token
from test_frames import GET_INFO, busy_tpm, make_credential
from test_large_blobs import array_of, put

RULES = EVERYTHING
BROADCAST = 0xFFFFFFFF
LONGEST = 57 + 128 * 59
LOCK = 0x04
INVALID_CHANNEL, INVALID_SEQUENCE = 0x0B, 0x04


class Port:
    """A USB port of the bridge, packet by packet."""

    def __init__(self, path):
        self.connection = PortConnection(path, timeout=20)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def write(self, channel, rest):
        self.connection.write_packet((struct.pack(">I", channel) + rest).ljust(64, b"\0"))

    def begin(self, channel, command, length, data=b""):
        self.write(channel, struct.pack(">BH", command | 0x80, length) + data[:57])

    def send(self, channel, command, payload=b""):
        self.begin(channel, command, len(payload), payload)
        rest = payload[57:]
        for sequence in range((len(rest) + 58) // 59):
            self.write(channel, bytes([sequence]) + rest[sequence * 59 :][:59])

    def receive(self):
        """The next message: channel, command, payload."""
        packet = self.connection.read_packet()
        channel, command, length = struct.unpack(">IBH", packet[:7])
        assert len(packet) == 64 and command & 0x80, packet
        payload, sequence = packet[7:], 0
        while len(payload) < length:
            packet = self.connection.read_packet()
            assert struct.unpack(">IB", packet[:5]) == (channel, sequence) and len(packet) == 64, packet
            payload, sequence = payload + packet[5:], sequence + 1
        return channel, command & 0x7F, payload[:length]

    def reply(self):
        """The next message that is no keepalive."""
        while True:
            message = self.receive()
            if message[1] != Command.KEEPALIVE:
                return message

    def call(self, channel, command, payload=b""):
        self.send(channel, command, payload)
        answered, *reply = self.reply()
        assert answered == channel
        return tuple(reply)

    def open(self):
        """A new channel."""
        nonce = os.urandom(8)
        command, reply = self.call(BROADCAST, Command.INIT, nonce)
        assert command == Command.INIT and reply[:8] == nonce and len(reply) == 17
        return int.from_bytes(reply[8:12], "big")


def error(code):
    return (Command.ERROR, bytes([code]))


@pytest.fixture
def port(bridge):
    with Port(bridge.reports) as port:
        yield port


@pytest.fixture
def hid(bridge):
    """python-fido2's CTAP2 over its own CTAPHID."""
    with contextlib.closing(hid_device(bridge.reports)) as device:
        yield Ctap2(device, strict_cbor=True)


@pytest.fixture
def reset(daemon, hid):
    hid.reset()
    return hid


# MARK: python-fido2


def test_info_is_that_of_the_socket(daemon, hid):
    device = hid.device
    assert device.version == 2 and device.capabilities & 0x0D == 0x05, "WINK, CBOR and MSG"
    with contextlib.closing(SocketDevice(daemon.socket)) as other:
        assert hid.send_cbor(4) == Ctap2(other).send_cbor(4)
        assert device.device_version == other.device_version and device.capabilities == other.capabilities
    # What getInfo says is true here too: it is the longest message of CTAPHID.
    assert hid.info.max_msg_size == LONGEST


def test_ping(hid):
    for count in (0, 1, 57, 58, 1000, LONGEST):
        data = os.urandom(count)
        assert hid.device.ping(data) == data


def test_wink(daemon, hid):
    before = len([one for one in daemon.audit() if one["operation"] == "wink"])
    hid.device.wink()
    assert len([one for one in daemon.audit() if one["operation"] == "wink"]) == before + 1


def test_credentials(reset, rp_id):
    account = register(reset, rp_id, discoverable=True)
    authenticate(reset, account)
    others = [register(reset, rp_id, discoverable=True) for _ in range(3)]
    # getNextAssertion: the list is the channel's.
    found = reset.get_assertions(rp_id, os.urandom(32))
    assert {one.credential["id"] for one in found} == {one.id for one in [account, *others]}


def test_u2f(hid, rp_id):
    application, challenge = sha256(rp_id.encode()), os.urandom(32)
    ctap = Ctap1(hid.device)
    assert ctap.get_version() == "U2F_V2"
    registration = ctap.register(challenge, application)
    registration.verify(application, challenge)
    ctap.authenticate(challenge, application, registration.key_handle).verify(
        application, challenge, registration.public_key
    )


def test_pin(reset, rp_id):
    set_pin(reset)
    key = token(reset, MC, rp_id)
    account = register_with(reset, key, rp_id)
    assert account.response.auth_data.flags & UV
    assert status_of(lambda: register(reset, rp_id, discoverable=True)) == CtapError.ERR.PUAT_REQUIRED


def test_a_token_is_its_channels(reset, bridge, rp_id):
    set_pin(reset)
    key = token(reset, MC, rp_id)
    with contextlib.closing(hid_device(bridge.reports)) as other:
        with pytest.raises(CtapError) as refusal:
            register_with(Ctap2(other), key, rp_id)
        assert refusal.value.code == CtapError.ERR.PIN_AUTH_INVALID
    register_with(reset, key, rp_id)


def test_a_long_allow_list(reset, rp_id):
    """Over many packets: as many as getInfo allows."""
    account = register(reset, rp_id)
    listed = [descriptor(os.urandom(len(account.id))) for _ in range(reset.info.max_creds_in_list - 1)]
    challenge = os.urandom(32)
    assertion = reset.get_assertion(rp_id, challenge, [*listed, account.descriptor])
    assertion.verify(challenge, account.public_key)


def test_large_blobs(reset, randomness):
    """The longest fragments there are, both ways."""
    set_pin(reset)
    key = token(reset, LBW)
    size = reset.info.max_msg_size - 64
    data = array_of(2 * size + 100, randomness)
    for offset in range(0, len(data), size):
        put(reset, key, offset, data[offset : offset + size], len(data) if offset == 0 else None)
    read = b""
    while len(read) < len(data):
        read += reset.large_blobs(len(read), get=size)[1]
    assert read == data
    blobs = LargeBlobs(reset, PinProtocolV2(), token(reset, LBW))
    with_key = os.urandom(32)
    blobs.put_blob(with_key, b"a blob")
    assert blobs.get_blob(with_key) == b"a blob"


def test_cancellation(daemon, hid, rp_id):
    event = threading.Event()
    keepalives = []
    with busy_tpm(daemon, rp_id, connections=10):

        def keepalive(status):
            keepalives.append(status)
            event.set()

        call = lambda: register(hid, rp_id, event=event, on_keepalive=keepalive)  # noqa: E731
        assert status_of(call) == CtapError.ERR.KEEPALIVE_CANCEL
    assert keepalives
    assert hid.device.ping(b"alive") == b"alive"


# MARK: Channels


def test_channels_that_were_not_allocated(port, bridge):
    channel = port.open()
    with Port(bridge.reports) as other:
        # Another port's channel is none here.
        for stranger in (0, channel + 1, other.open()):
            for command in (Command.PING, Command.CBOR, Command.INIT, Command.CANCEL, LOCK, 0x7F):
                assert port.call(stranger, command, bytes(8)) == error(INVALID_CHANNEL)
    for command in (Command.PING, Command.CBOR, Command.CANCEL, LOCK):
        assert port.call(BROADCAST, command, b"\4") == error(INVALID_CHANNEL)


def test_replies_go_to_the_port_that_asked(daemon, bridge, rp_id):
    """Two ports at once, each with a transaction, and neither sees anything of the other."""
    with Port(bridge.reports) as one, Port(bridge.reports) as other, busy_tpm(daemon, rp_id):
        first, second = one.open(), other.open()
        one.send(first, Command.CBOR, make_credential(rp_id, ES256))
        other.send(second, Command.CBOR, GET_INFO)
        channel, command, payload = other.reply()
        assert (channel, command, payload[0]) == (second, Command.CBOR, 0)
        assert other.call(second, Command.PING, b"alive") == (Command.PING, b"alive")
        # With its keepalives.
        assert one.receive()[:2] in ((first, Command.KEEPALIVE), (first, Command.CBOR))
        one.send(first, Command.CANCEL)
        channel, command, payload = one.reply()
        assert (channel, command) == (first, Command.CBOR) and payload[0] in (0, CtapError.ERR.KEEPALIVE_CANCEL)


def test_one_transaction_at_a_time(daemon, port, rp_id):
    busy, other = port.open(), port.open()
    with busy_tpm(daemon, rp_id):
        port.send(busy, Command.CBOR, make_credential(rp_id, ES256))
        port.send(other, Command.PING, b"x")
        assert port.reply() == (other, *error(HIDError.CHANNEL_BUSY))
        # Its own channel too, and a new one can be had meanwhile.
        port.send(busy, Command.PING, b"x")
        assert port.reply() == (busy, *error(HIDError.CHANNEL_BUSY))
        third = port.open()
        assert third not in (busy, other)
        # It is not theirs to cancel.
        port.send(other, Command.CANCEL)
        port.send(busy, Command.CANCEL)
        assert port.reply() == (busy, Command.CBOR, bytes([CtapError.ERR.KEEPALIVE_CANCEL]))
    assert port.call(other, Command.PING, b"x") == (Command.PING, b"x")


def test_lock(port):
    holder, other = port.open(), port.open()
    assert port.call(holder, LOCK, b"\x0b") == error(HIDError.INVALID_PARAMETER)
    assert port.call(holder, LOCK, b"\x0a") == (LOCK, b"")
    assert port.call(other, Command.PING) == error(HIDError.CHANNEL_BUSY)
    assert port.call(other, Command.CBOR, GET_INFO) == error(HIDError.CHANNEL_BUSY)
    assert port.call(holder, Command.CBOR, GET_INFO)[1][0] == 0
    assert port.call(holder, LOCK, b"\0") == (LOCK, b"")
    assert port.call(other, Command.PING) == (Command.PING, b"")
    assert port.call(holder, LOCK, b"\x01") == (LOCK, b"")
    # It ends by itself.
    eventually(lambda: port.call(other, Command.PING) == (Command.PING, b""), "the end of the lock")


def test_many_channels(daemon, port):
    """The least recently used one makes room, with its connection; the others keep theirs."""
    channels = [port.open() for _ in range(64)]
    for channel in channels:
        assert port.call(channel, Command.CBOR, GET_INFO)[1][0] == 0
    more = [port.open() for _ in range(10)]
    assert all(port.call(gone, Command.PING) == error(INVALID_CHANNEL) for gone in channels[:10])
    assert all(port.call(one, Command.CBOR, GET_INFO)[1][0] == 0 for one in [*channels[10:], *more])


# MARK: Messages that break the rules


def test_resynchronization(daemon, port, rp_id):
    channel = port.open()
    nonce = os.urandom(8)
    # In the middle of a message.
    port.begin(channel, Command.PING, 200, bytes(57))
    port.write(channel, b"\0" + bytes(59))
    assert port.call(channel, Command.INIT, nonce)[1][:12] == nonce + channel.to_bytes(4, "big")
    port.write(channel, b"\1" + bytes(59))
    assert port.call(channel, Command.PING, b"x") == (Command.PING, b"x")
    # In the middle of a request.
    with busy_tpm(daemon, rp_id):
        port.send(channel, Command.CBOR, make_credential(rp_id, ES256))
        port.send(channel, Command.INIT, nonce)
        assert port.reply()[1:] == (Command.INIT, nonce + channel.to_bytes(4, "big") + b"\x02\0\1\0\x05")
        assert port.call(channel, Command.CBOR, GET_INFO)[1][0] == 0


def test_sequence_errors(port):
    channel = port.open()
    for wrong in ([1], [0, 0], [0, 2], [127]):
        port.begin(channel, Command.PING, 1000, bytes(57))
        for sequence in wrong:
            port.write(channel, bytes([sequence]) + bytes(59))
        assert port.reply() == (channel, *error(INVALID_SEQUENCE))
    port.begin(channel, Command.PING, 1000, bytes(57))
    assert port.call(channel, Command.PING) == error(INVALID_SEQUENCE)
    # What belongs to no message is passed over.
    port.write(channel, b"\0" + bytes(59))
    port.write(channel + 1, b"\0" + bytes(59))
    assert port.call(channel, Command.PING, b"x") == (Command.PING, b"x")


def test_lengths(port):
    channel = port.open()
    for command, length in ((Command.PING, LONGEST + 1), (Command.CBOR, 65535), (Command.CBOR, 0), (Command.MSG, 0),
                            (Command.WINK, 1), (LOCK, 0), (LOCK, 2), (Command.INIT, 7), (Command.INIT, 9)):
        port.begin(channel, command, length, bytes(57))
        assert port.reply() == (channel, *error(HIDError.INVALID_LENGTH)), (command, length)
    for command in (0x00, 0x02, 0x3C, 0x40, 0x7F, Command.KEEPALIVE, Command.ERROR):
        assert port.call(channel, command, b"x") == error(HIDError.INVALID_COMMAND)


def test_messages_that_stop(port):
    channel, other = port.open(), port.open()
    begun = time.monotonic()
    port.begin(channel, Command.PING, 1000, bytes(57))
    assert port.reply() == (channel, *error(HIDError.MESSAGE_TIMEOUT))
    assert 0.45 < time.monotonic() - begun
    assert port.call(other, Command.PING) == (Command.PING, b"")


def test_packets_of_another_size(port):
    channel = port.open()
    for count in (1, 63, 65, 1000, 100_000):
        port.connection.socket.send(b"\xff" * count)
    assert port.call(channel, Command.PING, b"x") == (Command.PING, b"x")


def test_random_packets(bridge, port, randomness):
    """Any bytes: the bridge lives, and other ports notice nothing."""
    own = port.open()
    for _ in range(20):
        with Port(bridge.reports) as other:
            channel = other.open()
            for _ in range(50):
                target = randomness.choice([channel, channel, channel, BROADCAST, randomness.randrange(2**32)])
                command = randomness.choice([*Command, LOCK, randomness.randrange(128)])
                length = randomness.choice([0, 1, 8, 57, 58, 200, 7609, randomness.randrange(65536)])
                payload = randomness.randbytes(60)
                if payload[:1] == b"\x07":
                    continue
                kind = randomness.randrange(3)
                if kind == 0:
                    other.begin(target, command, length, payload)
                elif kind == 1:
                    other.write(target, bytes([randomness.randrange(128)]) + payload[:59])
                else:
                    other.connection.socket.send(randomness.randbytes(randomness.randrange(1, 200)))
            other.connection.socket.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while other.connection.read_packet():
                    pass
        assert port.call(own, Command.PING, b"alive") == (Command.PING, b"alive")
    assert port.call(own, Command.CBOR, GET_INFO)[1][0] == 0


def test_a_host_that_does_not_read(bridge, port):
    """Replies that nobody takes hold up nobody else and do not pile up in the bridge."""
    with Port(bridge.reports) as deaf:
        channel = deaf.open()
        deaf.connection.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            for _ in range(20_000):
                deaf.send(channel, Command.PING, bytes(57))
        own = port.open()
        assert port.call(own, Command.CBOR, GET_INFO)[1][0] == 0


# MARK: The service


def test_ports_are_limited(bridge):
    def plug_in():
        one = Port(bridge.reports)
        with contextlib.suppress(OSError):
            one.open()
            return one
        one.connection.close()

    with contextlib.ExitStack() as stack:
        # Those of the tests before may not be gone yet.
        ports = [stack.enter_context(eventually(plug_in, "a free port")) for _ in range(8)]
        with Port(bridge.reports) as more:
            assert more.connection.socket.recv(64) == b"", "it is closed"
        assert ports[0].call(ports[0].open(), Command.PING) == (Command.PING, b"")
    # Those that have left made room.
    eventually(plug_in, "room for one more port").connection.close()


def test_daemon_away_and_back(make_daemon, folder, rp_id):
    daemon = make_daemon(EVERYTHING)
    bridge = Bridge(folder / "bridge", daemon.programs, daemon.socket).start()
    with Port(bridge.reports) as port:
        channel = port.open()
        assert port.call(channel, Command.CBOR, GET_INFO) == error(0x7F)
        assert port.call(channel, Command.PING, b"x") == (Command.PING, b"x"), "the device stays"
        # Lines are written by a thread of their own, beside the answer.
        lines = eventually(lambda: re.findall("^.*request not relayed.*\n", bridge.errors(), re.MULTILINE), "a warning")
        assert lines[-1].startswith("countersign-hid: warning: request not relayed: connect ")
        assert lines[-1].endswith(": start countersignd, put this service's user into the group of its socket, or name the "
                                  "socket with --socket\n")
        daemon.start()
        assert port.call(channel, Command.CBOR, GET_INFO)[1][0] == 0
        daemon.stop()
        daemon.start()
        assert port.call(channel, Command.CBOR, GET_INFO)[1][0] == 0, "nobody noticed"
        daemon.kill()
        assert port.call(channel, Command.CBOR, GET_INFO) == error(0x7F)
    bridge.stop()


def test_service_life(make_daemon, folder):
    daemon = make_daemon(EVERYTHING).start()
    bridge = Bridge(folder / "bridge", daemon.programs, daemon.socket).start()
    assert bridge.reports.stat().st_mode & 0o777 == 0o660
    second = Bridge(folder / "second", daemon.programs, daemon.socket)
    second.reports = bridge.reports
    assert "another process listens there" in second.refuses_to_start(1)
    bridge.process.send_signal(1)
    with Port(bridge.reports) as port:
        assert port.call(port.open(), Command.CBOR, GET_INFO)[1][0] == 0
        bridge.process.terminate()
        assert bridge.await_notification("STOPPING=1")
        assert bridge.exit_status() == 0
        assert port.connection.socket.recv(64) == b""
    assert not bridge.reports.exists()


def test_stop_in_the_middle_of_a_request(make_daemon, folder, rp_id):
    daemon = make_daemon(EVERYTHING).start()
    bridge = Bridge(folder / "bridge", daemon.programs, daemon.socket).start()
    with Port(bridge.reports) as port:
        channel = port.open()
        port.send(channel, Command.CBOR, make_credential(rp_id, RS256))
        assert port.receive()[:2] in ((channel, Command.KEEPALIVE), (channel, Command.CBOR))
        bridge.process.terminate()
        with contextlib.suppress(OSError):
            assert port.reply()[:2] == (channel, Command.CBOR)
        assert bridge.exit_status() == 0


def test_usage(programs, folder):
    class Wrong(Bridge):
        arguments = []

        def command(self):
            return [str(self.programs / "countersign-hid"), *self.arguments]

    bridge = Wrong(folder / "b", programs, folder / "none")
    for arguments, status, said in (
        (["--nonsense"], 2, "unknown argument --nonsense: see countersign-hid --help"),
        (["--uhid", "a", "--reports", "b"], 2, "one of --uhid and --reports, once: leave one out"),
        (["--uhid", str(folder / "uhid")], 1, "load the kernel's module uhid (modprobe uhid), or use --reports"),
        (["--reports", str(folder / "none" / "r")], 1, f"folder {folder}/none does not exist"),
    ):
        bridge.arguments = arguments
        assert said in bridge.refuses_to_start(status)


def test_socket_from_the_environment(make_daemon, folder, monkeypatch):
    daemon = make_daemon(EVERYTHING).start()

    class Told(Bridge):
        def command(self):
            return [str(self.programs / "countersign-hid"), f"--reports={self.reports}"]

    monkeypatch.setenv("COUNTERSIGN_SOCKET", str(daemon.socket))
    bridge = Told(folder / "bridge", daemon.programs, daemon.socket).start()
    with Port(bridge.reports) as port:
        assert port.call(port.open(), Command.CBOR, GET_INFO)[1][0] == 0
    bridge.stop()


def test_latency(daemon, bridge, rp_id):
    """What the bridge adds to one client's assertions; a figure to read, not to pass."""
    with contextlib.closing(SocketDevice(daemon.socket)) as direct, contextlib.closing(
        hid_device(bridge.reports)
    ) as relayed:
        clients = {"socket": Ctap2(direct), "bridge": Ctap2(relayed)}
        account = register(clients["socket"], rp_id)
        times = {name: [] for name in clients}
        for _ in range(100):
            for name, ctap in clients.items():
                begun = time.perf_counter()
                ctap.get_assertion(rp_id, os.urandom(32), [account.descriptor])
                times[name].append(time.perf_counter() - begun)
        medians = {name: statistics.median(all) for name, all in times.items()}
        print(f"assertion, median of 100: {medians['socket'] * 1000:.2f} ms by the socket, "
              f"{medians['bridge'] * 1000:.2f} ms by the bridge: ratio {medians['bridge'] / medians['socket']:.2f}")
        assert medians["bridge"] < 10 * medians["socket"]
