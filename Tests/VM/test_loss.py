"""The TPM loses all it had, as when the mainboard is replaced; then the package goes."""

import pytest
import webauthn

from relying_party import RelyingParty

MOVED = "/var/lib/countersign.old"


@pytest.fixture(scope="module")
def party(machine):
    """A relying party from the times of the old TPM."""
    party = RelyingParty(machine)
    party.register()
    machine.run("sync")
    machine.cut_power()
    machine.tpm.clear()
    machine.start()
    return party


def test_a_cleared_tpm_is_said_in_words(machine, party):
    machine.eventually(
        lambda: "cleared" in machine.log("countersignd", "--boot"), "the log says that the TPM was cleared or replaced"
    )
    log = machine.log("countersignd", "--boot")
    print(log)
    assert "this is not the TPM that this device was set up with, or it has been cleared since" in log


def test_after_the_loss_nothing_is_signed(machine, party):
    """And the daemon makes nothing new in the place of the old."""
    requests = {"authenticate": party.request(), "register": party.creation()}
    for command, options in requests.items():
        done = machine.run(
            f"countersign {command} --timeout 10", user="job", input=webauthn.options_to_json(options), status=None
        )
        assert done.status in (5, 6) and done.out == "", str(done)


def test_the_remedy_of_the_readme(machine, party):
    """Move the state away, start, enrol again."""
    # The socket too: whoever still waits there would start the daemon in the midst of it.
    machine.shell(f"systemctl stop countersignd.socket countersignd.service; mv /var/lib/countersign {MOVED}")
    machine.run("systemctl start countersignd.socket countersignd.service")
    new = RelyingParty(machine)
    new.register()
    new.authenticate()
    done = machine.run(
        "countersign authenticate", user="job", input=webauthn.options_to_json(party.request()), status=4
    )
    assert done.out == ""


def test_removal_leaves_state_and_log(machine, party):
    machine.run("dpkg --remove countersign", timeout=600)
    assert (
        machine.run("systemctl is-active countersignd.socket countersignd.service", status=None).out == "inactive\n" * 2
    )
    machine.shell("! command -v countersign countersignd")
    machine.shell("! test -e /run/countersign/ctap.sock")
    machine.shell("test -e /var/lib/countersign && test -e /var/log/countersign/audit.jsonl")
    assert machine.run("fido2-token -L").out == ""


def test_installed_again_it_knows_its_credentials(machine, party):
    machine.run("dpkg --install /srv/host/next.deb", timeout=600)
    assert "deploy.example.com" in machine.run("countersign credential list").out


def test_purge_removes_everything_but_the_audit_log(machine, party):
    done = machine.run("dpkg --purge countersign", timeout=600)
    assert "audit log stays" in done.out
    machine.shell(
        "! test -e /var/lib/countersign && ! test -e /etc/countersign && test -s /var/log/countersign/audit.jsonl"
    )
    machine.shell("! systemctl cat countersignd.service")
