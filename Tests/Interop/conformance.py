"""What the conformance tests share: a connection that speaks CTAP2 in maps and PIN protocols in their parts, so that
every member can be a wrong one."""

import os
import struct

from fido2 import cbor
from fido2.attestation import PackedAttestation
from fido2.cose import CoseKey
from fido2.ctap import CtapError
from fido2.ctap2.base import AssertionResponse, AttestationResponse
from fido2.ctap2.pin import PinProtocolV1, PinProtocolV2

from harness import ES256, ME, FrameConnection, sha256

ERR = CtapError.ERR
OK = 0

PIN = "a right PIN"
HASH = sha256(b"client data")
RULES = [
    {
        "name": "all",
        "callers": [{"user": ME}],
        "relyingParties": ["*"],
        "operations": ["register", "authenticate", "manage", "reset"],
    }
]

MAKE_CREDENTIAL, GET_ASSERTION, CLIENT_PIN, RESET, NEXT = 0x01, 0x02, 0x06, 0x07, 0x08
MANAGEMENT, SELECTION, BLOBS, CONFIG = 0x0A, 0x0B, 0x0C, 0x0D
RETRIES, AGREEMENT, SET_PIN, CHANGE_PIN, LEGACY_TOKEN, UV_TOKEN, UV_RETRIES, TOKEN = 1, 2, 3, 4, 5, 6, 7, 9
MC, GA, CM, LBW, ACFG = 1, 2, 4, 16, 32
UP, UV, AT, ED = 1, 4, 64, 128
NO_BLOBS = b"\x80" + sha256(b"\x80")[:16]
# A point on the curve, of a key that nobody knows.
POINT = {
    1: 2,
    3: -25,
    -1: 1,
    -2: bytes.fromhex("6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"),
    -3: bytes.fromhex("4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5"),
}


class Token:
    """A connection to the daemon that speaks CTAP2 in maps and PIN protocols in their parts."""

    def __init__(self, daemon, protocol=2):
        self.daemon = daemon
        self.protocol = PinProtocolV1() if protocol == 1 else PinProtocolV2()
        self.connection = None
        self.connect()

    def connect(self):
        if self.connection:
            self.connection.close()
        self.connection = FrameConnection(self.daemon.socket, timeout=60)

    def power_cycle(self):
        self.daemon.stop()
        self.daemon.start()
        self.connect()

    def send(self, command, parameters=None):
        message = bytes([command]) + (b"" if parameters is None else cbor.encode(parameters))
        status, reply = self.connection.cbor(message)
        assert not (status and reply), "a refusal has no members"
        return status, cbor.decode(reply) if reply else None

    def status(self, command, parameters=None):
        return self.send(command, parameters)[0]

    def reply(self, command, parameters=None):
        status, reply = self.send(command, parameters)
        assert status == OK, hex(status)
        return reply

    def info(self):
        return self.reply(0x04)

    # Credentials.

    def creation(self, **changes):
        names = "hash rp user parameters exclude extensions options auth protocol enterprise formats".split()
        user = {"id": os.urandom(16), "name": "deploy", "displayName": "Deployment"}
        members = {"hash": HASH, "rp": {"id": "example.com"}, "user": user, "parameters": [ES256], **changes}
        return {names.index(name) + 1: value for name, value in members.items() if value is not None}

    def assertion(self, **changes):
        names = "rp hash allow extensions options auth protocol".split()
        members = {"rp": "example.com", "hash": HASH, **changes}
        return {names.index(name) + 1: value for name, value in members.items() if value is not None}

    def create(self, **changes):
        reply = self.reply(MAKE_CREDENTIAL, self.creation(**changes))
        response = AttestationResponse.from_dict(reply)
        PackedAttestation().verify(response.att_stmt, response.auth_data, HASH)
        return response

    def discoverable(self, **changes):
        return self.create(options={"rk": True}, **changes)

    def sign(self, **changes):
        return AssertionResponse.from_dict(self.reply(GET_ASSERTION, self.assertion(**changes)))

    def next(self):
        return AssertionResponse.from_dict(self.reply(NEXT))

    # PINs.

    def agree(self):
        key = self.reply(CLIENT_PIN, {1: self.protocol.VERSION, 2: AGREEMENT})[1]
        return self.protocol.encapsulate(CoseKey.parse(key))

    def set_pin(self, pin, padded=None):
        agreement, secret = self.agree()
        new = self.protocol.encrypt(secret, padded or pin.encode().ljust(64, b"\0"))
        code = self.protocol.authenticate(secret, new)
        return self.status(CLIENT_PIN, {1: self.protocol.VERSION, 2: SET_PIN, 3: agreement, 4: code, 5: new})

    def change_pin(self, old, pin, padded=None):
        agreement, secret = self.agree()
        new = self.protocol.encrypt(secret, padded or pin.encode().ljust(64, b"\0"))
        proof = self.protocol.encrypt(secret, sha256(old.encode())[:16])
        code = self.protocol.authenticate(secret, new + proof)
        members = {1: self.protocol.VERSION, 2: CHANGE_PIN, 3: agreement, 4: code, 5: new, 6: proof}
        return self.status(CLIENT_PIN, members)

    def ask_token(self, pin, permissions=None, rp_id=None, agreed=None):
        """Status and token of getPinToken, or of its successor where permissions are named."""
        agreement, secret = agreed or self.agree()
        proof = self.protocol.encrypt(secret, sha256(pin.encode())[:16])
        members = {1: self.protocol.VERSION, 2: TOKEN if permissions else LEGACY_TOKEN, 3: agreement, 6: proof}
        if permissions:
            members[9] = permissions
        if rp_id:
            members[10] = rp_id
        status, reply = self.send(CLIENT_PIN, members)
        return status, self.protocol.decrypt(secret, reply[2]) if reply else None

    def token(self, permissions=None, rp_id=None, pin=PIN):
        status, token = self.ask_token(pin, permissions, rp_id)
        assert status == OK, hex(status)
        return token

    def proof(self, token, message=HASH):
        """The members of makeCredential and getAssertion that a token makes."""
        return {"auth": self.protocol.authenticate(token, message), "protocol": self.protocol.VERSION}

    def retries(self):
        reply = self.reply(CLIENT_PIN, {1: self.protocol.VERSION, 2: RETRIES})
        return reply[3]

    # Management.

    def manage(self, token, subcommand, parameters=None, wrong=False):
        message = bytes([subcommand]) + (b"" if parameters is None else cbor.encode(parameters))
        code = self.protocol.authenticate(token, message + (b"x" if wrong else b""))
        members = {1: subcommand, 3: self.protocol.VERSION, 4: code}
        if parameters is not None:
            members[2] = parameters
        return self.send(MANAGEMENT, members)

    def configure(self, token, subcommand, parameters=None):
        members = {1: subcommand}
        if parameters is not None:
            members[2] = parameters
        if token:
            message = b"\xff" * 32 + bytes([CONFIG, subcommand]) + (cbor.encode(parameters) if parameters else b"")
            members |= {3: self.protocol.VERSION, 4: self.protocol.authenticate(token, message)}
        return self.status(CONFIG, members)

    def write(self, token, fragment, offset, length=None):
        members = {2: fragment, 3: offset}
        if length is not None:
            members[4] = length
        if token:
            message = b"\xff" * 32 + b"\x0c\0" + struct.pack("<I", offset) + sha256(fragment)
            members |= {5: self.protocol.authenticate(token, message), 6: self.protocol.VERSION}
        return self.status(BLOBS, members)
