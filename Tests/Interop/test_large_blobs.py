"""The large-blob array: written in fragments and read back, kept whole, and what is refused."""

import os
import struct

import pytest
from fido2 import cbor
from fido2.ctap2.blob import LargeBlobs
from fido2.ctap2.pin import PinProtocolV2

from harness import ctap2, sha256, status_of
from pins import CM, ERR, EVERYTHING, GA, LBW, MC, authorization, register_with, rule, set_pin, token

RULES = EVERYTHING
# CTAP 2.1 section 6.10: an empty array with its hash.
EMPTY = bytes.fromhex("8076be8b528d0075f7aae98d6fa57a6d3c")


@pytest.fixture
def pin(new):
    set_pin(new)
    return new


def closed(array):
    return array + sha256(array)[:16]


def array_of(size, randomness):
    """A serialized array of exactly this size: one byte string in it, of whose head the length depends on its own."""
    count = max(one for one in range(size - 25, size - 17) if len(closed(cbor.encode([bytes(one)]))) <= size)
    serialized = closed(cbor.encode([randomness.randbytes(count)]))
    assert len(serialized) == size
    return serialized


def fragments(data, size):
    return [(offset, data[offset : offset + size]) for offset in range(0, len(data), size)]


def put(ctap, key, offset, fragment, length=None):
    """One fragment; with a token's authorization."""
    authorized = {}
    if key is not None:
        message = b"\xff" * 32 + b"\x0c\x00" + struct.pack("<I", offset) + sha256(fragment)
        authorized = authorization(key, message)
    ctap.large_blobs(offset, set=fragment, length=length, **authorized)


def write(ctap, key, data, size):
    for offset, fragment in fragments(data, size):
        put(ctap, key, offset, fragment, len(data) if offset == 0 else None)


def read(ctap, size=1000):
    data = b""
    while True:
        more = ctap.large_blobs(len(data), get=size)[1]
        data += more
        if len(more) < size:
            return data


def test_it_is_said_to_be_there(new):
    info = new.get_info()
    assert info.options["largeBlobs"] is True and "largeBlobKey" in info.extensions
    assert info.max_large_blob >= 1024
    assert read(new) == EMPTY


def test_the_whole_array(daemon, pin, randomness):
    """All of it, in fragments of odd sizes, and there after a kill."""
    most = pin.get_info().max_large_blob
    room = pin.get_info().max_msg_size - 64
    for size in (997, 4096, room):
        data = array_of(most, randomness)
        write(pin, token(pin, LBW), data, size)
        for length in (997, room):
            assert read(pin, length) == data
        assert pin.large_blobs(most - 1, get=1)[1] == data[-1:]
        assert pin.large_blobs(most, get=1)[1] == b""
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        assert read(pin) == data
        pin.reset()
        assert read(pin) == EMPTY


def test_entries_of_two_keys(daemon, pin):
    first, second = os.urandom(32), os.urandom(32)
    blobs = LargeBlobs(pin, PinProtocolV2(), token(pin, LBW))
    blobs.put_blob(first, b"one " * 1000)
    blobs.put_blob(second, b"two")
    blobs.put_blob(first, b"one again")
    other = ctap2(daemon.socket)
    with other.device:
        # Reading needs no token: what is there is encrypted.
        theirs = LargeBlobs(other)
        assert theirs.get_blob(first) == b"one again" and theirs.get_blob(second) == b"two"
        assert theirs.get_blob(os.urandom(32)) is None
    blobs.delete_blob(first)
    assert blobs.get_blob(first) is None and blobs.get_blob(second) == b"two"


def test_too_large(pin, randomness):
    most = pin.get_info().max_large_blob
    key = token(pin, LBW)
    data = array_of(most, randomness)
    too_much = lambda length: status_of(lambda: put(pin, key, 0, data[:900], length))  # noqa: E731
    assert too_much(most + 1) == too_much(2**32 - 1) == ERR.LARGE_BLOB_STORAGE_FULL
    # No more than was announced, either.
    put(pin, key, 0, data[:900], 1000)
    assert status_of(lambda: put(pin, key, 900, data[900:1100])) == ERR.INVALID_PARAMETER
    room = pin.get_info().max_msg_size - 64
    assert status_of(lambda: put(pin, key, 0, data[: room + 1], most)) == ERR.INVALID_LENGTH
    assert status_of(lambda: pin.large_blobs(0, get=room + 1)) == ERR.INVALID_LENGTH
    assert read(pin) == EMPTY


def test_wrong_hash(pin, randomness):
    key = token(pin, LBW)
    good = array_of(3000, randomness)
    write(pin, key, good, 1000)
    for place in (0, 1500, 2999):
        bad = bytearray(array_of(3000, randomness))
        bad[place] ^= 1
        (_, first), (_, second), (_, third) = fragments(bytes(bad), 1000)
        put(pin, key, 0, first, 3000)
        put(pin, key, 1000, second)
        assert status_of(lambda: put(pin, key, 2000, third)) == ERR.INTEGRITY_FAILURE
        assert read(pin) == good
        # That was the end of it.
        assert status_of(lambda: put(pin, key, 2000, third)) == ERR.INVALID_SEQ


def test_wrong_order(pin, randomness):
    key = token(pin, LBW)
    data = array_of(3000, randomness)
    assert status_of(lambda: put(pin, key, 1000, data[1000:2000])) == ERR.INVALID_SEQ
    for offset in (999, 1001, 2000):
        put(pin, key, 0, data[:1000], 3000)
        assert status_of(lambda: put(pin, key, offset, data[offset : offset + 500])) == ERR.INVALID_SEQ
    assert read(pin) == EMPTY
    # From the beginning it is a new one.
    put(pin, key, 0, b"x" * 1000, 3000)
    write(pin, key, data, 1000)
    assert read(pin) == data


def test_fragments_are_of_their_connection(daemon, pin, randomness):
    data, others = array_of(2000, randomness), array_of(2000, randomness)
    key = token(pin, LBW)
    put(pin, key, 0, data[:1000], 2000)
    other = ctap2(daemon.socket)
    with other.device:
        theirs = token(other, LBW)
        assert status_of(lambda: put(other, theirs, 1000, data[1000:])) == ERR.INVALID_SEQ
        assert status_of(lambda: put(other, key, 0, others[:1000], 2000)) == ERR.PIN_AUTH_INVALID
        write(other, theirs, others, 1000)
    assert read(pin) == others
    assert status_of(lambda: put(pin, key, 1000, data[1000:])) in (0, ERR.INVALID_SEQ)
    assert read(pin) in (data, others)


def test_killed_in_between(daemon, pin, randomness):
    """The old array is there, whole, until the new one is."""
    old, data = array_of(5000, randomness), array_of(5000, randomness)
    write(pin, token(pin, LBW), old, 1000)
    for count in range(1, 5):
        key = token(pin, LBW)
        for offset, fragment in fragments(data, 1000)[:count]:
            put(pin, key, offset, fragment, 5000 if offset == 0 else None)
        assert read(pin) == old
        pin.device.close()
        daemon.kill()
        daemon.check_integrity()
        daemon.start()
        pin = ctap2(daemon.socket)
        assert read(pin) == old
    with pin.device:
        key = token(pin, LBW)
        assert status_of(lambda: put(pin, key, 4000, data[4000:])) == ERR.INVALID_SEQ
        write(pin, key, data, 1000)
        assert read(pin) == data


def test_a_connection_that_ends_in_between(daemon, pin, randomness):
    old = array_of(2000, randomness)
    write(pin, token(pin, LBW), old, 1000)
    other = ctap2(daemon.socket)
    with other.device:
        put(other, token(other, LBW), 0, array_of(2000, randomness)[:1000], 2000)
    assert read(pin) == old


def test_wrong_parameters(pin):
    key = token(pin, LBW)
    send = lambda *arguments, **members: status_of(lambda: pin.large_blobs(*arguments, **members))  # noqa: E731
    assert send(0) == ERR.INVALID_PARAMETER
    assert send(None, get=1) == ERR.INVALID_PARAMETER
    assert send(0, get=1, set=b"x", length=17) == ERR.INVALID_PARAMETER
    assert send(0, get=1, length=17) == ERR.INVALID_PARAMETER
    assert send(0, get=1, **authorization(key, b"x")) == ERR.INVALID_PARAMETER
    assert send(len(EMPTY) + 1, get=1) == ERR.INVALID_PARAMETER
    assert status_of(lambda: put(pin, key, 0, EMPTY)) == ERR.INVALID_PARAMETER
    assert status_of(lambda: put(pin, key, 0, EMPTY[:16], 16)) == ERR.INVALID_PARAMETER
    assert status_of(lambda: put(pin, key, 1, EMPTY[1:], len(EMPTY))) == ERR.INVALID_PARAMETER
    assert read(pin) == EMPTY


def test_authorization(pin, rp_id, randomness):
    data = array_of(100, randomness)
    for permissions in (CM, GA | MC | CM):
        key = token(pin, permissions, rp_id)
        assert status_of(lambda: put(pin, key, 0, data, 100)) == ERR.PIN_AUTH_INVALID
    assert status_of(lambda: put(pin, None, 0, data, 100)) == ERR.PUAT_REQUIRED
    key = token(pin, LBW)
    wrong = authorization(key, b"\xff" * 32 + b"\x0c\x00" + struct.pack("<I", 1) + sha256(data))
    assert status_of(lambda: pin.large_blobs(0, set=data, length=100, **wrong)) == ERR.PIN_AUTH_INVALID
    assert read(pin) == EMPTY


def test_writing_outlives_a_registration(pin, rp_id, randomness):
    """CTAP 2.1 section 6.5.5.7: making a credential takes every permission but this."""
    data = array_of(100, randomness)
    key = token(pin, MC | LBW, rp_id)
    register_with(pin, key, rp_id)
    write(pin, key, data, 100)
    assert read(pin) == data


def test_without_a_pin_it_is_open(new, randomness):
    data = array_of(100, randomness)
    write(new, None, data, 40)
    assert read(new) == data


def test_who_may_write_and_read(make_daemon, randomness):
    """The array is the whole device's: whoever manages one RP may read it, not write it."""
    daemon = make_daemon([rule(["*"], ["manage"])]).start()
    data = array_of(100, randomness)
    ctap = ctap2(daemon.socket)
    with ctap.device:
        write(ctap, None, data, 100)
    for permitted in (
        rule(["*.example.com"], ["register", "authenticate", "manage"]),
        rule(["*"], ["register", "authenticate"]),
        rule(["one.example.com"], ["authenticate"]),
    ):
        daemon.stop()
        daemon.configure([permitted])
        daemon.start()
        ctap = ctap2(daemon.socket)
        with ctap.device:
            assert status_of(lambda: put(ctap, None, 0, EMPTY, len(EMPTY))) == ERR.OPERATION_DENIED
            assert read(ctap) == data
    daemon.stop()
    daemon.configure([])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: read(ctap)) == ERR.OPERATION_DENIED
