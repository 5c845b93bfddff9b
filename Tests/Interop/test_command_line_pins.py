"""Credentials, PINs and extensions on the countersign command line, with python-fido2 as the other client of the same
authenticator: what one of them sets, enables or writes, the other must find."""

import base64
import json
import os
import pty
import re
import select
import signal
import termios
import unicodedata

import pytest
from fido2.client import DefaultClientDataCollector, Fido2Client, UserInteraction
from fido2.ctap2 import ClientPin
from fido2.ctap2.blob import LargeBlobs
from fido2.ctap2.extensions import AuthenticatorExtensionsPRFInputs, HmacSecretExtension, LargeBlobExtension
from fido2.webauthn import AuthenticatorData

from harness import ME, SocketDevice, ctap2, sha256

PIN = "korrekt-pferd"
# Four letters, three of which have a mark.
MARKED = "\u00e9\u00e0\u00fcx"


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def rules(operations=("register", "authenticate"), parties=("*.example.com",), verified=False):
    return [
        {
            "name": f"tests of {parties[0]}".replace("*", "all"),
            "callers": [{"user": ME}],
            "relyingParties": list(parties),
            "operations": list(operations),
            "userVerification": verified,
        }
    ]


@pytest.fixture
def machine(make_daemon, folder):
    """A daemon with a rule to register and authenticate, which does not verify, and files of PINs."""
    machine = make_daemon(rules()).start()
    for name, text in (("pin", PIN + "\n"), ("new", MARKED), ("wrong", "0000")):
        file = folder / name
        file.write_text(text)
        file.chmod(0o600)
        setattr(machine, name + "_file", str(file))
    return machine


def reload(daemon):
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.await_notification("READY=1")
    assert "not taken" not in daemon.errors()


def admin(daemon, *words, **more):
    return daemon.run(*words, "--admin-socket", str(daemon.admin_socket), **more)


def done(result):
    assert result.returncode == 0, (result.returncode, result.stderr)
    return result.stdout


def refused(result, status, *words):
    assert result.returncode == status, (result.returncode, result.stderr)
    assert result.stdout == "" and len(result.stderr.splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr, result.stderr


def creation(rp_id, resident="discouraged", verification="discouraged", **extensions):
    return json.dumps(
        {
            "challenge": b64(os.urandom(32)),
            "rp": {"id": rp_id, "name": "An example"},
            "user": {"id": b64(rp_id.encode()), "name": "deploy", "displayName": "Deploy"},
            "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
            "authenticatorSelection": {"residentKey": resident, "userVerification": verification},
            "extensions": extensions,
        }
    )


def request(rp_id, *ids, verification="discouraged", **extensions):
    return json.dumps(
        {
            "challenge": b64(os.urandom(32)),
            "rpId": rp_id,
            "allowCredentials": [{"type": "public-key", "id": one} for one in ids],
            "userVerification": verification,
            "extensions": extensions,
        }
    )


def register(daemon, options, *words):
    return json.loads(done(daemon.run("register", *words, standard_input=options)))


def authenticate(daemon, options, *words):
    return json.loads(done(daemon.run("authenticate", *words, standard_input=options)))


def flags(response):
    return AuthenticatorData(unb64(response["response"]["authenticatorData"])).flags


# Credentials


def test_credentials(machine):
    made = [register(machine, creation(f"rp{number % 2}.example.com"))["id"] for number in range(53)]
    listed = json.loads(done(admin(machine, "credential", "list", "--json")))["credentials"]
    assert [one["id"] for one in listed] == made
    assert len(done(admin(machine, "credential", "list")).splitlines()) == 54
    some = json.loads(done(admin(machine, "credential", "list", "--json", "--rp-id", "rp1.example.com")))
    assert [one["id"] for one in some["credentials"]] == made[1::2]

    # The ID as the audit log has it.
    [hexadecimal] = {one.get("credentialId") for one in machine.audit()} & {unb64(made[7]).hex()}
    assert made[7] in done(admin(machine, "credential", "show", hexadecimal))
    refused(admin(machine, "credential", "delete", made[7]), 2, "give --yes")
    assert made[7] in done(admin(machine, "credential", "delete", "--yes", hexadecimal))
    refused(admin(machine, "credential", "delete", "--yes", made[7]), 4, "there is none with this ID")
    refused(machine.run("authenticate", standard_input=request("rp1.example.com", made[7])), 4)
    authenticate(machine, request("rp0.example.com", made[8]))


# PINs


def python_token(daemon, pin):
    ctap = ctap2(daemon.socket)
    with ctap.device:
        return ClientPin(ctap).get_pin_token(pin, ClientPin.PERMISSION.GET_ASSERTION, "a.example.com")


def pin_status(daemon):
    return json.loads(done(admin(daemon, "pin", "status", "--json")))


def test_pins_are_the_same_to_python_fido2(machine):
    assert not pin_status(machine)["set"]
    assert done(admin(machine, "pin", "set", "--pin-file", machine.pin_file)) == "the PIN is set\n"
    assert pin_status(machine)["set"] and pin_status(machine)["attemptsLeft"] == 8
    python_token(machine, PIN)
    refused(admin(machine, "pin", "set", "--pin-file", machine.pin_file), 1, "use countersign pin change")
    # Typed with marks of their own, and given composed to python-fido2.
    with open(machine.new_file, "w") as file:
        file.write(unicodedata.normalize("NFD", MARKED))
    change = ("pin", "change", "--pin-file", machine.pin_file, "--new-pin-file", machine.new_file)
    assert done(admin(machine, *change)) == "the PIN is changed\n"
    python_token(machine, unicodedata.normalize("NFC", MARKED))
    assert PIN not in machine.errors()


def test_wrong_pins(machine):
    done(admin(machine, "pin", "set", "--pin-file", machine.pin_file))
    change = ("pin", "change", "--pin-file", machine.wrong_file, "--new-pin-file", machine.new_file)
    refused(admin(machine, *change), 3, "7 attempts are left")
    refused(admin(machine, *change), 3, "6 attempts are left")
    refused(admin(machine, *change), 3, "restart countersignd")
    refused(admin(machine, *change), 3, "restart countersignd")
    assert "blocked until restart  " in done(admin(machine, "pin", "status"))
    machine.stop()
    machine.start()
    assert pin_status(machine)["attemptsLeft"] == 5
    done(admin(machine, "pin", "change", "--pin-file", machine.pin_file, "--new-pin-file", machine.new_file))
    assert pin_status(machine)["attemptsLeft"] == 8


def test_short_pins_are_not_sent(machine):
    records = len(machine.audit())
    refused(admin(machine, "pin", "set", "--pin-file", "-", standard_input="123\n"), 2, "has 3 code points")
    refused(admin(machine, "pin", "set", "--pin-file", "-", standard_input="1" * 64), 2, "longer than 63 bytes")
    refused(admin(machine, "pin", "set"), 2, "nobody is there to type it")
    assert len(machine.audit()) == records


def test_the_jobs_socket_needs_a_rule(machine):
    refused(machine.run("pin", "set", "--socket", str(machine.socket), "--pin-file", machine.pin_file), 3, "no rule")
    machine.configure(rules(["register", "authenticate", "manage"], ["*"]))
    reload(machine)
    done(machine.run("pin", "set", "--socket", str(machine.socket), "--pin-file", machine.pin_file))


def test_credentials_of_systemd(machine, folder, monkeypatch):
    (folder / "countersign-pin").write_text(PIN)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
    done(admin(machine, "pin", "set", "--pin-credential", "countersign-pin"))
    python_token(machine, PIN)


class Terminal:
    """The command line at a terminal of its own."""

    def __init__(self, daemon, *words):
        self.process, self.descriptor = pty.fork()
        if self.process == 0:
            program = str(daemon.programs / "countersign")
            # Swift's own crash reporter would answer SIGQUIT.
            environment = {**os.environ, "SWIFT_BACKTRACE": "enable=no"}
            os.execve(program, [program, *words, "--admin-socket", str(daemon.admin_socket)], environment)
        self.said = b""

    def await_text(self, text):
        while text.encode() not in self.said:
            ready, _, _ = select.select([self.descriptor], [], [], 20)
            assert ready, f"no {text!r} in {self.said!r}"
            try:
                more = os.read(self.descriptor, 4096)
            except OSError:
                more = b""
            assert more, f"no {text!r} in {self.said!r}"
            self.said += more

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def echoes(self):
        return bool(termios.tcgetattr(self.descriptor)[3] & termios.ECHO)

    def end(self):
        _, status = os.waitpid(self.process, 0)
        return status


def test_a_pin_is_typed_unseen(machine):
    terminal = Terminal(machine, "pin", "set")
    terminal.await_text("New PIN: ")
    assert not terminal.echoes()
    terminal.type(PIN + "\n")
    terminal.await_text("New PIN again: ")
    terminal.type(PIN + "\n")
    terminal.await_text("the PIN is set")
    assert os.waitstatus_to_exitcode(terminal.end()) == 0
    assert terminal.echoes()
    assert PIN.encode() not in terminal.said
    python_token(machine, PIN)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_a_signal_leaves_the_terminal_as_it_was(machine, number):
    terminal = Terminal(machine, "pin", "set")
    terminal.await_text("New PIN: ")
    assert not terminal.echoes()
    terminal.type("half a PI")
    os.kill(terminal.process, number)
    assert os.waitstatus_to_exitcode(terminal.end()) == -number
    assert terminal.echoes()


def test_deleting_asks(machine):
    credential = register(machine, creation("a.example.com"))["id"]
    for answer, status in (("n\n", 1), ("y\n", 0)):
        terminal = Terminal(machine, "credential", "delete", credential)
        terminal.await_text("Delete it? [y/N] ")
        assert b"a.example.com" in terminal.said
        terminal.type(answer)
        assert os.waitstatus_to_exitcode(terminal.end()) == status
    refused(admin(machine, "credential", "show", credential), 4)


# Verification


def test_verification_by_pin(machine):
    needed = creation("a.example.com", resident="required")
    registered = register(machine, needed)
    assert not flags(registered) & AuthenticatorData.FLAG.UV
    done(admin(machine, "pin", "set", "--pin-file", machine.pin_file))
    refused(machine.run("register", standard_input=needed), 3, "only the PIN verifies", "--pin-file")
    pin = ("--pin-file", machine.pin_file)
    assert flags(register(machine, needed, *pin)) & AuthenticatorData.FLAG.UV
    options = request("a.example.com", verification="required")
    refused(machine.run("authenticate", standard_input=options), 3, "only the PIN verifies")
    assert flags(authenticate(machine, options, *pin)) & AuthenticatorData.FLAG.UV
    preferred = authenticate(machine, request("a.example.com", verification="preferred"))
    assert not flags(preferred) & AuthenticatorData.FLAG.UV
    refused(
        machine.run("authenticate", "--pin-file", machine.wrong_file, standard_input=options), 3, "7 attempts are left"
    )


def test_verification_by_rule_or_else_by_pin(machine):
    machine.configure(rules(parties=["verified.example.com"], verified=True) + rules())
    reload(machine)
    for rp_id, verified in (("verified.example.com", True), ("other.example.com", False)):
        credential = register(machine, creation(rp_id, verification="preferred"))
        assert bool(flags(credential) & AuthenticatorData.FLAG.UV) == verified
        answer = authenticate(machine, request(rp_id, credential["id"], verification="preferred"))
        assert bool(flags(answer) & AuthenticatorData.FLAG.UV) == verified
    needed = request("other.example.com", credential["id"], verification="required")
    refused(machine.run("authenticate", standard_input=needed), 3)
    done(admin(machine, "pin", "set", "--pin-file", machine.pin_file))
    refused(machine.run("authenticate", standard_input=needed), 3, "--pin-file")
    assert flags(authenticate(machine, needed, "--pin-file", machine.pin_file)) & AuthenticatorData.FLAG.UV


@pytest.mark.parametrize("wish", ["discouraged", "preferred"])
@pytest.mark.parametrize("resident", ["discouraged", "preferred", "required"])
def test_a_rule_that_verifies_elsewhere_bars_nothing(machine, resident, wish):
    machine.configure(rules(parties=["verified.example.com"], verified=True) + rules())
    reload(machine)
    for rp_id in ("other.example.com", "verified.example.com"):
        credential = register(machine, creation(rp_id, resident=resident, verification=wish))
        authenticate(machine, request(rp_id, credential["id"], verification=wish))


# Extensions, with python-fido2's client as the oracle


class Typist(UserInteraction):
    def prompt_up(self):
        pass

    def request_pin(self, permissions, rp_id):
        return PIN

    def request_uv(self, permissions, rp_id):
        return True


def python_get(daemon, rp_id, credential, **extensions):
    """navigator.credentials.get() of python-fido2."""
    client = Fido2Client(
        SocketDevice(daemon.socket),
        client_data_collector=DefaultClientDataCollector(f"https://{rp_id}"),
        user_interaction=Typist(),
        extensions=[HmacSecretExtension(), LargeBlobExtension()],
    )
    selection = client.get_assertion(
        {
            "challenge": os.urandom(32),
            "rpId": rp_id,
            "allowCredentials": [{"type": "public-key", "id": unb64(credential)}],
            "userVerification": "required",
            "extensions": extensions,
        }
    )
    return selection.get_response(0).client_extension_results


@pytest.fixture(params=["pin", "rule"])
def verifying(machine, request):
    """The machine with a PIN, or with a rule that verifies, and what the command line is told of it."""
    if request.param == "pin":
        done(admin(machine, "pin", "set", "--pin-file", machine.pin_file))
        machine.words = ("--pin-file", machine.pin_file)
    else:
        machine.words = ()
    machine.configure(rules(["register", "authenticate", "manage"], ["*"], verified=request.param == "rule"))
    reload(machine)
    return machine


def test_prf_is_the_same_to_python_fido2(verifying):
    rp_id = "prf.example.com"
    first, second = os.urandom(7), os.urandom(100)
    inputs = {"first": b64(first), "second": b64(second)}
    made = register(verifying, creation(rp_id, verification="required", prf={"eval": inputs}), *verifying.words)
    at_creation = made["clientExtensionResults"]["prf"]
    assert at_creation["enabled"] is True
    answer = authenticate(verifying, request(rp_id, made["id"], prf={"eval": inputs}), *verifying.words)
    results = answer["clientExtensionResults"]["prf"]["results"]
    assert results == at_creation["results"]
    assert set(map(len, map(unb64, results.values()))) == {32} and results["first"] != results["second"]
    by_credential = request(rp_id, made["id"], prf={"evalByCredential": {made["id"]: {"first": b64(first)}}})
    answer = authenticate(verifying, by_credential, *verifying.words)
    assert answer["clientExtensionResults"]["prf"]["results"] == {"first": results["first"]}
    theirs = python_get(verifying, rp_id, made["id"], prf={"eval": {"first": first, "second": second}})
    assert dict(theirs["prf"]["results"]) == results


def test_large_blobs_are_the_same_to_python_fido2(verifying):
    rp_id = "blob.example.com"
    made = register(
        verifying,
        creation(rp_id, resident="required", verification="required", largeBlob={"support": "required"}),
        *verifying.words,
    )
    assert made["clientExtensionResults"] == {"largeBlob": {"supported": True}}
    read = request(rp_id, made["id"], verification="required", largeBlob={"read": True})
    assert authenticate(verifying, read, *verifying.words)["clientExtensionResults"] == {"largeBlob": {}}
    for blob in (b"a certificate " * 100, b"x", os.urandom(20000)):
        write = request(rp_id, made["id"], verification="required", largeBlob={"write": b64(blob)})
        answer = authenticate(verifying, write, *verifying.words)
        assert answer["clientExtensionResults"] == {"largeBlob": {"written": True}}
        theirs = python_get(verifying, rp_id, made["id"], largeBlob={"read": True})
        assert unb64(dict(theirs["largeBlob"])["blob"]) == blob
    theirs = os.urandom(3000) + bytes(3000)
    python_get(verifying, rp_id, made["id"], largeBlob={"write": theirs})
    answer = authenticate(verifying, read, *verifying.words)
    assert unb64(answer["clientExtensionResults"]["largeBlob"]["blob"]) == theirs


def test_a_large_blob_that_no_rule_lets_write(machine):
    rp_id = "blob.example.com"
    made = register(machine, creation(rp_id, resident="required", largeBlob={"support": "preferred"}))
    write = request(rp_id, made["id"], largeBlob={"write": b64(b"x")})
    result = machine.run("authenticate", standard_input=write)
    assert json.loads(done(result))["clientExtensionResults"] == {"largeBlob": {"written": False}}
    assert re.fullmatch(r'countersign: large blob not written: no rule .*"manage" on "\*"\n', result.stderr)


@pytest.mark.parametrize("manages", [True, False], ids=["manage", "no manage"])
def test_a_large_blob_in_spite_of_a_pin(machine, manages):
    """The rule verifies the assertion, and the write as well where it is one to manage everything."""
    more = ["manage"] if manages else []
    machine.configure(rules(["register", "authenticate", *more], ["*"], verified=True))
    reload(machine)
    done(admin(machine, "pin", "set", "--pin-file", machine.pin_file))
    rp_id = "blob.example.com"
    required = creation(rp_id, resident="required", verification="required", largeBlob={"support": "required"})
    made = register(machine, required)
    write = request(rp_id, made["id"], verification="required", largeBlob={"write": b64(b"x")})
    result = machine.run("authenticate", standard_input=write)
    assert json.loads(done(result))["clientExtensionResults"] == {"largeBlob": {"written": manages}}
    assert (result.stderr == "") == manages, result.stderr


def test_protected_credentials(machine):
    done(admin(machine, "pin", "set", "--pin-file", machine.pin_file))
    protected = {
        "credentialProtectionPolicy": "userVerificationRequired",
        "enforceCredentialProtectionPolicy": True,
    }
    pin = ("--pin-file", machine.pin_file)
    made = register(machine, creation("a.example.com", verification="required", **protected), *pin)
    shown = json.loads(done(admin(machine, "credential", "show", "--json", made["id"])))
    assert shown["credProtect"] == "userVerificationRequired"
    refused(machine.run("authenticate", standard_input=request("a.example.com", made["id"])), 4)
    authenticate(machine, request("a.example.com", made["id"], verification="required"), *pin)
