"""What the TPM behind the kernel's resource manager gets to do, and whether it can be shared."""

import json
import time

import pytest

from relying_party import RelyingParty


# What each operation may cost behind the resource manager, in commands that reach the TPM, by their names: what the
# resource manager adds is among them. Those of a TPM without one are in Tests/TPMKeyStoreTests/CommandBudgetTests.swift.
BUDGETS = {
    "hot": {"Sign": 1},
    # Load, Sign and FlushContext are ours; the rest is the kernel's, which brings the key in and out around them.
    "cold": {"Load": 1, "Sign": 1, "FlushContext": 3, "ContextSave": 3, "ContextLoad": 2},
    # With self-attestation: StartAuthSession, Create, Load, Sign and two FlushContext are ours.
    "registration": {
        **{"StartAuthSession": 1, "Create": 1, "Load": 1, "Sign": 1},
        **{"FlushContext": 4, "ContextSave": 6, "ContextLoad": 4},
    },
}
# A start that is not the first, with one key pinned. Around whatever uses a session or an object that is loaded, the
# kernel saves contexts and brings them back.
START = {
    **{"GetCapability": 4, "TestParms": 1, "NV_ReadPublic": 3, "NV_Read": 5, "ReadPublic": 2},
    **{"StartAuthSession": 1, "Load": 1, "Unseal": 1, "FlushContext": 5, "ContextSave": 10, "ContextLoad": 8},
}
ROUNDS = 20


def is_pinned(machine, id: str) -> bool:
    credential = json.loads(machine.run(f"countersign credential show {id} --json").out)
    return credential.get("pinned") == "use"


@pytest.mark.parametrize("operation", BUDGETS)
def test_the_commands_of(machine, record_property, operation):
    """Counted where they arrive, in the TPM's own log."""
    gate = f"/run/gate-{operation}"
    load = machine.start_program(f"python3 /srv/host/load.py {operation} {ROUNDS} {gate}", user="job")
    load.wait_until(lambda out: "ready" in out, "the client to be ready")
    ready = json.loads(load.received().splitlines()[-1])["ready"]
    end = time.monotonic() + 60
    while operation == "hot" and not is_pinned(machine, ready):
        assert time.monotonic() < end, machine.run("countersign status").out
    # Has the audit log signed now, so that it is not while we count.
    machine.run("systemctl reload countersignd")
    while json.loads(machine.run("countersign status --json").out)["auditLog"]["unsigned"]:
        assert time.monotonic() < end, "the audit log stays unsigned"
    mark = machine.tpm.mark()
    machine.run(f"touch {gate}")
    load.wait(600)
    seen = dict(machine.tpm.commands(mark))
    # Once in 1,024 signatures a block of the counter.
    if seen.get("NV_Increment") == 1 == seen.get("NV_Read"):
        del seen["NV_Increment"], seen["NV_Read"]
    expected = {name: count * ROUNDS for name, count in BUDGETS[operation].items()}
    total = sum(seen.values()) / ROUNDS
    record_property("figure", f"TPM commands for {operation} behind the resource manager: {total:.2f} {seen}")
    assert seen == expected


def test_the_commands_of_a_start(machine, record_property):
    machine.run("systemctl stop countersignd.service")
    mark = machine.tpm.mark()
    machine.run("systemctl start countersignd.service")
    seen = dict(machine.tpm.commands(mark))
    # The kernel's generator of random numbers asks the TPM when it likes.
    seen.pop("GetRandom", None)
    record_property("figure", f"TPM commands for a start behind the resource manager: {sum(seen.values())} {seen}")
    assert seen == START, json.dumps(seen, sort_keys=True)


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
