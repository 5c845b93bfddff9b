"""Job grants: a socket for one job, that ends with it."""

import hashlib
import json
import os
import pwd
import select
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fido2 import cbor

from grants import Issuer, admin, as_user, base64url, bound, connected, create, grants
from harness import authenticate, ctap2, eventually, register, sha256, status_of
from namespaces import NEW_MOUNTS, as_mapped_root, unshare
from test_policy import DENIED, needs_root, removed, rule

BOTH = ["register", "authenticate"]
JOB = 61_000


def rules(**more):
    return [
        {**rule("deploy", ["deploy.example.com", "*.deploy.example.com"], BOTH, [{"grant": True}]), **more},
        rule("open", ["open.example.com"], BOTH, [{"user": os.getuid()}, {"user": JOB}]),
    ]


def me():
    return ["--uid", str(os.getuid())]


def test_a_grant_lets_its_job_in(make_daemon):
    daemon = make_daemon(rules(requireGrant=True)).start()
    grant = create(daemon, "--rule", "deploy", *me(), "--claim", "repository=org/app", "--claim", "ref=refs/heads/main")
    assert Path(grant["socket"]) == daemon.folder / "jobs" / grant["id"] / "ctap.sock"
    ctap = connected(grant)
    with ctap.device:
        account = register(ctap, "deploy.example.com")
        authenticate(ctap, account)
        # Nothing but its rule, whatever the caller may elsewhere.
        assert status_of(lambda: register(ctap, "open.example.com")) == DENIED
    record = daemon.audit()[-2]
    assert record["grant"] == grant["id"] and record["rule"] == "deploy"
    assert record["claims"] == {"ref": "refs/heads/main", "repository": "org/app"}
    # The jobs' own socket knows no grant.
    plain = ctap2(daemon.socket)
    with plain.device:
        assert status_of(lambda: authenticate(plain, account)) == DENIED
    made = [one for one in daemon.audit(own=True) if one.get("detail") == "grant.create"]
    assert [one["grant"] for one in made] == [grant["id"]]


def test_formats(make_daemon):
    daemon = make_daemon(rules()).start()
    path = admin(daemon, "create", "--rule", "deploy", *me()).stdout
    assert path.endswith("/ctap.sock\n") and stat.S_ISSOCK(os.stat(path.strip()).st_mode)
    env = dict(line.split("=", 1) for line in admin(daemon, "create", "--rule", "deploy", *me(), "--format", "env").stdout.splitlines())
    assert set(env) == {"COUNTERSIGN_SOCKET", "COUNTERSIGN_GRANT"} and env["COUNTERSIGN_GRANT"] in env["COUNTERSIGN_SOCKET"]
    assert {one["id"] for one in grants(daemon)} == {Path(path).parent.name, env["COUNTERSIGN_GRANT"]}
    assert admin(daemon, "create", "--rule", "deploy", *me(), "--format", "xml").returncode == 2
    # Words that only the daemon can tell to be wrong are wrong words too.
    for wrong in (["--ttl", "8d"], ["--ttl", "0s"], ["--ttl", "1"], ["--signatures", "0"], ["--rp-id", "A"], ["--claim", "iss=x"],
                  ["--claim", "x"], ["--claim", "a=1", "--claim", "a=2"], ["--pid", "999999999"], ["--cgroup", "/no/such"],
                  ["--cgroup", "/../x"], ["--claim", "a=" + "x" * 1025], ["--rule", "no such rule"]):
        rule_of = [] if wrong[0] == "--rule" else ["--rule", "deploy"]
        done = admin(daemon, "create", *rule_of, *me(), *wrong)
        assert done.returncode == 2 and done.stderr.count("\n") == 1, (wrong, done)
    assert len(grants(daemon)) == 2
    assert len(os.listdir(daemon.folder / "jobs")) == 2


def test_a_grant_that_another_rule_overrules(make_daemon):
    """Who makes it learns at once where it will not be of use; refusals would come one by one."""
    narrow = rule("narrow", ["x.deploy.example.com"], BOTH, [{"user": os.getuid()}])
    claims = {"ref": "refs/heads/main", "repository": "org/*"}
    daemon = make_daemon([*rules(requireClaims=claims), narrow]).start()
    assert "so grants for rule \"deploy\" have no effect there" in daemon.errors()
    grant = create(daemon, "--rule", "deploy", *me(), "--claim", "repository=other")
    assert grant["warnings"] == [
        'rule "narrow" is more specific and decides for "x.deploy.example.com", so the grant has no effect there',
        'rule "deploy" requires the claim "ref", and the caller has none',
        'rule "deploy" requires another claim "repository" than "other"',
    ]
    made = next(one for one in daemon.audit(own=True) if one.get("detail") == "grant.create")
    assert made["forUid"] == os.getuid() and made["endsAt"] == grant["endsAt"]
    shown = daemon.run("audit", "show", "--operation", "grant", str(daemon.audit_log)).stdout
    assert f" forUid={os.getuid()} endsAt={grant['endsAt']}" in shown, shown


@needs_root
def test_only_its_user_can_open_it(make_daemon):
    daemon = make_daemon(rules()).start()
    grant = create(daemon, "--rule", "deploy", "--uid", str(JOB))

    def register_there():
        try:
            ctap = connected(grant)
        except PermissionError:
            return 254
        with ctap.device:
            return status_of(lambda: register(ctap, "deploy.example.com"))

    assert as_user(JOB, register_there) == 0
    assert as_user(JOB + 1, register_there) == 254
    # Root can open every socket; it is not the job.
    assert register_there() == DENIED
    assert f"uid {JOB}'s" in daemon.audit()[-1]["reason"]
    # The job can neither remove its socket nor open it to others.
    assert as_user(JOB, lambda: 0 if os.access(Path(grant["socket"]).parent, os.W_OK) else 7) == 7

    def chmod():
        try:
            os.chmod(grant["socket"], 0o666)
        except PermissionError:
            return 7
        return 0

    assert as_user(JOB, chmod) == 7


@needs_root
def test_an_unprivileged_daemon_makes_the_same_sockets(make_daemon):
    """As in its unit: a user of its own, and no capability."""
    nobody = pwd.getpwnam("nobody")
    daemon = make_daemon(
        rules(), wrapper=["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", "--bounding-set=-all"]
    )
    for path in [daemon.folder, daemon.state, daemon.tpm_state]:
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    daemon.start()
    grant = create(daemon, "--rule", "deploy", "--uid", str(JOB))
    assert os.stat(grant["socket"]).st_uid == nobody.pw_uid

    def register_there():
        try:
            ctap = connected(grant)
        except PermissionError:
            return 254
        with ctap.device:
            return status_of(lambda: register(ctap, "deploy.example.com"))

    assert as_user(JOB, register_there) == 0
    assert as_user(JOB + 1, register_there) == 254


@needs_root
def test_it_can_be_mounted_into_a_container(make_daemon, folder):
    """A mount namespace of its own, a user namespace with mapped users, and nothing of the host's but the folder."""
    daemon = make_daemon(rules()).start()
    grant = create(daemon, "--rule", "deploy", "--uid", str(2_000_000))
    inside = folder / "inside"
    inside.mkdir()
    inside.chmod(0o755)

    def mount():
        unshare(NEW_MOUNTS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        subprocess.run(["mount", "--bind", str(Path(grant["socket"]).parent), str(inside)], check=True)

    def register_there():
        try:
            ctap = ctap2(inside / "ctap.sock")
        except PermissionError:
            return 254
        with ctap.device:
            return status_of(lambda: register(ctap, "deploy.example.com"))

    assert as_mapped_root(2_000_000, register_there, mount) == 0
    assert daemon.audit()[-1]["uid"] == 2_000_000 and daemon.audit()[-1]["grant"] == grant["id"]
    # Another container's root is somebody else.
    assert as_mapped_root(2_100_000, register_there, mount) == 254


def test_narrower_relying_parties(make_daemon):
    daemon = make_daemon(rules()).start()
    grant = create(daemon, "--rule", "deploy", *me(), "--rp-id", "a.deploy.example.com", "--rp-id", "open.example.com")
    ctap = connected(grant)
    with ctap.device:
        register(ctap, "a.deploy.example.com")
        assert status_of(lambda: register(ctap, "deploy.example.com")) == DENIED
        # Naming more than the rule has gives nothing.
        assert status_of(lambda: register(ctap, "open.example.com")) == DENIED


def is_closed(connection):
    connection.settimeout(20)
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def opened(grant):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.connect(grant["socket"])
    return one


def gone(grant):
    return not Path(grant["socket"]).parent.exists()


def test_it_ends_by_revocation(make_daemon):
    daemon = make_daemon(rules()).start()
    grant, other = (create(daemon, "--rule", "deploy", *me()) for _ in range(2))
    connection = opened(grant)
    assert admin(daemon, "revoke", grant["id"]).returncode == 0
    assert is_closed(connection) and gone(grant)
    assert admin(daemon, "revoke", grant["id"]).returncode == 1
    assert [one["id"] for one in grants(daemon)] == [other["id"]]
    ended = [one for one in daemon.audit(own=True) if one.get("detail") == "grant.end"]
    assert ended[-1]["grant"] == grant["id"] and "revoked by uid" in ended[-1]["reason"]
    assert ended[-1]["uid"] == os.getuid() and ended[-1]["outcome"] == "done"


def test_it_ends_by_time(make_daemon):
    daemon = make_daemon(rules()).start()
    grant = create(daemon, "--rule", "deploy", *me(), "--ttl", "1s")
    connection = opened(grant)
    assert is_closed(connection)
    eventually(lambda: gone(grant), "the end of its folder")
    assert "time is over" in daemon.audit(own=True)[-1]["reason"]


def test_it_ends_by_count(make_daemon):
    daemon = make_daemon(rules()).start()
    grant = create(daemon, "--rule", "deploy", *me(), "--signatures", "3")
    idle = opened(grant)
    ctap = connected(grant)
    with ctap.device:
        account = register(ctap, "deploy.example.com")
        authenticate(ctap, account)
        assert grants(daemon)[0]["signaturesLeft"] == 1
        # The last one is answered, and then it is over.
        authenticate(ctap, account)
        assert is_closed(idle)
        eventually(lambda: gone(grant), "the end of its folder")
    assert grants(daemon) == []
    assert "used up" in daemon.audit(own=True)[-1]["reason"]


def test_it_ends_with_its_process(make_daemon):
    daemon = make_daemon(rules()).start()
    job = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    grant = create(daemon, "--rule", "deploy", *me(), "--pid", str(job.pid))
    connection = opened(grant)
    job.communicate(b"\n")
    assert is_closed(connection)
    eventually(lambda: gone(grant), "the end of its folder")


def unified():
    for root in map(Path, ("/sys/fs/cgroup", "/sys/fs/cgroup/unified")):
        if (root / "cgroup.controllers").exists():
            return root
    return None


@pytest.fixture
def job_group():
    """A control group of version 2 for a job, directly below the root."""
    root = unified()
    if root is None:
        pytest.skip("no control groups of version 2 here")
    place = root / f"countersign-job-{os.getpid()}"
    try:
        place.mkdir()
    except OSError as error:
        pytest.skip(f"this user may not make control groups: {error}")
    yield place
    eventually(lambda: removed(place), "the control group to be empty")


@needs_root
def test_it_ends_with_its_control_group(make_daemon, job_group):
    daemon = make_daemon(rules()).start()
    empty = admin(daemon, "create", "--rule", "deploy", *me(), "--cgroup", f"/{job_group.name}")
    assert empty.returncode == 1 and "empty already" in empty.stderr
    jobs = [subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) for _ in range(2)]
    for job in jobs:
        (job_group / "cgroup.procs").write_text(str(job.pid))
    grant = create(daemon, "--rule", "deploy", *me(), "--cgroup", f"/{job_group.name}")
    connection = opened(grant)
    jobs[0].communicate(b"\n")
    # One is left.
    assert not select.select([connection], [], [], 0.2)[0]
    jobs[1].communicate(b"\n")
    assert is_closed(connection)
    eventually(lambda: gone(grant), "the end of its folder")


def test_it_ends_with_the_daemon(make_daemon):
    daemon = make_daemon(rules()).start()
    grant = create(daemon, "--rule", "deploy", *me())
    daemon.stop()
    assert gone(grant)
    # What a daemon that was killed left is removed by the next.
    daemon.start()
    grant = create(daemon, "--rule", "deploy", *me())
    daemon.kill()
    assert not gone(grant)
    daemon.start()
    assert gone(grant) and grants(daemon) == []


def test_the_rule_goes_with_a_reload(make_daemon):
    daemon = make_daemon(rules()).start()
    grant = create(daemon, "--rule", "deploy", *me())
    ctap = connected(grant)
    with ctap.device:
        register(ctap, "deploy.example.com")
        daemon.configure(rules()[1:])
        daemon.process.send_signal(signal.SIGHUP)
        eventually(lambda: status_of(lambda: register(ctap, "deploy.example.com")) == DENIED, "the new rules")


# Claims of tokens.


def with_issuer(daemon, issuer, own_rules):
    daemon.write_configuration(json.dumps({"tpm": {"allowSoftware": True}, "rules": own_rules, "issuers": [issuer.entry()]}))


GITHUB = {
    "sub": "repo:org/app:ref:refs/heads/main", "repository": "org/app", "repository_owner": "org", "ref": "refs/heads/main",
    "workflow": "deploy", "run_id": "17", "actor": "somebody", "runner_environment": "self-hosted",
}
GITLAB = {
    "sub": "project_path:group/app:ref_type:branch:ref:main", "project_path": "group/app", "namespace_path": "group",
    "ref": "main", "ref_type": "branch", "pipeline_id": "90", "job_id": "302", "ref_protected": "true",
}


def test_claims_of_a_token(make_daemon, folder):
    issuer = Issuer(folder)
    daemon = make_daemon()
    needs = [{**rule("deploy", ["deploy.example.com"], BOTH, [{"grant": True}]),
              "requireClaims": {"iss": issuer.name, "repository": "org/*", "ref": "refs/heads/main"}}]
    with_issuer(daemon, issuer, needs)
    daemon.start()

    def tries(token):
        done = admin(daemon, "create", "--rule", "deploy", *me(), "--oidc-token-file", "-", "--format", "json", input=token)
        if done.returncode != 0:
            return done.stderr
        grant = json.loads(done.stdout)
        ctap = connected(grant)
        with ctap.device:
            return status_of(lambda: register(ctap, "deploy.example.com")), grant

    status, grant = tries(issuer.token(**GITHUB))
    assert status == 0
    assert grant["claimsIssuer"] == issuer.name and grant["claims"]["repository"] == "org/app"
    assert "exp" not in grant["claims"]
    # Of another repository, of another branch, of the other service.
    assert tries(issuer.token(**{**GITHUB, "repository": "evil/app"}))[0] == DENIED
    assert tries(issuer.token(**{**GITHUB, "ref": "refs/heads/x"}))[0] == DENIED
    status, grant = tries(issuer.token("ES256", **GITLAB))
    assert status == DENIED and grant["claims"]["project_path"] == "group/app"
    # What is only said is not what was verified.
    done = admin(daemon, "create", "--rule", "deploy", *me(), "--claim", f"iss={issuer.name}", "--claim", "repository=org/app")
    assert done.returncode == 2 and "verified token" in done.stderr
    said = create(daemon, "--rule", "deploy", *me(), "--claim", "repository=org/app", "--claim", "ref=refs/heads/main")
    ctap = connected(said)
    with ctap.device:
        assert status_of(lambda: register(ctap, "deploy.example.com")) == DENIED
    now = int(time.time())
    assert "s by this machine's clock" in tries(issuer.token(**GITHUB, exp=now - 100))
    assert "another audience" in tries(issuer.token(**{**GITHUB, "aud": "somebody else"}))
    assert not any("eyJ" in line for line in daemon.errors().splitlines())
    assert "eyJ" not in daemon.audit_log.read_text()


# Claims that the relying party can trust.


def bound_rules():
    return [{**rule("deploy", ["deploy.example.com"], BOTH, [{"grant": True}]), "bindClaims": True},
            rule("plain", ["plain.example.com"], BOTH, [{"grant": True}])]


CLAIMS = ["--claim", "ref=refs/heads/main", "--claim", "repository=org/app", "--claim", 'text="\u00e9\n']


def test_bound_claims(make_daemon):
    daemon = make_daemon(bound_rules()).start()
    grant = create(daemon, "--rule", "deploy", *me(), *CLAIMS)
    ctap = connected(grant)
    with ctap.device:
        account = register(ctap, "deploy.example.com", discoverable=True)
        assert ctap.get_info().options["bindClaims"] is True
        # A plain assertion would prove no claims.
        assert status_of(lambda: authenticate(ctap, account)) == DENIED
        assert "0x41" in daemon.audit()[-1]["reason"]
        challenge = os.urandom(32)
        status, reply = bound(ctap.device, "deploy.example.com", challenge)
        assert status == 0
        client_data, claims, assertion = reply[1], reply[2], reply[3]
        # By hand, as a relying party computes it.
        expected = json.dumps({"ref": "refs/heads/main", "repository": "org/app", "text": '"\u00e9\n'},
                              sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        assert claims == expected
        wanted = sha256(b"countersign-claims-v1\x00" + challenge + sha256(claims))
        assert json.loads(client_data) == {
            "type": "webauthn.get", "challenge": base64url(wanted), "origin": "https://deploy.example.com", "crossOrigin": False,
        }
        key = account.response.auth_data.credential_data.public_key
        key.verify(assertion[2] + sha256(client_data), assertion[3])
        record = [one for one in daemon.audit() if one["operation"] == "authenticate"][-1]
        assert record["clientDataHash"] == hashlib.sha256(client_data).hexdigest()
        # An origin of somebody else's, members that say what to sign, and no challenge.
        assert bound(ctap.device, "deploy.example.com", challenge, origin="https://evil.example.org")[0] == 0x02
        for more in ({2: bytes(32)}, {6: bytes(16)}):
            payload = {1: challenge, 2: "https://deploy.example.com", 3: {1: "deploy.example.com", **more}}
            assert ctap.device.call(0x41, cbor.encode(payload))[0] == 0x02
        assert bound(ctap.device, "deploy.example.com", b"")[0] == 0x03
        assert ctap.device.call(0x41, b"\xff")[0] == 0x12


def test_a_rule_that_binds_nothing_says_so(make_daemon):
    daemon = make_daemon(bound_rules()).start()
    grant = create(daemon, "--rule", "plain", *me())
    ctap = connected(grant)
    with ctap.device:
        account = register(ctap, "plain.example.com", discoverable=True)
        assert "bindClaims" not in ctap.get_info().options
        assert bound(ctap.device, "plain.example.com", os.urandom(32))[0] == 0x01
        authenticate(ctap, account)


def test_the_command_line_knows_the_form(make_daemon, folder):
    daemon = make_daemon(bound_rules()).start()
    grant = create(daemon, "--rule", "deploy", *me(), *CLAIMS)
    files = {name: folder / f"{name}.json" for name in ("creation", "registration", "record", "request", "assertion")}
    files["creation"].write_text(json.dumps({
        "challenge": base64url(os.urandom(32)), "rp": {"id": "deploy.example.com", "name": "x"},
        "user": {"id": "AQ", "name": "x", "displayName": "x"}, "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
    }))
    files["request"].write_text(json.dumps({"challenge": base64url(os.urandom(32)), "rpId": "deploy.example.com"}))

    def run(*words, status=0):
        done = daemon.run(*words)
        assert done.returncode == status, done.stderr
        return done.stdout

    files["registration"].write_text(run("register", "--in", str(files["creation"]), "--socket", grant["socket"]))
    files["record"].write_text(run("verify", "registration", "--options", str(files["creation"]), "--response", str(files["registration"])))
    record = json.loads(files["record"].read_text())
    request = {**json.loads(files["request"].read_text()), "allowCredentials": [{"type": "public-key", "id": record["id"]}]}
    files["request"].write_text(json.dumps(request))
    files["assertion"].write_text(run("authenticate", "--in", str(files["request"]), "--socket", grant["socket"]))
    verify = ["verify", "assertion", "--options", str(files["request"]), "--credential", str(files["record"]), "--response", str(files["assertion"])]
    proved = json.loads(run(*verify, "--require-claims"))
    assert proved["claims"] == {"ref": "refs/heads/main", "repository": "org/app", "text": '"\u00e9\n'}
    # Claims that were not signed.
    answer = json.loads(files["assertion"].read_text())
    shown = answer["clientExtensionResults"]["countersignClaims"]
    answer["clientExtensionResults"]["countersignClaims"] = shown.replace("org/app", "org/evil")
    files["assertion"].write_text(json.dumps(answer))
    run(*verify, status=7)
    answer["clientExtensionResults"] = {}
    files["assertion"].write_text(json.dumps(answer))
    run(*verify, status=7)
    run(*verify, "--require-claims", status=7)
