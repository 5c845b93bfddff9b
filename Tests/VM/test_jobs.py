"""Jobs of the runner use `countersign`; py_webauthn on the host is the relying party."""

import json

import pytest
import webauthn

from relying_party import RelyingParty


@pytest.fixture(scope="session")
def party(machine):
    return RelyingParty(machine)


def last_record(machine) -> dict:
    return json.loads(machine.run("tail --lines=1 /var/log/countersign/audit.jsonl").out)


def test_a_job_registers(party):
    registered = party.register()
    assert registered.fmt == "packed" and not registered.user_verified


def test_a_job_signs(party):
    assert not party.authenticate().user_verified


def test_countersign_verify_says_the_same(machine, party):
    creation = webauthn.options_to_json(party.creation())
    folder = "/home/job"
    machine.write(f"{folder}/creation.json", creation)
    machine.run("countersign register --in creation.json --out registration.json", user="job")
    machine.run(
        "countersign verify registration --options creation.json --response registration.json --out record.json",
        user="job",
    )
    record = json.loads(machine.read(f"{folder}/record.json"))
    request = {"challenge": "kE6_Fm2Q4vl0nV0o1RPvcA", "rpId": party.rp_id, "userVerification": "discouraged"}
    request["allowCredentials"] = [{"type": "public-key", "id": record["id"]}]
    machine.write(f"{folder}/request.json", json.dumps(request))
    machine.run("countersign authenticate --in request.json --out assertion.json", user="job")
    verify = "countersign verify assertion --options request.json --credential record.json --response assertion.json"
    machine.run(verify, user="job")
    other = {**request, "challenge": "AAAAAAAAAAAAAAAAAAAAAA"}
    machine.write(f"{folder}/request.json", json.dumps(other))
    assert "challenge" in machine.run(verify, user="job", status=7).err


def test_a_user_outside_the_group_cannot_connect(machine, party):
    done = machine.run(
        "countersign authenticate", user="stranger", input=webauthn.options_to_json(party.request()), status=5
    )
    assert "permission denied" in done.err.lower()


def test_a_user_without_a_rule_is_refused(machine, party):
    done = machine.run(
        "countersign authenticate", user="intern", input=webauthn.options_to_json(party.request()), status=3
    )
    assert "the policy does not allow it" in done.err
    record = last_record(machine)
    assert record["outcome"] == "refused" and record["rpId"] == party.rp_id
    assert record["uid"] == int(machine.run("id --user intern").out)


def test_a_job_is_refused_at_another_relying_party(machine):
    other = RelyingParty(machine, "bank.example.com")
    machine.run("countersign register", user="job", input=webauthn.options_to_json(other.creation()), status=3)


def test_jobs_cannot_manage(machine):
    done = machine.run("countersign status", user="job", status=5)
    assert "permission denied" in done.err.lower()


def test_a_unit_of_systemd_has_its_own_rule(machine):
    """systemd says whose unit it is, nobody else."""
    pipeline = RelyingParty(machine, "pipeline.example.com")
    unit = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect", "--uid=job", "--unit=pipeline")
    pipeline.register(None, *unit)
    assert last_record(machine)["unit"] == "pipeline.service"
    pipeline.authenticate(None, *unit)
    machine.run("countersign authenticate", user="job", input=webauthn.options_to_json(pipeline.request()), status=3)


def test_the_first_connection_starts_the_daemon(machine, party):
    machine.run("systemctl stop countersignd.service")
    party.authenticate()
    assert machine.run("systemctl is-active countersignd.service").out == "active\n"


def test_a_reload_takes_new_rules(machine, party):
    rule = {
        "name": "late",
        "callers": [{"user": "intern"}],
        "relyingParties": [party.rp_id],
        "operations": ["authenticate"],
    }
    machine.write("/etc/countersign/conf.d/60-late.json", json.dumps({"rules": [rule]}))
    machine.run("systemctl reload countersignd.service")
    machine.eventually(
        lambda: machine.run(
            "countersign authenticate", user="intern", input=webauthn.options_to_json(party.request()), status=None
        ).status == 0,
        "the new rule is in force",
    )  # fmt: skip
    machine.run("rm /etc/countersign/conf.d/60-late.json")
    machine.run("systemctl reload countersignd.service")
    machine.eventually(
        lambda: machine.run(
            "countersign authenticate", user="intern", input=webauthn.options_to_json(party.request()), status=None
        ).status == 3,
        "the rule is gone",
    )  # fmt: skip


def test_a_bad_file_leaves_the_rules_in_force(machine, party):
    machine.write("/etc/countersign/conf.d/60-bad.json", "{ rules: [ { nam: 1 } ] }")
    machine.run("systemctl reload countersignd.service", status=None)
    machine.eventually(
        lambda: "60-bad.json" in machine.log("countersignd", "--lines=20"), "the daemon says what is wrong"
    )
    party.authenticate()
    machine.run("rm /etc/countersign/conf.d/60-bad.json")
    machine.run("systemctl reload countersignd.service")


GRANTED = {
    "name": "granted",
    "callers": [{"grant": True}],
    "relyingParties": ["granted.example.com"],
    "operations": ["register", "authenticate"],
    "requireGrant": True,
}


def test_a_grant_made_under_the_unit(machine):
    """
    The daemon has no privilege and its unit takes most system calls away: the socket's access list, the handle of a
    process and the control group's events must be had all the same.
    """
    granted = RelyingParty(machine, "granted.example.com")
    machine.write("/etc/countersign/conf.d/60-granted.json", json.dumps({"rules": [GRANTED]}))
    machine.run("systemctl reload countersignd.service")
    create = "countersign grant create --rule granted --uid job --claim repository=org/app --format json"
    machine.eventually(lambda: machine.run(create, status=None).status == 0, "the new rule is in force")
    machine.run("systemd-run --quiet --unit=keeper sleep infinity")
    grant = json.loads(machine.run(f"{create} --cgroup /system.slice/keeper.service").out)
    register = ["countersign", "register", "--socket", grant["socket"]]
    options = webauthn.options_to_json(granted.creation())
    machine.run(register, user="job", input=options)
    record = last_record(machine)
    assert record["grant"] == grant["id"] and record["claims"] == {"repository": "org/app"}
    assert "permission denied" in machine.run(register, user="intern", input=options, status=5).err.lower()
    machine.run("countersign register", user="job", input=options, status=3)
    machine.run("systemctl stop keeper.service")
    machine.eventually(
        lambda: machine.run(["test", "-e", grant["socket"]], status=None).status != 0, "the grant ends with its unit"
    )
    machine.run("countersign grant list")
    machine.run("rm /etc/countersign/conf.d/60-granted.json")
    machine.run("systemctl reload countersignd.service")
