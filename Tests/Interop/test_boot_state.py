"""A daemon that is bound to the machine's boot: a PCR changes, it waits, the operator approves, it goes on."""

import copy
import json
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from webauthn.helpers import bytes_to_base64url

from conftest import short_folder
from harness import ME, Daemon, FrameConnection, SoftwareTPM, authenticate, ctap2, eventually, register, status_of
from test_attestation import Authority, Maker, creation, verify_by_fido2, verify_by_py_webauthn

TPM_UNAVAILABLE = 0xF0
RULES = [
    {
        "name": "all",
        "callers": [{"user": ME}],
        "relyingParties": ["*"],
        "operations": ["register", "authenticate"],
    },
    {
        "name": "checked",
        "callers": [{"user": ME}],
        "relyingParties": ["checked.example"],
        "operations": ["register", "authenticate"],
        "bootState": "everySignature",
    },
]
PCRS = [4, 7]


class Operator:
    """Whoever has the approval key, on a machine without TPM and daemon."""

    def __init__(self, folder: Path, programs: Path):
        folder.mkdir()
        self.folder = folder
        self.programs = programs
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text("correct horse battery staple\n")
        self.passphrase.chmod(0o600)
        self.key = folder / "approval.key"
        self.public = folder / "approval.pem"
        self.run("key", "--out", str(self.public))

    def run(self, command: str, *words: str, given: str | None = None, status: int = 0):
        done = subprocess.run(
            [str(self.programs / "countersign"), "pcr", command, "--key", str(self.key)]
            + ["--passphrase-file", str(self.passphrase), *words],
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    def allow(self, state: str, *words: str, status: int = 0) -> str:
        return self.run("allow", "--in", "-", *words, given=state, status=status)


class Runner:
    def __init__(self, folder: Path, programs: Path, operator: Operator, tpm: SoftwareTPM | None = None):
        folder.mkdir()
        self.tpm = tpm or SoftwareTPM(folder / "swtpm").start()
        self.daemon = Daemon(folder, programs, RULES)
        self.bind(operator)
        self.daemon.start()

    def bind(self, operator: Operator, **changes) -> None:
        tpm = {"tcti": self.tpm.tcti, "allowSoftware": True, "pcrs": PCRS, "approvalKey": str(operator.public), **changes}
        self.daemon.configure(RULES, **tpm)

    def extend(self, pcr: int) -> None:
        done = subprocess.run(["tpm2_pcrextend", "-T", self.tpm.tcti, f"{pcr}:sha256={'5a' * 32}"], capture_output=True)
        assert done.returncode == 0, done.stderr

    def pcr(self, command: str, *words: str, given: str | None = None, status: int = 0) -> str:
        return self.run("pcr", command, *words, given=given, status=status)

    def run(self, *words: str, given: str | None = None, status: int = 0) -> str:
        done = self.daemon.run(*words, "--admin-socket", str(self.daemon.admin_socket), standard_input=given)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout if status == 0 else done.stderr

    def state(self) -> str:
        return self.pcr("show", "--json")

    def await_service(self) -> None:
        """Until the daemon serves that has been waiting; its last connections before that are closed."""

        def serves() -> bool:
            done = self.daemon.run("credential", "list", "--admin-socket", str(self.daemon.admin_socket))
            return done.returncode == 0

        eventually(serves, "the daemon's service")
        assert json.loads(self.run("status", "--json"))["bootState"] == "approved"

    def stop(self) -> None:
        self.daemon.stop()
        self.tpm.stop()


@pytest.fixture
def operator(programs):
    with short_folder() as folder:
        yield Operator(folder / "operator", programs)


@pytest.fixture
def runner(programs, operator):
    with short_folder() as folder:
        runner = Runner(folder / "runner", programs, operator)
        yield runner
        print(runner.daemon.errors(), end="")
        runner.stop()


def lines(table: str) -> dict[str, str]:
    return dict(line.split("  ", 1) for line in table.splitlines())


def examination(runner: Runner) -> dict[str, dict]:
    done = runner.daemon.run("doctor", "--admin-socket", str(runner.daemon.admin_socket), "--config",
                             str(runner.daemon.configuration), "--json")
    return {check["check"]: check for check in json.loads(done.stdout)["checks"]}


def test_the_whole_way(runner, operator):
    # The first start has the secret in hand; the state is not approved yet.
    shown = {name: value.strip() for name, value in lines(runner.pcr("show")).items()}
    assert (shown["bound"], shown["this boot"], shown["approved boots"]) == ("yes", "not approved", "0")
    assert examination(runner)["boot state"]["verdict"] == "warning"
    runner.pcr("install", given=operator.allow(runner.state()))
    assert json.loads(runner.run("status", "--json"))["bootState"] == "approved"
    assert examination(runner)["boot state"]["verdict"] == "ok"
    account = register(ctap2(runner.daemon.socket), "deploy.example.com")

    # Unattended restarts with the state unchanged.
    runner.daemon.stop()
    runner.daemon.start()
    authenticate(ctap2(runner.daemon.socket), account)
    approved = json.loads(runner.state())
    assert approved["approved"] and approved["approvals"] == 1

    runner.daemon.stop()
    runner.extend(4)
    runner.daemon.start()
    reason = (
        "the machine has not booted as approved: PCR 4 differs from what the operator signed for: if that is meant, "
        "have it approved: countersign pcr allow"
    )
    assert reason in runner.daemon.errors()
    with FrameConnection(runner.daemon.socket) as connection:
        assert connection.cbor(b"\x04") == (TPM_UNAVAILABLE, b"")
        assert connection.exchange(3, bytes([0, 3, 0, 0, 0, 0, 0]))[1] == b"\x6f\x00"
    assert reason in runner.run("credential", "list", status=1)
    status = json.loads(runner.run("status", "--json"))
    assert status["bootState"] == "waiting for an approval: PCR 4 differs"
    assert status["tpm"]["state"] == "ready"
    checks = examination(runner)
    assert checks["boot state"]["verdict"] == "failed" and "countersign pcr allow" in checks["boot state"]["remedy"]
    assert runner.daemon.audit()[-1]["outcome"] == "refused" and runner.daemon.audit()[-1]["reason"] == reason

    runner.pcr("install", given=operator.allow(runner.state()))
    runner.await_service()
    # The same credential, without another registration.
    authenticate(ctap2(runner.daemon.socket), account)
    assert "credential" in runner.run("credential", "list", "--json")
    approvals = [record for record in runner.daemon.audit(own=True) if record.get("detail") == "boot.approve"]
    assert [record["outcome"] for record in approvals] == ["done", "done"]
    assert all(record["uid"] == 0 for record in approvals)


def test_refusals(runner, operator, programs):
    with short_folder() as folder:
        other_operator = Operator(folder / "operator", programs)
        other = Runner(folder / "runner", programs, operator)
        foreign = operator.allow(other.state())
        other.stop()
        state = runner.state()
        good = json.loads(operator.allow(state))

        def refused(approval, status: int = 1) -> str:
            text = approval if isinstance(approval, str) else json.dumps(approval)
            message = runner.pcr("install", given=text, status=status)
            assert json.loads(runner.state())["approvals"] == 0
            return message

        assert "for another runner, or from before this one was bound anew" in refused(foreign)
        altered = copy.deepcopy(good)
        altered["pcrs"]["4"] = "11" * 32
        assert "it was altered" in refused(altered)
        for name in ("policy", "signature", "reference", "approvalKey"):
            altered = copy.deepcopy(good)
            altered[name] = ("A" if altered[name][10] != "A" else "B").join((altered[name][:10], altered[name][11:]))
            refused(altered)
        # An approval of the right boot by a stranger: under its own name, and under the operator's.
        theirs = {**json.loads(state), "approvalKey": public_key(other_operator)}
        stranger = json.loads(other_operator.allow(json.dumps(theirs)))
        assert "by another key than the one that this runner is bound to" in refused(stranger)
        assert "not the approval key's" in refused({**stranger, "approvalKey": good["approvalKey"]})
        assert "bound to another approval key" in other_operator.allow(state, status=7)
        assert "it is a boot state, not a boot state approval" in refused(state, status=2)
        assert "version" in refused({**good, "version": 2}, status=2)
        assert "it is of a boot state" in refuse_at_an_authority(programs, folder, json.dumps(good))
        runner.pcr("install", given=json.dumps(good))
        # The same again changes nothing.
        runner.pcr("install", given=json.dumps(good))
        assert json.loads(runner.state())["approvals"] == 1


def public_key(operator: Operator) -> str:
    """As files have it: base64url without padding."""
    der = load_pem_public_key(operator.public.read_bytes()).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return bytes_to_base64url(der)


def refuse_at_an_authority(programs, folder, approval: str) -> str:
    (folder / "passphrase").write_text("correct horse battery staple\n")
    (folder / "passphrase").chmod(0o600)
    words = ["--ca", str(folder / "ca"), "--passphrase-file", str(folder / "passphrase")]
    run = [str(programs / "countersign"), "ca"]
    subprocess.run([*run, "init", *words, "--organization", "O", "--country", "DE"], check=True)
    done = subprocess.run([*run, "issue", *words], input=approval, capture_output=True, text=True)
    assert done.returncode == 7
    return done.stderr


def test_a_predicted_boot(runner, operator):
    """Before an update the operator signs for what will be measured."""
    state = runner.state()
    runner.pcr("install", given=operator.allow(state))
    runner.extend(7)
    after = json.loads(runner.state())["pcrs"]["7"]
    runner.daemon.stop()
    runner.daemon.start()
    assert json.loads(runner.state())["differences"] == [7]
    answer = runner.pcr("install", given=operator.allow(state, "--pcr", f"7={after}"))
    assert "approved boots  2" in answer
    runner.await_service()
    assert "is a PCR that the runner is not bound to" in operator.allow(state, "--pcr", f"0={after}", status=2)
    # One that comes while the daemon waits for another boot is kept, and it waits on.
    runner.daemon.stop()
    runner.extend(4)
    runner.daemon.start()
    answer = runner.pcr("install", given=operator.allow(state, "--pcr", f"7={'22' * 32}"))
    assert "not approved" in answer and json.loads(runner.state())["approvals"] == 3


def test_one_command_where_the_runner_has_the_key(runner, operator):
    answer = runner.pcr("allow", "--key", str(operator.key), "--passphrase-file", str(operator.passphrase))
    assert "this boot       approved" in answer


def test_a_credential_with_a_policy_of_its_own(runner, operator):
    ctap = ctap2(runner.daemon.socket)
    # It signs for its own registration, so nothing is registered in a boot that nobody has approved.
    assert status_of(lambda: register(ctap, "checked.example")) == TPM_UNAVAILABLE
    runner.pcr("install", given=operator.allow(runner.state()))
    checked = register(ctap, "checked.example")
    free = register(ctap, "deploy.example.com")
    authenticate(ctap, checked)
    listed = json.loads(runner.run("credential", "list", "--json"))["credentials"]
    assert {one["rpId"]: one.get("bootState") for one in listed} == {
        "checked.example": "everySignature", "deploy.example.com": None}
    runner.extend(7)
    assert status_of(lambda: authenticate(ctap, checked)) == TPM_UNAVAILABLE
    assert "PCR 7 differs" in runner.daemon.audit()[-1]["reason"]
    authenticate(ctap, free)
    runner.pcr("install", given=operator.allow(runner.state()))
    authenticate(ctap, checked)


def test_verifiers_that_we_did_not_write_accept_its_key(programs, operator):
    """The policy stands in the key's public area, which a tpm statement shows."""
    with short_folder() as folder:
        maker = Maker(folder / "maker")
        authority = Authority(folder / "ca", programs)
        runner = Runner(folder / "runner", programs, operator, maker.make(folder / "tpm"))
        authority.trust(maker)
        try:
            runner.pcr("install", given=operator.allow(runner.state()))
            words = ["--ca", str(authority.folder), "--passphrase-file", str(authority.passphrase)]
            runner.run("attestation", "enroll", *words)
            challenge, options = creation(["tpm"], "checked.example")
            done = runner.daemon.run("register", standard_input=options)
            assert done.returncode == 0, done.stderr
            assert verify_by_py_webauthn(challenge, done.stdout, authority.root(), "checked.example").fmt == "tpm"
            verify_by_fido2(done.stdout, authority.root())
            (folder / "options.json").write_text(options)
            words = ["verify", "registration", "--options", str(folder / "options.json"), "--format", "tpm"]
            words += ["--root", str(authority.folder / "ca.pem")]
            done = runner.daemon.run(*words, standard_input=done.stdout)
            assert done.returncode == 0, done.stderr
        finally:
            runner.stop()


def test_bound_later_and_no_longer(runner, operator, programs):
    """What is configured takes hold at the next start, in a boot that is approved or not bound yet."""
    account = register(ctap2(runner.daemon.socket), "deploy.example.com")
    first = operator.allow(runner.state())
    runner.pcr("install", given=first)
    runner.daemon.stop()
    with short_folder() as folder:
        successor = Operator(folder / "operator", programs)
        runner.bind(successor)
        runner.daemon.start()
        assert json.loads(runner.state())["approvals"] == 0
        # The approval of before is retired.
        assert "by another key" in runner.pcr("install", given=first, status=1)
        runner.pcr("install", given=successor.allow(runner.state()))
        runner.daemon.stop()
    # Without a word about it the binding stays.
    runner.daemon.configure(RULES[:1], tcti=runner.tpm.tcti, allowSoftware=True)
    runner.daemon.start()
    assert json.loads(runner.state())["bound"] and json.loads(runner.state())["approved"]
    runner.daemon.stop()
    runner.daemon.configure(RULES[:1], tcti=runner.tpm.tcti, allowSoftware=True, pcrs=[])
    runner.daemon.start()
    assert not json.loads(runner.state())["bound"]
    runner.daemon.stop()
    runner.extend(4)
    runner.daemon.start()
    authenticate(ctap2(runner.daemon.socket), account)


def test_sockets_that_were_passed_outlive_the_waiting(runner, operator):
    """As systemd passes them."""
    account = register(ctap2(runner.daemon.socket), "deploy.example.com")
    runner.pcr("install", given=operator.allow(runner.state()))
    runner.daemon.stop()
    runner.daemon.activate()
    runner.extend(4)
    runner.daemon.start()
    with FrameConnection(runner.daemon.socket) as connection:
        assert connection.cbor(b"\x04") == (TPM_UNAVAILABLE, b"")
    runner.pcr("install", given=operator.allow(runner.state()))
    runner.await_service()
    authenticate(ctap2(runner.daemon.socket), account)


def test_it_ends_while_it_waits(runner, operator):
    runner.pcr("install", given=operator.allow(runner.state()))
    runner.daemon.stop()
    runner.extend(4)
    runner.daemon.start()
    runner.daemon.process.terminate()
    assert runner.daemon.exit_status() == 0
    assert not runner.daemon.socket.exists() and not runner.daemon.admin_socket.exists()
