"""What the TPM behind the kernel's resource manager gets to do, and whether it can be shared."""

import json

from relying_party import RelyingParty


def signing(machine, count: int):
    """The TPM's commands of a client that registers once and then signs so many times."""
    mark = machine.tpm.mark()
    machine.run(f"python3 /srv/host/load.py sign {count}", user="job")
    return machine.tpm.commands(mark)


def test_the_commands_of_an_assertion(machine, record_property):
    """Counted where they arrive: what the resource manager adds is among them."""
    few, many = signing(machine, 5), signing(machine, 25)
    extra = {name: (many[name] - few[name]) / 20 for name in many if many[name] != few[name]}
    total = sum(extra.values())
    parts = ", ".join(f"{name} {count:.2f}" for name, count in sorted(extra.items()))
    record_property("figure", f"TPM commands per assertion behind the resource manager: {total:.2f} ({parts})")
    assert extra["Sign"] == 1
    # The resource manager loads and saves what the daemon has loaded around each command.
    assert total < 12, extra


def test_another_user_of_the_tpm_at_the_same_time(machine):
    """tpm2-tools make keys and sign with them all the while; both get what they ask for."""
    machine.shell("usermod --append --groups tss intern")
    neighbour = machine.start_program(["bash", "/srv/host/neighbour.sh"], user="intern")
    neighbour.wait_for("round 1$")
    party = RelyingParty(machine)
    party.register()
    before = len(neighbour.received().splitlines())
    load = machine.start_program("python3 /srv/host/load.py sign 40", user="job")
    assert json.loads(load.wait(600).out.splitlines()[-1]) == {"signed": 40}
    party.authenticate()
    neighbour.wait_for(f"round {before + 1}$")
    neighbour.kill()
    done = neighbour.wait()
    assert done.err == "", str(done)


def test_nothing_is_left_in_the_tpm(machine):
    """The resource manager has no objects or sessions of anybody's when nobody works; persistent ones are few."""
    assert machine.run("tpm2_getcap handles-transient", environment={"TPM2TOOLS_TCTI": "device:/dev/tpmrm0"}).out == ""
    persistent = machine.run("tpm2_getcap handles-persistent", environment={"TPM2TOOLS_TCTI": "device:/dev/tpmrm0"}).out
    assert "0x81000001" in persistent
