"""What the standard asks of any authenticator, one rule at a time, on a daemon whose one rule allows everything:
extensions and large blobs."""

import os

import pytest

from conformance import (
    BLOBS,
    CM,
    ED,
    ERR,
    GET_ASSERTION,
    LBW,
    MAKE_CREDENTIAL,
    NEXT,
    NO_BLOBS,
    OK,
    PIN,
    POINT,
    RULES,
    UP,
    UV,
    Token,
)
from harness import descriptor, sha256

# Extensions.


def test_credential_protection(fresh):
    ids = {}
    for level in (1, 2, 3):
        made = fresh.discoverable(extensions={"credProtect": level}).auth_data
        assert made.extensions == {"credProtect": level}
        ids[level] = made.credential_data.credential_id
    for level in (0, 4, 2**32):
        message = fresh.creation(extensions={"credProtect": level})
        assert fresh.status(MAKE_CREDENTIAL, message) == ERR.INVALID_OPTION
    assert fresh.sign().credential["id"] == ids[1]
    assert fresh.status(NEXT) == ERR.NOT_ALLOWED
    for level, status in ((1, OK), (2, OK), (3, ERR.NO_CREDENTIALS)):
        assert fresh.status(GET_ASSERTION, fresh.assertion(allow=[descriptor(ids[level])])) == status
    excluded = {1: ERR.CREDENTIAL_EXCLUDED, 2: ERR.CREDENTIAL_EXCLUDED, 3: OK}
    for level, status in excluded.items():
        message = fresh.creation(exclude=[descriptor(ids[level])])
        assert fresh.status(MAKE_CREDENTIAL, message) == status
    assert fresh.set_pin(PIN) == OK
    signed = fresh.sign(**fresh.proof(fresh.token()))
    assert signed.number_of_credentials == 3
    message = fresh.creation(exclude=[descriptor(ids[3])], **fresh.proof(fresh.token()))
    assert fresh.status(MAKE_CREDENTIAL, message) == ERR.CREDENTIAL_EXCLUDED
    assert fresh.sign(allow=[descriptor(ids[3])], **fresh.proof(fresh.token())).auth_data.flags == UP | UV


@pytest.mark.parametrize("length", [0, 1, 32, 64, 65])
def test_credential_blobs(fresh, length):
    blob = os.urandom(length)
    fits = length <= 64
    made = fresh.discoverable(extensions={"credBlob": blob}).auth_data
    assert made.flags & ED and made.extensions == {"credBlob": fits}
    signed = fresh.sign(extensions={"credBlob": True}).auth_data
    assert signed.extensions == {"credBlob": blob if fits else b""}
    other = fresh.create(extensions={"credBlob": blob}).auth_data
    assert other.extensions == {"credBlob": False}
    listed = [descriptor(other.credential_data.credential_id)]
    assert fresh.sign(allow=listed, extensions={"credBlob": True}).auth_data.extensions == {"credBlob": b""}
    assert not fresh.sign(extensions={"credBlob": False}).auth_data.flags & ED


class Salts:
    """Inputs of hmac-secret."""

    def __init__(self, client, version):
        self.client = Token(client.daemon, version)
        self.client.connection.close()
        self.client.connection = client.connection
        self.agreement, self.secret = self.client.agree()
        self.protocol = self.client.protocol

    def input(self, salts, **changes):
        encrypted = self.protocol.encrypt(self.secret, salts)
        members = {
            "key": self.agreement,
            "enc": encrypted,
            "auth": self.protocol.authenticate(self.secret, encrypted),
            "protocol": self.protocol.VERSION if self.protocol.VERSION != 1 else None,
            **changes,
        }
        names = "key enc auth protocol".split()
        return {"hmac-secret": {names.index(k) + 1: v for k, v in members.items() if v is not None}}

    def output(self, salts, **more):
        signed = self.client.sign(extensions=self.input(salts), **more).auth_data
        assert signed.flags & ED
        return self.protocol.decrypt(self.secret, signed.extensions["hmac-secret"])


@pytest.mark.parametrize("version", [1, 2])
def test_hmac_secrets(fresh, version):
    one, two = b"\xa5" * 32, b"\x96" * 32
    made = fresh.discoverable(extensions={"hmac-secret": True}).auth_data
    assert made.extensions == {"hmac-secret": True}
    salts = Salts(fresh, version)
    first, both, turned = salts.output(one), salts.output(one + two), salts.output(two + one)
    assert len(first) == 32 and both == first + turned[:32] and turned[32:] == first and first != turned[:32]
    assert fresh.set_pin(PIN) == OK
    assert Salts(fresh, version).output(one) == first
    assert Salts(fresh, version).output(one, **fresh.proof(fresh.token())) != first


@pytest.mark.parametrize("version", [1, 2])
def test_hmac_secrets_that_are_refused(fresh, version):
    fresh.discoverable(extensions={"hmac-secret": True})
    salts = Salts(fresh, version)

    def status(input, **more):
        return fresh.status(GET_ASSERTION, fresh.assertion(extensions=input, **more))

    for name in ("key", "enc", "auth"):
        assert status(salts.input(b"1" * 32, **{name: None})) == ERR.MISSING_PARAMETER
    for length in (16, 48, 80, 96):
        assert status(salts.input(b"1" * length)) == ERR.INVALID_LENGTH
    right = salts.input(b"1" * 32)["hmac-secret"]
    wrong = bytes([right[3][0] ^ 1]) + right[3][1:]
    assert status({"hmac-secret": {**right, 3: wrong}}) == ERR.PIN_AUTH_INVALID
    assert status({"hmac-secret": {**right, 3: right[3][:-1]}}) == ERR.PIN_AUTH_INVALID
    assert status({"hmac-secret": {**right, 1: {**POINT, -3: b"x" * 32}}}) == ERR.INVALID_PARAMETER
    assert status({"hmac-secret": {**right, 4: 3}}) == ERR.INVALID_PARAMETER
    assert status({"hmac-secret": right}, options={"up": False}) == ERR.UNSUPPORTED_OPTION
    assert status({"hmac-secret": right}) == OK
    assert status({"hmac-secret": True}) == ERR.CBOR_UNEXPECTED_TYPE


def test_every_account_has_its_hmac_secret(fresh):
    for _ in range(3):
        fresh.discoverable(extensions={"hmac-secret": True, "credProtect": 1})
    salts = Salts(fresh, 2)
    signed = [fresh.sign(extensions=salts.input(b"1" * 32)), fresh.next(), fresh.next()]
    outputs = {salts.protocol.decrypt(salts.secret, one.auth_data.extensions["hmac-secret"]) for one in signed}
    assert len(outputs) == 3


def test_no_hmac_secret_where_none_was_made(fresh):
    for extensions in (None, {"hmac-secret": False}):
        made = fresh.create(extensions=extensions).auth_data
        assert not made.flags & ED
        listed = [descriptor(made.credential_data.credential_id)]
        signed = fresh.sign(allow=listed, extensions=Salts(fresh, 2).input(b"1" * 32)).auth_data
        assert not signed.flags & ED


# Large blobs.


def test_large_blob_keys(fresh):
    made = fresh.discoverable(extensions={"largeBlobKey": True})
    assert len(made.large_blob_key) == 32 and not made.auth_data.flags & ED
    assert fresh.sign(extensions={"largeBlobKey": True}).large_blob_key == made.large_blob_key
    assert fresh.sign().large_blob_key is None
    for options, wanted in (({}, True), ({"rk": False}, True), ({"rk": True}, False)):
        message = fresh.creation(options=options, extensions={"largeBlobKey": wanted})
        assert fresh.status(MAKE_CREDENTIAL, message) == ERR.INVALID_OPTION
    assert fresh.status(GET_ASSERTION, fresh.assertion(extensions={"largeBlobKey": False})) == ERR.INVALID_OPTION


BLOB_REFUSALS = {
    "no offset": ({1: 100}, ERR.INVALID_PARAMETER),
    "nothing to do": ({3: 0}, ERR.INVALID_PARAMETER),
    "both at once": ({1: 100, 2: b"x" * 20, 3: 0}, ERR.INVALID_PARAMETER),
    "length with get": ({1: 100, 3: 0, 4: 1}, ERR.INVALID_PARAMETER),
    "protocol with get": ({1: 100, 3: 0, 6: 1}, ERR.INVALID_PARAMETER),
    "code with get": ({1: 100, 3: 0, 5: b"x" * 8}, ERR.INVALID_PARAMETER),
    "get too much": ({1: 2**30, 3: 0}, ERR.INVALID_LENGTH),
    "get far behind": ({1: 20, 3: 2**30}, ERR.INVALID_PARAMETER),
    "fragment too long": ({2: b"x" * (7609 - 63), 3: 0, 4: 65536}, ERR.INVALID_LENGTH),
    "array too long": ({2: b"x", 3: 0, 4: 2**30}, ERR.LARGE_BLOB_STORAGE_FULL),
    "array too short": ({2: b"x", 3: 0, 4: 16}, ERR.INVALID_PARAMETER),
    "no length": ({2: b"x", 3: 0}, ERR.INVALID_PARAMETER),
    "length later": ({2: b"x", 3: 10, 4: 1000}, ERR.INVALID_PARAMETER),
    "out of the blue": ({2: b"x", 3: 10}, ERR.INVALID_SEQ),
    "no code": ({2: b"xxx", 3: 0, 4: 17}, ERR.PUAT_REQUIRED),
    "no protocol": ({2: b"xxx", 3: 0, 4: 17, 5: b"U" * 16}, ERR.MISSING_PARAMETER),
    "unknown protocol": ({2: b"xxx", 3: 0, 4: 17, 5: b"U" * 16, 6: 99}, ERR.INVALID_PARAMETER),
    "wrong code": ({2: b"xxx", 3: 0, 4: 17, 5: b"U" * 16, 6: 1}, ERR.PIN_AUTH_INVALID),
}


@pytest.mark.parametrize(("members", "status"), BLOB_REFUSALS.values(), ids=BLOB_REFUSALS.keys())
def test_large_blob_requests_that_are_refused(locked, members, status):
    assert locked.status(BLOBS, members) == status


def test_large_blobs_are_written_whole(fresh):
    assert fresh.reply(BLOBS, {1: 100, 3: 0}) == {1: NO_BLOBS}
    content = b"\x81\x41x"
    array = content + sha256(content)[:16]
    assert fresh.write(None, array, 0, len(array)) == OK
    assert fresh.reply(BLOBS, {1: 100, 3: 1}) == {1: array[1:]}
    assert fresh.reply(BLOBS, {1: 100, 3: len(array)}) == {1: b""}
    assert fresh.write(None, b"x" * 17, 0, 17) == ERR.INTEGRITY_FAILURE
    assert fresh.reply(BLOBS, {1: 100, 3: 0}) == {1: array}
    assert fresh.set_pin(PIN) == OK
    assert fresh.write(fresh.token(CM), NO_BLOBS, 0, 17) == ERR.PIN_AUTH_INVALID
    assert fresh.write(fresh.token(LBW), NO_BLOBS, 0, 17) == OK
    assert fresh.reply(BLOBS, {1: 100, 3: 0}) == {1: NO_BLOBS}


def test_large_blob_fragments_come_in_turn(locked):
    token = locked.token(LBW)
    assert locked.write(token, NO_BLOBS[:3], 0, 17) == OK
    for offset in (2, 4):
        assert locked.write(None, b"xxx", offset) == ERR.INVALID_SEQ
    # What has been refused leaves the write as it was.
    assert locked.write(token, b"x" * 17, 3) == ERR.INVALID_PARAMETER
    assert locked.write(token, NO_BLOBS[:3], 0, 17) == OK
    assert locked.write(token, b"x", 4) == ERR.INVALID_SEQ
    assert locked.write(token, NO_BLOBS[3:], 3) == OK
