"""What the standard asks of any authenticator, one rule at a time, on a daemon whose one rule allows everything:
U2F, the socket and getInfo."""

import os

import pytest
from fido2.cose import CoseKey
from fido2.ctap1 import APDU, ApduError, Ctap1

from conformance import HASH, OK, RULES
from harness import ES256, Command, HIDError, SocketDevice, descriptor, sha256

# U2F.


@pytest.fixture
def u2f(fresh):
    device = SocketDevice(fresh.daemon.socket)
    yield Ctap1(device)
    device.close()


CHALLENGE, APPLICATION = sha256(b"challenge"), sha256(b"u2f.example.com")


def word(call):
    """The status word with which a call is refused."""
    with pytest.raises(ApduError) as refused:
        call()
    return refused.value.code


def test_u2f_keys_sign(u2f, token):
    assert u2f.get_version() == "U2F_V2"
    made = [u2f.register(CHALLENGE, APPLICATION) for _ in range(3)]
    counter = u2f.authenticate(CHALLENGE, APPLICATION, made[0].key_handle).counter
    for one in made + made:
        one.verify(APPLICATION, CHALLENGE)
        signed = u2f.authenticate(CHALLENGE, APPLICATION, one.key_handle)
        signed.verify(APPLICATION, CHALLENGE, one.public_key)
        assert signed.user_presence == 1 and counter < signed.counter < counter + 10
        counter = signed.counter
        assert word(lambda: u2f.authenticate(CHALLENGE, APPLICATION, one.key_handle, True)) == APDU.USE_NOT_SATISFIED
    # The same keys by CTAP2, whose RP ID hashes to the application.
    signed = token.sign(rp="u2f.example.com", allow=[descriptor(made[0].key_handle)])
    assert signed.credential["id"] == made[0].key_handle and signed.user is None
    key = made[0].public_key
    signed.verify(HASH, CoseKey.parse({1: 2, 3: -7, -1: 1, -2: key[1:33], -3: key[33:]}))


def test_u2f_key_handles_that_are_not_ours(u2f):
    handle = u2f.register(CHALLENGE, APPLICATION).key_handle
    wrong = bytes([handle[0] ^ 0x40]) + handle[1:]
    for application, key in (
        (APPLICATION, wrong),
        (APPLICATION, handle[:8]),
        (APPLICATION, b""),
        (APPLICATION, b"x" * 255),
        (sha256(b"other.example.com"), handle),
    ):
        for check_only in (False, True):
            assert word(lambda: u2f.authenticate(CHALLENGE, application, key, check_only)) == APDU.WRONG_DATA


APDUS = {
    "unknown instruction": (b"\0\0\0\0", 0x6D00),
    "unknown class": (b"\1\3\0\0", 0x6E00),
    "cut short": (b"\0\3\0", 0x6700),
    "registration without data": (b"\0\1\0\0", 0x6700),
    "registration too short": (b"\0\1\0\0\x3f" + b"x" * 63, 0x6700),
    "registration too long": (b"\0\1\0\0\0\0\x41" + b"x" * 65, 0x6700),
    "less data than Lc": (b"\0\1\0\0\x40" + b"x" * 63, 0x6700),
    "version with data": (b"\0\3\0\0\1x", 0x6700),
    "version short": (b"\0\3\0\0", 0x9000),
    "version with Le": (b"\0\3\0\0\0", 0x9000),
    "version extended": (b"\0\3\0\0\0\0\0", 0x9000),
    "version extended with Lc and Le": (b"\0\3\0\0\0\0\0\0\0", 0x9000),
    "unknown control byte": (b"\0\2\1\0\0\0\x42" + b"x" * 64 + b"\1x", 0x6A86),
    "key handle shorter than its length": (b"\0\2\3\0\0\0\x42" + b"x" * 64 + b"\2x", 0x6700),
}


@pytest.mark.parametrize(("apdu", "status"), APDUS.values(), ids=APDUS.keys())
def test_apdus(fresh, apdu, status):
    command, reply = fresh.connection.exchange(Command.MSG, apdu)
    assert command == Command.MSG and int.from_bytes(reply[-2:], "big") == status
    assert reply[:-2] == (b"U2F_V2" if status == 0x9000 else b"")


def test_u2f_gives_way_where_verification_is_always_wanted(u2f, fresh):
    handle = u2f.register(CHALLENGE, APPLICATION).key_handle
    assert fresh.configure(None, 2) == OK
    for call in (
        lambda: u2f.register(CHALLENGE, APPLICATION),
        lambda: u2f.authenticate(CHALLENGE, APPLICATION, handle),
    ):
        assert word(call) == 0x6986


# The socket.


def test_frames_of_ctaphid(fresh):
    connection = fresh.connection
    for payload in (b"", os.urandom(100), os.urandom(7609)):
        assert connection.exchange(Command.PING, payload) == (Command.PING, payload)
    for _ in range(2):
        command, reply = connection.exchange(Command.INIT, b"\x11" * 8)
        assert (command, reply[:8], len(reply)) == (Command.INIT, b"\x11" * 8, 17)
        # wink, CBOR, and not "no MSG".
        assert reply[16] & 0x01 and reply[16] & 0x04 and not reply[16] & 0x08
    assert connection.exchange(Command.WINK) == (Command.WINK, b"")
    connection.send(Command.CANCEL)
    assert connection.exchange(0x66) == (Command.ERROR, bytes([HIDError.INVALID_COMMAND]))
    assert connection.exchange(Command.INIT, b"\x11" * 7)[0] == Command.ERROR
    assert connection.exchange(Command.PING, b"alive") == (Command.PING, b"alive")


def test_info_is_what_tools_ask_for(fresh):
    info = fresh.info()
    assert {"U2F_V2", "FIDO_2_0", "FIDO_2_1"} <= set(info[1])
    assert set(info[6]) == {1, 2} and len(info[3]) == 16
    options = info[4]
    for name in ("rk", "up", "credMgmt", "pinUvAuthToken", "authnrCfg", "largeBlobs", "setMinPINLength"):
        assert options[name] is True, name
    assert options["clientPin"] is False and options["uv"] is False and options["makeCredUvNotRqd"] is True
    assert info[7] >= 8 and info[8] >= 16 and info[11] >= 1024 and info[13] == 4 and info[15] >= 32
    assert all(one["type"] == "public-key" for one in info[10]) and ES256 in info[10]
