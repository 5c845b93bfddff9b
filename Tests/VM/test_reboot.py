"""The machine is shut down and boots again, as for a new kernel."""

import json

import pytest
import webauthn

from ledger import Ledger
from relying_party import RelyingParty


class Before:
    """What is known before the machine goes down."""

    def __init__(self, machine):
        self.party = RelyingParty(machine)
        self.party.register()
        self.party.authenticate()
        self.ledger = Ledger(machine).start()
        self.ledger.await_operations(8)
        self.ledger.stop()
        machine.write("/root/wrong.pin", "wrong pin")
        asked = json.loads(webauthn.options_to_json(self.party.creation()))
        asked["authenticatorSelection"] = {"userVerification": "required"}
        machine.run("countersign register --pin-file /root/wrong.pin", input=json.dumps(asked), status=3)
        self.credentials = machine.run("countersign credential list --json").out
        self.audit = machine.read("/var/log/countersign/audit.jsonl")
        self.pin = json.loads(machine.run("countersign pin status --json").out)


@pytest.fixture(scope="module")
def before(machine):
    before = Before(machine)
    seconds = machine.restart()
    print(f"booted again in {seconds:.1f} s")
    return before


def test_the_services_start_at_the_boot(machine, before):
    state = machine.run("systemctl is-system-running --wait", status=None)
    assert state.out.strip() == "running", machine.run("systemctl --failed --no-pager").out
    units = "countersignd.socket countersignd.service countersign-hid.service"
    assert machine.run(f"systemctl is-active {units}").out == "active\n" * 3


def test_nothing_warns_at_the_boot(machine, before):
    warnings = machine.run(
        "journalctl --no-pager --boot --priority=warning --output=cat --unit countersignd --unit countersign-hid"
    ).out.splitlines()
    # That it is a software TPM is worth a warning at every start.
    assert all("software TPM" in line for line in warnings), warnings


def test_credentials_are_kept(machine, before):
    assert machine.run("countersign credential list --json").out == before.credentials
    before.party.authenticate()


def test_the_audit_log_goes_on(machine, before):
    now = machine.read("/var/log/countersign/audit.jsonl")
    assert now.startswith(before.audit) and len(now) > len(before.audit)


def test_the_counter_goes_on(machine, before):
    before.ledger.check()


def test_the_pin_attempts_go_on(machine, before):
    assert before.pin["set"] and before.pin["attemptsLeft"] == 7, before.pin
    assert json.loads(machine.run("countersign pin status --json").out)["attemptsLeft"] == 7


def test_the_virtual_key_is_there_again(machine, before):
    device = machine.run("fido2-token -L", user="job").out.split(":")[0]
    machine.run(f"fido2-token -I {device}", user="job")


def test_ssh_still_logs_in(machine, before):
    done = machine.run(
        "ssh -i .ssh-sk -o IdentitiesOnly=yes -o BatchMode=yes job@localhost id -un", user="job", timeout=300
    )
    assert done.out == "job\n"
