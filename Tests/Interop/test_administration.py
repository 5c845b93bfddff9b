"""What the operator does with credentials, on a real daemon: disabling, enabling, naming."""

import json
import os
import pwd
import signal
import socket
import stat

from fido2 import cbor
from fido2.ctap import CtapError
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from grants import as_user, connected, create
from harness import (
    TPM_UNAVAILABLE,
    Command,
    FrameConnection,
    authenticate,
    ctap2,
    descriptor,
    eventually,
    in_another_process,
    register,
    status_of,
)

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


def metrics(daemon):
    """Samples by name and labels, as a collector reads them."""
    result = admin(daemon, "metrics")
    assert result.returncode == 0, result.stderr
    families = list(text_string_to_metric_families(result.stdout))
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_are_openmetrics(make_daemon):
    rules = [{
        "name": 'a "rule" \\ of jobs', "callers": [{"user": os.getuid()}], "relyingParties": ["secret.example.com"],
        "operations": ["register", "authenticate"],
    }]
    daemon = make_daemon(rules).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "secret.example.com")
        for _ in range(3):
            authenticate(ctap, account)
        assert status_of(lambda: register(ctap, "elsewhere.example.com")) == ERR.OPERATION_DENIED
        read = metrics(daemon)
    def requests(command, rule, result):
        labels = (("command", command), ("result", result), ("rule", rule))
        return read.get(("countersign_requests_total", labels))
    assert requests("getAssertion", rules[0]["name"], "done") == 3
    assert requests("makeCredential", rules[0]["name"], "done") == 1
    assert requests("makeCredential", "", "refused") == 1
    duration = ("countersign_request_duration_seconds_count", (("command", "getAssertion"),))
    assert read[duration] == 3
    for name, value in {"credentials": 1, "rules": 1, "tpm_up": 1, "audit_writable": 1, "audit_waiting_records": 0}.items():
        assert read["countersign_" + name, ()] == value, name
    for name in ("wait_seconds", "refused_requests_total", "expired_requests_total"):
        assert read["countersign_tpm_" + name, ()] == 0, name
    assert read["countersign_connections", ()] == 1 and read["countersign_tpm_loaded_keys", ()] >= 1
    assert not any("example" in value for _, labels in read for _, value in labels)


def test_metrics_of_grants_and_of_a_tpm_that_is_away(make_daemon, software_tpm):
    rules = [{"name": "job", "callers": [{"grant": True}], "relyingParties": ["one.example.com"], "operations": ["register"]}]
    daemon = make_daemon(rules, tcti=software_tpm.tcti).start()
    before = metrics(daemon)
    assert before["countersign_grants", ()] == before["countersign_grants_made_total", ()] == 0
    assert before["countersign_tpm_errors_total", ()] == before["countersign_tpm_queue_length", ()] == 0
    grants = [create(daemon, "--rule", "job", "--uid", str(os.getuid())) for _ in range(2)]
    ctap = connected(grants[0])
    with ctap.device:
        register(ctap, "one.example.com")
        # One that could not be made is none.
        assert admin(daemon, "grant", "create", "--rule", "job", "--uid", str(os.getuid()), "--pid", "999999999").returncode == 2
        read = metrics(daemon)
        assert (read["countersign_grants", ()], read["countersign_grants_made_total", ()]) == (2, 2)
        assert read["countersign_connections", ()] == 1
        # Every bucket holds those before it, and the last all of them; times are in seconds.
        name = "countersign_request_duration_seconds"
        buckets = {labels: value for (sample, labels), value in read.items() if sample == name + "_bucket"}
        counts = [buckets[labels] for labels in sorted(buckets, key=lambda one: float(dict(one)["le"])) if ("command", "makeCredential") in labels]
        assert counts == sorted(counts) and counts[-1] == read[name + "_count", (("command", "makeCredential"),)] == 1
        assert 0 < read[name + "_sum", (("command", "makeCredential"),)] < 60
        assert read["countersign_requests_total", (("command", "makeCredential"), ("result", "done"), ("rule", "job"))] == 1
        assert admin(daemon, "grant", "revoke", grants[1]["id"]).returncode == 0
        read = metrics(daemon)
        assert (read["countersign_grants", ()], read["countersign_grants_made_total", ()]) == (1, 2)
        software_tpm.stop()
        assert status_of(lambda: register(ctap, "one.example.com")) == TPM_UNAVAILABLE
        read = metrics(daemon)
        assert read["countersign_tpm_errors_total", ()] >= 1 and read["countersign_tpm_up", ()] == 0
        assert read["countersign_requests_total", (("command", "makeCredential"), ("result", "failed"), ("rule", "job"))] == 1


def test_the_queue_for_the_tpm_is_measured(make_daemon):
    """The TPM is held: what waits for it is counted, and what is with it is not."""
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        register(ctap, "one.example.com", discoverable=True)
    request = b"\x02" + cbor.encode({1: "one.example.com", 2: bytes(32)})
    tpm = daemon.tpm_process()
    os.kill(tpm, signal.SIGSTOP)
    waiting = [FrameConnection(daemon.socket) for _ in range(4)]
    try:
        for one in waiting:
            one.send(Command.CBOR, request)
        eventually(lambda: metrics(daemon)["countersign_tpm_queue_length", ()] == 3, "three that wait")
    finally:
        os.kill(tpm, signal.SIGCONT)
    for one in waiting:
        assert one.receive_reply()[1][0] == 0
        one.close()
    assert metrics(daemon)["countersign_tpm_queue_length", ()] == 0


def test_every_act_is_recorded(make_daemon, folder):
    """What the operator changes stands in the log, with who did it; what the operator only reads does not."""
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "one.example.com", discoverable=True)
    id, pin, other = account.id.hex(), folder / "pin", folder / "other"
    for file, text in ((pin, "135790"), (other, "246801")):
        file.write_text(text + "\n")
        file.chmod(0o600)

    def done(*words):
        result = admin(daemon, *words)
        assert result.returncode == 0, (words, result.stderr)
        return result.stdout

    def acts():
        return [(one["operation"], one.get("detail")) for one in daemon.audit(own=True)]

    for words in (["status"], ["metrics"], ["credential", "list"], ["credential", "show", id], ["pin", "status"], ["audit", "key"],
                  ["grant", "list"], ["policy", "explain", "--pid", str(os.getpid()), "--rp-id", "one.example.com"]):
        before = acts()
        done(*words)
        assert acts() == before, words
    grant = ["--rule", "tests", "--uid", str(os.getuid())]
    for words, wanted in [
        (["credential", "rename", id, "--label", "a name"], [("manage", "credential.rename")]),
        (["credential", "disable", id], [("manage", "credential.disable")]),
        (["credential", "enable", id], [("manage", "credential.enable")]),
        (["grant", "create", *grant], [("grant", "grant.create")]),
        (["pin", "set", "--pin-file", str(pin)], [("manage", "pin.set")]),
        (["pin", "change", "--pin-file", str(pin), "--new-pin-file", str(other)], [("manage", "pin.change")]),
        (["credential", "delete", "--yes", id], [("manage", "credential.delete")]),
        (["grant", "revoke", None], [("grant", "grant.end")]),
    ]:
        made = acts()
        if words[-1] is None:
            words[-1] = json.loads(done("grant", "list", "--json"))["grants"][0]["id"]
        done(*words)
        new = daemon.audit(own=True)[len(made) :]
        assert [(one["operation"], one.get("detail")) for one in new] == wanted, (words, new)
        assert all(one["uid"] == os.getuid() and one["outcome"] in ("allowed", "done") for one in new), new


def creation(user, exclude=()):
    return json.dumps({
        "rp": {"id": "one.example.com", "name": "RP"},
        "user": {"id": user, "name": "deploy", "displayName": "Deploy"},
        "challenge": "kE6_Fm2Q4vl0nV0o1RPvcA",
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "authenticatorSelection": {"residentKey": "required"},
        "excludeCredentials": [{"type": "public-key", "id": one} for one in exclude],
    })


def rotate(daemon, old, options):
    words = ["rotate", "--replaces", old, "--admin-socket", str(daemon.admin_socket)]
    return daemon.run(*words, standard_input=options)


def states(daemon):
    return {one["id"]: one["state"] for one in answer(daemon, "credential", "list")["credentials"]}


def test_rotation_of_the_same_user(make_daemon):
    daemon = make_daemon().start()
    old = json.loads(daemon.run("register", standard_input=creation("dXNlcg")).stdout)["id"]
    result = rotate(daemon, old, creation("dXNlcg", [old]))
    assert result.returncode == 0, result.stderr
    new = json.loads(result.stdout)["id"]
    assert states(daemon) == {old: "disabled", new: "enabled"}
    # Undone where the RP does not take it.
    assert admin(daemon, "credential", "delete", "--yes", new).returncode == 0
    assert answer(daemon, "credential", "enable", old)["state"] == "enabled"


def test_a_rotation_that_fails_leaves_the_old_one(make_daemon):
    daemon = make_daemon().start()
    old = json.loads(daemon.run("register", standard_input=creation("dXNlcg")).stdout)["id"]
    for operations, made in ((["authenticate"], False), (["register"], True)):
        rule = {"name": "jobs", "callers": [{"user": os.getuid()}], "relyingParties": ["*"], "operations": operations}
        daemon.stop()
        daemon.configure([rule])
        daemon.start()
        result = rotate(daemon, old, creation("dXNlcg"))
        assert result.returncode == 3 and "the old credential stays as it was" in result.stderr, result.stderr
        assert result.stdout == "" and states(daemon) == {old: "enabled"}
        acts = [one["detail"] for one in daemon.audit() if one["operation"] == "manage"][-3:]
        assert ("credential.delete" in acts) == made and acts[-1] == "credential.enable"
    for options in (creation("dXNlcg").replace("one.example.com", "two.example.com"), "{}"):
        assert rotate(daemon, old, options).returncode == 2
    assert rotate(daemon, "AAAAAAAAAAAAAAAAAAAAAA", creation("dXNlcg")).returncode == 4
    assert states(daemon) == {old: "enabled"}


ADMINISTRATION = 0x40


def as_group(daemon, group):
    """Asks for the status as nobody, with this group besides."""

    def work():
        os.setgroups([group])
        os.setgid(pwd.getpwnam("nobody").pw_gid)
        os.setuid(pwd.getpwnam("nobody").pw_uid)
        try:
            with FrameConnection(daemon.admin_socket) as connection:
                _, reply = connection.exchange(ADMINISTRATION, b'{"request":"status"}')
            return 0 if "version" in json.loads(reply) else 1
        except PermissionError:
            return 2

    return in_another_process(work)


def test_a_group_may_administrate(make_daemon):
    daemon = make_daemon()
    daemon.start()
    assert stat.S_IMODE(daemon.admin_socket.stat().st_mode) == 0o600
    assert as_group(daemon, 4711) == 2
    daemon.stop()
    configuration = json.loads(daemon.configuration.read_text())
    daemon.write_configuration(json.dumps(configuration | {"adminGroup": 4711}))
    daemon.start()
    status = daemon.admin_socket.stat()
    assert stat.S_IMODE(status.st_mode) == 0o660 and status.st_gid == 4711
    assert as_group(daemon, 4711) == 0
    assert as_group(daemon, 4712) == 2


def test_a_strangers_socket_is_told_nothing(make_daemon, folder):
    """Who leads the operator to a socket of his own hears nothing and is not believed: the kernel says who listens."""
    daemon = make_daemon()
    place = folder / "stranger.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place))
        assert as_user(4711, lambda: listener.listen(8) or 0) == 0
        for words in (["status"], ["grant", "list"], ["credential", "list"], ["pin", "status"], ["audit", "key"]):
            done = daemon.run(*words, "--admin-socket", str(place))
            assert done.returncode == 5 and "uid 4711 listens there" in done.stderr, (words, done)
            client, _ = listener.accept()
            with client:
                assert client.recv(1) == b""
