"""What somebody on the runner would try who may not sign, or not that."""

import array
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from fido2 import cbor
from fido2.ctap import CtapError
from webauthn import base64url_to_bytes, verify_authentication_response
from webauthn.helpers.exceptions import InvalidAuthenticationResponse

from grants import LABEL, Issuer, admin, as_user, base64url, bound, connected, create
from harness import (
    Command,
    FrameConnection,
    authenticate,
    ctap2,
    encoded_frame,
    eventually,
    register,
    sha256,
    status_of,
)
from test_grants import job_group  # noqa: F401
from test_policy import DENIED, control_group, needs_root, removed, rule, tries  # noqa: F401

BOTH = ["register", "authenticate"]
JOB, OTHER = 61_000, 61_001


def deploy(**more):
    return [{**rule("deploy", ["deploy.example.com"], BOTH, [{"grant": True}]), **more}]


def me():
    return ["--uid", str(os.getuid())]


@needs_root
def test_another_user(make_daemon):
    """Whatever it calls itself inside, and whatever sockets it can open."""
    daemon = make_daemon([rule("job", ["deploy.example.com"], BOTH, [{"user": JOB}])]).start()
    daemon.socket.chmod(0o666)
    assert tries(daemon, "deploy.example.com", user=OTHER, group=OTHER, groups=[JOB]) == DENIED
    assert tries(daemon, "deploy.example.com") == DENIED
    assert tries(daemon, "deploy.example.com", user=JOB, group=OTHER) == 0


@needs_root
def test_a_recycled_process_number(make_daemon, control_group):  # noqa: F811
    """
    Connect, hand the connection on, end, and have a process of the right unit get the number before the daemon looks.
    The daemon sleeps meanwhile, so that it surely looks too late.
    """
    last = Path("/proc/sys/kernel/ns_last_pid")
    if not last.exists():
        pytest.skip("this kernel does not let tests choose process numbers")
    daemon = make_daemon(
        [rule("unit", ["deploy.example.com"], ["register"], [{"unit": "countersign-job.service"}])]
    ).start()
    unit = control_group("countersign-test.slice/countersign-job.service")
    assert tries(daemon, "deploy.example.com", control_group=unit) == 0
    taken_over = False
    for _ in range(20):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(20)
        daemon.process.send_signal(signal.SIGSTOP)
        try:
            child = os.fork()
            if child == 0:
                connection.connect(str(daemon.socket))
                os._exit(0)
            os.waitpid(child, 0)
            last.write_text(str(child - 1))
            successor = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
            taken_over = successor.pid == child
            (unit / "cgroup.procs").write_text(str(successor.pid))
        finally:
            daemon.process.send_signal(signal.SIGCONT)
        connection.sendall(encoded_frame(Command.PING, b"here"))
        assert connection.recv(100) == encoded_frame(Command.PING, b"here")
        if taken_over:
            connection.sendall(encoded_frame(Command.CBOR, MAKE))
            answer = connection.recv(4096)
        connection.close()
        successor.communicate(b"\n")
        if taken_over:
            break
    if not taken_over:
        pytest.skip("another process was always faster: this machine is too busy for this test")
    assert answer == encoded_frame(Command.CBOR, bytes([DENIED]))
    record = daemon.audit()[-1]
    assert record["pid"] == child and "unit" not in record


MAKE = b"\x01" + cbor.encode(
    {1: bytes(32), 2: {"id": "deploy.example.com", "name": "x"}, 3: {"id": b"1", "name": "x", "displayName": "x"},
     4: [{"alg": -7, "type": "public-key"}]}
)


def test_a_grant_after_its_end(make_daemon):
    daemon = make_daemon(deploy()).start()
    grant = create(daemon, "--rule", "deploy", *me())
    # Held open by every trick: a connection, one that has asked, and a descriptor of the folder.
    ctap = connected(grant)
    account = register(ctap, "deploy.example.com")
    waiting = FrameConnection(grant["socket"])
    folder = os.open(Path(grant["socket"]).parent, os.O_PATH)
    assert admin(daemon, "revoke", grant["id"]).returncode == 0
    with pytest.raises(Exception):
        authenticate(ctap, account)
    waiting.socket.settimeout(20)
    assert waiting.socket.recv(1) == b""
    for path in (grant["socket"], f"/proc/self/fd/{folder}/ctap.sock"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as late, pytest.raises(OSError):
            late.connect(path)
    os.close(folder)


ENDS = {"revoked": "revoked by uid", "time": "its time is over", "process": "process", "control group": "control group"}


@pytest.mark.parametrize("end", ENDS)
def test_a_signature_in_progress_does_not_leave(make_daemon, request, end):
    """The TPM is held in the middle of it, the grant ends, and the TPM goes on."""
    daemon = make_daemon(deploy()).start()
    earlier = connected(create(daemon, "--rule", "deploy", *me()))
    register(earlier, "deploy.example.com", discoverable=True)
    earlier.device.close()
    place = request.getfixturevalue("job_group") if end == "control group" else None
    job = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    limits = {"time": ["--ttl", "5s"], "process": ["--pid", str(job.pid)]}
    if place:
        (place / "cgroup.procs").write_text(str(job.pid))
        limits[end] = ["--cgroup", f"/{place.name}"]
    grant = create(daemon, "--rule", "deploy", *me(), *limits.get(end, []))
    request = b"\x02" + cbor.encode({1: "deploy.example.com", 2: bytes(32)})
    connection = FrameConnection(grant["socket"])
    tpm = daemon.tpm_process()
    os.kill(tpm, signal.SIGSTOP)
    try:
        connection.send(Command.CBOR, request)
        # It is with the TPM: its record is on the disk, and keepalives come.
        allowed = lambda: [one for one in daemon.audit() if one["operation"] == "authenticate" and one["outcome"] == "allowed"]  # noqa: E731
        eventually(allowed, "the record of the signature")
        if end == "revoked":
            assert admin(daemon, "revoke", grant["id"]).returncode == 0
        elif end != "time":
            job.communicate(b"\n")
        ended = lambda: [one for one in daemon.audit(own=True) if one.get("detail") == "grant.end"]  # noqa: E731
        eventually(ended, "the end of the grant")
        assert ENDS[end] in ended()[-1]["reason"]
    finally:
        os.kill(tpm, signal.SIGCONT)
        if job.poll() is None:
            job.communicate(b"\n")
    received = b""
    connection.socket.settimeout(20)
    while data := connection.socket.recv(4096):
        received += data
    # Keepalives at most: six bytes each.
    frame = encoded_frame(Command.KEEPALIVE, b"\x01")
    assert received == frame * (len(received) // len(frame))
    eventually(
        lambda: [one for one in daemon.audit() if one["operation"] == "authenticate" and one["outcome"] == "failed"],
        "the record of the failure",
    )


@needs_root
def test_a_connection_that_is_handed_on(make_daemon):
    """
    SCM_RIGHTS: the kernel says who connected, not who holds the descriptor now. So a job that lends its connection lends
    its identity, and the log names the lender; nobody gains by it what the lender could not have signed itself.
    """
    daemon = make_daemon([rule("job", ["deploy.example.com"], BOTH, [{"user": JOB}])]).start()
    daemon.socket.chmod(0o666)
    mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)

    def lend():
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(str(daemon.socket))
        theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))])
        return 0

    def borrow():
        _, ancillary, _, _ = mine.recvmsg(1, socket.CMSG_SPACE(4))
        with socket.socket(fileno=array.array("i", ancillary[0][2])[0]) as connection:
            connection.settimeout(20)
            connection.sendall(encoded_frame(Command.CBOR, MAKE))
            answer = b""
            while len(answer) < 6:
                answer += connection.recv(4096)
            return answer[5]

    assert as_user(JOB, lend) == 0
    # The lender has ended: its user still counts, its unit would not.
    assert as_user(OTHER, borrow) == 0
    assert daemon.audit()[-1]["uid"] == JOB
    # The other way round: what a stranger connected stays a stranger's in the hands of the job.
    assert as_user(OTHER, lend) == 0
    assert as_user(JOB, borrow) == DENIED
    assert daemon.audit()[-1]["uid"] == OTHER


def test_a_claim_that_was_not_signed(make_daemon):
    """As a relying party sees it, whose library knows nothing of claims."""
    daemon = make_daemon(deploy(bindClaims=True)).start()
    grant = create(daemon, "--rule", "deploy", *me(), "--claim", "repository=org/app", "--claim", "ref=refs/heads/x")
    ctap = connected(grant)
    with ctap.device:
        account = register(ctap, "deploy.example.com", discoverable=True)
        challenge = os.urandom(32)
        status, reply = bound(ctap.device, "deploy.example.com", challenge)
        assert status == 0
        # Nor can the job have it sign what it has put together itself.
        forged = json.dumps({"type": "webauthn.get", "challenge": base64url(challenge), "origin": "https://deploy.example.com"})
        plain = lambda: ctap.get_assertion("deploy.example.com", sha256(forged.encode()))  # noqa: E731
        assert status_of(plain) == DENIED
    client_data, claims, assertion = reply[1], reply[2], reply[3]

    def verify(shown):
        identifier = base64url(assertion[1]["id"])
        return verify_authentication_response(
            credential={
                "id": identifier, "rawId": identifier, "type": "public-key", "clientExtensionResults": {},
                "response": {
                    "clientDataJSON": base64url(client_data), "authenticatorData": base64url(bytes(assertion[2])),
                    "signature": base64url(assertion[3]),
                },
            },
            expected_challenge=sha256(LABEL + challenge + sha256(shown)),
            expected_rp_id="deploy.example.com", expected_origin="https://deploy.example.com",
            credential_public_key=cose(account), credential_current_sign_count=0,
        )

    verify(claims)
    for shown in (claims.replace(b"refs/heads/x", b"refs/heads/main"), claims.replace(b"org/app", b"org/other"), b"{}", b""):
        with pytest.raises(InvalidAuthenticationResponse):
            verify(shown)


def cose(account):
    return cbor.encode(dict(account.response.auth_data.credential_data.public_key))


def test_tokens_that_prove_nothing(make_daemon, folder):
    issuer = Issuer(folder)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    stranger = Issuer(elsewhere)
    daemon = make_daemon()
    daemon.write_configuration(
        json.dumps({"tpm": {"allowSoftware": True}, "rules": deploy(), "issuers": [issuer.entry()]})
    )
    daemon.start()

    def tries_token(token):
        done = admin(daemon, "create", "--rule", "deploy", *me(), "--oidc-token-file", "-", input=token)
        return done.returncode, done.stderr

    good = issuer.token(repository="org/app")
    assert tries_token(good)[0] == 0
    header, payload, signature = good.split(".")
    none = base64url(json.dumps({"alg": "none", "kid": "r"}).encode())
    hmac = base64url(json.dumps({"alg": "HS256", "kid": "r"}).encode())
    embedded = stranger.token(repository="org/app", header={"kid": "z", "jwk": json.loads(stranger.file.read_text())["keys"][0]})
    for token in (
        f"{none}.{payload}.", f"{none}.{payload}.{signature}", f"{header}.{payload}.", f"{hmac}.{payload}.{signature}",
        stranger.token(repository="org/app"), embedded, issuer.token(repository="org/app", iss="https://evil.example.com"),
        issuer.token(repository="org/app", exp=int(time.time()) - 61), issuer.token("ES256", header={"kid": "r"}),
        "", "x", "a.b.c", good + "x", good.replace(".", "..", 1),
    ):
        status, error = tries_token(token)
        assert status in (1, 2) and error.count("\n") == 1, (token, error)
    assert len(os.listdir(daemon.folder / "jobs")) == 1


def test_a_stolen_credential_at_another_relying_party(make_daemon):
    """Who may sign for one relying party learns or uses nothing of another's credentials."""
    daemon = make_daemon([rule("mine", ["mine.example.com"], BOTH), rule("all", ["*"], ["register"])]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        stolen = register(ctap, "theirs.example.com", discoverable=True)
        allow = [{"type": "public-key", "id": stolen.response.auth_data.credential_data.credential_id}]
        unknown = [{"type": "public-key", "id": os.urandom(16)}]
        for one in (allow, unknown):
            here = lambda: ctap.get_assertion("mine.example.com", os.urandom(32), one)  # noqa: E731
            there = lambda: ctap.get_assertion("theirs.example.com", os.urandom(32), one)  # noqa: E731
            assert status_of(here) == CtapError.ERR.NO_CREDENTIALS
            assert status_of(there) == DENIED


@needs_root
def test_ten_thousand_connections(make_daemon):
    """One user takes all it can get; another is served as before, and everything is given back."""
    daemon = make_daemon([rule("all", ["*"], BOTH, [{"user": JOB}, {"user": OTHER}])]).start()
    daemon.socket.chmod(0o666)
    before = daemon.memory()
    go, ready = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (20_000, 20_000))
            os.setgid(OTHER)
            os.setuid(OTHER)
            held = []
            for _ in range(10_000):
                one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                one.connect(str(daemon.socket))
                held.append(one)
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        except BaseException as error:  # noqa: BLE001
            os.write(ready[1], b"!" + str(error).encode()[:200])
            os._exit(1)
    assert os.read(ready[0], 300) == b"x"
    open_files = lambda: len(os.listdir(f"/proc/{daemon.process.pid}/fd"))  # noqa: E731
    try:
        eventually(lambda: open_files() < 600, "those that are too many to be turned away")
        assert open_files() > 500
        assert tries(daemon, "job.example.com", user=JOB, group=JOB) == 0
        print(f"memory {before:.1f} MB before, {daemon.memory():.1f} MB with 10,000 attempts, {open_files()} descriptors")
        assert daemon.memory() < before + 40
    finally:
        os.write(go[1], b"x")
        os.waitpid(child, 0)
    eventually(lambda: open_files() < 60, "all of it to be given back")
    assert tries(daemon, "job.example.com", user=OTHER, group=OTHER) == 0


def test_a_flood_of_one_job_leaves_another_its_share(make_daemon):
    """Two jobs of one user, each with its grant: the rate of the rule is each one's own."""
    rate = {"perMinute": 600, "burst": 20}
    daemon = make_daemon(deploy(rate=rate)).start()
    flooding, working = (create(daemon, "--rule", "deploy", *me()) for _ in range(2))
    ctap = connected(working)
    account = register(ctap, "deploy.example.com")
    stop = threading.Event()
    counts = {"allowed": 0, "refused": 0}

    def flood():
        own = connected(flooding)
        with own.device:
            while not stop.is_set():
                status = status_of(lambda: authenticate(own, account))
                counts["allowed" if status == 0 else "refused"] += 1
                assert status in (0, DENIED)

    threads = [threading.Thread(target=flood) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        eventually(lambda: counts["refused"] > 50, "the flood to have used its share up")
        begun = time.monotonic()
        # One of the burst went to the registration.
        for _ in range(19):
            authenticate(ctap, account)
        took = time.monotonic() - begun
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    print(f"19 signatures in {took:.2f} s beside {counts['refused']} refusals and {counts['allowed']} signatures of the flood")
    ctap.device.close()
    # It can open no more connections than its own either.
    held = [FrameConnection(flooding["socket"]) for _ in range(40)]
    again = connected(working)
    with again.device:
        assert status_of(lambda: authenticate(again, account)) in (0, DENIED)
    for one in held:
        one.close()
