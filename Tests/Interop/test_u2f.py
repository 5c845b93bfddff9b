"""CTAP1/U2F with python-fido2's Ctap1 and raw APDUs; its credentials are CTAP2's and the other way round."""

import os
import struct

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from fido2.ctap1 import ApduError, Ctap1
from fido2.cose import ES256

from harness import Command, authenticate, ctap2, descriptor, register, sha256, status_of
from pins import ERR, EVERYTHING, UP, configuration, register_verified, rule, set_pin

RULES = EVERYTHING

NO_ERROR = 0x9000
CONDITIONS_NOT_SATISFIED = 0x6985
COMMAND_NOT_ALLOWED = 0x6986
WRONG_DATA = 0x6A80
INCORRECT_PARAMETERS = 0x6A86
WRONG_LENGTH = 0x6700
CLASS_NOT_SUPPORTED = 0x6E00
INSTRUCTION_NOT_SUPPORTED = 0x6D00

# By what control byte the client says what it wants (U2F raw messages, section 5.1).
ENFORCE, DO_NOT_ENFORCE, CHECK_ONLY = 0x03, 0x08, 0x07


@pytest.fixture
def u2f(ctap):
    return Ctap1(ctap.device)


def sw(call):
    """The status word of a call."""
    try:
        call()
    except ApduError as error:
        return error.code
    return NO_ERROR


def exchange(ctap, apdu):
    reply = ctap.device.call(Command.MSG, apdu)
    assert len(reply) >= 2
    return int.from_bytes(reply[-2:], "big"), reply[:-2]


def sign(ctap, application, key_handle, control=ENFORCE, challenge=None):
    """U2F_AUTHENTICATE with any control byte: status word, and user presence byte, counter, signature."""
    data = (challenge or os.urandom(32)) + application + bytes([len(key_handle)]) + key_handle
    return exchange(ctap, struct.pack(">BBBBBH", 0, 2, control, 0, 0, len(data)) + data + b"\0\0")


def test_it_is_said_to_be_there(ctap, u2f):
    assert "U2F_V2" in ctap.info.versions
    # NMSG: "no MSG".
    assert not ctap.device.capabilities & 0x08
    assert u2f.get_version() == "U2F_V2"


def test_register_and_authenticate(u2f, rp_id):
    application, challenge = sha256(rp_id.encode()), os.urandom(32)
    registration = u2f.register(challenge, application)
    registration.verify(application, challenge)
    certificate = x509.load_der_x509_certificate(registration.certificate)
    # Self attestation: the certificate is of the credential's own key, by itself.
    point = certificate.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    assert point == registration.public_key
    certificate.verify_directly_issued_by(certificate)
    counters = []
    for _ in range(3):
        challenge = os.urandom(32)
        signature = u2f.authenticate(challenge, application, registration.key_handle)
        signature.verify(application, challenge, registration.public_key)
        assert signature.user_presence == 1
        counters.append(signature.counter)
    assert counters == sorted(set(counters))


def test_controls(ctap, u2f, rp_id):
    application, challenge = sha256(rp_id.encode()), os.urandom(32)
    registration = u2f.register(challenge, application)
    handle = registration.key_handle
    # Only whether it is there: "conditions not satisfied" means yes.
    assert sign(ctap, application, handle, CHECK_ONLY) == (CONDITIONS_NOT_SATISFIED, b"")
    assert sign(ctap, application, os.urandom(len(handle)), CHECK_ONLY) == (WRONG_DATA, b"")
    for control, presence in ((ENFORCE, 1), (DO_NOT_ENFORCE, 0)):
        status, reply = sign(ctap, application, handle, control, challenge)
        assert status == NO_ERROR and reply[0] == presence
        ES256.from_ctap1(registration.public_key).verify(application + reply[:5] + challenge, reply[5:])
    for control in (ENFORCE, DO_NOT_ENFORCE, CHECK_ONLY):
        assert sign(ctap, application, os.urandom(16), control) == (WRONG_DATA, b"")
        # At home with its own application only.
        assert sign(ctap, sha256(b"other." + rp_id.encode()), handle, control) == (WRONG_DATA, b"")
    for control in (0x00, 0x01, 0x02, 0x83, 0xFF):
        assert sign(ctap, application, handle, control) == (INCORRECT_PARAMETERS, b""), control


def test_a_u2f_credential_in_ctap2(ctap, u2f, rp_id):
    application = sha256(rp_id.encode())
    registration = u2f.register(os.urandom(32), application)
    handle = descriptor(registration.key_handle)
    challenge = os.urandom(32)
    assertion = ctap.get_assertion(rp_id, challenge, [handle])
    assertion.verify(challenge, ES256.from_ctap1(registration.public_key))
    assert assertion.auth_data.flags == UP and assertion.auth_data.rp_id_hash == application
    # One counter for both.
    assert u2f.authenticate(challenge, application, registration.key_handle).counter > assertion.auth_data.counter
    assert status_of(lambda: register(ctap, rp_id, exclude_list=[handle])) == ERR.CREDENTIAL_EXCLUDED
    # It is not discoverable.
    assert status_of(lambda: ctap.get_assertion(rp_id, challenge)) == ERR.NO_CREDENTIALS


def test_a_ctap2_credential_in_u2f(ctap, u2f, rp_id):
    application = sha256(rp_id.encode())
    for discoverable in (False, True):
        account = register(ctap, rp_id, discoverable=discoverable)
        point = b"\4" + account.public_key[-2] + account.public_key[-3]
        challenge = os.urandom(32)
        u2f.authenticate(challenge, application, account.id).verify(application, challenge, point)
        authenticate(ctap, account)


def test_protected_credentials_are_not_for_u2f(new, rp_id):
    """U2F verifies nobody."""
    set_pin(new)
    account = register_verified(new, rp_id, extensions={"credProtect": 3})
    for control in (ENFORCE, DO_NOT_ENFORCE, CHECK_ONLY):
        assert sign(new, sha256(rp_id.encode()), account.id, control) == (WRONG_DATA, b"")


def test_always_verified_ends_u2f(new, rp_id):
    application = sha256(rp_id.encode())
    handle = Ctap1(new.device).register(os.urandom(32), application).key_handle
    set_pin(new)
    configuration(new).toggle_always_uv()
    again = lambda: Ctap1(new.device).register(os.urandom(32), application)  # noqa: E731
    assert sw(again) in (COMMAND_NOT_ALLOWED, CONDITIONS_NOT_SATISFIED)
    assert sign(new, application, handle)[0] in (COMMAND_NOT_ALLOWED, CONDITIONS_NOT_SATISFIED, WRONG_DATA)
    configuration(new).toggle_always_uv()
    assert sign(new, application, handle)[0] == NO_ERROR


def test_it_lasts_until_a_reset(daemon, new, rp_id):
    application = sha256(rp_id.encode())
    handle = Ctap1(new.device).register(os.urandom(32), application).key_handle
    new.device.close()
    daemon.kill()
    daemon.start()
    new = ctap2(daemon.socket)
    with new.device:
        assert sign(new, application, handle)[0] == NO_ERROR
        new.reset()
        assert sign(new, application, handle) == (WRONG_DATA, b"")


REGISTER = os.urandom(64)
WRONG = {
    "header cut short": (b"\0\3\0", WRONG_LENGTH),
    "class": (b"\x80\3\0\0\0\0\0", CLASS_NOT_SUPPORTED),
    "instruction": (b"\0\4\0\0\0\0\0", INSTRUCTION_NOT_SUPPORTED),
    "vendor instruction": (b"\0\x40\0\0\0\0\0", INSTRUCTION_NOT_SUPPORTED),
    "version with data": (b"\0\3\0\0\0\0\1x\0\0", WRONG_LENGTH),
    "register without data": (b"\0\1\0\0\0\0\0", WRONG_LENGTH),
    "register with too little": (b"\0\1\0\0\0\0\x3f" + REGISTER[:63] + b"\0\0", WRONG_LENGTH),
    "register with too much": (b"\0\1\0\0\0\0\x41" + REGISTER + b"x\0\0", WRONG_LENGTH),
    "length beyond the end": (b"\0\1\0\0\0\0\x40" + REGISTER[:10], WRONG_LENGTH),
    "length short of the end": (b"\0\1\0\0\0\0\x10" + REGISTER, WRONG_LENGTH),
    "key handle cut short": (b"\0\2\3\0\0\0\x43" + REGISTER + b"\x10xx\0\0", WRONG_LENGTH),
    "key handle with something behind it": (b"\0\2\3\0\0\0\x44" + REGISTER + b"\1xyz\0\0", WRONG_LENGTH),
    "key handle that is empty": (b"\0\2\3\0\0\0\x41" + REGISTER + b"\0\0\0", WRONG_DATA),
}


@pytest.mark.parametrize(("apdu", "status"), WRONG.values(), ids=WRONG.keys())
def test_wrong_apdus(ctap, apdu, status):
    assert exchange(ctap, apdu) == (status, b"")
    # The connection lives.
    assert ctap.device.call(Command.PING, b"alive") == b"alive"


@pytest.mark.parametrize(
    "apdu",
    [b"\0\3\0\0", b"\0\3\0\0\0", b"\0\3\0\0\0\0\0", b"\0\3\0\0\0\1\0"],
    ids=["no length", "short", "extended", "extended with a number"],
)
def test_every_encoding_of_the_length(ctap, apdu):
    assert exchange(ctap, apdu) == (NO_ERROR, b"U2F_V2")


def test_short_encoding(ctap, rp_id):
    data = os.urandom(32) + sha256(rp_id.encode())
    for end in (b"", b"\0"):
        status, reply = exchange(ctap, b"\0\1\0\0" + bytes([len(data)]) + data + end)
        assert status == NO_ERROR and reply[0] == 5


def test_policy(make_daemon):
    """A rule for an RP ID is a rule for its hash, which is all that U2F has to say. What is refused looks like a key
    handle that is not known: U2F's other words would have clients wait for a touch and ask again."""
    daemon = make_daemon([rule(["u2f.example.com"], ["register", "authenticate"])]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        u2f = Ctap1(ctap.device)
        application, other = sha256(b"u2f.example.com"), sha256(b"other.example.com")
        handle = u2f.register(os.urandom(32), application).key_handle
        assert sign(ctap, application, handle)[0] == NO_ERROR
        assert sw(lambda: u2f.register(os.urandom(32), other)) == WRONG_DATA
        assert sign(ctap, other, handle) == (WRONG_DATA, b"")
    daemon.stop()
    daemon.configure([rule(["u2f.example.com"], ["authenticate"])])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert sign(ctap, application, handle)[0] == NO_ERROR
        assert sw(lambda: Ctap1(ctap.device).register(os.urandom(32), application)) == WRONG_DATA
    daemon.stop()
    daemon.configure([])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        # Neither is it for strangers to know whether one is there.
        for control in (ENFORCE, DO_NOT_ENFORCE, CHECK_ONLY):
            for one in (handle, os.urandom(len(handle))):
                assert sign(ctap, application, one, control) == (WRONG_DATA, b"")
        assert Ctap1(ctap.device).get_version() == "U2F_V2"
    outcomes = [one["outcome"] for one in daemon.audit()]
    assert outcomes.count("refused") >= 5
