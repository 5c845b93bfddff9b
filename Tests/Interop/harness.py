"""A countersignd with a software TPM in a temporary folder, the frames of its socket, and python-fido2's view of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pwd
import select
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
import traceback
from enum import IntEnum
from pathlib import Path
from typing import Any, Callable, Iterator, Self

from fido2.ctap import STATUS, CtapDevice, CtapError
from fido2.ctap2 import Ctap2
from fido2.hid import CtapHidDevice
from fido2.hid.base import CtapHidConnection, HidDescriptor

ME = pwd.getpwuid(os.getuid()).pw_name

# Vendor codes of the daemon (CTAP leaves 0xF0 to 0xFF to vendors).
TPM_UNAVAILABLE = 0xF0
STORAGE_UNAVAILABLE = 0xF1
AUDIT_UNAVAILABLE = 0xF2

ES256 = {"type": "public-key", "alg": -7}
ES384 = {"type": "public-key", "alg": -35}
RS256 = {"type": "public-key", "alg": -257}
EDDSA = {"type": "public-key", "alg": -8}


class Command(IntEnum):
    """The commands of the socket: CTAPHID's numbers without the 0x80 bit."""

    PING = 0x01
    MSG = 0x03
    INIT = 0x06
    WINK = 0x08
    CBOR = 0x10
    CANCEL = 0x11
    KEEPALIVE = 0x3B
    ERROR = 0x3F


class HIDError(IntEnum):
    """CTAPHID error codes (CTAP 2.1 section 11.2.9.1.6)."""

    INVALID_COMMAND = 0x01
    INVALID_PARAMETER = 0x02
    INVALID_LENGTH = 0x03
    MESSAGE_TIMEOUT = 0x05
    CHANNEL_BUSY = 0x06


class Closed(Exception):
    """The daemon has closed the connection."""


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def eventually(condition: Callable[[], Any], what: str, timeout: float = 20, pause: float = 0.01) -> Any:
    """Asks until the condition holds. For what has no event of its own to wait for."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {timeout} s in vain: {what}"
        select.select([], [], [], pause)


def encoded_frame(command: int, payload: bytes = b"") -> bytes:
    return struct.pack(">IB", 1 + len(payload), command) + payload


class FrameConnection:
    """One connection, frame by frame, for tests that break the rules."""

    def __init__(self, path: Path | str, timeout: float = 20):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))

    def __enter__(self) -> FrameConnection:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def send(self, command: int, payload: bytes = b"") -> None:
        self.send_bytes(encoded_frame(command, payload))

    def send_bytes(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> tuple[int, bytes]:
        (length,) = struct.unpack(">I", self._exactly(4))
        assert 1 <= length <= 65536, f"the daemon sent a frame of length {length}"
        data = self._exactly(length)
        return data[0], data[1:]

    def receive_reply(self) -> tuple[int, bytes]:
        """The next frame that is no keepalive."""
        while True:
            command, payload = self.receive()
            if command != Command.KEEPALIVE:
                return command, payload
            assert payload in (b"\x01", b"\x02")

    def exchange(self, command: int, payload: bytes = b"") -> tuple[int, bytes]:
        self.send(command, payload)
        return self.receive_reply()

    def is_answered(self) -> bool:
        """Whether a frame that is no keepalive has arrived; takes nothing and waits for nothing."""
        try:
            data = self.socket.recv(1 << 20, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        while len(data) >= 5 and data[4] == Command.KEEPALIVE:
            data = data[4 + int.from_bytes(data[:4], "big") :]
        return len(data) >= 5

    def error(self) -> int:
        command, payload = self.receive_reply()
        assert command == Command.ERROR and len(payload) == 1, (command, payload)
        return payload[0]

    def cbor(self, message: bytes) -> tuple[int, bytes]:
        """Status and CBOR of the reply to one CTAP2 message."""
        command, payload = self.exchange(Command.CBOR, message)
        assert command == Command.CBOR, (command, payload)
        return payload[0], payload[1:]

    def is_closed(self) -> bool:
        """Waits for the daemon to close; anything else that arrives is a failure."""
        try:
            data = self.socket.recv(1)
        except ConnectionResetError:
            return True
        assert data == b"", f"the daemon sent {data!r} instead of closing"
        return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                more = self.socket.recv(count - len(data))
            except (ConnectionResetError, BrokenPipeError):
                raise Closed() from None
            if not more:
                raise Closed()
            data += more
        return data


class SocketDevice(CtapDevice):
    """python-fido2's transport over the socket: CTAPHID commands map one to one."""

    def __init__(self, path: Path | str):
        self.connection = FrameConnection(path, timeout=60)
        nonce = os.urandom(8)
        command, reply = self.connection.exchange(Command.INIT, nonce)
        assert command == Command.INIT and reply[:8] == nonce and len(reply) == 17, reply
        self.channel = reply[8:12]
        self.protocol_version = reply[12]
        self.device_version = tuple(reply[13:16])
        self._capabilities = reply[16]

    @property
    def capabilities(self) -> int:
        return self._capabilities

    def call(self, cmd, data=b"", event=None, on_keepalive=None):
        self.connection.send(cmd, data)
        last = None
        cancelled = False
        while True:
            command, payload = self.connection.receive()
            if command == Command.KEEPALIVE:
                if event is not None and event.is_set() and not cancelled:
                    self.connection.send(Command.CANCEL)
                    cancelled = True
                if on_keepalive and payload != last:
                    last = payload
                    on_keepalive(STATUS(payload[0]))
            elif command == Command.ERROR:
                raise CtapError(payload[0])
            elif command == cmd:
                return payload
            else:
                raise AssertionError(f"command {cmd:#x} was answered with {command:#x}")

    def close(self) -> None:
        self.connection.close()

    @classmethod
    def list_devices(cls) -> Iterator[SocketDevice]:
        path = os.environ.get("COUNTERSIGN_SOCKET", "/run/countersign/ctap.sock")
        if os.path.exists(path):
            yield cls(path)


def ctap2(path: Path | str) -> Ctap2:
    """python-fido2's CTAP2 over a new connection; it checks that every reply is canonical CBOR."""
    return Ctap2(SocketDevice(path), strict_cbor=True)


def status_of(call: Callable[[], Any]) -> int:
    """The CTAP status with which a call is refused; 0 if it is not."""
    try:
        call()
    except CtapError as error:
        return int(error.code)
    return 0


def descriptor(credential_id: bytes) -> dict[str, Any]:
    return {"type": "public-key", "id": credential_id}


class Account:
    """A registered credential, as a relying party keeps it."""

    def __init__(self, rp_id: str, user: dict[str, Any], response: Any, discoverable: bool = False):
        self.rp_id = rp_id
        self.user = user
        self.discoverable = discoverable
        self.response = response
        self.id = response.auth_data.credential_data.credential_id
        self.public_key = response.auth_data.credential_data.public_key
        self.descriptor = descriptor(self.id)


def register(
    ctap: Ctap2,
    rp_id: str,
    user_id: bytes | None = None,
    *,
    discoverable: bool = False,
    parameters: list[dict[str, Any]] | None = None,
    client_data_hash: bytes | None = None,
    **more: Any,
) -> Account:
    user = {"id": user_id or os.urandom(16), "name": "deploy", "displayName": "Deployment"}
    response = ctap.make_credential(
        client_data_hash or os.urandom(32),
        {"id": rp_id, "name": "An example"},
        user,
        parameters or [ES256],
        options={"rk": True} if discoverable else None,
        **more,
    )
    return Account(rp_id, user, response, discoverable)


def authenticate(ctap: Ctap2, account: Account, client_data_hash: bytes | None = None, **more: Any) -> Any:
    """One assertion of this account, verified."""
    challenge = client_data_hash or os.urandom(32)
    assertion = ctap.get_assertion(account.rp_id, challenge, [account.descriptor], **more)
    assertion.verify(challenge, account.public_key)
    return assertion


def in_another_process(work: Callable[[], int]) -> int:
    """Does the work, which may give privileges away, in a child of this process, and returns what it returns."""
    child = os.fork()
    if child == 0:
        try:
            os._exit(work())
        except BaseException:
            traceback.print_exc()
            os._exit(255)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code != 255, "the child failed, see above"
    return code


class SoftwareTPM:
    """A swtpm of our own, for tests that look at the TPM's side. It gets bound sockets, so there is nothing to wait for."""

    def __init__(self, folder: Path):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.log = folder / "swtpm.log"
        self.path = folder / "s"
        self.process: subprocess.Popen | None = None

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self.path}"

    def start(self) -> SoftwareTPM:
        listeners = []
        for path in (self.path, self.folder / "s.ctrl"):
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
            listener.listen()
            listeners.append(listener)
        server, control = (listener.fileno() for listener in listeners)
        self.process = subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.folder}"]
            + ["--server", f"type=unixio,fd={server}", "--ctrl", f"type=unixio,fd={control}"]
            + ["--flags", "not-need-init,startup-clear", "--log", f"file={self.log},level=20"],
            pass_fds=(server, control),
            stdin=subprocess.DEVNULL,
        )
        for listener in listeners:
            listener.close()
        return self

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def commands(self, offset: int = 0) -> list[int]:
        """The command codes that reached the TPM, from its log (bytes 6 to 9 of what it read)."""
        codes = []
        lines = self.log.read_text(errors="replace")[offset:].splitlines()
        for number, line in enumerate(lines):
            if "SWTPM_IO_Read" in line:
                data = bytes.fromhex("".join(lines[number + 1].split()[:10]))
                codes.append(int.from_bytes(data[6:10], "big"))
        return codes

    def log_size(self) -> int:
        return len(self.log.read_text(errors="replace"))

    def send(self, command: bytes) -> bytes:
        """One raw TPM command, while no daemon is connected."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(20)
            connection.connect(str(self.path))
            connection.sendall(command)
            return connection.recv(4096)

    def handles(self, first: int) -> list[int]:
        """TPM2_GetCapability(TPM_CAP_HANDLES): what the TPM holds of one kind."""
        reply = self.send(struct.pack(">HIIIII", 0x8001, 22, 0x17A, 1, first, 64))
        code, _, _, count = struct.unpack(">IBII", reply[6:19])
        assert code == 0, hex(code)
        return list(struct.unpack(f">{count}I", reply[19 : 19 + 4 * count]))


DEFAULT_RULES = [
    {
        "name": "tests",
        "callers": [{"user": ME}],
        "relyingParties": ["*.example.com"],
        "operations": ["register", "authenticate"],
    }
]


# What systemd does between fork and exec.
ACTIVATION = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1", LISTEN_FDNAMES=sys.argv[2])
os.execv(sys.argv[3], sys.argv[3:])
"""


class Service:
    """A service with sd_notify(3), as systemd would run it."""

    name = ""

    def __init__(self, folder: Path, programs: Path, patience: float):
        self.folder = folder
        self.programs = programs
        self.patience = patience
        self.standard_error = folder / "stderr.txt"
        self.listener: socket.socket | None = None
        self.process: subprocess.Popen | None = None
        self._notifications: socket.socket | None = None

    def command(self) -> list[str]:
        raise NotImplementedError

    def launch(self) -> None:
        """Starts the process and returns at once."""
        assert self.process is None
        path = self.folder / "notify.sock"
        path.unlink(missing_ok=True)
        self._notifications = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notifications.bind(str(path))
        path.chmod(0o777)
        with self.standard_error.open("ab") as standard_error:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=standard_error,
                stderr=standard_error,
                env=self.environment() | {"NOTIFY_SOCKET": str(path)},
                pass_fds=[self.listener.fileno()] if self.listener else [],
            )

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def start(self) -> Self:
        """Starts it and returns when it has said READY=1."""
        self.launch()
        if not self.await_notification("READY=1"):
            status = self.exit_status()
            raise AssertionError(f"{self.name} did not start, it ended with {status}:\n{self.errors()}")
        return self

    def await_notification(self, wanted: str) -> bool:
        """Waits for one line of sd_notify(3). False if it ends before."""
        assert self.process and self._notifications
        life = os.pidfd_open(self.process.pid)
        try:
            deadline = time.monotonic() + self.patience
            while True:
                ready, _, _ = select.select([self._notifications, life], [], [], max(deadline - time.monotonic(), 0))
                if self._notifications in ready:
                    if wanted in self._notifications.recv(4096).decode().splitlines():
                        return True
                elif life in ready:
                    return False
                else:
                    raise AssertionError(f"no {wanted} after {self.patience} s:\n{self.errors()}")
        finally:
            os.close(life)

    def exit_status(self) -> int:
        """Waits for it to end by itself."""
        assert self.process
        status = self.process.wait(timeout=self.patience)
        self._forget()
        return status

    def refuses_to_start(self, expected_status: int) -> str:
        """Starts it; it ends by itself, never ready, with this status and one line, which is returned."""
        before = len(self.errors())
        self.launch()
        ready = self.await_notification("READY=1")
        assert not ready, "it is ready"
        status = self.exit_status()
        last = self.errors()[before:].splitlines()[-1]
        assert status == expected_status, (status, last)
        assert last.startswith(f"{self.name}: "), last
        return last

    def stop(self) -> None:
        """Ends it as systemd would, by SIGTERM."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(timeout=self.patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end after SIGTERM:\n{self.errors()}") from None
        finally:
            self._forget()
        assert status == 0, f"{self.name} ended with {status}:\n{self.errors()}"

    def _forget(self) -> None:
        self.process = None
        if self._notifications:
            self._notifications.close()
            self._notifications = None

    def errors(self) -> str:
        return self.standard_error.read_text(errors="replace") if self.standard_error.exists() else ""


class Daemon(Service):
    """countersignd with everything in one folder."""

    name = "countersignd"

    def __init__(
        self,
        folder: Path,
        programs: Path,
        rules: list[dict[str, Any]] | None = None,
        *,
        tcti: str | None = None,
        wrapper: list[str] | None = None,
        patience: float = 30,
    ):
        super().__init__(folder, programs, patience)
        self.socket = folder / "ctap.sock"
        self.admin_socket = folder / "admin.sock"
        self.state = folder / "state"
        self.audit_log = folder / "audit.jsonl"
        self.tpm_state = folder / "tpm"
        self.configuration = folder / "countersign.json"
        self.tcti = tcti
        self.wrapper = wrapper or []
        # What systemd would hand over by LoadCredential=.
        self.credentials: Path | None = None
        self.state.mkdir(mode=0o700, exist_ok=True)
        self.tpm_state.mkdir(mode=0o700, exist_ok=True)
        self.configure(DEFAULT_RULES if rules is None else rules)

    def configure(self, rules: list[dict[str, Any]], **tpm: Any) -> None:
        """Writes the configuration; with keys of `tpm` it is the file that names the TPM, not the command line."""
        self.tpm_by_file = bool(tpm)
        self.write_configuration(json.dumps({"tpm": tpm or {"allowSoftware": True}, "rules": rules}, indent=2))

    def write_configuration(self, text: str) -> None:
        self.configuration.write_text(text)
        self.configuration.chmod(0o644)

    def command(self) -> list[str]:
        tpm = [] if self.tpm_by_file else ["--tpm", self.tcti] if self.tcti else ["--software-tpm", str(self.tpm_state)]
        return [
            *self.wrapper,
            str(self.programs / "countersignd"),
            *("--config", str(self.configuration), "--socket", str(self.socket)),
            *("--admin-socket", str(self.admin_socket), "--state-directory", str(self.state)),
            *("--audit-log", str(self.audit_log), *tpm),
        ]

    def environment(self) -> dict[str, str]:
        handed_over = {"CREDENTIALS_DIRECTORY": str(self.credentials)} if self.credentials else {}
        return {**os.environ, **handed_over}

    def activate(self, name: str = "ctap") -> None:
        """Has the socket passed to the daemon as systemd does: descriptor 3 with this name."""
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.socket))
        self.listener.listen(128)
        self.wrapper = [sys.executable, "-c", ACTIVATION, str(self.listener.fileno()), name]

    def kill(self) -> None:
        """kill -9. The software TPM that the daemon started must not outlive it."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self._forget()
            eventually(lambda: not self._software_tpms(), "the end of the daemon's swtpm")

    def _software_tpms(self) -> list[str]:
        """Processes that work on the daemon's software TPM. (A zombie has no command line.)"""
        found = []
        for process in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if process.name.isdigit() and f"dir={self.tpm_state},".encode() in (process / "cmdline").read_bytes():
                    found.append(process.name)
        return found

    def audit(self, *, own: bool = False) -> list[dict[str, Any]]:
        """The audit records, with those of the daemon's own acts where asked for. A line that a kill cut short is no
        record."""
        if not self.audit_log.exists():
            return []
        lines = self.audit_log.read_bytes().split(b"\n")
        records = []
        for line in lines:
            try:
                records.append(json.loads(line))
            except ValueError:
                continue
        return [record for record in records if own or record["outcome"] != "done"]

    def database(self) -> Path:
        """The one SQLite file of the state directory."""
        files = [file for file in self.state.iterdir() if file.read_bytes()[:15] == b"SQLite format 3"]
        assert len(files) == 1, f"one database was expected in {self.state}: {files}"
        return files[0]

    def check_integrity(self) -> None:
        """SQLite's own check of the database as it lies on the disk, with what a kill may have left beside it."""
        with tempfile.TemporaryDirectory() as copy:
            copy_folder(self.state, Path(copy))
            with contextlib.closing(sqlite3.connect(Path(copy) / self.database().name)) as database:
                assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def memory(self, field: str = "VmRSS") -> float:
        """Resident memory in MB."""
        assert self.process
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
        raise AssertionError(f"no {field}")

    def tpm_process(self) -> int | None:
        """The swtpm that the daemon supervises."""
        assert self.process
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    status = (entry / "stat").read_text().rsplit(")", 1)
                    if status[0].endswith("(swtpm") and int(status[1].split()[1]) == self.process.pid:
                        return int(entry.name)
        return None

    def run(self, *arguments: str, standard_input: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs the `countersign` command line against this daemon."""
        return subprocess.run(
            [str(self.programs / "countersign"), *arguments],
            input=standard_input or "",
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "COUNTERSIGN_SOCKET": str(self.socket)},
        )


class Bridge(Service):
    """countersign-hid between a socket of frames and one of reports."""

    name = "countersign-hid"

    def __init__(self, folder: Path, programs: Path, daemon: Path, *, patience: float = 30):
        folder.mkdir(exist_ok=True)
        super().__init__(folder, programs, patience)
        self.daemon = daemon
        self.reports = folder / "reports.sock"

    def command(self) -> list[str]:
        program = str(self.programs / "countersign-hid")
        return [program, "--socket", str(self.daemon), "--reports", str(self.reports)]


class PortConnection(CtapHidConnection):
    """python-fido2's view of a USB port of the bridge: one report in a packet."""

    def __init__(self, path: Path | str, timeout: float = 60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(timeout)
        self.socket.connect(str(path))

    def write_packet(self, data: bytes) -> None:
        self.socket.send(data)

    def read_packet(self) -> bytes:
        data = self.socket.recv(1024)
        if not data:
            raise OSError("the device is gone")
        return data

    def close(self) -> None:
        self.socket.close()


def port_descriptor(path: Path | str) -> HidDescriptor:
    return HidDescriptor(str(path), 0, 0, 64, 64, "Countersign virtual FIDO2 authenticator", "countersign")


def hid_device(path: Path | str) -> CtapHidDevice:
    """python-fido2's own CTAPHID over a new port of the bridge."""
    return CtapHidDevice(port_descriptor(path), PortConnection(path))


def check_configuration(programs: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(programs / "countersignd"), "--check-config", "--config", str(file)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
    )


@contextlib.contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    """A file system of its own at `path`; raises PermissionError where this user may not mount."""
    path.mkdir(exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(path)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        raise PermissionError(mounted.stderr.strip())
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def fill(folder: Path) -> Path:
    """Fills the disk of a folder to the last byte; removing the returned file frees it."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size):
                    pass
    return filler


def copy_folder(source: Path, destination: Path) -> None:
    shutil.rmtree(destination, ignore_errors=True)
    shutil.copytree(source, destination)
