"""Verification by rule: for whom a rule says so the daemon has built-in user verification, and for nobody else."""

import os
import pwd
import signal

import pytest
from fido2.ctap2.pin import ClientPin, PinProtocolV2

from harness import ES256, authenticate, ctap2, eventually, in_another_process, register, status_of
from pins import CM, ERR, EVERYTHING, GA, MC, UP, UV, VERIFIED, assert_with, register_with

# getPinUvAuthTokenUsingUv where this caller is not verified; CTAP names the first, the second is what policy says.
NOT_VERIFIED = (ERR.NOT_ALLOWED, ERR.OPERATION_DENIED)


def test_verification_by_rule(make_daemon, protocol):
    daemon = make_daemon(VERIFIED).start()
    rp_id = "verified.example.com"
    ctap = ctap2(daemon.socket)
    with ctap.device:
        info = ctap.get_info()
        assert info.options["uv"] is True and info.options["clientPin"] is False
        pin = ClientPin(ctap, protocol)
        assert pin.get_uv_retries() > 0
        account = register_with(ctap, pin.get_uv_token(MC, rp_id), rp_id, protocol=protocol, discoverable=True)
        assert account.response.auth_data.flags & (UP | UV) == UP | UV
        assertion = assert_with(ctap, pin.get_uv_token(GA, rp_id), rp_id, protocol=protocol)
        assert assertion.auth_data.flags & (UP | UV) == UP | UV
        # The option of CTAP 2.0 does it too; without either nobody has asked.
        challenge = os.urandom(32)
        assertion = ctap.get_assertion(rp_id, challenge, options={"uv": True})
        assertion.verify(challenge, account.public_key)
        assert assertion.auth_data.flags & UV
        assert not authenticate(ctap, account).auth_data.flags & UV
        # Its token has what was asked for and no more.
        key = pin.get_uv_token(GA, rp_id)
        assert status_of(lambda: register_with(ctap, key, rp_id, protocol=protocol)) == ERR.PIN_AUTH_INVALID
        assert status_of(lambda: assert_with(ctap, key, "x." + rp_id, protocol=protocol)) == ERR.PIN_AUTH_INVALID
    daemon.stop()
    daemon.configure(EVERYTHING)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert not ctap.get_info().options.get("uv")
        assert status_of(lambda: ClientPin(ctap, protocol).get_uv_token(GA, rp_id)) in NOT_VERIFIED
        ask = lambda: ctap.get_assertion(rp_id, os.urandom(32), options={"uv": True})  # noqa: E731
        assert status_of(ask) == ERR.INVALID_OPTION
        make = lambda: ctap.make_credential(  # noqa: E731
            os.urandom(32), {"id": rp_id}, {"id": b"user"}, [ES256], options={"uv": True}
        )
        assert status_of(make) == ERR.INVALID_OPTION
        assert not authenticate(ctap, account).auth_data.flags & UV


def test_a_rule_that_goes_takes_verification_along(make_daemon):
    """A token that was given before is worth nothing after."""
    daemon = make_daemon(VERIFIED).start()
    rp_id = "verified.example.com"
    ctap = ctap2(daemon.socket)
    with ctap.device:
        key = ClientPin(ctap, PinProtocolV2()).get_uv_token(GA | CM, rp_id)
        daemon.configure(EVERYTHING)
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: not ctap.get_info().options.get("uv"), "the new rules")
        assert status_of(lambda: assert_with(ctap, key, rp_id)) in (ERR.PIN_AUTH_INVALID, ERR.OPERATION_DENIED)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")
def test_verification_is_of_the_caller(make_daemon):
    nobody = pwd.getpwnam("nobody")
    stranger = {"name": "stranger", "callers": [{"user": "nobody"}]}
    daemon = make_daemon(VERIFIED + [{**EVERYTHING[0], **stranger}]).start()
    daemon.socket.chmod(0o666)
    rp_id = "verified.example.com"
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert ctap.get_info().options["uv"] is True
        account = register(ctap, rp_id)

    def work():
        os.setgroups([])
        os.setgid(nobody.pw_gid)
        os.setuid(nobody.pw_uid)
        ctap = ctap2(daemon.socket)
        with ctap.device:
            assert not ctap.get_info().options.get("uv")
            assert status_of(lambda: ClientPin(ctap, PinProtocolV2()).get_uv_token(GA, rp_id)) in NOT_VERIFIED
            ask = lambda: ctap.get_assertion(rp_id, os.urandom(32), options={"uv": True})  # noqa: E731
            assert status_of(ask) == ERR.INVALID_OPTION
            assert not authenticate(ctap, account).auth_data.flags & UV
        return 0

    assert in_another_process(work) == 0
