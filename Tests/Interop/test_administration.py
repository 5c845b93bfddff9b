"""What the operator does with credentials, on a real daemon: disabling, enabling, naming."""

import json

from fido2.ctap import CtapError

from harness import authenticate, ctap2, descriptor, register, status_of

ERR = CtapError.ERR


def admin(daemon, *words):
    return daemon.run(*words, "--admin-socket", str(daemon.admin_socket))


def answer(daemon, *words):
    result = admin(daemon, *words, "--json")
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def allowed(ctap, account):
    return status_of(lambda: authenticate(ctap, account))


def test_a_disabled_credential_signs_nothing(make_daemon):
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        server = register(ctap, "one.example.com")
        account = register(ctap, "two.example.com", discoverable=True)
        for one in (server, account):
            assert answer(daemon, "credential", "disable", one.id.hex())["state"] == "disabled"
    for _ in range(2):
        ctap = ctap2(daemon.socket)
        with ctap.device:
            for one in (server, account):
                assert allowed(ctap, one) == ERR.NO_CREDENTIALS
                record = daemon.audit()[-1]
                assert record["outcome"] == "failed" and record["reason"] == "credential disabled", record
                assert record["credentialId"] == one.id.hex()
            assert status_of(lambda: ctap.get_assertion("two.example.com", bytes(32))) == ERR.NO_CREDENTIALS
            # Registering anew is no way around it where the RP excludes what it knows.
            call = lambda: ctap.make_credential(
                bytes(32), {"id": "one.example.com", "name": "RP"}, {"id": b"u", "name": "u"},
                [{"type": "public-key", "alg": -7}], exclude_list=[descriptor(server.id)],
            )
            assert status_of(call) == ERR.CREDENTIAL_EXCLUDED
        states = {one["id"]: one["state"] for one in answer(daemon, "credential", "list")["credentials"]}
        assert list(states.values()) == ["disabled", "disabled"]
        daemon.stop()
        daemon.start()
    assert answer(daemon, "credential", "enable", account.id.hex())["state"] == "enabled"
    ctap = ctap2(daemon.socket)
    with ctap.device:
        authenticate(ctap, account)
        assert allowed(ctap, server) == ERR.NO_CREDENTIALS
    acts = [one["detail"] for one in daemon.audit() if one["operation"] == "manage"]
    assert acts == ["credential.disable", "credential.disable", "credential.enable"]


def test_a_label_is_the_operators(make_daemon):
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "one.example.com", discoverable=True)
    before = answer(daemon, "credential", "show", account.id.hex())
    after = answer(daemon, "credential", "rename", account.id.hex(), "--label", "old runner")
    assert after == before | {"label": "old runner"}
    daemon.stop()
    daemon.start()
    assert answer(daemon, "credential", "show", account.id.hex()) == after
    assert answer(daemon, "credential", "rename", account.id.hex(), "--label", "") == before
    for words in (["--label", "x" * 65], []):
        assert admin(daemon, "credential", "rename", account.id.hex(), *words).returncode == 2
    assert admin(daemon, "credential", "disable", "AAAAAAAAAAAAAAAAAAAAAA").returncode == 4
