"""PINs, tokens and what they authorize, for the tests: python-fido2's ClientPin where it helps, raw messages where it
would not let a mistake through."""

from __future__ import annotations

import os
from typing import Any

from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap import CtapError
from fido2.ctap2 import Ctap2
from fido2.ctap2.config import Config
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import ClientPin, PinProtocol, PinProtocolV2
from fido2.webauthn import AuthenticatorData

from harness import ME, Account, register, sha256

ERR = CtapError.ERR
UV = AuthenticatorData.FLAG.UV
UP = AuthenticatorData.FLAG.UP
CMD = ClientPin.CMD
MC = ClientPin.PERMISSION.MAKE_CREDENTIAL
GA = ClientPin.PERMISSION.GET_ASSERTION
CM = ClientPin.PERMISSION.CREDENTIAL_MGMT
BE = ClientPin.PERMISSION.BIO_ENROLL
LBW = ClientPin.PERMISSION.LARGE_BLOB_WRITE
ACFG = ClientPin.PERMISSION.AUTHENTICATOR_CFG
PCMR = ClientPin.PERMISSION.PERSISTENT_CREDENTIAL_MGMT

PIN = "correct horse"
WRONG = "battery staple"


def rule(relying_parties: list[str], operations: list[str], *, verified: bool = False, **more: Any) -> dict[str, Any]:
    return {
        "name": " ".join(operations),
        "callers": [{"user": ME}],
        "relyingParties": relying_parties,
        "operations": operations,
        "userVerification": verified,
        **more,
    }


EVERYTHING = [rule(["*"], ["register", "authenticate", "manage", "reset"])]
VERIFIED = [rule(["*"], ["register", "authenticate", "manage", "reset"], verified=True)]


def set_pin(ctap: Ctap2, pin: str = PIN) -> None:
    ClientPin(ctap, PinProtocolV2()).set_pin(pin)


def token(
    ctap: Ctap2,
    permissions: int | None,
    rp_id: str | None = None,
    *,
    pin: str = PIN,
    protocol: PinProtocol | None = None,
) -> bytes:
    """A token by PIN; without permissions by getPinToken, as clients of CTAP 2.0 do."""
    return ClientPin(ctap, protocol or PinProtocolV2()).get_pin_token(pin, permissions, rp_id)


def try_wrong_pin(ctap: Ctap2, protocol: PinProtocol | None = None, pin: str = WRONG) -> int:
    """The status with which a wrong PIN is refused."""
    try:
        token(ctap, None, pin=pin, protocol=protocol)
    except CtapError as error:
        return int(error.code)
    raise AssertionError("a wrong PIN is right")


def retries(ctap: Ctap2) -> int:
    return ClientPin(ctap, PinProtocolV2()).get_pin_retries()[0]


def authorization(key: bytes, message: bytes, protocol: PinProtocol | None = None) -> dict[str, Any]:
    """pinUvAuthParam and pinUvAuthProtocol, as makeCredential and getAssertion take them in python-fido2."""
    protocol = protocol or PinProtocolV2()
    return {"pin_uv_param": protocol.authenticate(key, message), "pin_uv_protocol": protocol.VERSION}


def register_with(
    ctap: Ctap2, key: bytes, rp_id: str, *, protocol: PinProtocol | None = None, **more: Any
) -> Account:
    challenge = os.urandom(32)
    authorized = authorization(key, challenge, protocol)
    return register(ctap, rp_id, client_data_hash=challenge, **authorized, **more)


def assert_with(
    ctap: Ctap2, key: bytes, rp_id: str, allowed: Any = None, *, protocol: PinProtocol | None = None, **more: Any
) -> Any:
    challenge = os.urandom(32)
    return ctap.get_assertion(rp_id, challenge, allowed, **authorization(key, challenge, protocol), **more)


def register_verified(ctap: Ctap2, rp_id: str, **more: Any) -> Account:
    """A registration with a token by PIN."""
    return register_with(ctap, token(ctap, MC, rp_id), rp_id, **more)


def management(ctap: Ctap2, rp_id: str | None = None, permissions: int = CM) -> CredentialManagement:
    protocol = PinProtocolV2()
    return CredentialManagement(ctap, protocol, token(ctap, permissions, rp_id, protocol=protocol))


def configuration(ctap: Ctap2, permissions: int = ACFG, pin: str = PIN) -> Config:
    protocol = PinProtocolV2()
    return Config(ctap, protocol, token(ctap, permissions, pin=pin, protocol=protocol))


class Keyboard(UserInteraction):
    """Types this PIN when a client asks for one, and remembers that it was asked."""

    def __init__(self, pin: str | None = PIN):
        self.pin = pin
        self.asked = 0

    def prompt_up(self) -> None:
        pass

    def request_pin(self, permissions: Any, rp_id: str | None) -> str | None:
        self.asked += 1
        return self.pin

    def request_uv(self, permissions: Any, rp_id: str | None) -> bool:
        return True


def client(ctap: Ctap2, rp_id: str, keyboard: Keyboard | None = None, extensions: Any = None) -> Fido2Client:
    """python-fido2's WebAuthn client."""
    more = {} if extensions is None else {"extensions": extensions}
    return Fido2Client(
        ctap.device, DefaultClientDataCollector(f"https://{rp_id}"), user_interaction=keyboard or Keyboard(), **more
    )


def rp_id_hash(rp_id: str) -> bytes:
    return sha256(rp_id.encode())


class Exchange:
    """One key agreement, for clientPIN messages of our own making."""

    def __init__(self, ctap: Ctap2, protocol: PinProtocol):
        self.ctap = ctap
        self.protocol = protocol
        public = ctap.client_pin(protocol.VERSION, CMD.GET_KEY_AGREEMENT)[ClientPin.RESULT.KEY_AGREEMENT]
        self.key_agreement, self.secret = protocol.encapsulate(public)

    def encrypted_pin(self, pin: bytes) -> bytes:
        return self.protocol.encrypt(self.secret, pin)

    def encrypted_hash(self, pin: str) -> bytes:
        return self.protocol.encrypt(self.secret, sha256(pin.encode())[:16])

    def code(self, message: bytes) -> bytes:
        return self.protocol.authenticate(self.secret, message)

    def call(self, command: int, **members: Any) -> Any:
        return self.ctap.client_pin(
            self.protocol.VERSION, command, **{"key_agreement": self.key_agreement, **members}
        )

    def set_pin(self, padded: bytes) -> None:
        """setPIN with these bytes as the padded PIN, whatever they are."""
        encrypted = self.encrypted_pin(padded)
        self.call(CMD.SET_PIN, new_pin_enc=encrypted, pin_uv_param=self.code(encrypted))
