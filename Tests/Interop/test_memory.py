"""What the daemon's memory still holds of PINs, tokens and secrets when a client has gone: nothing."""

import hashlib
import re

import pytest
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2

from harness import ctap2, eventually, sha256, status_of
from pins import ERR, EVERYTHING, GA, MC, register_with, token

RULES = EVERYTHING

FIRST = "a PIN that no other bytes are like 1"
SECOND = "zweite Geheimzahl, auch unverwechselbar"
WRONG = "the wrong one, just as recognisable"
SALT = hashlib.sha256(b"a salt of this test").digest()


def writable_memory(pid):
    """The bytes of every private mapping that the process can write."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            start, end, flags = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if not flags.startswith("rw") or "[v" in line:
                continue
            try:
                memory.seek(int(start, 16))
                yield line.strip(), memory.read(int(end, 16) - int(start, 16))
            except OSError:
                # A mapping that has gone meanwhile, or that is only reserved.
                continue


def found(pid, secrets):
    return [
        f"{name} in {line}"
        for line, content in writable_memory(pid)
        for name, secret in secrets.items()
        if secret in content
    ]


@pytest.mark.parametrize("protocol", [PinProtocolV1(), PinProtocolV2()], ids=["one", "two"])
def test_nothing_is_left(make_daemon, protocol, rp_id):
    daemon = make_daemon(RULES).start()
    secrets = {f"the PIN {pin!r}": pin.encode() for pin in (FIRST, SECOND, WRONG)}
    secrets |= {f"the hash of {pin!r}": sha256(pin.encode())[:16] for pin in (FIRST, SECOND, WRONG)}
    ctap = ctap2(daemon.socket)
    with ctap.device:
        client = ClientPin(ctap, protocol)
        client.set_pin(FIRST)
        assert status_of(lambda: client.get_pin_token(WRONG)) == ERR.PIN_INVALID
        client.change_pin(FIRST, SECOND)
        for number in range(3):
            secrets[f"token {number}"] = token(ctap, MC | GA, rp_id, pin=SECOND, protocol=protocol)
        key = token(ctap, MC, rp_id, pin=SECOND, protocol=protocol)
        secrets["the token of a registration"] = key
        account = register_with(ctap, key, rp_id, protocol=protocol, extensions={"hmac-secret": True})

        agreement, shared = client._get_shared_secret()
        salt = protocol.encrypt(shared, SALT)
        hmac = {1: agreement, 2: salt, 3: protocol.authenticate(shared, salt), 4: protocol.VERSION}
        answer = ctap.get_assertion(
            rp_id, bytes(32), [account.descriptor], extensions={"hmac-secret": hmac}
        )
        secrets["the output of hmac-secret"] = protocol.decrypt(shared, answer.auth_data.extensions["hmac-secret"])
        secrets["the shared secret"] = shared[:32]
        secrets["the salt"] = SALT
        assert len(secrets["the output of hmac-secret"]) == 32
        # The last token lives as long as its connection: the search finds what is there.
        assert found(daemon.process.pid, {"token": key})
    # The connection's own end is what ends its last token.
    eventually(lambda: not found(daemon.process.pid, secrets), "the secrets to be gone")


def test_the_search_finds_what_is_there(make_daemon):
    """The socket's path is in its memory as long as it runs."""
    daemon = make_daemon(RULES).start()
    assert found(daemon.process.pid, {"path": str(daemon.socket).encode()})
