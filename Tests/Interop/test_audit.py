"""The audit log of the release daemon: what is in it, that nobody can change it unseen, and that `countersign audit` says
where. The chain is also checked with jq, sha256sum and openssl alone, as the manual page shows it."""

import datetime
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest

from grants import connected, create
from harness import authenticate, copy_folder, ctap2, eventually, register, status_of
from test_crashes import Load, await_moment

RP = "audit.example.com"
ROUNDS = int(os.environ.get("COUNTERSIGN_CRASHES", 20))


def work(daemon, count=5, account=None):
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = account or register(ctap, RP, discoverable=True)
        for _ in range(count):
            authenticate(ctap, account)
    return account


def show(daemon, *arguments):
    return daemon.run("audit", "show", str(daemon.audit_log), *arguments)


def verify(daemon, *arguments, status=0):
    """What `countersign audit verify` says; it asks the daemon unless a key is named."""
    ask = [] if "--key" in arguments else ["--admin-socket", str(daemon.admin_socket)]
    result = daemon.run("audit", "verify", "--json", *ask, *arguments)
    assert result.returncode == status, (result.returncode, result.stdout, result.stderr)
    return json.loads(result.stdout)


def tampering(report):
    return [(finding["kind"], finding["line"]) for finding in report["findings"] if finding["tampering"]]


def export_key(daemon):
    path = daemon.folder / "key.json"
    result = daemon.run("audit", "key", "--admin-socket", str(daemon.admin_socket), "--out", str(path))
    assert result.returncode == 0, result.stderr
    return path


def configure_audit(daemon, **audit):
    configuration = json.loads(daemon.configuration.read_text())
    daemon.write_configuration(json.dumps({**configuration, "audit": audit}))


@pytest.fixture
def stopped(make_daemon):
    """A log with a signature at its end, its daemon's key, and the daemon, stopped."""
    daemon = make_daemon().start()
    work(daemon)
    key = export_key(daemon)
    daemon.stop()
    return daemon, key


def test_what_is_recorded(make_daemon):
    daemon = make_daemon().start()
    work(daemon, 1)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(lambda: any(r["operation"] == "reload" for r in daemon.audit(own=True)), "the reload's record")
    daemon.write_configuration("{ nonsense")
    daemon.process.send_signal(signal.SIGHUP)
    eventually(
        lambda: any(r["operation"] == "reload" and r["outcome"] == "failed" for r in daemon.audit(own=True)),
        "the record of the reload that failed",
    )
    daemon.stop()
    records = daemon.audit(own=True)
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    assert records[0]["operation"] == "start" and "software TPM" in records[0]["reason"]
    assert [record["operation"] for record in records[-2:]] == ["stop", "log.head"]
    signed = [record for record in records if record["operation"] in ("register", "authenticate")]
    assert len(signed) == 2 and all(0 < record["latency"] < 60_000_000 for record in signed), signed


def test_every_field_of_an_assertion(make_daemon):
    """What the log says of one assertion is what caller, grant, relying party and answer were, and nothing else."""
    job = {"name": "job", "callers": [{"grant": True}], "relyingParties": [RP], "operations": ["register", "authenticate"]}
    daemon = make_daemon([job]).start()
    grant = create(daemon, "--rule", "job", "--uid", str(os.getuid()), "--claim", "ref=main", "--claim", "repository=org/app")
    challenge = os.urandom(32)
    ctap = connected(grant)
    with ctap.device:
        account = register(ctap, RP)
        began = time.time()
        answer = authenticate(ctap, account, challenge)
        refused = os.urandom(32)
        assert status_of(lambda: ctap.get_assertion("other.example.com", refused)) == 0x27
    record, refusal = daemon.audit()[-2:]
    written = datetime.datetime.fromisoformat(record.pop("time")).timestamp()
    assert abs(written - began) < 60
    assert 0 < record.pop("latency") < 60_000_000
    last = {name: record.pop(name) for name in ("seq", "previous")}
    lines = daemon.audit_log.read_bytes().splitlines(keepends=True)
    assert last == {"seq": len(lines) - 1, "previous": hashlib.sha256(lines[-3]).hexdigest()}
    # Whoever runs these tests may be in a unit, or not.
    caller = {"uid": os.getuid(), "gid": os.getgid(), "pid": os.getpid(), **({"unit": record["unit"]} if "unit" in record else {})}
    assert record.pop("connection") > 0
    assert record == {
        **caller, "outcome": "allowed", "operation": "authenticate", "rule": "job", "grant": grant["id"],
        "claims": {"ref": "main", "repository": "org/app"}, "rpId": RP, "credentialId": account.id.hex(),
        "userHandleHash": hashlib.sha256(account.user["id"]).hexdigest(), "flags": int(answer.auth_data.flags),
        "signCount": answer.auth_data.counter, "clientDataHash": challenge.hex(),
    }
    # Of a refusal, what was asked and what the caller was told; never a rule that did not decide.
    assert refusal["outcome"] == "refused" and refusal["result"] == "CTAP2_ERR_OPERATION_DENIED", refusal
    assert refusal["rpId"] == "other.example.com" and refusal["grant"] == grant["id"] and refusal["reason"]
    assert "rule" not in refusal and "credentialId" not in refusal and refusal["latency"] > 0


def test_the_chain_is_verified(make_daemon):
    daemon = make_daemon().start()
    work(daemon)
    report = verify(daemon)
    assert report["verified"] and report["first"] == 1 and report["records"] == 7
    assert {finding["kind"] for finding in report["findings"]} == {"unsigned"}
    daemon.stop()
    daemon.start()
    work(daemon, 1)
    report = verify(daemon)
    assert report["verified"] and report["signatures"] == 1
    key = export_key(daemon)
    daemon.stop()
    report = verify(daemon, "--key", str(key), str(daemon.audit_log))
    assert report["signatures"] == 2 and report["signedThrough"] == report["last"] - 1
    assert [finding["kind"] for finding in report["findings"]] == ["unknown"]


def test_others_can_verify(stopped, folder):
    """With jq, sha256sum and openssl, as countersignd(8) says."""
    daemon, key = stopped
    script = Path(__file__).with_name("verify_audit.sh")
    result = subprocess.run([str(script), str(daemon.audit_log), str(key)], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "1 signatures" in result.stdout
    text = daemon.audit_log.read_text()
    daemon.audit_log.write_text(text.replace('"uid":', '"uid":1', 1))
    result = subprocess.run([str(script), str(daemon.audit_log), str(key)], capture_output=True, text=True)
    assert result.returncode == 1, result.stdout + result.stderr


def cut(lines):
    del lines[3]


def swap(lines):
    lines[2], lines[3] = lines[3], lines[2]


@pytest.mark.parametrize(
    "change, kind, line",
    [
        (lambda lines: lines.__setitem__(3, lines[3].replace(b"authenticate", b"register")), "altered", 4),
        (cut, "cut out", 4),
        (swap, "reordered", 4),
        (lambda lines: lines.insert(4, lines[3]), "repeated", 5),
        (lambda lines: lines.insert(4, b"{}"), "inserted", 5),
        (lambda lines: lines.__setitem__(-1, lines[-1].replace(b'"attested":"ff', b'"attested":"fe')), "bad signature", 9),
    ],
)
def test_tampering_is_found(stopped, change, kind, line):
    daemon, key = stopped
    lines = daemon.audit_log.read_bytes().splitlines()
    assert len(lines) == 9
    change(lines)
    daemon.audit_log.write_bytes(b"".join(line + b"\n" for line in lines))
    for arguments in (["--key", str(key)], []):
        if not arguments:
            daemon.start()
        report = verify(daemon, str(daemon.audit_log), *arguments, status=7)
        assert (kind, line) in tampering(report), report
        assert not report["verified"]
    result = daemon.run("audit", "verify", "--key", str(key), str(daemon.audit_log))
    assert result.returncode == 7 and f"{daemon.audit_log}:{line}: {kind}:" in result.stderr
    daemon.stop()


def test_another_daemons_key(stopped, make_daemon):
    daemon, _ = stopped
    other = make_daemon().start()
    report = verify(daemon, "--key", str(export_key(other)), str(daemon.audit_log), status=7)
    assert tampering(report) == [("foreign key", 9)]
    other.stop()


def test_a_cut_end_is_found_while_the_daemon_knows_it(make_daemon):
    daemon = make_daemon().start()
    work(daemon)
    whole = daemon.audit_log.read_bytes()
    daemon.audit_log.write_bytes(b"".join(whole.splitlines(keepends=True)[:-2]))
    assert ("truncated", 5) in tampering(verify(daemon, status=7))
    # And from then on, since it does not forget what it has written.
    work(daemon, 1)
    assert ("cut out", 6) in tampering(verify(daemon, status=7))


def test_a_log_that_was_removed_is_found_while_the_daemon_knows_it(make_daemon):
    daemon = make_daemon().start()
    work(daemon)
    daemon.audit_log.unlink()
    assert "truncated" in {kind for kind, _ in tampering(verify(daemon, status=7))}


@pytest.mark.parametrize("with_state", [False, True])
def test_an_older_log_is_found_for_ever(make_daemon, folder, with_state):
    """Also where the whole state directory is rolled back with it: the TPM is not."""
    daemon = make_daemon().start()
    account = work(daemon)
    daemon.stop()
    older = daemon.audit_log.read_bytes()
    copy_folder(daemon.state, folder / "backup")
    daemon.start()
    work(daemon, account=account)
    daemon.stop()
    daemon.audit_log.write_bytes(older)
    if with_state:
        shutil.rmtree(daemon.state)
        copy_folder(folder / "backup", daemon.state)
    daemon.start()
    assert "rolled back" in {kind for kind, _ in tampering(verify(daemon, status=7))}
    work(daemon, account=account)
    key = export_key(daemon)
    daemon.stop()
    # Without the daemon, and whatever is written after it.
    report = verify(daemon, "--key", str(key), str(daemon.audit_log), status=7)
    assert "rolled back" in {kind for kind, _ in tampering(report)}, report


def test_a_log_that_has_gone_is_found(make_daemon):
    daemon = make_daemon().start()
    account = work(daemon)
    daemon.stop()
    daemon.audit_log.unlink()
    daemon.start()
    work(daemon, account=account)
    assert "rolled back" in {kind for kind, _ in tampering(verify(daemon, status=7))}


def test_a_forged_log_is_not_signed_as_if_it_were_the_daemons(make_daemon):
    """Put there while no daemon runs, from some record on: the daemon finds no signature in it, and says so in it."""
    daemon = make_daemon().start()
    account = work(daemon)
    key = export_key(daemon)
    daemon.stop()
    forge_log(daemon.audit_log, 40, first=500)
    # Nothing vouches for it without the daemon.
    report = verify(daemon, "--key", str(key), str(daemon.audit_log), status=7)
    assert not report["verified"] and report["signatures"] == 0
    daemon.start()
    work(daemon, account=account)
    assert ("rolled back", 41) in tampering(verify(daemon, status=7))
    daemon.stop()
    report = verify(daemon, "--key", str(key), str(daemon.audit_log), status=7)
    assert report["signatures"] == 1 and tampering(report) == [("rolled back", 41)]
    # Once, not with every start.
    daemon.start()
    assert tampering(verify(daemon, status=7)) == [("rolled back", 41)]


def test_killed_under_load(make_daemon, randomness):
    """Every signature that any client received is in the log, and the chain is whole."""
    daemon = make_daemon()
    configure_audit(daemon, signAfterRecords=5, signAfterSeconds=1)
    daemon.start()
    accounts, signatures = [], []
    torn = 0
    for _ in range(ROUNDS):
        load = Load(daemon, list(accounts[-8:]), randomness.randrange(2**32), clients=8)
        await_moment(daemon, load, randomness)
        daemon.kill()
        load.join()
        accounts += load.accounts
        signatures += load.signatures
        daemon.start()
        report = verify(daemon)
        assert report["verified"], report
        torn = sum(finding["kind"] == "torn" for finding in report["findings"])
    logged = {r["clientDataHash"]: r["signCount"] for r in daemon.audit() if r["outcome"] == "allowed"}
    for challenge, counter in signatures:
        assert logged.get(challenge.hex()) == counter, "a signature that the audit log does not have"
    # Every life ended by a kill: what is signed was signed while it ran.
    assert report["signatures"] > 0, report
    print(f"{ROUNDS} kills, {len(signatures)} signatures received, {report['records']} records, {torn} torn lines")


def test_rotation_keeps_the_chain(make_daemon):
    daemon = make_daemon()
    configure_audit(daemon, rotateAfter="4kB")
    daemon.start()
    account = work(daemon, 40)
    # logrotate's way, between two of the daemon's own.
    daemon.audit_log.rename(daemon.audit_log.with_name("audit.jsonl-20261128"))
    work(daemon, 1, account)
    daemon.process.send_signal(signal.SIGHUP)
    eventually(daemon.audit_log.exists, "the new file")
    work(daemon, 5, account)
    report = verify(daemon)
    assert report["verified"] and len(report["files"]) > 3 and report["first"] == 1, report
    assert str(daemon.audit_log.with_name("audit.jsonl-20261128")) in report["files"]
    # Any one of them missing.
    files = report["files"]
    report = verify(daemon, *files[:1], *files[2:], status=7)
    assert "cut out" in {kind for kind, _ in tampering(report)}


# In a mount namespace of its own, the second word is the folder of the journal's socket.
JOURNAL = 'mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal && mount --bind "$0" /run/systemd/journal && exec "$@"'


@pytest.mark.skipif(os.getuid() != 0, reason="needs root to mount")
@pytest.mark.parametrize("wanted", [True, False])
def test_copies_go_to_the_journal(make_daemon, folder, wanted):
    """What journald's socket gets, on the daemon; nothing where the configuration says so."""
    place = folder / "journal"
    place.mkdir()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal:
        journal.bind(str(place / "socket"))
        journal.settimeout(20)
        daemon = make_daemon(wrapper=["unshare", "--mount", "sh", "-c", JOURNAL, str(place)])
        if not wanted:
            configure_audit(daemon, journal=False)
        daemon.start()
        account = work(daemon, 1)
        records = daemon.audit(own=True)
        assert [one["operation"] for one in records] == ["start", "register", "authenticate"]
        if not wanted:
            journal.setblocking(False)
            with pytest.raises(BlockingIOError):
                journal.recv(65536)
            return
        for record in records:
            fields = dict(line.split("=", 1) for line in journal.recv(65536).decode().splitlines())
            assert fields["SYSLOG_IDENTIFIER"] == "countersignd" and fields["COUNTERSIGN_TIME"] == record["time"]
            assert fields["COUNTERSIGN_OPERATION"] == record["operation"] and fields["COUNTERSIGN_OUTCOME"] == record["outcome"]
        assert fields["COUNTERSIGN_RPID"] == RP and account.id.hex() in fields.values()


def test_show(make_daemon):
    daemon = make_daemon().start()
    account = work(daemon, 2)
    assert len(show(daemon, "--rp", RP).stdout.splitlines()) == 3
    assert show(daemon, "--rp", "other.example.com").stdout == ""
    lines = show(daemon, "--operation", "authenticate", "--json").stdout.splitlines()
    assert [json.loads(line)["operation"] for line in lines] == ["authenticate"] * 2
    assert lines[0] + "\n" in daemon.audit_log.read_text()
    for arguments, count in [
        (("--credential", account.id.hex()), 3),
        (("--outcome", "done"), 1),
        (("--user", str(os.getuid()), "--outcome", "allowed"), 3),
        (("--since", "1h", "--outcome", "allowed"), 3),
        (("--until", "2020-01-01"), 0),
        (("--since", "2999"), 0),
        (("--job", json.loads(lines[0]).get("unit") or str(json.loads(lines[0])["connection"]), "--outcome", "allowed"), 3),
    ]:
        result = show(daemon, *arguments)
        assert (result.returncode, len(result.stdout.splitlines())) == (0, count), (arguments, result)
    assert show(daemon, "--since", "yesterday").returncode == 2


def forge_log(path, count, first=1):
    """A chain as the daemon writes it, which nobody has signed."""
    previous = "0" * 64
    with path.open("wb") as file:
        for number in range(first, first + count):
            line = (
                '{"time":"2026-11-28T08:00:00.000Z","outcome":"allowed","operation":"authenticate","connection":%d,'
                '"uid":1000,"gid":1000,"pid":4711,"unit":"actions.runner.service","rule":"deploy",'
                '"rpId":"deploy.example.com","credentialId":"%s","userHandleHash":"%s","flags":1,"signCount":%d,'
                '"clientDataHash":"%s","latency":812,"seq":%d,"previous":"%s"}\n'
                % (number, "ab" * 16, "cd" * 32, number, "ef" * 32, number, previous)
            ).encode()
            file.write(line)
            previous = hashlib.sha256(line).hexdigest()


def test_a_hundred_thousand_records(stopped, folder):
    """In bounded memory, with the time."""
    daemon, key = stopped
    log = folder / "large.jsonl"
    forge_log(log, 100_000)
    began = time.monotonic()
    process = subprocess.Popen(
        [str(daemon.programs / "countersign"), "audit", "verify", "--json", "--key", str(key), str(log)],
        stdout=subprocess.PIPE,
    )
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    report = json.loads(output)
    # Nobody has signed it, and nothing else is wrong with it.
    assert process.returncode == 7 and report["records"] == 100_000 and not tampering(report), report
    print(f"100000 records, {log.stat().st_size >> 20} MB: {seconds:.2f} s, {usage.ru_maxrss >> 10} MB resident")
    assert usage.ru_maxrss < 100 << 10


def test_concurrent_jobs_share_a_sync(make_daemon):
    """16 clients, with the figures."""
    daemon = make_daemon().start()
    accounts = [work(daemon, 0) for _ in range(16)]

    def figures():
        status = json.loads(daemon.run("status", "--json", "--admin-socket", str(daemon.admin_socket)).stdout)
        return status["auditLog"]["records"], status["auditLog"]["synchronizations"]

    for clients in (1, 16):
        before = figures()
        threads = [threading.Thread(target=work, args=(daemon, 50, account)) for account in accounts[:clients]]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        records, synchronizations = (after - earlier for after, earlier in zip(figures(), before))
        print(
            f"{clients} clients: {records} records, {synchronizations} fdatasync, "
            f"{records / synchronizations:.1f} records each, {records / seconds:.0f} a second"
        )
        assert records >= 50 * clients
