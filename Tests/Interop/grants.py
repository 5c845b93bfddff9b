"""Grants from outside: how the operator makes them, tokens as a CI service would, and the frame that binds claims."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from fido2 import cbor

from harness import Daemon, ctap2, in_another_process

BOUND_ASSERTION = 0x41
LABEL = b"countersign-claims-v1\x00"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def admin(daemon: Daemon, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """`countersign grant …` as the operator."""
    words = ["grant", *arguments, "--admin-socket", str(daemon.admin_socket)]
    return subprocess.run(
        [str(daemon.programs / "countersign"), *words], capture_output=True, text=True, timeout=60, **more
    )


def create(daemon: Daemon, *arguments: str, **more: Any) -> dict[str, Any]:
    done = admin(daemon, "create", *arguments, "--format", "json", **more)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def grants(daemon: Daemon) -> list[dict[str, Any]]:
    return json.loads(admin(daemon, "list", "--json").stdout)["grants"]


def as_user(user: int, work: Any) -> int:
    """Does the work as this user, with its number as group."""

    def become() -> int:
        os.setgroups([])
        os.setgid(user)
        os.setuid(user)
        return work()

    return in_another_process(become)


class Issuer:
    """A CI service with one RSA and one P-256 key."""

    def __init__(self, folder: Path, name: str = "https://token.example.com", audience: str = "countersign"):
        self.name, self.audience = name, audience
        self.rsa = rsa.generate_private_key(65537, 2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        numbers, point = self.rsa.public_key().public_numbers(), self.ec.public_key().public_numbers()
        keys = [
            {"kty": "RSA", "kid": "r", "n": base64url(numbers.n.to_bytes(256)), "e": "AQAB", "alg": "RS256", "use": "sig"},
            {"kty": "EC", "kid": "e", "crv": "P-256", "x": base64url(point.x.to_bytes(32)), "y": base64url(point.y.to_bytes(32))},
        ]
        self.file = folder / "jwks.json"
        self.file.write_text(json.dumps({"keys": keys}))

    def entry(self) -> dict[str, str]:
        return {"issuer": self.name, "audience": self.audience, "jwksFile": str(self.file)}

    def token(self, algorithm: str = "RS256", *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        payload = {"iss": self.name, "aud": self.audience, "exp": now + 300, "iat": now, "nbf": now, **claims}
        head = {"alg": algorithm, "kid": "r" if algorithm == "RS256" else "e", **(header or {})}
        text = ".".join(base64url(json.dumps(part).encode()) for part in (head, payload))
        if algorithm == "RS256":
            signature = self.rsa.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        else:
            r, s = decode_dss_signature(self.ec.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
            signature = r.to_bytes(32) + s.to_bytes(32)
        return text + "." + base64url(signature)


def bound(connection: Any, rp_id: str, challenge: bytes, *, origin: str | None = None, **parameters: Any) -> tuple[int, Any]:
    """One frame 0x41 by hand: the status, and the map."""
    payload = cbor.encode({1: challenge, 2: origin or f"https://{rp_id}", 3: {1: rp_id, **parameters}})
    reply = connection.call(BOUND_ASSERTION, payload)
    return reply[0], cbor.decode(reply[1:]) if len(reply) > 1 else None


def connected(grant: dict[str, Any]) -> Any:
    return ctap2(grant["socket"])

