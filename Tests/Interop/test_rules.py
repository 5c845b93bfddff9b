"""What a rule can say: whom it means, how often, when, for which accounts. And which of several rules decides."""

import hashlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from fido2.ctap import CtapError
from fido2.ctap1 import ApduError, Ctap1

from harness import (
    ES256,
    ME,
    authenticate,
    check_configuration,
    ctap2,
    eventually,
    in_another_process,
    register,
    sha256,
    status_of,
)
from namespaces import NEW_USERS, as_mapped_root, make_dumpable, mapped, unshare
from test_policy import DENIED, control_group, needs_root, removed, rule, tries  # noqa: F401

CONTAINER = "0123456789abcdef" * 4
JOB_GROUP = 61_007


@needs_root
def test_rules_by_slice_and_container(make_daemon, control_group):  # noqa: F811
    daemon = make_daemon(
        [
            rule("slice", ["slice.example.com"], ["register"], [{"slice": "countersign-test.slice"}]),
            rule("container", ["container.example.com"], ["register"], [{"container": CONTAINER}]),
            rule("any", ["any.example.com"], ["register"], [{"container": "*"}]),
        ]
    ).start()
    for party in ("slice", "container", "any"):
        assert tries(daemon, f"{party}.example.com") == DENIED
    job = control_group("countersign-test.slice/countersign-job.service")
    assert tries(daemon, "slice.example.com", control_group=job) == 0
    assert tries(daemon, "any.example.com", control_group=job) == DENIED
    for path in (f"countersign-test.slice/docker-{CONTAINER}.scope", f"countersign-test.slice/libpod-{CONTAINER}.scope/x"):
        inside = control_group(path)
        assert tries(daemon, "container.example.com", control_group=inside) == 0
        assert tries(daemon, "any.example.com", control_group=inside) == 0
    other = control_group(f"countersign-test.slice/docker-{CONTAINER[::-1]}.scope")
    assert tries(daemon, "container.example.com", control_group=other) == DENIED
    assert tries(daemon, "any.example.com", control_group=other) == 0
    # What a unit makes below itself may have any name.
    below = control_group(f"countersign-test.slice/countersign-job.service/docker-{CONTAINER}.scope")
    assert tries(daemon, "any.example.com", control_group=below) == DENIED


def run_as(executable, daemon, party, wrapper=()):
    """The exit status of `countersign register` for an RP ID, executed from this file."""
    options = {
        "challenge": "AAAA", "rp": {"id": party, "name": "x"},
        "user": {"id": "AQ", "name": "x", "displayName": "x"}, "pubKeyCredParams": [ES256],
    }
    done = subprocess.run(
        [*wrapper, str(executable), "register", "--socket", str(daemon.socket)],
        input=json.dumps(options), capture_output=True, text=True, timeout=60,
    )
    return done.returncode


def test_rules_by_executable(make_daemon, programs, folder):
    program = folder / "deploy"
    shutil.copy(programs / "countersign", program)
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    daemon = make_daemon(
        [
            rule("path", ["path.example.com"], ["register"], [{"executable": str(program)}]),
            rule("digest", ["digest.example.com"], ["register"], [{"user": ME, "executableSHA256": digest}]),
        ]
    ).start()
    assert run_as(program, daemon, "path.example.com") == 0
    assert run_as(program, daemon, "digest.example.com") == 0
    assert run_as(programs / "countersign", daemon, "path.example.com") == 3
    # Another path, the same file.
    assert run_as(programs / "countersign", daemon, "digest.example.com") == 0
    # The same path, another file.
    program.unlink()
    with program.open("wb") as file:
        file.write((programs / "countersign").read_bytes() + b"\0")
    program.chmod(0o755)
    assert run_as(program, daemon, "path.example.com") == 0
    assert run_as(program, daemon, "digest.example.com") == 3


@needs_root
def test_a_path_in_another_mount_namespace_is_not_ours(make_daemon, programs, folder):
    """In a container every path can lead to a file of the job's own."""
    program = folder / "deploy"
    shutil.copy(programs / "countersign", program)
    own = folder / "own"
    shutil.copy(programs / "countersign", own)
    daemon = make_daemon(
        [rule("path", ["path.example.com"], ["register"], [{"executable": str(program)}])]
    ).start()
    bind = f"mount --bind {own} {program} && exec \"$0\" \"$@\""
    assert run_as(program, daemon, "path.example.com") == 0
    assert run_as(program, daemon, "path.example.com", ["unshare", "--mount", "sh", "-c", bind]) == 3


@needs_root
def test_an_unprivileged_daemon_cannot_learn_the_executables_of_others(make_daemon, programs, folder):
    """Reading /proc/PID/exe asks for the right to trace: what could not be learnt never matches."""
    program = folder / "deploy"
    shutil.copy(programs / "countersign", program)
    nobody = pwd.getpwnam("nobody")
    daemon = make_daemon(
        [rule("path", ["path.example.com"], ["register"], [{"executable": str(program)}])],
        wrapper=["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"],
    )
    for path in [daemon.folder, daemon.state, daemon.tpm_state]:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    daemon.start()
    assert run_as(program, daemon, "path.example.com") == 3
    daemon.socket.chmod(0o666)
    own = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    assert run_as(program, daemon, "path.example.com", own) == 0


def test_rules_by_socket(make_daemon):
    """A socket unit may name its sockets, so that rules can tell them apart."""
    rules = [
        rule("deploy", ["deploy.example.com"], ["register"], [{"user": ME, "socket": "ctap-deploy"}]),
        rule("other", ["other.example.com"], ["register"], [{"user": ME, "socket": "ctap"}]),
    ]
    daemon = make_daemon(rules)
    daemon.activate("ctap-deploy")
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: register(ctap, "deploy.example.com")) == 0
        assert status_of(lambda: register(ctap, "other.example.com")) == DENIED


@needs_root
def test_users_of_another_user_namespace(make_daemon):
    """A mapped uid is the number that the host gave it; who is not mapped on the host's side is nobody."""
    first = 2_000_000
    daemon = make_daemon(
        [
            rule("mapped", ["mapped.example.com"], ["register"], [{"user": first}]),
            rule("root", ["root.example.com"], ["register"], [{"user": "root"}]),
        ]
    ).start()
    daemon.socket.chmod(0o666)

    def inside(party):
        def work():
            # Root of its own namespace: 0 in there is `first` out here.
            ctap = ctap2(daemon.socket)
            with ctap.device:
                return status_of(lambda: register(ctap, party))

        return as_mapped_root(first, work)

    assert inside("mapped.example.com") == 0
    # Being called root in there means nothing out here.
    assert inside("root.example.com") == DENIED
    assert {record["uid"] for record in daemon.audit() if record.get("rpId") in ("mapped.example.com", "root.example.com")} == {first}


@needs_root
def test_the_unprivileged_namespace_of_a_user_changes_nothing(make_daemon):
    """`unshare --user --map-root-user`: still the same user to the daemon."""
    nobody = pwd.getpwnam("nobody")
    daemon = make_daemon(
        [
            rule("nobody", ["nobody.example.com"], ["register"], [{"user": nobody.pw_uid}]),
            rule("root", ["root.example.com"], ["register"], [{"user": "root"}]),
        ]
    ).start()
    daemon.socket.chmod(0o666)

    def inside(party):
        def work():
            os.setgroups([])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            make_dumpable()
            unshare(NEW_USERS)
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {nobody.pw_uid} 1\n")
            assert os.getuid() == 0
            ctap = ctap2(daemon.socket)
            with ctap.device:
                return status_of(lambda: register(ctap, party))

        return in_another_process(work)

    assert inside("nobody.example.com") == 0
    assert inside("root.example.com") == DENIED


@needs_root
def test_who_is_not_mapped_is_nobody(make_daemon):
    """A daemon in a user namespace of its own sees whom it does not know as the overflow user, whom no rule names."""
    first = 2_000_000
    # Its own numbers: 7 in there is `first` + 7 out here.
    daemon = make_daemon(
        [rule("seven", ["seven.example.com"], ["register"], [{"user": 7}]), rule("root", ["root.example.com"], ["register"], [{"user": 0}])],
        wrapper=mapped(first),
    )
    for path in [daemon.folder, daemon.state, daemon.tpm_state, daemon.configuration]:
        os.chown(path, first, first)
    daemon.start()
    daemon.socket.chmod(0o666)
    assert tries(daemon, "seven.example.com", user=first + 7, group=first + 7) == 0
    for user in (7, first + 1000):
        assert tries(daemon, "seven.example.com", user=user, group=user) == DENIED
        assert daemon.audit()[-1]["uid"] == int(Path("/proc/sys/kernel/overflowuid").read_text())
    # The host's root is nobody in there, too.
    assert tries(daemon, "root.example.com") == DENIED
    assert tries(daemon, "root.example.com", user=first, group=first) == 0


def test_a_digest_is_read_once_a_rule_asks(make_daemon, programs, folder):
    """Executables are read for rules that want their digest, those of a reload included."""
    program = folder / "deploy"
    shutil.copy(programs / "countersign", program)
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    open_to_all = rule("user", ["user.example.com"], ["register"])
    daemon = make_daemon([open_to_all]).start()
    assert run_as(program, daemon, "user.example.com") == 0
    assert run_as(program, daemon, "digest.example.com") == 3
    daemon.configure([open_to_all, rule("digest", ["digest.example.com"], ["register"], [{"executableSHA256": digest}])])
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: "configuration read again" in daemon.errors(), "the reload")
    assert run_as(program, daemon, "digest.example.com") == 0
    other = folder / "other"
    other.write_bytes(program.read_bytes() + b"\0")
    other.chmod(0o755)
    assert run_as(other, daemon, "digest.example.com") == 3


def test_the_most_specific_rule_decides(make_daemon):
    both = ["register", "authenticate"]
    daemon = make_daemon(
        [
            rule("all", ["*"], both),
            {**rule("below", ["*.example.com"], both), "userVerification": True},
            rule("one", ["one.example.com"], ["register"]),
        ]
    ).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for party, name in [("a.example.org", "all"), ("a.example.com", "below"), ("one.example.com", "one")]:
            account = register(ctap, party)
            assert daemon.audit()[-1]["rule"] == name
        # The rule for this one does not speak of assertions: the wider one does.
        authenticate(ctap, account)
        assert daemon.audit()[-1]["rule"] == "below"


def test_rates(make_daemon):
    daemon = make_daemon(
        [
            {**rule("slow", ["slow.example.com"], ["register", "authenticate"]), "rate": {"perMinute": 1, "burst": 4}},
            rule("free", ["free.example.com"], ["register", "authenticate"]),
        ]
    ).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        slow, free = register(ctap, "slow.example.com"), register(ctap, "free.example.com")
        # What was not there to sign with costs nothing.
        for _ in range(20):
            assert status_of(lambda: ctap.get_assertion("slow.example.com", os.urandom(32))) == CtapError.ERR.NO_CREDENTIALS
        for _ in range(3):
            authenticate(ctap, slow)
        assert status_of(lambda: authenticate(ctap, slow)) == DENIED
        assert "1 per minute in bursts of 4" in daemon.audit()[-1]["reason"]
        for _ in range(5):
            authenticate(ctap, free)
        # Another connection is the same user; a reload gives nothing back to a rule that stays.
        with ctap2(daemon.socket).device as device:
            assert device is not None
        again = ctap2(daemon.socket)
        with again.device:
            assert status_of(lambda: authenticate(again, slow)) == DENIED
            daemon.process.send_signal(signal.SIGHUP)
            eventually(lambda: "configuration read again" in daemon.errors(), "the reload")
            assert status_of(lambda: authenticate(again, slow)) == DENIED


@needs_root
def test_each_user_has_a_share(make_daemon):
    nobody = pwd.getpwnam("nobody")
    daemon = make_daemon(
        [
            {
                **rule("r", ["share.example.com"], ["register"], [{"user": ME}, {"user": nobody.pw_uid}]),
                "rate": {"perMinute": 1, "burst": 1},
            }
        ]
    ).start()
    daemon.socket.chmod(0o666)
    assert tries(daemon, "share.example.com") == 0
    assert tries(daemon, "share.example.com") == DENIED
    assert tries(daemon, "share.example.com", user=nobody.pw_uid, group=nobody.pw_gid) == 0


def test_getNextAssertion_and_u2f_count_too(make_daemon):
    limited = {**rule("r", ["next.example.com"], ["register", "authenticate"]), "rate": {"perMinute": 1, "burst": 4}}
    u2f = {**rule("u", ["u2f.example.com"], ["register", "authenticate"]), "rate": {"perMinute": 1, "burst": 3}}
    daemon = make_daemon([limited, u2f]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for user in (b"1", b"2"):
            register(ctap, "next.example.com", user, discoverable=True)
        first = ctap.get_assertion("next.example.com", os.urandom(32))
        assert first.number_of_credentials == 2
        ctap.get_next_assertion()
        assert status_of(lambda: ctap.get_assertion("next.example.com", os.urandom(32))) == DENIED
        # A registration by U2F signs twice.
        u2f_ctap = Ctap1(ctap.device)
        application = sha256(b"u2f.example.com")
        made = u2f_ctap.register(os.urandom(32), application)
        u2f_ctap.authenticate(os.urandom(32), application, made.key_handle)
        with pytest.raises(ApduError):
            u2f_ctap.authenticate(os.urandom(32), application, made.key_handle)


def test_maximum_registrations(make_daemon):
    daemon = make_daemon(
        [{**rule("r", ["*.example.com"], ["register", "authenticate", "manage"]), "maxRegistrations": 2}]
    ).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for discoverable in (True, False):
            register(ctap, "max.example.com", discoverable=discoverable)
        for discoverable in (True, False):
            assert status_of(lambda: register(ctap, "max.example.com", discoverable=discoverable)) == DENIED
        assert "allows 2 credentials" in daemon.audit()[-1]["reason"]
        # Another relying party of the same rule has places of its own.
        register(ctap, "other.example.com")
    # A restart gives nothing away; what is removed makes room.
    daemon.stop()
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: register(ctap, "max.example.com")) == DENIED
        listed = json.loads(daemon.run("credential", "list", "--json", "--admin-socket", str(daemon.admin_socket)).stdout)
        one = next(entry for entry in listed["credentials"] if entry["rpId"] == "max.example.com")
        done = daemon.run("credential", "delete", one["id"], "--yes", "--admin-socket", str(daemon.admin_socket))
        assert done.returncode == 0, done.stderr
        register(ctap, "max.example.com")
        assert status_of(lambda: register(ctap, "max.example.com")) == DENIED


def make(ctap, party, handle, name, discoverable=True):
    return ctap.make_credential(
        os.urandom(32), {"id": party, "name": "x"}, {"id": handle, "name": name, "displayName": name}, [ES256],
        options={"rk": discoverable},
    )


def test_accounts(make_daemon):
    """A rule for some accounts of a relying party: the others are as if they were not here."""
    every = rule("enrol", ["accounts.example.com"], ["register", "authenticate"])
    daemon = make_daemon([every]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        ids = {}
        for handle, name in [(b"\1", "deploy-1"), (b"\2", "deploy-2"), (b"\3", "admin"), (b"\4", "other")]:
            made = make(ctap, "accounts.example.com", handle, name)
            ids[name] = made.auth_data.credential_data.credential_id
        some = {**every, "accounts": [{"userName": "deploy-*"}, {"userHandle": "BA"}]}
        daemon.configure([some])
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: "configuration read again" in daemon.errors(), "the reload")
        # The newest three are `other`, `admin`, `deploy-2`: `admin` is passed over, and not counted.
        first = ctap.get_assertion("accounts.example.com", os.urandom(32))
        found = [first.user["id"]]
        assert first.number_of_credentials == 3
        for _ in range(2):
            found.append(ctap.get_next_assertion().user["id"])
        assert found == [b"\4", b"\2", b"\1"]
        for name, expected in [("deploy-1", 0), ("other", 0), ("admin", CtapError.ERR.NO_CREDENTIALS)]:
            allow = [{"type": "public-key", "id": ids[name]}]
            assert status_of(lambda: ctap.get_assertion("accounts.example.com", os.urandom(32), allow)) == expected
        assert status_of(lambda: make(ctap, "accounts.example.com", b"\5", "admin-2")) == DENIED
        assert status_of(lambda: make(ctap, "accounts.example.com", b"\5", "deploy-3")) == 0


def test_hours(make_daemon):
    """Hours that are now, and hours that are not."""
    now = time.gmtime()
    days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    # Around now, over midnight if need be; and the twelve hours after that.
    start, end = (now.tm_hour - 1) % 24, (now.tm_hour + 2) % 24
    daemon = make_daemon(
        [
            {**rule("now", ["now.example.com"], ["register"]), "hours": f"{start:02}:00-{end:02}:00 UTC"},
            {
                **rule("later", ["later.example.com"], ["register"]),
                "hours": [f"{days[(now.tm_wday + 3) % 7]} 00:00-24:00 UTC"],
            },
        ]
    ).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        register(ctap, "now.example.com")
        assert status_of(lambda: register(ctap, "later.example.com")) == DENIED
        assert "at other hours" in daemon.audit()[-1]["reason"]


def test_attestation(make_daemon):
    daemon = make_daemon(
        [
            {**rule("none", ["none.example.com"], ["register"]), "attestation": "none"},
            rule("any", ["any.example.com"], ["register"]),
        ]
    ).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert make(ctap, "none.example.com", b"1", "x").fmt == "none"
        assert make(ctap, "any.example.com", b"1", "x").fmt == "packed"


def test_whoever_has_no_grant_gets_nothing_from_a_rule_that_requires_one(make_daemon):
    daemon = make_daemon(
        [
            rule("all", ["*"], ["register", "authenticate"]),
            {**rule("grant", ["grant.example.com"], ["register", "authenticate"]), "requireGrant": True},
            {
                **rule("claims", ["claims.example.com"], ["register", "authenticate"]),
                "requireClaims": {"repository": "org/*"},
            },
        ]
    ).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        register(ctap, "other.example.com")
        # The wider rule does not step in.
        for party in ("grant.example.com", "claims.example.com"):
            assert status_of(lambda: register(ctap, party)) == DENIED
            assert status_of(lambda: ctap.get_assertion(party, os.urandom(32))) == DENIED


def policy(programs, *arguments):
    return subprocess.run(
        [str(programs / "countersign"), "policy", *arguments], capture_output=True, text=True, timeout=30,
        stdin=subprocess.DEVNULL,
    )


def test_policy_check_needs_no_daemon_and_no_users(programs, folder):
    file = folder / "countersign.json"
    file.write_text('{ rules: [{ name: "r", callers: [{ user: "no-such-user-here" }], relyingParties: ["a.example"], operations: ["authenticate"] }] }')
    # As a checkout may leave it.
    file.chmod(0o664)
    done = policy(programs, "check", str(file))
    assert (done.returncode, done.stdout) == (0, f"{file}: good, 1 rule\n")
    assert 'user "no-such-user-here" is not known on this machine' in done.stderr
    done = policy(programs, "check", str(file), "--json")
    assert json.loads(done.stdout)["rules"] == ["r"] and done.returncode == 0
    file.write_text('{ rules: [{ name: "r", callers: [{ user: "x" }], relyingPartys: [] }] }')
    done = policy(programs, "check", str(file), "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert (error["line"], error["keyPath"]) == (1, "rules[0].relyingPartys")
    assert done.stderr.count("\n") == 1 and "relyingParties" in done.stderr
    assert policy(programs, "check", str(folder / "missing.json")).returncode == 2


EXPLAINED = [
    rule("all", ["*"], ["authenticate"], [{"user": 4711}]),
    {**rule("deploy", ["*.example.com"], ["authenticate"], [{"user": 4711, "unit": "ci.service"}]), "rate": {"perMinute": 5}},
    {**rule("granted", ["granted.example"], ["authenticate"], [{"user": 4711}]), "requireClaims": {"ref": "refs/heads/*"}},
]


def test_policy_explain(programs, folder):
    file = folder / "countersign.json"
    file.write_text(json.dumps({"rules": EXPLAINED}))

    def explain(*arguments):
        done = policy(programs, "explain", "--config", str(file), "--json", "--user", "4711", *arguments)
        return done.returncode, json.loads(done.stdout)

    code, answer = explain("--unit", "ci.service", "--rp-id", "a.example.com")
    assert (code, answer["allowed"], answer["rule"]) == (0, True, "deploy")
    why = {finding["name"]: finding["why"] for finding in answer["rules"]}
    assert why == {
        "all": 'matches too, but rule "deploy" names a closer RP ID', "deploy": "decides: rate 5 per minute, burst 5",
        "granted": "relyingParties: granted.example",
    }
    code, answer = explain("--rp-id", "a.example.com")
    assert answer["rule"] == "all"
    assert answer["rules"][1]["why"] == "callers[0].unit: the caller's is unknown"
    code, answer = explain("--rp-id", "a.example.com", "--operation", "register")
    assert code == 3 and "rule" not in answer and "operation register" in answer["reason"]
    code, answer = explain("--rp-id", "granted.example")
    assert code == 3 and 'requires the claim "ref"' in answer["reason"]
    code, answer = explain("--rp-id", "granted.example", "--rule", "granted", "--claim", "ref=refs/heads/main")
    assert (code, answer["rule"]) == (0, "granted")
    text = policy(programs, "explain", "--config", str(file), "--user", "1", "--rp-id", "a.example.com")
    assert text.returncode == 3 and text.stdout.startswith("decision")


def test_policy_explain_of_whom_nobody_knows(programs, folder):
    """A slip in a name or a number looks like anybody else who may not."""
    file = folder / "countersign.json"
    file.write_text(json.dumps({"rules": EXPLAINED}))
    ask = ["explain", "--config", str(file), "--rp-id", "a.example.com"]
    done = policy(programs, *ask, "--json", "--user", "4711", "--group", "no-such-group-here", "--group", "4712")
    assert json.loads(done.stdout)["warnings"] == [
        'group "no-such-group-here" is not known on this machine: 4294900000 stands for it here',
        "there is no user 4711 on this machine", "there is no group 4712 on this machine",
    ], done
    text = policy(programs, *ask, "--user", "no-such-user-here").stdout
    assert 'warning      user "no-such-user-here" is not known on this machine' in text, text
    known = policy(programs, *ask, "--json", "--user", "root", "--group", "root")
    assert "warnings" not in json.loads(known.stdout)
    # Who has not been said has no number.
    unsaid = policy(programs, *ask, "--unit", "ci.service").stdout
    assert "uid unknown, gids unknown" in unsaid and "4294967295" not in unsaid, unsaid


GRANTED = [
    rule("jobs", ["*.example.com"], ["register", "authenticate"], [{"grant": True}]),
    rule("host", ["deploy.example.com"], ["authenticate"], [{"user": 4711}]),
]


def test_a_rule_for_grants_that_another_overrules(programs, folder):
    file = folder / "countersign.json"
    file.write_text(json.dumps({"rules": GRANTED}, indent=1))
    words = 'rule "host" is more specific and decides for "deploy.example.com" (authenticate), so '
    line = file.read_text()[: file.read_text().index('"jobs"')].count("\n")
    done = policy(programs, "check", str(file))
    assert done.returncode == 0
    assert done.stderr == f'countersign: {file}:{line}: {words}grants for rule "jobs" have no effect there for whom both rules name\n'
    assert len(json.loads(policy(programs, "check", "--json", str(file)).stdout)["notices"]) == 1
    assert f"{words}grants" in check_configuration(programs, file).stderr
    ask = ["explain", "--config", str(file), "--json", "--user", "4711", "--rule", "jobs", "--rp-id"]
    code, answer = (done := policy(programs, *ask, "x.example.com")).returncode, json.loads(done.stdout)
    assert (code, answer["rule"]) == (0, "jobs") and words + "the grant has no effect there" in answer["warnings"], answer
    # Of another user nothing is said.
    ask[ask.index("4711")] = "root"
    assert "warnings" not in json.loads(policy(programs, *ask, "x.example.com").stdout)
    file.write_text(json.dumps({"rules": GRANTED[:1] + [rule("host", ["deploy.example.org"], ["authenticate"])]}))
    assert policy(programs, "check", str(file)).stderr == ""


def test_the_rule_that_a_grant_would_open(programs, folder):
    file = folder / "countersign.json"
    claims = {**rule("claims", ["claims.example.com"], ["authenticate"], [{"user": 0}]), "requireClaims": {"ref": "x", "run": "**"}}
    wide = rule("wide", ["*"], ["authenticate"], [{"grant": True}])
    file.write_text(json.dumps({"rules": [wide, *GRANTED, claims]}))

    def opened(party, *more):
        done = policy(programs, "explain", "--config", str(file), "--json", "--user", "root", "--rp-id", party, *more)
        assert done.returncode == 3, done
        return json.loads(done.stdout).get("openedByGrant"), done.stderr

    answer, said = opened("a.example.com", "--operation", "register")
    assert answer == {"rule": "jobs", "claims": [], "uid": 0}
    assert said.endswith("change the rules, or have a grant made: countersign grant create --uid 0 --rule jobs\n"), said
    assert opened("a.example.com")[0]["rule"] == "jobs", "the closest of them"
    assert opened("example.org")[0]["rule"] == "wide"
    answer, said = opened("claims.example.com")
    assert answer == {"rule": "claims", "claims": ["ref", "run"], "uid": 0}
    assert "--uid 0 --rule claims --claim ref=… --claim run=…" in said
    # No grant for another rule opens what a closer rule decides, and none lets anybody manage here.
    assert opened("claims.example.com", "--rule", "jobs")[0] is None
    assert opened("a.example.com", "--operation", "manage")[0] is None
    # Whoever is asked about, and not who asks; the whole name as one word of a shell.
    for name in ("it's $HOME; `id`", "über " + 70 * "x", "a b"):
        file.write_text(json.dumps({"rules": [rule(name, ["example.com"], ["authenticate"], [{"grant": True}])]}))
        done = policy(programs, "explain", "--config", str(file), "--user", "4711", "--rp-id", "example.com")
        command = done.stderr.split("have a grant made: ")[1]
        words = subprocess.run(["bash", "-c", "printf '%s\\0' " + command], capture_output=True, text=True, check=True)
        assert words.stdout.split("\0")[:-1] == ["countersign", "grant", "create", "--uid", "4711", "--rule", name], command
    done = policy(programs, "explain", "--config", str(file), "--unit", "x.service", "--rp-id", "example.com")
    assert "--uid … --rule 'a b'" in done.stderr, "nobody is named"


@needs_root
def test_policy_explain_looks_at_a_live_process(make_daemon, programs, folder, control_group):  # noqa: F811
    """All that rules can ask of it is asked of the kernel: user, groups, unit, slice, executable and its digest."""
    program = folder / "sleeper"
    shutil.copy("/bin/sleep", program)
    digest = hashlib.sha256(program.read_bytes()).hexdigest()
    unit = "countersign-live.service"
    rules = [
        rule(name, [f"{name}.example.com"], ["authenticate"], [pattern])
        for name, pattern in {
            "unit": {"unit": unit}, "slice": {"slice": "countersign-test.slice"}, "group": {"group": JOB_GROUP},
            "path": {"executable": str(program)}, "digest": {"executableSHA256": digest}, "other": {"unit": "countersign-x.service"},
        }.items()
    ]
    daemon = make_daemon(rules).start()
    place = control_group(f"countersign-test.slice/{unit}")
    process = subprocess.Popen([str(program), "600"], group=JOB_GROUP)
    try:
        (place / "cgroup.procs").write_text(str(process.pid))
        for name in ("unit", "slice", "group", "path", "digest", "other"):
            done = policy(
                programs, "explain", "--admin-socket", str(daemon.admin_socket), "--json", "--pid", str(process.pid),
                "--rp-id", f"{name}.example.com",
            )
            answer = json.loads(done.stdout)
            expected = (3, None) if name == "other" else (0, name)
            assert (done.returncode, answer.get("rule")) == expected, (name, done)
            why = {finding["name"]: finding["why"] for finding in answer["rules"]}
            assert why["other"] == f'callers[0].unit: the caller\'s is "{unit}"'
    finally:
        process.kill()
        process.wait()


def test_policy_explain_asks_the_daemon(make_daemon, programs):
    """About this very process, by the rules in force."""
    daemon = make_daemon([rule("mine", ["mine.example.com"], ["authenticate"], [{"user": os.getuid()}])]).start()
    with_daemon = ["explain", "--admin-socket", str(daemon.admin_socket), "--json"]
    done = policy(programs, *with_daemon, "--pid", str(os.getpid()), "--rp-id", "mine.example.com")
    assert (done.returncode, json.loads(done.stdout)["rule"]) == (0, "mine"), done.stderr
    done = policy(programs, *with_daemon, "--user", "4711", "--rp-id", "mine.example.com")
    assert done.returncode == 3
    done = policy(programs, *with_daemon, "--pid", "999999999", "--rp-id", "mine.example.com")
    assert done.returncode == 2 and "no process" in done.stderr
    for wrong in (["--user", "no-such-user-here"], ["--operation", "dance"], ["--user-handle", "!"]):
        done = policy(programs, *with_daemon, *wrong, "--rp-id", "mine.example.com")
        assert done.returncode == 2 and done.stderr.endswith(": see countersign policy explain --help\n"), done


@pytest.mark.parametrize(
    ("zone", "hours", "expected"),
    [("UTC", "{h:02}:00-{n:02}:00 local", 0), ("Etc/GMT-7", "{h:02}:00-{n:02}:00 local", 3), ("Etc/GMT-7", "{h:02}:00-{n:02}:00 UTC", 0)],
)
def test_local_hours_are_those_of_the_time_zone(programs, folder, zone, hours, expected):
    now = time.gmtime()
    file = folder / "countersign.json"
    one = {**rule("r", ["a.example"], ["authenticate"], [{"user": 1}])}
    one["hours"] = hours.format(h=(now.tm_hour - 1) % 24, n=(now.tm_hour + 2) % 24)
    file.write_text(json.dumps({"rules": [one]}))
    done = subprocess.run(
        [str(programs / "countersign"), "policy", "explain", "--config", str(file), "--user", "1", "--rp-id", "a.example"],
        env={**os.environ, "TZ": zone}, capture_output=True, text=True, timeout=30,
    )
    assert done.returncode == expected, done.stdout
