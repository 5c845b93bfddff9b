"""Every refusal of the CTAP2 commands has the status code of the standard, and the connection lives on."""

import os

import pytest
from fido2 import cbor
from fido2.ctap import CtapError

from harness import EDDSA, ES256, Command, FrameConnection, ctap2, register, status_of

ERR = CtapError.ERR

HASH = b"\x11" * 32
RP = {"id": "statuses.example.com", "name": "An example"}
USER = {"id": b"user", "name": "deploy"}


@pytest.fixture
def connection(daemon):
    with FrameConnection(daemon.socket) as connection:
        yield connection
        # Whatever was sent: the connection lives.
        assert connection.exchange(Command.PING, b"alive") == (Command.PING, b"alive")


def make_credential(**changes):
    """A makeCredential message; a change to None leaves the member out, keys 1 to 10 go by the names below."""
    names = ["hash", "rp", "user", "parameters", "exclude", "extensions", "options", "auth", "protocol", "enterprise"]
    members = {"hash": HASH, "rp": RP, "user": USER, "parameters": [ES256], **changes}
    return b"\x01" + cbor.encode(
        {names.index(name) + 1: value for name, value in members.items() if value is not None}
    )


def get_assertion(**changes):
    names = ["rp", "hash", "allow", "extensions", "options", "auth", "protocol"]
    members = {"rp": RP["id"], "hash": HASH, **changes}
    return b"\x02" + cbor.encode(
        {names.index(name) + 1: value for name, value in members.items() if value is not None}
    )


MAKE_CREDENTIAL = {
    # Options: CTAP 2.1 section 6.1.2.
    "up: false": (make_credential(options={"up": False}), ERR.INVALID_OPTION),
    "uv: true without verification": (make_credential(options={"uv": True}), ERR.INVALID_OPTION),
    "option of the wrong type": (make_credential(options={"rk": 1}), ERR.CBOR_UNEXPECTED_TYPE),
    "options of the wrong type": (make_credential(options=[]), ERR.CBOR_UNEXPECTED_TYPE),
    "pinUvAuthParam without protocol": (make_credential(auth=b"\0" * 16), ERR.MISSING_PARAMETER),
    "pinUvAuthParam without a PIN": (make_credential(auth=b"\0" * 16, protocol=1), ERR.PIN_NOT_SET),
    "pinUvAuthProtocol unsupported": (make_credential(auth=b"\0" * 16, protocol=3), ERR.INVALID_PARAMETER),
    "enterprise attestation unsupported": (make_credential(enterprise=1), ERR.INVALID_PARAMETER),
    # Algorithms.
    "EdDSA only": (make_credential(parameters=[EDDSA]), ERR.UNSUPPORTED_ALGORITHM),
    "unknown type only": (make_credential(parameters=[{"type": "other", "alg": -7}]), ERR.UNSUPPORTED_ALGORITHM),
    "algorithm missing": (make_credential(parameters=[ES256, {"type": "public-key"}]), ERR.MISSING_PARAMETER),
    "algorithm of the wrong type": (
        make_credential(parameters=[ES256, {"type": "public-key", "alg": "ES256"}]),
        ERR.CBOR_UNEXPECTED_TYPE,
    ),
    "parameters of the wrong type": (make_credential(parameters={}), ERR.CBOR_UNEXPECTED_TYPE),
    "parameter of the wrong type": (make_credential(parameters=[7]), ERR.CBOR_UNEXPECTED_TYPE),
    # Members that are not there.
    "no clientDataHash": (make_credential(hash=None), ERR.MISSING_PARAMETER),
    "no rp": (make_credential(rp=None), ERR.MISSING_PARAMETER),
    "no user": (make_credential(user=None), ERR.MISSING_PARAMETER),
    "no pubKeyCredParams": (make_credential(parameters=None), ERR.MISSING_PARAMETER),
    "no rp.id": (make_credential(rp={"name": "x"}), ERR.MISSING_PARAMETER),
    "no user.id": (make_credential(user={"name": "x"}), ERR.MISSING_PARAMETER),
    "nothing": (b"\x01\xa0", ERR.MISSING_PARAMETER),
    # Members of the wrong type.
    "clientDataHash is text": (make_credential(hash="x" * 32), ERR.CBOR_UNEXPECTED_TYPE),
    "rp is text": (make_credential(rp="x"), ERR.CBOR_UNEXPECTED_TYPE),
    "rp.id is bytes": (make_credential(rp={"id": b"x"}), ERR.CBOR_UNEXPECTED_TYPE),
    "user is bytes": (make_credential(user=b"x"), ERR.CBOR_UNEXPECTED_TYPE),
    "user.id is text": (make_credential(user={"id": "x"}), ERR.CBOR_UNEXPECTED_TYPE),
    "excludeList is a map": (make_credential(exclude={}), ERR.CBOR_UNEXPECTED_TYPE),
    "extensions is an array": (make_credential(extensions=[]), ERR.CBOR_UNEXPECTED_TYPE),
    "message is an array": (b"\x01\x80", ERR.CBOR_UNEXPECTED_TYPE),
    "message is a number": (b"\x01\x00", ERR.CBOR_UNEXPECTED_TYPE),
}

GET_ASSERTION = {
    "rk": (get_assertion(options={"rk": True}), ERR.UNSUPPORTED_OPTION),
    "uv: true without verification": (get_assertion(options={"uv": True}), ERR.INVALID_OPTION),
    "no such credential": (get_assertion(), ERR.NO_CREDENTIALS),
    "no such credential in the list": (
        get_assertion(allow=[{"type": "public-key", "id": b"x" * 16}]),
        ERR.NO_CREDENTIALS,
    ),
    "pinUvAuthParam without protocol": (get_assertion(auth=b"\0" * 16), ERR.MISSING_PARAMETER),
    "pinUvAuthParam without a PIN": (get_assertion(auth=b"\0" * 16, protocol=1), ERR.PIN_NOT_SET),
    "pinUvAuthProtocol unsupported": (get_assertion(auth=b"\0" * 16, protocol=3), ERR.INVALID_PARAMETER),
    "no rpId": (get_assertion(rp=None), ERR.MISSING_PARAMETER),
    "no clientDataHash": (get_assertion(hash=None), ERR.MISSING_PARAMETER),
    "rpId is bytes": (get_assertion(rp=b"x"), ERR.CBOR_UNEXPECTED_TYPE),
    "clientDataHash is text": (get_assertion(hash="x"), ERR.CBOR_UNEXPECTED_TYPE),
    "allowList is a map": (get_assertion(allow={}), ERR.CBOR_UNEXPECTED_TYPE),
    "descriptor is bytes": (get_assertion(allow=[b"x"]), ERR.CBOR_UNEXPECTED_TYPE),
    "descriptor without id": (get_assertion(allow=[{"type": "public-key"}]), ERR.MISSING_PARAMETER),
}

DEEP = b"\x01\xa1\x06" + b"\xa1\x00" * 8 + b"\x00"

BAD_CBOR = {
    "no parameters": b"\x01",
    "map cut short": make_credential()[:-1],
    "trailing byte": make_credential() + b"\x00",
    "indefinite map": b"\x01\xbf\x01\x41\x00\xff",
    "indefinite bytes": b"\x01\xa1\x01\x5f\x41\x00\xff",
    "length not minimal": b"\x01\xb8\x01\x01\x41\x00",
    "number not minimal": b"\x01\xa1\x18\x01\x41\x00",
    "keys out of order": b"\x01\xa2\x02\xa0\x01\x40",
    "key twice": b"\x01\xa2\x01\x40\x01\x40",
    "tag": b"\x01\xa1\x01\xc0\x60",
    "reserved length": b"\x01\xa1\x01\x5c",
    "text that is no UTF-8": b"\x02\xa1\x01\x61\xff",
    "nested too deep": DEEP,
    "a terabyte announced": b"\x01\xa1\x01\x5b\x00\x00\x01\x00\x00\x00\x00\x00",
    "a billion members announced": b"\x01\xba\x3b\x9a\xca\x00",
    "break alone": b"\x01\xff",
}

COMMANDS = {
    "command 0": (b"\x00", ERR.INVALID_COMMAND),
    "command 3": (b"\x03", ERR.INVALID_COMMAND),
    "clientPIN without a PIN": (b"\x06\xa2\x01\x01\x02\x01", ERR.PIN_NOT_SET),
    "clientPIN without a subcommand": (b"\x06\xa1\x01\x01", ERR.MISSING_PARAMETER),
    "bioEnrollment, not served": (b"\x09\xa1\x06\xf5", ERR.INVALID_COMMAND),
    "credentialManagement without a rule": (b"\x0a\xa1\x01\x01", ERR.OPERATION_DENIED),
    "credentialManagement without a subcommand": (b"\x0a\xa0", ERR.MISSING_PARAMETER),
    "largeBlobs without an offset": (b"\x0c\xa1\x01\x01", ERR.INVALID_PARAMETER),
    "largeBlobs with nothing to do": (b"\x0c\xa1\x03\x00", ERR.INVALID_PARAMETER),
    "authenticatorConfig without a rule": (b"\x0d\xa1\x01\x02", ERR.OPERATION_DENIED),
    "authenticatorConfig without a subcommand": (b"\x0d\xa0", ERR.MISSING_PARAMETER),
    "vendor command": (b"\x40", ERR.INVALID_COMMAND),
    "command 255": (b"\xff", ERR.INVALID_COMMAND),
    "getInfo with parameters": (b"\x04\xa0", ERR.INVALID_LENGTH),
    "getNextAssertion with parameters": (b"\x08\xa0", ERR.INVALID_LENGTH),
    "reset with parameters": (b"\x07\xa0", ERR.INVALID_LENGTH),
    "selection with parameters": (b"\x0b\xa0", ERR.INVALID_LENGTH),
    "getNextAssertion without getAssertion": (b"\x08", ERR.NOT_ALLOWED),
}


def by_name(table):
    return pytest.mark.parametrize(("message", "status"), table.values(), ids=table.keys())


@by_name(MAKE_CREDENTIAL)
def test_make_credential(connection, message, status):
    assert connection.cbor(message) == (status, b"")


@by_name(GET_ASSERTION)
def test_get_assertion(connection, message, status):
    assert connection.cbor(message) == (status, b"")


@by_name(COMMANDS)
def test_commands(connection, message, status):
    assert connection.cbor(message) == (status, b"")


@pytest.mark.parametrize("message", BAD_CBOR.values(), ids=BAD_CBOR.keys())
def test_bad_cbor(connection, message):
    assert connection.cbor(message) == (ERR.INVALID_CBOR, b"")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_hash_of_another_length(connection, length):
    for message in (make_credential(hash=b"\x11" * length), get_assertion(hash=b"\x11" * length)):
        assert connection.cbor(message) == (ERR.INVALID_LENGTH, b"")


def test_user_handle_of_a_forbidden_length(connection):
    assert connection.cbor(make_credential(user={"id": b"\x11" * 65})) == (ERR.INVALID_LENGTH, b"")


def test_every_prefix_of_a_message_is_refused(connection):
    whole = make_credential(parameters=[EDDSA], options={"rk": True})
    for length in range(1, len(whole)):
        assert connection.cbor(whole[:length])[0] == ERR.INVALID_CBOR, length


def test_random_bytes_get_a_status(connection, randomness):
    for _ in range(300):
        command = randomness.choice([1, 2, 2, 1, randomness.randrange(256)])
        if command == 7:
            continue
        message = bytes([command]) + randomness.randbytes(randomness.randrange(64))
        status, _ = connection.cbor(message)
        assert status != 0 or command in (4, 11), message.hex()


def test_what_the_standard_ignores(ctap, rp_id):
    """Unknown options, extensions, members, types and trailing keys of the message are no errors."""
    message = make_credential(
        rp={"id": rp_id, "icon": "x"},
        parameters=[{"type": "other", "alg": 1}, EDDSA, ES256],
        exclude=[{"type": "other", "id": b"x"}],
        extensions={"unheardOf": True},
        options={"rk": False, "unheardOf": True},
    )
    connection = ctap.device.connection
    assert connection.cbor(message)[0] == 0
    assert connection.cbor(make_credential(rp={"id": rp_id}) [:1] + cbor.encode(
        {**cbor.decode(make_credential(rp={"id": rp_id})[1:]), 99: True}
    ))[0] == 0


def test_a_refused_registration_leaves_nothing(ctap, rp_id):
    for options in ({"rk": True, "up": False}, {"rk": True, "uv": True}):
        status = status_of(lambda: ctap.make_credential(HASH, {"id": rp_id}, USER, [ES256], options=options))
        assert status == ERR.INVALID_OPTION
    assert status_of(lambda: ctap.get_assertion(rp_id, HASH)) == ERR.NO_CREDENTIALS


def test_a_browser_that_makes_the_device_blink_creates_nothing(daemon, ctap):
    """Browsers register at `.dummy` or `make.me.blink` to have a device ask for a touch."""
    for dummy in (".dummy", "make.me.blink"):
        assert status_of(lambda: register(ctap, dummy)) == ERR.OPERATION_DENIED
    with ctap2(daemon.socket).device:
        pass
