"""Nothing is allowed that no rule allows; what a rule allows ends with it."""

import grp
import json
import os
import pwd
import signal
from pathlib import Path

import pytest
from fido2.ctap import CtapError

from harness import (
    DEFAULT_RULES,
    ME,
    Command,
    authenticate,
    check_configuration,
    ctap2,
    eventually,
    in_another_process,
    register,
    status_of,
)

DENIED = CtapError.ERR.OPERATION_DENIED


def rule(name, relying_parties, operations, callers=None):
    return {
        "name": name,
        "callers": callers or [{"user": ME}],
        "relyingParties": relying_parties,
        "operations": operations,
    }


def test_nothing_is_allowed_by_default(make_daemon):
    daemon = make_daemon(rules=[]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: register(ctap, "any.example.com")) == DENIED
        assert status_of(lambda: ctap.get_assertion("any.example.com", os.urandom(32))) == DENIED
        assert status_of(ctap.selection) == DENIED
        assert status_of(ctap.reset) == DENIED
    refused = [record for record in daemon.audit() if record["outcome"] == "refused"]
    assert {record["operation"] for record in refused} >= {"register", "authenticate", "reset"}
    assert all(record["uid"] == os.getuid() for record in refused)


def test_relying_parties_and_operations(make_daemon):
    daemon = make_daemon(
        [
            rule("exact", ["one.example.com"], ["register", "authenticate"]),
            rule("below", ["*.internal.example"], ["register", "authenticate"]),
            rule("sign only", ["sign.example.com"], ["authenticate"]),
            rule("enrol only", ["enrol.example.com"], ["register"]),
        ]
    ).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for allowed in ("one.example.com", "a.internal.example", "b.a.internal.example"):
            authenticate(ctap, register(ctap, allowed))
        for refused in ("two.example.com", "a.one.example.com", "example.com", "xinternal.example", "internal.example"):
            assert status_of(lambda: register(ctap, refused)) == DENIED, refused
            assert status_of(lambda: ctap.get_assertion(refused, os.urandom(32))) == DENIED, refused
        assert status_of(lambda: register(ctap, "sign.example.com")) == DENIED
        assert status_of(lambda: ctap.get_assertion("sign.example.com", os.urandom(32))) == (
            CtapError.ERR.NO_CREDENTIALS
        )
        enrolled = register(ctap, "enrol.example.com")
        assert status_of(lambda: authenticate(ctap, enrolled)) == DENIED
        # Neither can whether a credential is there be found out without a rule.
        look_up = lambda: ctap.get_assertion(  # noqa: E731
            "enrol.example.com", os.urandom(32), [enrolled.descriptor], options={"up": False}
        )
        assert status_of(look_up) == DENIED


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root to become somebody else")


def tries(daemon, rp_id, *, user=None, group=None, groups=(), control_group=None):
    """The CTAP status of a registration by a process of this user, with these groups, in this control group."""

    def work():
        if control_group:
            (control_group / "cgroup.procs").write_text("0")
        os.setgroups(groups)
        if group is not None:
            os.setgid(group)
        if user is not None:
            os.setuid(user)
        ctap = ctap2(daemon.socket)
        with ctap.device:
            return status_of(lambda: register(ctap, rp_id))

    return in_another_process(work)


@needs_root
def test_another_user_is_refused(make_daemon):
    daemon = make_daemon().start()
    daemon.socket.chmod(0o666)
    nobody = pwd.getpwnam("nobody")
    assert tries(daemon, "user.example.com", user=nobody.pw_uid, group=nobody.pw_gid) == DENIED
    record = daemon.audit()[-1]
    assert record["outcome"] == "refused" and record["reason"]
    assert record["uid"] == nobody.pw_uid and record["rpId"] == "user.example.com"
    assert tries(daemon, "user.example.com") == 0


@needs_root
def test_rules_by_group(make_daemon):
    """The group that a process has now, by setgid(2) or among its others; not what the user database says of it."""
    daemon = make_daemon([rule("group", ["group.example.com"], ["register"], [{"group": "daemon"}])]).start()
    daemon.socket.chmod(0o666)
    nobody = pwd.getpwnam("nobody")
    wanted = grp.getgrnam("daemon").gr_gid
    as_nobody = {"user": nobody.pw_uid, "group": nobody.pw_gid}
    assert tries(daemon, "group.example.com", **as_nobody) == DENIED
    assert tries(daemon, "group.example.com", user=nobody.pw_uid, group=wanted) == 0
    assert tries(daemon, "group.example.com", **as_nobody, groups=[wanted]) == 0
    # More groups than most have.
    assert tries(daemon, "group.example.com", **as_nobody, groups=[*range(100000, 100200), wanted]) == 0
    assert tries(daemon, "group.example.com", **as_nobody, groups=[*range(100000, 100200)]) == DENIED
    # Not even root without it.
    assert tries(daemon, "group.example.com") == DENIED
    # The user database is right here: this user's own group is that one.
    entry = pwd.getpwnam("daemon")
    assert entry.pw_gid == wanted
    assert tries(daemon, "group.example.com", user=entry.pw_uid, group=nobody.pw_gid) == DENIED


@pytest.fixture
def control_group():
    """Makes control groups in the hierarchy in which systemd would put units."""
    made = []

    def make(path):
        hierarchy = next(
            (one for one in map(Path, ("/sys/fs/cgroup/systemd", "/sys/fs/cgroup")) if (one / "cgroup.procs").exists()),
            None,
        )
        if hierarchy is None:
            pytest.skip("no control groups here")
        place = hierarchy
        for component in path.split("/"):
            place /= component
            try:
                place.mkdir()
            except FileExistsError:
                continue
            except OSError as error:
                pytest.skip(f"this user may not make control groups: {error}")
            made.append(place)
        return place

    yield make
    for place in reversed(made):
        # The child that was in it has been waited for; the kernel may take a moment to forget it.
        eventually(lambda: removed(place), f"{place} to be empty")


def removed(place):
    try:
        place.rmdir()
    except OSError:
        return False
    return True


@needs_root
def test_rules_by_unit(make_daemon, control_group):
    daemon = make_daemon(
        [rule("unit", ["unit.example.com"], ["register"], [{"user": ME, "unit": "countersign-job.service"}])]
    ).start()
    assert tries(daemon, "unit.example.com") == DENIED
    job = control_group("countersign-test.slice/countersign-job.service")
    assert tries(daemon, "unit.example.com", control_group=job) == 0
    # What a unit makes below itself is the unit's.
    assert tries(daemon, "unit.example.com", control_group=control_group(
        "countersign-test.slice/countersign-job.service/step"
    )) == 0
    # A unit's name further down proves nothing: whoever owns the group above may give it.
    assert tries(daemon, "unit.example.com", control_group=control_group(
        "countersign-test.slice/countersign-other.service/countersign-job.service"
    )) == DENIED


def test_a_constant_zero_counter(make_daemon):
    """By a rule: the credentials that its callers register count nothing, for RPs that would refuse other orders."""
    zero = {**rule("zero", ["zero.example.com"], ["register", "authenticate"]), "signatureCounter": "zero"}
    counting = {**rule("global", ["global.example.com"], ["register", "authenticate"]), "signatureCounter": "global"}
    daemon = make_daemon([zero, counting]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        still = register(ctap, "zero.example.com", discoverable=True)
        moving = register(ctap, "global.example.com", discoverable=True)
        first = moving.response.auth_data.counter
        assert still.response.auth_data.counter == 0 and first > 0
        assert [authenticate(ctap, still).auth_data.counter for _ in range(5)] == [0] * 5
        assert authenticate(ctap, moving).auth_data.counter > first
    assert [one["signCount"] for one in daemon.audit() if one["rpId"] == "zero.example.com"] == [0] * 6
    # It is a property of the credential: another rule later changes nothing for it.
    daemon.configure([{**zero, "signatureCounter": "global"}, counting])
    daemon.stop()
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert authenticate(ctap, still).auth_data.counter == 0
        assert register(ctap, "zero.example.com").response.auth_data.counter > first


def test_reset_is_refused_without_a_rule(ctap, rp_id):
    account = register(ctap, rp_id)
    assert status_of(ctap.reset) == DENIED
    authenticate(ctap, account)


def test_reset_by_a_rule(make_daemon):
    daemon = make_daemon(DEFAULT_RULES + [rule("reset", ["*"], ["reset"])]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        accounts = [register(ctap, "reset.example.com", discoverable=one) for one in (True, False)]
        authenticate(ctap, accounts[0])
        ctap.reset()
        for account in accounts:
            assert status_of(lambda: authenticate(ctap, account)) == CtapError.ERR.NO_CREDENTIALS
        assert status_of(lambda: ctap.get_assertion("reset.example.com", os.urandom(32))) == (
            CtapError.ERR.NO_CREDENTIALS
        )
        # As good as new. The counter begins again: who has seen a value of it is gone.
        fresh = register(ctap, "reset.example.com", discoverable=True)
        counter = fresh.response.auth_data.counter
        assert authenticate(ctap, fresh).auth_data.counter > counter
    daemon.stop()
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        authenticate(ctap, fresh)
        assert status_of(lambda: authenticate(ctap, accounts[0])) == CtapError.ERR.NO_CREDENTIALS


def test_reload(make_daemon):
    daemon = make_daemon().start()
    with ctap2(daemon.socket).device as device:
        ctap = ctap2(daemon.socket)
        with ctap.device:
            assert status_of(lambda: register(ctap, "new.example")) == DENIED
            daemon.configure(DEFAULT_RULES + [rule("new", ["new.example"], ["register"])])
            daemon.process.send_signal(signal.SIGHUP)
            # An open connection is judged by the new rules too.
            eventually(lambda: status_of(lambda: register(ctap, "new.example")) == 0, "the new rule")
        assert device.call(Command.PING, b"alive") == b"alive"


def test_reload_of_a_bad_file_keeps_the_running_policy(make_daemon):
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "kept.example.com")
        before = daemon.errors()
        daemon.write_configuration("{ rules: [ { nam: ")
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: str(daemon.configuration) in daemon.errors()[len(before) :], "a word about the file")
        authenticate(ctap, account)
        # Mended, it is taken.
        daemon.configure([])
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: status_of(lambda: authenticate(ctap, account)) == DENIED, "the new rules")


WRONG = {
    "bad JSON": ('{\n  rules: [\n    { name: "x",, }\n  ],\n}\n', ["3"]),
    "unknown key": (
        json.dumps({"rules": [{"nmae": "x", "callers": [{"user": ME}], "operations": ["register"]}]}),
        ["nmae", "name", "rules[0]"],
    ),
    "rule without callers": (
        json.dumps({"rules": [{"name": "x", "relyingParties": ["*"], "operations": ["register"]}]}),
        ["callers", "rules[0]"],
    ),
}


@pytest.mark.parametrize(("text", "words"), WRONG.values(), ids=WRONG.keys())
def test_wrong_configurations(make_daemon, programs, text, words):
    daemon = make_daemon()
    daemon.write_configuration(text)
    checked = check_configuration(programs, daemon.configuration)
    daemon.launch()
    status = daemon.exit_status()
    for code, output in ((checked.returncode, checked.stderr), (status, daemon.errors())):
        assert code != 0
        lines = output.strip().splitlines()
        assert len(lines) == 1, lines
        for word in [str(daemon.configuration), *words]:
            assert word in lines[0], f"no {word!r} in: {lines[0]}"
    print(checked.stderr, end="")


def test_a_good_configuration_is_said_to_be_good(make_daemon, programs):
    daemon = make_daemon()
    checked = check_configuration(programs, daemon.configuration)
    assert checked.returncode == 0, checked.stderr
