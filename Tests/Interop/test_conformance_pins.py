"""What the standard asks of any authenticator, one rule at a time, on a daemon whose one rule allows everything:
authenticatorClientPIN, resets and power cycles."""

import pytest

from conformance import (
    AGREEMENT,
    BLOBS,
    CHANGE_PIN,
    CLIENT_PIN,
    CM,
    ERR,
    GA,
    GET_ASSERTION,
    HASH,
    LBW,
    LEGACY_TOKEN,
    MAKE_CREDENTIAL,
    MC,
    NO_BLOBS,
    OK,
    PIN,
    POINT,
    RESET,
    RETRIES,
    RULES,
    TOKEN,
    UV_RETRIES,
    UV_TOKEN,
    Token,
)
from harness import descriptor, sha256

# clientPIN.


@pytest.mark.parametrize("version", [1, 2])
def test_pins_are_of_four_characters_to_sixty_three_bytes(fresh, version):
    client = Token(fresh.daemon, version)
    violation = ERR.PIN_POLICY_VIOLATION
    bad = {"123": violation, "XXX\0": violation, "12\0" + "4" * 20: violation, "A" * 64: violation, "é" * 3: violation}
    for pin, status in bad.items():
        assert client.set_pin(pin) == status, pin
    for count in (32, 128):
        assert client.set_pin("", padded=b"1234".ljust(count, b"\0")) == ERR.INVALID_PARAMETER
    assert client.set_pin("", padded=b"\xff" * 8 + bytes(56)) == violation
    assert client.set_pin("0" * 63) == OK
    for pin, status in bad.items():
        assert client.change_pin("0" * 63, pin) == status, pin
        client.token(pin="0" * 63)
    for count in (32, 128):
        assert client.change_pin("0" * 63, "", padded=b"1234".ljust(count, b"\0")) == ERR.INVALID_PARAMETER
    assert client.change_pin("0" * 63, "éèêë") == OK
    assert len(client.token(pin="éèêë")) == 32


def test_without_a_pin(fresh):
    assert fresh.ask_token(PIN)[0] == ERR.PIN_NOT_SET
    assert fresh.ask_token(PIN, MC, "example.com")[0] == ERR.PIN_NOT_SET
    assert fresh.change_pin(PIN, "another") == ERR.PIN_NOT_SET


def test_a_pin_is_set_once(locked):
    assert locked.set_pin("another") == ERR.PIN_AUTH_INVALID
    assert locked.retries() == 8
    assert len(locked.token()) == 32


@pytest.mark.parametrize("version", [1, 2])
def test_wrong_codes_cost_no_attempt(locked, version):
    client = Token(locked.daemon, version)
    agreement, secret = client.agree()
    proof = client.protocol.encrypt(secret, sha256(PIN.encode())[:16])
    new = client.protocol.encrypt(secret, b"12345".ljust(64, b"\0"))
    code = client.protocol.authenticate(secret, new + proof)
    members = {1: version, 2: CHANGE_PIN, 3: agreement, 4: code[:-8] + b"U" * 8, 5: new, 6: proof}
    for _ in range(4):
        assert client.status(CLIENT_PIN, members) == ERR.PIN_AUTH_INVALID
    assert client.status(CLIENT_PIN, {**members, 4: code, 5: b"2" * 8 + new[8:]}) == ERR.PIN_AUTH_INVALID
    for wrong in ({-2: b"x" * 32}, {-2: b"x" * 31}, {1: 3}, {-1: 2}, {3: -7}):
        assert client.status(CLIENT_PIN, {**members, 3: {**POINT, **wrong}}) == ERR.INVALID_PARAMETER
    assert client.retries() == 8
    assert client.status(CLIENT_PIN, {**members, 4: code}) == OK


def test_key_agreement_keys_are_what_the_standard_says(fresh):
    for version in (1, 2):
        key = fresh.reply(CLIENT_PIN, {1: version, 2: AGREEMENT})[1]
        assert (key[1], key[3], key[-1]) == (2, -25, 1) and len(key[-2]) == len(key[-3]) == 32 and len(key) == 5
    for version in (0, 3, 123456):
        assert fresh.status(CLIENT_PIN, {1: version, 2: AGREEMENT}) == ERR.INVALID_PARAMETER
    for subcommand in (0, 8, 10, 255):
        assert fresh.status(CLIENT_PIN, {1: 1, 2: subcommand}) == ERR.INVALID_SUBCOMMAND


def test_a_wrong_pin_ends_the_key_agreement(locked):
    agreed = locked.agree()
    assert locked.ask_token("wrong", agreed=agreed)[0] == ERR.PIN_INVALID
    assert locked.ask_token(PIN, agreed=agreed)[0] == ERR.PIN_INVALID
    assert locked.retries() == 6
    locked.token()
    assert locked.retries() == 8


def test_permissions(locked):
    assert locked.ask_token(PIN, 8)[0] == ERR.UNAUTHORIZED_PERMISSION
    for permission in (MC, GA, MC | CM):
        assert locked.ask_token(PIN, permission)[0] == ERR.MISSING_PARAMETER
    agreement, secret = locked.agree()
    proof = locked.protocol.encrypt(secret, sha256(PIN.encode())[:16])
    members = {1: 2, 2: TOKEN, 3: agreement, 6: proof}
    assert locked.status(CLIENT_PIN, {**members, 9: 0}) == ERR.INVALID_PARAMETER
    for more in ({9: 1}, {10: "example.com"}):
        assert locked.status(CLIENT_PIN, {**members, 2: LEGACY_TOKEN, **more}) == ERR.INVALID_PARAMETER
    assert locked.retries() == 8
    # Nobody here is verified by a rule.
    assert locked.status(CLIENT_PIN, {1: 2, 2: UV_RETRIES}) == ERR.INVALID_SUBCOMMAND
    assert locked.status(CLIENT_PIN, {1: 2, 2: UV_TOKEN, 3: agreement, 9: CM}) == ERR.NOT_ALLOWED


def test_attempts_to_the_last(locked):
    left = 8
    for attempt in range(1, 9):
        status = locked.ask_token("wrong")[0]
        left -= 1
        assert locked.retries() == left
        if attempt == 8:
            assert status == ERR.PIN_BLOCKED
        elif attempt % 3 == 0:
            assert status == ERR.PIN_AUTH_BLOCKED
            # Neither the right PIN nor another connection helps, and no attempt is spent.
            locked.connect()
            assert locked.ask_token(PIN)[0] == ERR.PIN_AUTH_BLOCKED
            assert locked.change_pin(PIN, "another") == ERR.PIN_AUTH_BLOCKED
            assert locked.reply(CLIENT_PIN, {1: 2, 2: RETRIES}) == {3: left, 4: True}
            locked.power_cycle()
            assert locked.retries() == left
        else:
            assert status == ERR.PIN_INVALID
    for _ in range(2):
        assert locked.ask_token(PIN)[0] == ERR.PIN_BLOCKED
        assert locked.change_pin(PIN, "another") == ERR.PIN_BLOCKED
        assert locked.retries() == 0
        locked.power_cycle()
    assert locked.status(RESET) == OK
    assert locked.set_pin(PIN) == OK and locked.retries() == 8
    locked.token()


def test_a_right_pin_forgives(locked):
    for status in (ERR.PIN_INVALID, ERR.PIN_INVALID, OK, ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED):
        assert locked.change_pin(PIN if status == OK else "wrong", PIN) == status
    locked.power_cycle()
    assert locked.change_pin("wrong", "another") == ERR.PIN_INVALID
    assert locked.change_pin(PIN, "another") == OK
    assert locked.retries() == 8


def test_a_changed_pin_ends_tokens(locked):
    token = locked.token()
    assert locked.change_pin(PIN, "another") == OK
    assert locked.status(MAKE_CREDENTIAL, locked.creation(**locked.proof(token))) == ERR.PIN_AUTH_INVALID
    assert locked.ask_token(PIN)[0] == ERR.PIN_INVALID
    locked.token(pin="another")


# Reset and power cycles.


def test_a_reset_forgets_everything(locked):
    made = locked.discoverable(**locked.proof(locked.token())).auth_data.credential_data.credential_id
    token = locked.token()
    assert locked.ask_token("wrong")[0] == ERR.PIN_INVALID
    assert locked.write(locked.token(LBW), b"\x81\x00" + sha256(b"\x81\x00")[:16], 0, 18) == OK
    assert locked.send(RESET) == (OK, None)
    info = locked.info()
    assert info[4]["clientPin"] is False
    for allow in (None, [descriptor(made)]):
        assert locked.status(GET_ASSERTION, locked.assertion(allow=allow)) == ERR.NO_CREDENTIALS
    assert locked.reply(BLOBS, {1: 100, 3: 0}) == {1: NO_BLOBS}
    assert locked.set_pin(PIN) == OK and locked.retries() == 8
    assert locked.status(MAKE_CREDENTIAL, locked.creation(**locked.proof(token))) == ERR.PIN_AUTH_INVALID


def test_what_a_power_cycle_keeps(locked):
    found = locked.discoverable(**locked.proof(locked.token())).auth_data.credential_data
    listed = locked.create(**locked.proof(locked.token())).auth_data.credential_data
    counter = locked.sign().auth_data.counter
    token = locked.token()
    assert locked.ask_token("wrong")[0] == ERR.PIN_INVALID
    locked.power_cycle()
    assert locked.retries() == 7
    assert locked.status(MAKE_CREDENTIAL, locked.creation(**locked.proof(token))) == ERR.PIN_AUTH_INVALID
    for allow, made in ((None, found), ([descriptor(listed.credential_id)], listed)):
        signed = locked.sign(allow=allow)
        signed.verify(HASH, made.public_key)
        assert signed.auth_data.counter > counter
    assert locked.token() != token
