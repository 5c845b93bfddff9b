"""authenticatorConfig with python-fido2: what it sets, for whom, and that it lasts."""

import os

import pytest
from fido2.ctap2.config import Config
from fido2.ctap2.pin import ClientPin, PinProtocolV2

from harness import authenticate, ctap2, register, status_of
from pins import (
    ACFG,
    CM,
    ERR,
    EVERYTHING,
    GA,
    MC,
    PIN,
    UV,
    VERIFIED,
    assert_with,
    configuration,
    register_verified,
    retries,
    rule,
    set_pin,
    token,
)

RULES = EVERYTHING
LONGER = "correct horse battery"


@pytest.fixture
def pin(new):
    set_pin(new)
    return new


def always(ctap):
    return ctap.get_info().options["alwaysUv"]


def test_it_is_said_to_be_there(new):
    info = new.get_info()
    assert info.options["authnrCfg"] is True and info.options["setMinPINLength"] is True
    assert info.options["alwaysUv"] is False and "ep" not in info.options
    assert info.max_rpids_for_min_pin > 0


def test_always_verified(pin, rp_id):
    account = register(pin, rp_id)
    configuration(pin).toggle_always_uv()
    assert always(pin) is True and not pin.get_info().options.get("makeCredUvNotRqd")
    assert status_of(lambda: register(pin, rp_id)) == ERR.PUAT_REQUIRED
    assert status_of(lambda: authenticate(pin, account)) == ERR.PUAT_REQUIRED
    # Looking without presence stays possible.
    look = lambda: pin.get_assertion(rp_id, os.urandom(32), [account.descriptor], options={"up": False})  # noqa: E731
    assert look().auth_data.flags == 0
    register_verified(pin, rp_id)
    assert assert_with(pin, token(pin, GA, rp_id), rp_id, [account.descriptor]).auth_data.flags & UV
    assert "U2F_V2" not in pin.get_info().versions
    configuration(pin).toggle_always_uv()
    assert always(pin) is False and "U2F_V2" in pin.get_info().versions
    authenticate(pin, account)


def test_always_verified_by_rule(make_daemon):
    """Whom a rule verifies is verified always: it only has to be asked for."""
    daemon = make_daemon(VERIFIED).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "one.example.com")
        key = ClientPin(ctap, PinProtocolV2()).get_uv_token(ACFG)
        Config(ctap, PinProtocolV2(), key).toggle_always_uv()
        assert always(ctap) is True
        challenge = os.urandom(32)
        assertion = ctap.get_assertion(account.rp_id, challenge, [account.descriptor], options={"uv": True})
        assertion.verify(challenge, account.public_key)
        assert assertion.auth_data.flags & UV


def test_without_any_verification_it_is_open(new):
    """CTAP 2.1 section 6.11: while there is neither PIN nor alwaysUv, there is nothing to authorize with."""
    Config(new).toggle_always_uv()
    assert always(new) is True
    # Now it asks for what nobody could have, except for the way back.
    assert status_of(lambda: Config(new).set_min_pin_length(6)) == ERR.PUAT_REQUIRED
    Config(new).toggle_always_uv()
    assert always(new) is False
    Config(new).set_min_pin_length(6)
    assert new.get_info().min_pin_length == 6 and not new.get_info().force_pin_change
    assert status_of(lambda: set_pin(new, "12345")) == ERR.PIN_POLICY_VIOLATION
    set_pin(new, "123456")
    assert status_of(Config(new).toggle_always_uv) == ERR.PUAT_REQUIRED


def test_minimum_length(pin):
    pin_length = len(PIN)
    configuration(pin).set_min_pin_length(pin_length)
    info = pin.get_info()
    assert info.min_pin_length == pin_length and not info.force_pin_change
    change = lambda text: status_of(lambda: ClientPin(pin).change_pin(PIN, text))  # noqa: E731
    assert change(PIN[:-1]) == ERR.PIN_POLICY_VIOLATION
    # Code points again.
    assert change("é" * (pin_length - 1)) == ERR.PIN_POLICY_VIOLATION
    # It never gets shorter.
    assert status_of(lambda: configuration(pin).set_min_pin_length(pin_length - 1)) == ERR.PIN_POLICY_VIOLATION
    configuration(pin).set_min_pin_length(pin_length)
    assert status_of(lambda: configuration(pin).set_min_pin_length(64)) in (
        ERR.PIN_POLICY_VIOLATION,
        ERR.INVALID_PARAMETER,
    )
    assert pin.get_info().min_pin_length == pin_length


def test_a_pin_that_has_become_too_short(daemon, pin):
    configuration(pin).set_min_pin_length(len(LONGER))
    assert pin.get_info().force_pin_change is True
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        assert pin.get_info().force_pin_change is True and pin.get_info().min_pin_length == len(LONGER)
        assert status_of(lambda: token(pin, None)) == ERR.PIN_INVALID
        assert status_of(lambda: token(pin, CM)) == ERR.PIN_INVALID
        # It was the right one.
        assert retries(pin) == 8
        ClientPin(pin).change_pin(PIN, LONGER)
        assert pin.get_info().force_pin_change is False
        token(pin, CM, pin=LONGER)


def test_forced_change(pin, rp_id):
    configuration(pin).set_min_pin_length(force_change_pin=True)
    assert pin.get_info().force_pin_change is True
    assert status_of(lambda: token(pin, None)) == ERR.PIN_INVALID
    assert status_of(lambda: token(pin, MC, rp_id)) == ERR.PIN_INVALID
    assert retries(pin) == 8
    # The same one again would be no change.
    assert status_of(lambda: ClientPin(pin).change_pin(PIN, PIN)) == ERR.PIN_POLICY_VIOLATION
    ClientPin(pin).change_pin(PIN, LONGER)
    assert pin.get_info().force_pin_change is False
    token(pin, CM, pin=LONGER)


def test_a_change_cannot_be_forced_without_a_pin(new):
    assert status_of(lambda: Config(new).set_min_pin_length(force_change_pin=True)) == ERR.PIN_NOT_SET


def test_who_is_told_the_minimum(daemon, pin, rp_id):
    told = lambda ctap, party: register(  # noqa: E731
        ctap, party, extensions={"minPinLength": True}
    ).response.auth_data.extensions
    other = "other." + rp_id
    assert not told(pin, rp_id)
    configuration(pin).set_min_pin_length(rp_ids=[rp_id])
    assert told(pin, rp_id) == {"minPinLength": 4} and not told(pin, other)
    # The list is replaced, a new minimum is told.
    configuration(pin).set_min_pin_length(8, rp_ids=[other])
    assert told(pin, other) == {"minPinLength": 8} and not told(pin, rp_id)
    most = [f"{number}.{rp_id}" for number in range(pin.get_info().max_rpids_for_min_pin)]
    configuration(pin).set_min_pin_length(rp_ids=most)
    assert status_of(lambda: configuration(pin).set_min_pin_length(rp_ids=[*most, rp_id])) == ERR.KEY_STORE_FULL
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        assert told(pin, most[-1]) == {"minPinLength": 8}
        pin.reset()
        assert not told(pin, most[-1]) and pin.get_info().min_pin_length == 4


def test_it_lasts_until_a_reset(daemon, pin):
    configuration(pin).toggle_always_uv()
    configuration(pin).set_min_pin_length(9)
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        assert always(pin) is True and pin.get_info().min_pin_length == 9
        pin.reset()
        assert always(pin) is False and pin.get_info().min_pin_length == 4


def test_authorization(pin, rp_id):
    for permissions in (CM, MC, MC | GA | CM):
        key = token(pin, permissions, rp_id)
        assert status_of(Config(pin, PinProtocolV2(), key).toggle_always_uv) == ERR.PIN_AUTH_INVALID
    assert status_of(Config(pin, PinProtocolV2(), os.urandom(32)).toggle_always_uv) == ERR.PIN_AUTH_INVALID
    assert status_of(Config(pin).toggle_always_uv) == ERR.PUAT_REQUIRED
    # A token is of its connection.
    other = ctap2(pin.device.connection.socket.getpeername())
    with other.device:
        key = token(other, ACFG)
        assert status_of(Config(pin, PinProtocolV2(), key).toggle_always_uv) == ERR.PIN_AUTH_INVALID
    protocol, key = PinProtocolV2(), token(pin, ACFG)
    signed = lambda command: pin.config(  # noqa: E731
        command, None, 2, protocol.authenticate(key, b"\xff" * 32 + b"\x0d" + bytes([command]))
    )
    for command in (0x01, 0x10, 0xFF):
        assert status_of(lambda: signed(command)) in (
            ERR.INVALID_PARAMETER,
            ERR.INVALID_SUBCOMMAND,
            ERR.UNSUPPORTED_OPTION,
        ), command
    assert always(pin) is False


def test_who_may_configure(make_daemon):
    """Settings are the whole device's: whoever manages one RP may not."""
    daemon = make_daemon(EVERYTHING).start()
    ctap = ctap2(daemon.socket)
    set_pin(ctap)
    ctap.device.close()
    daemon.stop()
    for rules in ([rule(["*.example.com"], ["manage"])], [rule(["*"], ["register", "authenticate"])]):
        daemon.configure(rules)
        daemon.start()
        ctap = ctap2(daemon.socket)
        with ctap.device:
            assert status_of(configuration(ctap).toggle_always_uv) == ERR.OPERATION_DENIED
            shorten = lambda: configuration(ctap).set_min_pin_length(10)  # noqa: E731
            assert status_of(shorten) == ERR.OPERATION_DENIED
            assert always(ctap) is False and ctap.get_info().min_pin_length == 4
        daemon.stop()
    daemon.configure([rule(["*"], ["manage"])])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        configuration(ctap).toggle_always_uv()
        assert always(ctap) is True


