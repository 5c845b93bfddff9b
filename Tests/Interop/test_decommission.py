"""The end of a runner: what is left, what is not, and that it can be interrupted anywhere."""

import json
import os
import re
import shutil
import sqlite3
import stat
import threading

import pytest

from fido2.ctap import CtapError

from harness import (
    authenticate,
    ctap2,
    eventually,
    register,
    status_of,
)

NOT_ALLOWED = CtapError.ERR.NOT_ALLOWED
STEPS = ["mark", "refuse", "disable", "list", "attestation", "record", "forget"]


def decommission(daemon, *arguments, status=0):
    result = daemon.run("decommission", *arguments, "--json", "--admin-socket", str(daemon.admin_socket))
    assert result.returncode == status, result.stderr
    return json.loads(result.stdout) if status == 0 else result.stderr


def killed_after(daemon, step):
    """Kills the daemon when it says that it has done this step, or a moment later."""
    words = ["decommission", "--yes", "--admin-socket", str(daemon.admin_socket)]
    asking = threading.Thread(target=lambda: daemon.run(*words))
    asking.start()
    eventually(lambda: f"decommissioning: {step} is done" in daemon.errors(), step, pause=0.0005)
    daemon.kill()
    asking.join()


def enrolled(daemon, *relying_parties):
    ctap = ctap2(daemon.socket)
    with ctap.device:
        return [register(ctap, one, discoverable=one.startswith("a")) for one in relying_parties]


def signing(daemon, account):
    def once():
        # python-fido2 asks for the information first, which is refused as all is.
        ctap = ctap2(daemon.socket)
        with ctap.device:
            authenticate(ctap, account)

    return status_of(once)


def state_bytes(daemon):
    return b"".join(file.read_bytes() for file in sorted(daemon.state.rglob("*")) if file.is_file())


def check_end(daemon, accounts):
    """What must hold at the end, however it was reached."""
    answer = decommission(daemon, "--dry-run")
    assert answer["stage"] == "decommissioned" and answer["remaining"] == [], answer
    kept = json.loads(open(answer["list"]).read())
    assert stat.S_IMODE(os.stat(answer["list"]).st_mode) == 0o600
    found = {(one["rpId"], bytes.fromhex(one["rpIdHash"])): one for one in kept["credentials"]}
    assert sorted(one.rp_id for one in accounts) == sorted(rp for rp, _ in found)
    for one in kept["credentials"]:
        assert {"id", "userHandle", "userName", "createdAt", "aaguid", "publicKey", "signatureCounter"} <= one.keys()
    with sqlite3.connect(f"file:{daemon.database()}?mode=ro&immutable=1", uri=True) as database:
        for table in ("credential", "sealed"):
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
        (record,) = database.execute("SELECT record FROM device").fetchone()
    assert len(record) < 512, "it has no room for a wrapped key"
    for account in accounts:
        assert signing(daemon, account) == NOT_ALLOWED
    # The log, offline, by the key that was kept, and beside the daemon.
    for key in (["--key", answer["key"], str(daemon.audit_log)], ["--admin-socket", str(daemon.admin_socket)]):
        result = daemon.run("audit", "verify", *key)
        assert result.returncode == 0, result.stdout + result.stderr
    last, head = daemon.audit(own=True)[-2:]
    assert last["operation"] == "decommission" and last["outcome"] == "done", last
    assert head["operation"] == "log.head", "the chain is signed to its end"
    disabled = {one["credentialId"] for one in daemon.audit(own=True) if one.get("detail") == "credential.disable"}
    assert disabled == {one.id.hex() for one in accounts}
    status = json.loads(daemon.run("status", "--json", "--admin-socket", str(daemon.admin_socket)).stdout)
    assert status["decommissioned"] == "yes" and status["credentials"] == 0
    doctor = daemon.run(
        "doctor", "--admin-socket", str(daemon.admin_socket), "--socket", str(daemon.socket),
        "--config", str(daemon.configuration))
    assert doctor.returncode == 1 and "has been decommissioned" in doctor.stdout
    refused = daemon.run("credential", "list", "--admin-socket", str(daemon.admin_socket))
    assert refused.returncode == 1 and "has been decommissioned" in refused.stderr
    assert "has been decommissioned" in daemon.errors()


def test_the_end(make_daemon):
    daemon = make_daemon().start()
    accounts = enrolled(daemon, "a.example.com", "b.example.com")
    before = decommission(daemon, "--dry-run")
    assert before["stage"] == "in service" and before["steps"] == [] and before["remaining"] == [*STEPS, "remove"]
    assert {one["rpId"] for one in before["credentials"]} == {"a.example.com", "b.example.com"}
    assert signing(daemon, accounts[0]) == 0, "a dry run changes nothing"
    assert "--yes" in decommission(daemon, status=2), "nobody is there to confirm it"
    grant = daemon.run(
        "grant", "create", "--rule", "tests", "--uid", str(os.getuid()), "--ttl", "10m", "--format", "json",
        "--admin-socket", str(daemon.admin_socket))
    assert grant.returncode == 0, grant.stderr
    socket = json.loads(grant.stdout)["socket"]
    assert os.path.exists(socket)
    answer = decommission(daemon, "--yes")
    assert answer["stage"] == "decommissioned" and answer["steps"] == [*STEPS, "remove"], answer
    assert {one["id"] for one in answer["credentials"]} == {one["id"] for one in before["credentials"]}
    assert not os.path.exists(socket), "the grant has ended"
    check_end(daemon, accounts)
    # It says so after a restart as well, and makes nothing new.
    daemon.stop()
    before = (daemon.audit_log.read_bytes(), daemon.database().read_bytes())
    daemon.start()
    check_end(daemon, accounts)
    assert decommission(daemon, "--yes")["steps"] == [*STEPS, "remove"]
    daemon.stop()
    assert (daemon.audit_log.read_bytes(), daemon.database().read_bytes()) == before
    # The way to begin anew that it names.
    daemon.state.rename(daemon.folder / "former")
    daemon.state.mkdir(mode=0o700)
    daemon.audit_log.rename(daemon.folder / "former.jsonl")
    daemon.start()
    (account,) = enrolled(daemon, "a.example.com")
    verified = daemon.run("audit", "verify", "--admin-socket", str(daemon.admin_socket))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert signing(daemon, account) == 0
    assert signing(daemon, accounts[0]) == CtapError.ERR.NO_CREDENTIALS


@pytest.mark.parametrize("step", STEPS)
def test_killed_after_each_step(make_daemon, step):
    daemon = make_daemon().start()
    accounts = enrolled(daemon, "a.example.com", "b.example.com")
    killed_after(daemon, step)
    # It goes on by itself.
    daemon.start()
    for account in accounts:
        assert signing(daemon, account) == NOT_ALLOWED
    eventually(lambda: "this runner has been decommissioned" in daemon.errors(), "the end")
    check_end(daemon, accounts)


def test_a_full_disk_in_the_middle(make_daemon):
    daemon = make_daemon().start()
    accounts = enrolled(daemon, "a.example.com")
    # What stands in the way of the list.
    (daemon.state / "decommission-list.json").mkdir()
    (daemon.state / "decommission-list.json" / "x").touch()
    assert "directory" in decommission(daemon, "--yes", status=1).lower()
    assert signing(daemon, accounts[0]) == NOT_ALLOWED
    status = json.loads(daemon.run("status", "--json", "--admin-socket", str(daemon.admin_socket)).stdout)
    assert status["decommissioned"].startswith("not yet")
    shutil.rmtree(daemon.state / "decommission-list.json")
    assert decommission(daemon, "--yes")["stage"] == "decommissioned"
    check_end(daemon, accounts)


def test_the_tpm_away_in_the_middle(make_daemon, software_tpm):
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    accounts = enrolled(daemon, "a.example.com")
    software_tpm.stop()
    assert decommission(daemon, "--yes", status=1)
    assert signing(daemon, accounts[0]) == NOT_ALLOWED
    software_tpm.start()
    eventually(lambda: decommission(daemon, "--dry-run")["stage"] == "leaving", "the daemon")
    answer = decommission(daemon, "--yes")
    assert answer["stage"] == "decommissioned", answer
    check_end(daemon, accounts)


def test_the_tpm_away_at_the_last_step(make_daemon, software_tpm):
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    accounts = enrolled(daemon, "a.example.com")
    killed_after(daemon, "forget")
    software_tpm.stop()
    daemon.start()
    assert "something is left in the TPM" in daemon.errors() or "has been decommissioned" in daemon.errors()
    assert signing(daemon, accounts[0]) == NOT_ALLOWED
    software_tpm.start()
    assert decommission(daemon, "--yes")["stage"] == "decommissioned"
    check_end(daemon, accounts)


def test_the_list_is_printed_for_people(make_daemon):
    daemon = make_daemon().start()
    enrolled(daemon, "a.example.com")
    result = daemon.run("decommission", "--yes", "--admin-socket", str(daemon.admin_socket))
    assert result.returncode == 0, result.stderr
    assert re.search(r"a\.example\.com +deploy ", result.stdout), result.stdout
    assert re.search(r"stage +decommissioned\n", result.stdout) and "decommission-list.json" in result.stdout
