"""`countersign doctor` and `status` on a real daemon: what stands between the machine and a signature."""

import json
import os
import pwd
import re
import signal

from harness import DEFAULT_RULES, TPM_UNAVAILABLE, ctap2, eventually, register, status_of

def doctor(daemon):
    """Its exit status and its findings by name."""
    result = daemon.run(
        "doctor", "--json", "--config", str(daemon.configuration), "--admin-socket", str(daemon.admin_socket)
    )
    answer = json.loads(result.stdout)
    assert answer["ok"] == (result.returncode == 0), result.stderr
    return result.returncode, {check["check"]: check for check in answer["checks"]}


def status(daemon):
    return json.loads(daemon.run("status", "--json", "--admin-socket", str(daemon.admin_socket)).stdout)


def failed(checks):
    return [name for name, check in checks.items() if check["verdict"] == "failed"]


def test_nothing_fails_on_a_daemon_that_signs(make_daemon):
    daemon = make_daemon().start()
    code, checks = doctor(daemon)
    assert code == 0 and failed(checks) == [], checks
    # It says so even where it was asked for.
    assert "software TPM" in checks["protection"]["text"] and checks["protection"]["verdict"] == "warning"
    assert checks["credentials"]["text"].startswith("none yet")
    ctap = ctap2(daemon.socket)
    with ctap.device:
        register(ctap, "one.example.com")
    assert doctor(daemon)[1]["credentials"]["text"] == "1 enrolled"
    people = daemon.run("doctor", "--config", str(daemon.configuration), "--admin-socket", str(daemon.admin_socket))
    assert people.returncode == 0 and "to mend it: " in people.stdout, people.stdout


def test_without_a_daemon(make_daemon):
    daemon = make_daemon()
    code, checks = doctor(daemon)
    # Where the machine has no TPM either, that is named too.
    assert code == 1 and {"daemon", "jobs' socket"} <= set(failed(checks)) <= {"daemon", "TPM device", "jobs' socket"}
    assert "systemctl enable --now" in checks["daemon"]["remedy"]


def test_a_user_whom_the_socket_keeps_out(make_daemon):
    stranger = pwd.getpwnam("nobody").pw_uid
    daemon = make_daemon(rules=DEFAULT_RULES + [{
        "name": "kept out", "callers": [{"user": stranger}], "relyingParties": ["x.example.com"], "operations": ["register"],
    }]).start()
    code, checks = doctor(daemon)
    assert code == 1 and failed(checks) == ["callers"], checks
    assert 'user nobody of rule "kept out" may not open' in checks["callers"]["text"]
    # Never into root's group, of which the socket of a daemon is that runs as root.
    if os.getgid() == 0:
        assert "user and group of its own" in checks["callers"]["remedy"] and "usermod" not in checks["callers"]["remedy"]
    else:
        assert checks["callers"]["remedy"].startswith("usermod --append --groups ")


def test_a_reload_that_was_not_taken(make_daemon):
    daemon = make_daemon().start()
    good = daemon.configuration.read_text()
    daemon.write_configuration("{ rules: [ { nam: ")
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configurationProblem" in status(daemon), "the status to say so")
    assert str(daemon.configuration) in status(daemon)["configurationProblem"]
    assert failed(doctor(daemon)[1]) == ["configuration", "rules in force"]
    daemon.write_configuration(good)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configurationProblem" not in status(daemon), "the reload")
    assert doctor(daemon)[0] == 0


def test_what_waits_for_a_restart(make_daemon):
    """The files may be ahead of the daemon: by what a reload takes, and by what it does not."""
    daemon = make_daemon().start()
    assert not {"settings in force", "rules in force"} & doctor(daemon)[1].keys()
    content = json.loads(daemon.configuration.read_text())
    content["rules"][0]["name"] = "renamed"
    content |= {"limits": {"connections": 7}, "log": {"level": "debug"}}
    daemon.write_configuration(json.dumps(content))
    code, checks = doctor(daemon)
    assert code == 0 and checks["settings in force"]["text"].endswith("since the daemon's start: limits.connections, log.level")
    assert checks["rules in force"]["text"] == f"older than the files of {daemon.configuration}: rules"
    assert checks["rules in force"]["remedy"] == "systemctl reload countersignd"
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "rules in force" not in doctor(daemon)[1], "the reload")
    assert doctor(daemon)[1]["settings in force"]["remedy"] == "systemctl restart countersignd"
    assert "changed, and taken at the next start: limits.connections, log.level" in daemon.errors()
    daemon.stop()
    daemon.start()
    assert not {"settings in force", "rules in force"} & doctor(daemon)[1].keys()


def test_a_log_that_was_changed_is_a_failure(make_daemon):
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        register(ctap, "one.example.com")
    lines = daemon.audit_log.read_bytes().splitlines(keepends=True)
    daemon.audit_log.write_bytes(b"".join(lines[:-1]))
    code, checks = doctor(daemon)
    assert code == 1 and failed(checks) == ["audit chain"], checks


def test_it_asks_the_daemon_of_the_configuration_it_is_given(make_daemon):
    """Where nobody names the operator's socket, the configuration does."""
    daemon = make_daemon()
    content = json.loads(daemon.configuration.read_text())
    content |= {"socket": str(daemon.socket), "adminSocket": str(daemon.admin_socket)}
    daemon.write_configuration(json.dumps(content))
    daemon.start()
    result = daemon.run("doctor", "--json", "--config", str(daemon.configuration))
    checks = {check["check"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.returncode == 0 and checks["daemon"]["verdict"] == "ok", checks
    assert str(daemon.socket) in checks["jobs' socket"]["text"]


def test_after_a_decommissioning(make_daemon):
    daemon = make_daemon().start()
    assert daemon.run("decommission", "--yes", "--admin-socket", str(daemon.admin_socket)).returncode == 0
    eventually(lambda: status(daemon).get("decommissioned") == "yes", "the daemon that says so")
    daemon.stop()
    daemon.start()
    report = status(daemon)
    assert report["decommissioned"] == "yes" and report["rules"] == 0
    # It has no reason to look at the TPM, and takes a software TPM for no hardware.
    assert report["tpm"]["kind"] == "software" and report["tpm"]["state"].startswith("not asked: nothing of this device is left")
    people = daemon.run("status", "--admin-socket", str(daemon.admin_socket)).stdout
    assert re.search(r"^decommissioned +yes: to begin anew, stop countersignd", people, re.M), people
    assert "firmware" not in people and "0.0.0.0" not in people
    code, checks = doctor(daemon)
    assert code == 1 and failed(checks) == ["service"], checks


def test_a_tpm_that_has_gone(make_daemon, software_tpm):
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    assert status(daemon)["bootState"] == "not bound"
    report = status(daemon)["tpm"]
    # As swtpm names itself, and the storage root key where it usually is.
    assert report["kind"] == "software" and report["manufacturer"] == "IBM" and report["vendor"].startswith("SW")
    assert re.fullmatch(r"\d+(\.\d+){3}", report["firmware"]) and report["parentHandle"] == "0x81000001"
    assert report["state"] == "ready" and report["loadedKeys"] == 0
    assert {"counterIndex", "retryIndex", "anchorIndex"} <= report.keys()
    assert report["lockout"]["locked"] is False and report["lockout"]["limit"] > 0
    assert report["freeTransientSlots"] > 0 and report["freePersistentSlots"] > 0
    # A software TPM of this test's own has been reset once, by its start.
    assert report["resetCount"] >= 0 and report["restartCount"] == 0 and isinstance(report["clockSafe"], bool)
    assert report["freeCounterSlots"] >= 0
    # One block of the signature counter, fetched or not; nothing has been signed over the log, nor a PIN tried.
    writes = report["nvWrites"]
    assert writes["signatureCounter"] in (0, 1) and writes["auditAnchor"] in (0, 1) and writes["retryRecord"] == 0
    assert report["ownerAuthorization"] is False and report["reconnections"] == 0
    software_tpm.stop()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: register(ctap, "gone.example.com")) == TPM_UNAVAILABLE
    code, checks = doctor(daemon)
    assert code == 1 and failed(checks) == ["TPM"], checks
