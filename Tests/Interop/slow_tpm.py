"""A relay before a software TPM, which makes its commands take as long as those of a chip, or holds them."""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path


class SlowTPM:
    """Takes the place of the software TPM that listens at `target`. One connection at a time, as tpm2-tss makes them."""

    def __init__(self, folder: Path, target: Path):
        self.path = folder / "slow"
        self.target = target
        # Seconds that each command takes besides.
        self.delay = 0.0
        self.commands = 0
        self.held = threading.Event()
        self._going = threading.Event()
        self._going.set()
        self._ended = threading.Event()
        self.path.with_name("slow.ctrl").symlink_to(target.with_name(target.name + ".ctrl"))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self.path}"

    def hold(self) -> None:
        """Commands are not carried out until `let_go`; `held` is set once there is one."""
        self.held.clear()
        self._going.clear()

    def let_go(self) -> None:
        self._going.set()

    def close(self) -> None:
        self._ended.set()
        self._going.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def __enter__(self) -> SlowTPM:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as tpm, contextlib.suppress(OSError):
                tpm.connect(str(self.target))
                while command := message(client):
                    self.commands += 1
                    self.held.set()
                    self._going.wait()
                    self._ended.wait(self.delay)
                    tpm.sendall(command)
                    client.sendall(message(tpm))


def message(connection: socket.socket) -> bytes:
    """One command or response: tag, size, code, rest. Empty at the end."""
    data = b""
    size = 10
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            return b""
        data += more
        if len(data) >= 10:
            size = int.from_bytes(data[2:6], "big")
    return data
