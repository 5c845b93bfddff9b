"""A pytest plugin for python-fido2's own device tests: shows them the socket as the one HID device that there is.

It is loaded into their process only, before they import fido2.hid. COUNTERSIGN_SOCKET names the socket; the device is
plugged in while there is one. Their packets become frames and frames packets; python-fido2's own CtapHidDevice is used.
"""

import os
import socket
import struct
import types
from collections import deque

from fido2 import hid
from fido2.hid.base import CtapHidConnection, HidDescriptor

PACKET = 64
PATH = os.environ["COUNTERSIGN_SOCKET"]


class PacketConnection(CtapHidConnection):
    """Packets of one channel to the frames of one connection."""

    def __init__(self, _descriptor: HidDescriptor):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(60)
        self._socket.connect(PATH)
        self._channel = b"\xff\xff\xff\xff"
        self._message = b""
        self._length = 0
        self._command = 0
        self._packets: deque[bytes] = deque()

    def write_packet(self, data: bytes) -> None:
        assert len(data) == PACKET
        if data[4] & 0x80:
            self._channel = data[:4]
            self._command, self._length = data[4] & 0x7F, struct.unpack(">H", data[5:7])[0]
            self._message = data[7:]
        else:
            self._message += data[5:]
        if len(self._message) >= self._length:
            payload = self._message[: self._length]
            self._socket.sendall(struct.pack(">IB", 1 + len(payload), self._command) + payload)

    def read_packet(self) -> bytes:
        if not self._packets:
            (length,) = struct.unpack(">I", self._exactly(4))
            frame = self._exactly(length)
            head = self._channel + struct.pack(">BH", frame[0] | 0x80, length - 1)
            rest, number = frame[1:], 0
            while rest or number == 0:
                room = PACKET - len(head)
                self._packets.append((head + rest[:room]).ljust(PACKET, b"\0"))
                head, rest, number = self._channel + bytes([number & 0x7F]), rest[room:], number + 1
        return self._packets.popleft()

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            if not more:
                raise OSError("the device is gone")
            data += more
        return data

    def close(self) -> None:
        self._socket.close()


def list_descriptors() -> list[HidDescriptor]:
    return [HidDescriptor(PATH, 0, 0, PACKET, PACKET, "Countersign", None)] if os.path.exists(PATH) else []


def get_descriptor(path: str) -> HidDescriptor:
    return next(one for one in list_descriptors() if one.path == path)


hid.list_descriptors = list_descriptors
hid.get_descriptor = get_descriptor
hid.open_connection = PacketConnection


def pytest_collection_modifyitems() -> None:
    """A device of bits is there when the controller has answered: nothing has to settle."""
    import tests.device

    tests.device.time = types.SimpleNamespace(sleep=lambda _seconds: None)
