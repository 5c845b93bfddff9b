"""The PIN, set, changed and guessed: python-fido2's ClientPin and messages of our own, with both protocols."""

import os
import signal

import pytest
from fido2.ctap2.pin import ClientPin, PinProtocolV1, PinProtocolV2

from harness import Command, copy_folder, ctap2, eventually, register, status_of
from pins import (
    BE,
    CM,
    CMD,
    ERR,
    EVERYTHING,
    GA,
    MC,
    PIN,
    UP,
    UV,
    WRONG,
    Exchange,
    register_with,
    retries,
    rule,
    set_pin,
    token,
    try_wrong_pin,
)

RULES = EVERYTHING

@pytest.fixture
def pin(new):
    """A device with a PIN."""
    set_pin(new)
    return new


def padded(pin: str) -> bytes:
    return pin.encode().ljust(64, b"\0")


def restart(daemon, ctap):
    ctap.device.close()
    daemon.stop()
    daemon.start()
    return ctap2(daemon.socket)


# Setting and changing


def test_info_says_what_is_true_of_the_pin(new):
    info = new.get_info()
    assert "FIDO_2_1" in info.versions
    assert sorted(info.pin_uv_protocols) == [1, 2]
    assert info.options["clientPin"] is False and info.options["pinUvAuthToken"] is True
    assert not info.options.get("uv") and not info.options.get("noMcGaPermissionsWithClientPin")
    assert info.min_pin_length == 4 and not info.force_pin_change
    set_pin(new)
    info = new.get_info()
    assert info.options["clientPin"] is True and not info.options.get("uv")
    new.reset()
    assert new.get_info().options["clientPin"] is False


def test_set_change_and_use(new, protocol, rp_id):
    pin = ClientPin(new, protocol)
    pin.set_pin(PIN)
    assert len(token(new, None, protocol=protocol)) in (16, 32)
    pin.change_pin(PIN, "another one")
    assert try_wrong_pin(new, protocol, PIN) == ERR.PIN_INVALID
    key = token(new, MC | GA, rp_id, pin="another one", protocol=protocol)
    account = register_with(new, key, rp_id, protocol=protocol)
    assert account.response.auth_data.flags & (UP | UV) == UP | UV


def test_the_protocols_are_of_one_pin(new):
    ClientPin(new, PinProtocolV1()).set_pin(PIN)
    token(new, MC, "any.example.com", protocol=PinProtocolV2())
    ClientPin(new, PinProtocolV2()).change_pin(PIN, WRONG)
    token(new, MC, "any.example.com", pin=WRONG, protocol=PinProtocolV1())


def test_without_a_pin(new, protocol):
    pin = ClientPin(new, protocol)
    assert status_of(lambda: pin.get_pin_token(PIN)) == ERR.PIN_NOT_SET
    assert status_of(lambda: pin.get_pin_token(PIN, CM)) == ERR.PIN_NOT_SET
    assert status_of(lambda: pin.change_pin(PIN, PIN)) == ERR.PIN_NOT_SET


def test_a_pin_is_set_once(pin, protocol):
    assert status_of(lambda: ClientPin(pin, protocol).set_pin("another one")) == ERR.PIN_AUTH_INVALID
    token(pin, None)


def test_it_survives_a_restart(daemon, pin):
    pin = restart(daemon, pin)
    with pin.device:
        assert pin.get_info().options["clientPin"] is True
        assert try_wrong_pin(pin) == ERR.PIN_INVALID
        token(pin, None)


@pytest.mark.parametrize("text", ["äöüß", "🔑🔑🔑🔑", "1234", "x" * 63, "é" * 31 + "x"], ids=repr)
def test_pins_that_are_long_enough(new, protocol, text):
    Exchange(new, protocol).set_pin(padded(text))
    token(new, None, pin=text, protocol=protocol)


@pytest.mark.parametrize("text", ["", "123", "äöü", "🔑🔑🔑"], ids=repr)
def test_pins_that_are_too_short(new, protocol, text):
    """Code points are counted, not bytes."""
    assert status_of(lambda: Exchange(new, protocol).set_pin(padded(text))) == ERR.PIN_POLICY_VIOLATION
    assert new.get_info().options["clientPin"] is False
    set_pin(new)
    exchange = Exchange(new, protocol)
    encrypted, old = exchange.encrypted_pin(padded(text)), exchange.encrypted_hash(PIN)
    code = exchange.code(encrypted + old)
    change = lambda: exchange.call(  # noqa: E731
        CMD.CHANGE_PIN, new_pin_enc=encrypted, pin_hash_enc=old, pin_uv_param=code
    )
    assert status_of(change) == ERR.PIN_POLICY_VIOLATION
    token(new, None)


@pytest.mark.parametrize("length", [64, 80, 128])
def test_pins_that_are_too_long(new, protocol, length):
    """No room for the zero at the end, and longer than the padding."""
    refused = status_of(lambda: Exchange(new, protocol).set_pin(b"x" * length))
    assert refused in ((ERR.PIN_POLICY_VIOLATION, ERR.INVALID_PARAMETER) if length == 64 else (ERR.INVALID_PARAMETER,))
    assert new.get_info().options["clientPin"] is False


@pytest.mark.parametrize("length", [0, 16, 48, 63])
def test_padding_that_is_too_short(new, length):
    exchange = Exchange(new, PinProtocolV2())
    encrypted = exchange.encrypted_pin(b"12345678".ljust(length - length % 16, b"\0")[:length]) + b"\0" * (length % 16)
    call = lambda: exchange.call(  # noqa: E731
        CMD.SET_PIN, new_pin_enc=encrypted, pin_uv_param=exchange.code(encrypted)
    )
    # What is no whole number of blocks cannot be decrypted, and that has the status of a wrong code.
    expected = ERR.INVALID_PARAMETER if length % 16 == 0 and length > 0 else ERR.PIN_AUTH_INVALID
    assert status_of(call) == expected
    assert new.get_info().options["clientPin"] is False


def test_wrong_codes_cost_no_try(pin, protocol):
    exchange = Exchange(pin, protocol)
    encrypted, old = exchange.encrypted_pin(padded(WRONG)), exchange.encrypted_hash(PIN)
    right = exchange.code(encrypted + old)
    for wrong in (right[:-1] + bytes([right[-1] ^ 1]), right[:-1], right + b"\0", exchange.code(encrypted)):
        call = lambda: exchange.call(  # noqa: E731
            CMD.CHANGE_PIN, new_pin_enc=encrypted, pin_hash_enc=old, pin_uv_param=wrong
        )
        assert status_of(call) == ERR.PIN_AUTH_INVALID
    assert retries(pin) == 8
    token(pin, None)


def test_malformed_messages(pin, protocol):
    good = Exchange(pin, protocol)
    old = good.encrypted_hash(PIN)
    assert status_of(lambda: pin.client_pin(3, CMD.GET_KEY_AGREEMENT)) == ERR.INVALID_PARAMETER
    assert status_of(lambda: pin.client_pin(None, CMD.GET_KEY_AGREEMENT)) == ERR.MISSING_PARAMETER
    assert status_of(lambda: pin.client_pin(2, None)) == ERR.MISSING_PARAMETER
    assert status_of(lambda: good.call(0x20)) in (ERR.INVALID_SUBCOMMAND, ERR.INVALID_PARAMETER)
    for command in (CMD.SET_PIN, CMD.CHANGE_PIN, CMD.GET_TOKEN_USING_PIN_LEGACY, CMD.GET_TOKEN_USING_PIN):
        assert status_of(lambda: good.call(command)) == ERR.MISSING_PARAMETER, command
    ask = lambda **members: status_of(  # noqa: E731
        lambda: good.call(CMD.GET_TOKEN_USING_PIN, pin_hash_enc=old, **members)
    )
    assert ask() == ERR.MISSING_PARAMETER
    assert ask(permissions=0) == ERR.INVALID_PARAMETER
    assert ask(permissions=MC) == ERR.MISSING_PARAMETER
    assert ask(permissions=GA) == ERR.MISSING_PARAMETER
    assert ask(permissions=BE) == ERR.UNAUTHORIZED_PERMISSION
    # Those of getPinToken are fixed.
    legacy = lambda **members: status_of(  # noqa: E731
        lambda: good.call(CMD.GET_TOKEN_USING_PIN_LEGACY, pin_hash_enc=old, **members)
    )
    assert legacy(permissions=MC) == ERR.INVALID_PARAMETER
    assert legacy(permissions_rpid="any.example.com") == ERR.INVALID_PARAMETER
    # A point that is not on the curve, and no point at all.
    off = {**good.key_agreement, -3: bytes(31) + b"\1"}
    for point in (off, {**good.key_agreement, -2: b"\1"}, {**good.key_agreement, 1: 3}):
        assert status_of(
            lambda: good.call(CMD.GET_TOKEN_USING_PIN, pin_hash_enc=old, permissions=CM, key_agreement=point)
        ) == ERR.INVALID_PARAMETER
    assert retries(pin) == 8


def test_an_empty_parameter_asks_for_the_state(new, rp_id):
    """What clients of CTAP 2.0 send to have one of several devices touched."""
    ask = lambda: status_of(lambda: register(new, rp_id, pin_uv_param=b"", pin_uv_protocol=1))  # noqa: E731
    sign = lambda: status_of(  # noqa: E731
        lambda: new.get_assertion(rp_id, os.urandom(32), pin_uv_param=b"", pin_uv_protocol=1)
    )
    assert ask() == sign() == ERR.PIN_NOT_SET
    set_pin(new)
    assert ask() == sign() == ERR.PIN_INVALID


# Guessing


def test_eight_tries(daemon, pin, protocol):
    assert ClientPin(pin, protocol).get_pin_retries() in ((8, None), (8, False))
    seen = []
    for left in range(7, -1, -1):
        seen.append(try_wrong_pin(pin, protocol))
        assert retries(pin) == left
        if seen[-1] == ERR.PIN_AUTH_BLOCKED:
            assert ClientPin(pin, protocol).get_pin_retries()[1] is True
            pin = restart(daemon, pin)
    two_and_a_stop = [ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED]
    assert seen == two_and_a_stop * 2 + [ERR.PIN_INVALID, ERR.PIN_BLOCKED]
    # For good: neither the right one nor a restart helps, and a change is a try as well.
    for _ in range(2):
        assert status_of(lambda: token(pin, None, protocol=protocol)) == ERR.PIN_BLOCKED
        assert status_of(lambda: token(pin, CM, protocol=protocol)) == ERR.PIN_BLOCKED
        assert status_of(lambda: ClientPin(pin, protocol).change_pin(PIN, WRONG)) == ERR.PIN_BLOCKED
        assert retries(pin) == 0
        pin = restart(daemon, pin)
    with pin.device:
        pin.reset()
        assert pin.get_info().options["clientPin"] is False
        set_pin(pin)
        assert retries(pin) == 8
        token(pin, None)


def test_the_right_pin_gives_all_tries_back(pin, protocol):
    for _ in range(2):
        assert [try_wrong_pin(pin, protocol) for _ in range(2)] == [ERR.PIN_INVALID] * 2
        assert retries(pin) == 6
        token(pin, None, protocol=protocol)
        assert retries(pin) == 8


def test_wrong_changes_count(pin, protocol):
    change = lambda: status_of(lambda: ClientPin(pin, protocol).change_pin(WRONG, "new one"))  # noqa: E731
    assert [change() for _ in range(3)] == [ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED]
    assert retries(pin) == 5
    assert status_of(lambda: ClientPin(pin, protocol).change_pin(PIN, "new one")) == ERR.PIN_AUTH_BLOCKED


def test_a_guess_costs_the_key_agreement(pin, protocol):
    """The key of the exchange is a new one after every wrong PIN, so that guesses cannot be prepared."""
    first = Exchange(pin, protocol)
    wrong = lambda: first.call(  # noqa: E731
        CMD.GET_TOKEN_USING_PIN_LEGACY, pin_hash_enc=first.encrypted_hash(WRONG)
    )
    assert status_of(wrong) == ERR.PIN_INVALID
    public = lambda: pin.client_pin(protocol.VERSION, CMD.GET_KEY_AGREEMENT)[1]  # noqa: E731
    before = public()
    assert status_of(lambda: try_wrong_pin(pin, protocol)) == 0
    assert public() != before


def test_three_wrong_ones_need_a_restart(make_daemon):
    """Nothing that a job can do by itself makes up for it."""
    rules = [rule(["*"], ["manage"]), rule(["old.example.com"], ["authenticate"])]
    daemon = make_daemon(rules).start()
    ctap = ctap2(daemon.socket)
    set_pin(ctap)
    # Wrong ones in a row are counted over all connections.
    for status in (ERR.PIN_INVALID, ERR.PIN_INVALID, ERR.PIN_AUTH_BLOCKED):
        other = ctap2(daemon.socket)
        with other.device:
            assert try_wrong_pin(other) == status

    def blocked(ctap):
        assert status_of(lambda: token(ctap, CM)) == ERR.PIN_AUTH_BLOCKED
        assert try_wrong_pin(ctap) == ERR.PIN_AUTH_BLOCKED
        assert ClientPin(ctap).get_pin_retries() == (5, True)

    blocked(ctap)
    other = ctap2(daemon.socket)
    with other.device:
        blocked(other)
    ctap.device.call(Command.INIT, os.urandom(8))
    blocked(ctap)
    reloaded = lambda: status_of(  # noqa: E731
        lambda: ctap.get_assertion("new.example.com", os.urandom(32))
    ) == ERR.NO_CREDENTIALS
    assert not reloaded()
    daemon.configure([rules[0], rule(["old.example.com", "new.example.com"], ["authenticate"])])
    daemon.process.send_signal(signal.SIGHUP)
    eventually(reloaded, "the new rules")
    blocked(ctap)
    ctap = restart(daemon, ctap)
    with ctap.device:
        assert try_wrong_pin(ctap) == ERR.PIN_INVALID
        assert retries(ctap) == 4
        token(ctap, CM)
        assert retries(ctap) == 8


def test_tries_survive_kill(make_daemon):
    """A try is gone before the answer to it is known."""
    daemon = make_daemon(EVERYTHING).start()
    ctap = ctap2(daemon.socket)
    set_pin(ctap)
    for left in (7, 6, 5, 4):
        assert try_wrong_pin(ctap) == ERR.PIN_INVALID
        ctap.device.close()
        daemon.kill()
        daemon.start()
        ctap = ctap2(daemon.socket)
        assert retries(ctap) == left
    # A right one gives them back, a kill after it at most takes one, and that does not add up.
    for _ in range(3):
        token(ctap, CM)
        assert retries(ctap) == 8
        ctap.device.close()
        daemon.kill()
        daemon.start()
        ctap = ctap2(daemon.socket)
        assert retries(ctap) in (7, 8)
    token(ctap, CM)
    ctap = restart(daemon, ctap)
    with ctap.device:
        assert retries(ctap) == 8


def test_an_old_copy_of_the_state_brings_no_tries_back(make_daemon, folder):
    daemon = make_daemon(EVERYTHING).start()
    ctap = ctap2(daemon.socket)
    set_pin(ctap)
    ctap.device.close()
    daemon.stop()
    backup = folder / "backup"
    copy_folder(daemon.state, backup)
    for left in (6, 4, 2):
        daemon.start()
        ctap = ctap2(daemon.socket)
        assert [try_wrong_pin(ctap) for _ in range(2)] == [ERR.PIN_INVALID] * 2
        assert retries(ctap) == left
        ctap.device.close()
        daemon.kill() if left == 4 else daemon.stop()
        copy_folder(backup, daemon.state)
    daemon.start()
    ctap = ctap2(daemon.socket)
    assert retries(ctap) == 2
    assert [try_wrong_pin(ctap) for _ in range(2)] == [ERR.PIN_INVALID, ERR.PIN_BLOCKED]
    ctap.device.close()
    daemon.stop()
    copy_folder(backup, daemon.state)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: token(ctap, CM)) == ERR.PIN_BLOCKED


def test_an_old_copy_of_the_state_brings_no_old_pin_back(make_daemon, folder):
    """Whoever knew the last PIN and can write the state gets nothing for it."""
    daemon = make_daemon(EVERYTHING).start()
    ctap = ctap2(daemon.socket)
    set_pin(ctap, WRONG)
    ctap.device.close()
    daemon.stop()
    backup = folder / "backup"
    copy_folder(daemon.state, backup)
    daemon.start()
    ctap = ctap2(daemon.socket)
    ClientPin(ctap).change_pin(WRONG, "one in between")
    ClientPin(ctap).change_pin("one in between", PIN)
    ctap.device.close()
    daemon.stop()
    copy_folder(backup, daemon.state)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for old in (WRONG, PIN):
            assert status_of(lambda: token(ctap, CM, pin=old)) == ERR.PIN_BLOCKED
        ctap.reset()
        set_pin(ctap)
        token(ctap, CM)


# Policy


def test_who_may_set_a_pin(make_daemon):
    """The PIN is the whole device's: whoever manages one RP may not, neither set it nor change it."""
    daemon = make_daemon([rule(["*.example.com"], ["register", "authenticate", "manage"])]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: set_pin(ctap)) == ERR.OPERATION_DENIED
    daemon.stop()
    daemon.configure([rule(["*"], ["manage"])])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        set_pin(ctap)
    daemon.stop()
    daemon.configure([rule(["one.example.com"], ["authenticate"])])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        change = lambda: ClientPin(ctap).change_pin(PIN, WRONG)  # noqa: E731
        assert status_of(change) == ERR.OPERATION_DENIED
        assert retries(ctap) == 8
        # Who may do anything may show that it knows the PIN.
        token(ctap, GA, "one.example.com")
    daemon.stop()
    daemon.configure([])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: token(ctap, GA, "one.example.com")) == ERR.OPERATION_DENIED
