"""pinUvAuthTokens: whose they are, what for and how often, with both protocols."""

import os

import pytest
from fido2.ctap2.pin import ClientPin

from harness import authenticate, ctap2, register, status_of
from pins import (
    ACFG,
    CM,
    ERR,
    EVERYTHING,
    GA,
    MC,
    PIN,
    UP,
    UV,
    WRONG,
    Keyboard,
    assert_with,
    client,
    management,
    register_verified,
    register_with,
    set_pin,
    token,
)

RULES = EVERYTHING


@pytest.fixture
def pin(new):
    """A device with a PIN."""
    set_pin(new)
    return new


def test_a_token_is_of_its_connection(daemon, pin, protocol, rp_id):
    key = token(pin, MC | GA | CM, rp_id, protocol=protocol)
    other = ctap2(daemon.socket)
    with other.device:
        assert status_of(lambda: register_with(other, key, rp_id, protocol=protocol)) == ERR.PIN_AUTH_INVALID
        assert status_of(lambda: assert_with(other, key, rp_id, protocol=protocol)) == ERR.PIN_AUTH_INVALID
        # Neither does one that is given there end the first.
        token(other, CM, protocol=protocol)
    register_with(pin, key, rp_id, protocol=protocol)


def test_a_new_token_ends_the_last(pin, rp_id):
    first = token(pin, MC, rp_id)
    second = token(pin, MC, rp_id)
    assert first != second
    assert status_of(lambda: register_with(pin, first, rp_id)) == ERR.PIN_AUTH_INVALID
    third = token(pin, MC, rp_id)
    register_with(pin, third, rp_id)


def test_a_new_pin_ends_every_token(daemon, pin, rp_id):
    """What was verified with the old one counts no longer, on whatever connection."""
    other = ctap2(daemon.socket)
    with other.device:
        ours, theirs = token(pin, MC, rp_id), token(other, MC, rp_id)
        ClientPin(pin).change_pin(PIN, WRONG)
        assert status_of(lambda: register_with(pin, ours, rp_id)) == ERR.PIN_AUTH_INVALID
        assert status_of(lambda: register_with(other, theirs, rp_id)) == ERR.PIN_AUTH_INVALID
        register_with(other, token(other, MC, rp_id, pin=WRONG), rp_id)


def test_permissions(pin, protocol, rp_id):
    account = register_verified(pin, rp_id, discoverable=True)
    with_token = lambda permissions: token(pin, permissions, rp_id, protocol=protocol)  # noqa: E731
    for others in (GA, CM, ACFG, GA | CM | ACFG):
        key = with_token(others)
        assert status_of(lambda: register_with(pin, key, rp_id, protocol=protocol)) == ERR.PIN_AUTH_INVALID
    for others in (MC, CM, ACFG, MC | CM | ACFG):
        key = with_token(others)
        assert status_of(lambda: assert_with(pin, key, rp_id, protocol=protocol)) == ERR.PIN_AUTH_INVALID
    for others in (MC, GA, ACFG):
        assert status_of(management(pin, rp_id, others).get_metadata) == ERR.PIN_AUTH_INVALID
    key = with_token(MC | GA)
    assertion = assert_with(pin, key, rp_id, protocol=protocol)
    assert assertion.credential["id"] == account.id and assertion.auth_data.flags & (UP | UV) == UP | UV


def test_a_token_is_of_its_relying_party(pin, protocol, rp_id):
    other = "other." + rp_id
    register(pin, other)
    key = token(pin, MC | GA, rp_id, protocol=protocol)
    assert status_of(lambda: register_with(pin, key, other, protocol=protocol)) == ERR.PIN_AUTH_INVALID
    assert status_of(lambda: assert_with(pin, key, other, protocol=protocol)) == ERR.PIN_AUTH_INVALID
    register_with(pin, key, rp_id, protocol=protocol)


def test_one_token_makes_one_credential(pin, protocol, rp_id):
    key = token(pin, MC | GA, rp_id, protocol=protocol)
    account = register_with(pin, key, rp_id, protocol=protocol)
    again = lambda: register_with(pin, key, rp_id, protocol=protocol)  # noqa: E731
    sign = lambda: assert_with(pin, key, rp_id, [account.descriptor], protocol=protocol)  # noqa: E731
    assert status_of(again) == status_of(sign) == ERR.PIN_AUTH_INVALID


def test_one_token_makes_one_assertion(pin, protocol, rp_id):
    account = register_verified(pin, rp_id)
    key = token(pin, GA, rp_id, protocol=protocol)
    sign = lambda: assert_with(pin, key, rp_id, [account.descriptor], protocol=protocol)  # noqa: E731
    assert sign().auth_data.flags & UV
    assert status_of(sign) == ERR.PIN_AUTH_INVALID


def test_a_token_for_looking_stays(pin, protocol, rp_id):
    """Without presence nothing is used up: so clients look with the token that they then sign with."""
    account = register_verified(pin, rp_id)
    key = token(pin, GA, rp_id, protocol=protocol)
    look = {"options": {"up": False}, "protocol": protocol}
    for _ in range(2):
        assert assert_with(pin, key, rp_id, [account.descriptor], **look).auth_data.flags & (UP | UV) == UV
    assert assert_with(pin, key, rp_id, [account.descriptor], protocol=protocol).auth_data.flags & (UP | UV) == UP | UV


def test_permissions_of_get_pin_token(pin, protocol, rp_id):
    """makeCredential and getAssertion, for the RP of the first use; nothing else."""
    account = register_with(pin, token(pin, None, protocol=protocol), rp_id, protocol=protocol)
    key = token(pin, None, protocol=protocol)
    look = {"options": {"up": False}, "protocol": protocol}
    assert assert_with(pin, key, rp_id, [account.descriptor], **look).auth_data.flags & UV
    assert status_of(lambda: assert_with(pin, key, "other." + rp_id, **look)) == ERR.PIN_AUTH_INVALID
    assert status_of(management(pin, None, None).get_metadata) == ERR.PIN_AUTH_INVALID


def test_wrong_authorizations(pin, protocol, rp_id):
    key = token(pin, MC, rp_id, protocol=protocol)
    challenge = os.urandom(32)
    right = protocol.authenticate(key, challenge)
    for wrong in (right[:-1], right + b"\0", right[:-1] + bytes([right[-1] ^ 1]), protocol.authenticate(key, b"x")):
        call = lambda: register(  # noqa: E731
            pin, rp_id, client_data_hash=challenge, pin_uv_param=wrong, pin_uv_protocol=protocol.VERSION
        )
        assert status_of(call) == ERR.PIN_AUTH_INVALID
    for version, status in ((None, ERR.MISSING_PARAMETER), (3, ERR.INVALID_PARAMETER)):
        call = lambda: register(  # noqa: E731
            pin, rp_id, client_data_hash=challenge, pin_uv_param=right, pin_uv_protocol=version
        )
        assert status_of(call) == status


def test_a_discoverable_one_needs_the_pin(pin, rp_id):
    assert status_of(lambda: register(pin, rp_id, discoverable=True)) == ERR.PUAT_REQUIRED
    register_verified(pin, rp_id, discoverable=True)


def test_without_a_token_nobody_is_verified(pin, rp_id):
    account = register_verified(pin, rp_id)
    assert authenticate(pin, account).auth_data.flags & (UP | UV) == UP
    if pin.get_info().options.get("makeCredUvNotRqd"):
        assert register(pin, rp_id).response.auth_data.flags & (UP | UV) == UP
    else:
        assert status_of(lambda: register(pin, rp_id)) == ERR.PUAT_REQUIRED


def test_names_are_for_the_verified(pin, rp_id):
    for number in range(2):
        register_verified(pin, rp_id, user_id=b"user %d" % number, discoverable=True)
    first = assert_with(pin, token(pin, GA, rp_id), rp_id)
    assert first.number_of_credentials == 2
    assert [one.user["name"] for one in (first, pin.get_next_assertion())] == ["deploy"] * 2


def test_webauthn_client_asks_for_the_pin(pin, rp_id):
    keyboard = Keyboard()
    options = {
        "rp": {"id": rp_id, "name": "An example"},
        "user": {"id": os.urandom(16), "name": "deploy", "displayName": "Deployment"},
        "challenge": os.urandom(32),
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "authenticatorSelection": {"userVerification": "required"},
    }
    made = client(pin, rp_id, keyboard).make_credential(options)
    data = made.response.attestation_object.auth_data
    assert keyboard.asked == 1 and data.flags & UV
    signed = client(pin, rp_id, keyboard).get_assertion(
        {
            "rpId": rp_id,
            "challenge": os.urandom(32),
            "allowCredentials": [{"type": "public-key", "id": data.credential_data.credential_id}],
            "userVerification": "required",
        }
    )
    assert keyboard.asked == 2 and signed.get_response(0).response.authenticator_data.flags & UV
