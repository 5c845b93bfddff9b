"""What python-fido2's own device tests need around them: their source, and hands on the device.

The suite drives a bench on which a controller cuts the power of a security key and touches it. Here the power is the
daemon's life, on the same state. The daemon has no touch, so a relay between suite and daemon withholds it: while
nobody touches, a command that a security key would have a touch for waits with keepalives until there is one, the
client cancels, or 30 s are over. All of this is test support; the daemon knows nothing of it. Between suite and relay is
countersign-hid, whose reports the suite reads and writes as those of a HID device.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import re
import select
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from fido2 import cbor
from fido2.ctap import CtapError

from harness import Bridge, Command, Daemon, encoded_frame

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# The source distribution of the fido2 that requirements.txt pins; only this one carries the suite.
ARCHIVE_SHA256 = "85787428a94c3f8eaf72f0ff30afba983b559a1b1b795c93318c81b4ad4062c4"

CTAP_MAKE_CREDENTIAL, CTAP_GET_ASSERTION, CTAP_RESET, CTAP_SELECTION = 0x01, 0x02, 0x07, 0x0B
U2F_REGISTER, U2F_AUTHENTICATE, U2F_ENFORCE_PRESENCE = 0x01, 0x02, 0x03
USER_PRESENCE_NEEDED = b"\x02"
CONDITIONS_NOT_SATISFIED = b"\x69\x85"


def source() -> Path:
    """The folder above `tests`, from the source distribution: fetched by pip once, kept in .cache."""
    version = re.search(r"^fido2==(\S+)$", (HERE / "requirements.txt").read_text(), re.MULTILINE)[1]
    cache = ROOT / ".cache" / "fido2"
    archive = cache / f"fido2-{version}.tar.gz"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            + ["--no-binary", "fido2", "--dest", str(cache), f"fido2=={version}"],
            check=True,
            stdin=subprocess.DEVNULL,
        )
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert found == ARCHIVE_SHA256, f"{archive} is not the pinned one: {found}"
    folder = cache / f"fido2-{version}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(dir=cache) as name, tarfile.open(archive) as members:
            # The tests only: what they test with is the fido2 that is installed.
            for member in members:
                if member.isfile() and member.name.startswith(f"fido2-{version}/tests/"):
                    file = Path(name) / member.name
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_bytes(members.extractfile(member).read())
            (Path(name) / f"fido2-{version}").rename(folder)
    return folder


def wants_touch(command: int, payload: bytes) -> bool:
    """Whether a security key would wait for a touch before it answers."""
    if command != Command.CBOR or not payload:
        return False
    if payload[0] == CTAP_GET_ASSERTION:
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError):
            return cbor.decode(payload[1:]).get(5, {}).get("up", True)
    return payload[0] in (CTAP_MAKE_CREDENTIAL, CTAP_GET_ASSERTION, CTAP_RESET, CTAP_SELECTION)


def is_untouched_u2f(command: int, payload: bytes) -> bool:
    """U2F does not wait: the client asks again and again."""
    if command != Command.MSG or len(payload) < 3:
        return False
    return payload[1] == U2F_REGISTER or (payload[1] == U2F_AUTHENTICATE and payload[2] == U2F_ENFORCE_PRESENCE)


def exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise OSError("closed")
        data += more
    return data


class Relay:
    """The socket that the bridge sees. It is there while the device has power."""

    def __init__(self, path: Path, daemon: Daemon, patience: float = 30):
        self.path = path
        self.touched = threading.Event()
        self._daemon = daemon
        self._patience = patience
        self._listener: socket.socket | None = None
        self._connections: list[socket.socket] = []

    def plug_in(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # Bound under another name: whoever sees the name can connect.
        hidden = self.path.with_suffix(".new")
        self._listener.bind(str(hidden))
        self._listener.listen()
        hidden.rename(self.path)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def pull_out(self) -> None:
        if self._listener:
            self.path.unlink()
            for one in (self._listener, *self._connections):
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
            self._listener = None
            self._connections.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                daemon = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                daemon.connect(str(self._daemon.socket))
                self._connections += [client, daemon]
                threading.Thread(target=self._pass_down, args=(client, daemon), daemon=True).start()
                threading.Thread(target=self._pass_up, args=(daemon, client), daemon=True).start()

    def _pass_up(self, daemon: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := daemon.recv(65536):
                client.sendall(data)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _pass_down(self, client: socket.socket, daemon: socket.socket) -> None:
        """Frames from the suite, one at a time. While one waits for a touch, the daemon has nothing to answer."""
        with contextlib.suppress(OSError):
            while True:
                (length,) = struct.unpack(">I", exactly(client, 4))
                frame = exactly(client, length)
                command, payload = frame[0], frame[1:]
                refusal = self._refusal(client, command, payload)
                if refusal is None:
                    daemon.sendall(encoded_frame(command, payload))
                else:
                    client.sendall(encoded_frame(command, refusal))
        with contextlib.suppress(OSError):
            daemon.shutdown(socket.SHUT_RDWR)

    def _refusal(self, client: socket.socket, command: int, payload: bytes) -> bytes | None:
        """None: there is a touch, or none is wanted."""
        if not self.touched.is_set() and is_untouched_u2f(command, payload):
            return CONDITIONS_NOT_SATISFIED
        if not wants_touch(command, payload):
            return None
        deadline = time.monotonic() + self._patience
        while not self.touched.is_set():
            # A client that waits sends nothing but a cancellation.
            if select.select([client], [], [], 0)[0]:
                cancel = encoded_frame(Command.CANCEL)
                if exactly(client, len(cancel)) != cancel:
                    raise OSError("another request before the reply to the first")
                return bytes([CtapError.ERR.KEEPALIVE_CANCEL])
            if time.monotonic() > deadline:
                return bytes([CtapError.ERR.USER_ACTION_TIMEOUT])
            client.sendall(encoded_frame(Command.KEEPALIVE, USER_PRESENCE_NEEDED))
            self.touched.wait(0.1)
        return None


class Bench:
    """A daemon, the relay and the bridge before it, and the controller over HTTP, as the suite's option --controller expects it."""

    def __init__(self, daemon: Daemon, *, patience: float = 30):
        self.daemon = daemon
        self.relay = Relay(daemon.folder / "device.sock", daemon, patience)
        self.bridge = Bridge(daemon.folder / "bridge", daemon.programs, self.relay.path)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Bench:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        self.power(True)
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.power(False)

    def power(self, on: bool) -> None:
        with self._lock:
            if on and self.daemon.process is None:
                self.daemon.start()
                self.relay.plug_in()
                self.bridge.start()
            elif not on and self.daemon.process is not None:
                self.bridge.stop()
                self.relay.pull_out()
                self.daemon.stop()

    def touch(self, on: bool) -> None:
        self.relay.touched.set() if on else self.relay.touched.clear()

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        bench = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = re.fullmatch(r"/(?:usb\d+/(power|touch)/(on|off))?", self.path)
                if asked and asked[1]:
                    getattr(bench, asked[1])(asked[2] == "on")
                self.send_response(200 if asked else 404)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler
