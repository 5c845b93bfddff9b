"""QEMU and the TPM are killed while jobs register and sign: all that was only in memory is gone."""

import pytest

from ledger import Ledger


@pytest.fixture(scope="module")
def ledger(machine):
    ledger = Ledger(machine).start()
    ledger.await_operations(30, timeout=600)
    machine.cut_power()
    ledger.close(ledger.load.received())
    print(f"booted after the power cut in {machine.start():.1f} s")
    return ledger


def test_the_services_start_after_a_power_cut(machine, ledger):
    assert machine.run("systemctl is-system-running --wait", status=None).out == "running\n"
    units = "countersignd.socket countersignd.service countersign-hid.service"
    assert machine.run(f"systemctl is-active {units}").out == "active\n" * 3


def test_nothing_acknowledged_is_lost_by_a_power_cut(machine, ledger, record_property):
    assert len(ledger.acknowledged) >= 30
    ledger.check()
    record_property("figure", f"acknowledged before the power cut, and kept: {len(ledger.acknowledged)}")
