"""A machine boots with a TPM behind the kernel's driver, the package is installed, and the services run."""

import json
import re

from conftest import RULES


def test_the_machine_boots(machine):
    state = machine.run("systemctl is-system-running --wait", status=None)
    assert state.out.strip() == "running", machine.run("systemctl --failed --no-pager").out
    assert machine.read("/sys/class/tpm/tpm0/tpm_version_major").strip() == "2"


def test_the_package_installs(machine):
    machine.run("dpkg --install /srv/host/previous.deb", timeout=600)
    assert machine.run("dpkg --audit").out == ""
    for user in ("job", "intern"):
        machine.run(["usermod", "--append", "--groups", "countersign", user])


def test_the_sockets_are_there_from_then_on(machine):
    assert machine.run("systemctl is-active countersignd.socket").out == "active\n"
    assert machine.run("stat --format '%G %a' /run/countersign/ctap.sock").out == "countersign 660\n"


def test_a_software_tpm_is_not_taken_without_leave(machine):
    """The kernel's driver does not hide what is behind it."""
    machine.eventually(
        lambda: "software TPM" in machine.log("countersignd", "--grep=software TPM"), "the daemon says what it refuses"
    )
    assert machine.run("systemctl is-active countersignd", status=None).out != "active\n"


def test_the_services_start(machine):
    rules = {"tpm": {"allowSoftware": True}, "rules": RULES}
    machine.write("/etc/countersign/conf.d/50-tests.json", json.dumps(rules))
    machine.run("countersignd --check-config")
    machine.run("systemctl restart countersignd.service")
    assert machine.run("systemctl is-active countersignd.socket countersignd.service").out == "active\nactive\n"


def test_status_is_good(machine):
    status = machine.run("countersign status").out
    print(status)
    assert re.search(r"^tpm.state +ready$", status, re.MULTILINE)
    assert re.search(r"^tpm.connection +device:/dev/tpmrm0$", status, re.MULTILINE)
    assert re.search(r"^tpm.kind +software$", status, re.MULTILINE)


def test_the_doctor_finds_nothing_wrong(machine):
    report = machine.run("countersign doctor").out
    print(report)
    worse = [
        one for one in json.loads(machine.run("countersign doctor --json").out)["checks"] if one["verdict"] != "ok"
    ]
    # Of a software TPM it warns, rightly.
    assert len(worse) <= 1 and all("software" in json.dumps(one) for one in worse), worse


def test_the_example_rule_serves_root(machine):
    """As installed, root alone may try."""
    assert "ES256" in machine.run("countersign info").out


def exposure(machine, unit: str) -> float:
    done = machine.run(f"systemd-analyze security --no-pager {unit}")
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.out)[1])


def test_the_daemon_is_confined(machine, record_property):
    level = exposure(machine, "countersignd.service")
    record_property("figure", f"systemd-analyze security countersignd.service: {level}")
    assert level <= 1.5


def test_the_tpm_belongs_to_its_group(machine):
    """And to nobody who sits at the machine."""
    owner, group, mode = machine.run("stat --format '%U %G %a' /dev/tpmrm0").out.split()
    assert (group, mode) == ("tss", "660") and owner in ("root", "tss")
    assert "uaccess" not in machine.run("udevadm info --query=property --property=CURRENT_TAGS /dev/tpmrm0").out


def test_the_daemon_runs_as_a_user_of_its_own(machine):
    pid = machine.run("systemctl show --property=MainPID --value countersignd").out.strip()
    status = machine.read(f"/proc/{pid}/status")
    uid = machine.run("id --user countersign").out.strip()
    assert re.search(rf"^Uid:\s+{uid}\s+{uid}\s+{uid}\s+{uid}$", status, re.MULTILINE)
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^Seccomp:\s+2$", status, re.MULTILINE)
    assert re.search(r"^Max core file size\s+0\s+0", machine.read(f"/proc/{pid}/limits"), re.MULTILINE)
