"""The daemon is reloaded, restarted and replaced by another version of the package while jobs sign."""

from ledger import Ledger
from relying_party import RelyingParty


def version(machine) -> str:
    return machine.run("dpkg-query --show --showformat '${Version}' countersign").out


def test_nothing_acknowledged_is_lost_by_a_restart_or_a_reload(machine):
    ledger = Ledger(machine).start()
    ledger.await_operations(10)
    machine.run("systemctl reload countersignd.service")
    ledger.await_operations(10)
    machine.run("systemctl restart countersignd.service")
    ledger.await_operations(10)
    ledger.stop()
    ledger.check()


def test_an_upgrade_under_load_keeps_everything(machine):
    before = version(machine)
    party = RelyingParty(machine)
    party.register()
    ledger = Ledger(machine).start()
    ledger.await_operations(10)
    machine.run("dpkg --install /srv/host/next.deb", timeout=600)
    assert version(machine) > before and machine.run("dpkg --audit").out == ""
    ledger.await_operations(10)
    ledger.stop()
    # The socket stays open all the while: nobody is turned away, and who was in the midst of it is told.
    refused = [record for record in ledger.others if "refused" in record]
    assert not refused, refused
    ledger.check()
    party.authenticate()


def test_after_the_upgrade_the_new_programs_run(machine):
    pid = machine.run("systemctl show --property=MainPID --value countersignd").out.strip()
    assert machine.run(f"readlink /proc/{pid}/exe").out == "/usr/sbin/countersignd\n"
    assert (
        machine.run("systemctl is-active countersignd.socket countersignd.service countersign-hid.service").out
        == "active\n" * 3
    )
    machine.run("countersign status")


def test_the_operators_files_are_kept(machine):
    assert "pipeline.service" in machine.read("/etc/countersign/conf.d/50-tests.json")
