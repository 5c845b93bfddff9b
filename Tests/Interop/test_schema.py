"""The JSON Schema that editors use and the daemon's own reader say the same of every file here."""

import copy
import json
import subprocess
from pathlib import Path

import json5
import pytest
from jsonschema import Draft202012Validator

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = json.loads((ROOT / "systemd" / "countersign.schema.json").read_text())
ID = "0123456789abcdef" * 4

RULE = {"name": "r", "callers": [{"user": "root"}], "relyingParties": ["a.example"], "operations": ["authenticate"]}


def with_rule(**changes):
    rule = {**copy.deepcopy(RULE), **changes}
    return {"rules": [{key: value for key, value in rule.items() if value is not None}]}


def with_caller(**caller):
    return with_rule(callers=[caller])


VALID = [
    {},
    {"rules": []},
    {"$schema": "countersign.schema.json", "rules": [RULE]},
    {"tpm": {"tcti": "device:/dev/tpmrm0"}},
    {"tpm": {"softwareDirectory": "/x", "allowSoftware": True}},
    {"tpm": {"pcrs": []}}, {"tpm": {"approvalKey": "/no/such/file/here"}},
    {"tpm": {"pcrs": [0, 23], "approvalKey": "/no/such/file/here"}}, with_rule(bootState="atStart"),
    {"tpm": {"approvalKey": "/no/such/file/here"}, **with_rule(operations=["register"], bootState="everySignature")},
    {"tpm": {"resourceManager": True, "pins": {"handles": "0x8100c600-0x8100C63f", "count": 0, "writesPerDay": 0, "burst": 0}}},
    {"socket": "/a", "socketMode": "0600", "adminSocket": "/b", "stateDirectory": "/c", "auditLog": "/d"},
    {"limits": {"connections": 65536, "credentials": 1, "waitSeconds": 3600}, "log": {"level": "warning"}},
    {"audit": {"rotateAfter": "100MB", "keep": 5, "signAfterRecords": 10, "signAfterSeconds": 60, "journal": False}},
    with_caller(service="countersign-hid"), {"adminGroup": "root"}, {"adminGroup": 5},
    with_rule(relyingParties=["*"]), with_rule(relyingParties=["*.a.example", "ssh:", "ssh:deploy", "localhost", "x-1_y"]),
    with_rule(relyingParties=None, operations=["reset"]), with_rule(relyingParties=[], operations=["reset"]),
    with_rule(operations=["register", "authenticate", "manage", "reset"]),
    with_caller(user=0), with_caller(user="4294967294"), with_caller(group="root", unit="a.b@c-d.service"),
    with_caller(unit="a\\x2db.scope"), with_caller(slice="a-b.slice"), with_caller(container="*"), with_caller(container=ID),
    with_caller(executable="/bin/a", executableSHA256=ID), with_caller(executableSHA256=ID.upper()),
    with_caller(socket="ctap"), with_caller(socket="ctap-a"), with_caller(grant=True),
    with_rule(accounts=[{"userHandle": "AQI"}, {"userName": "a"}, {"userName": "b-*"}]),
    with_rule(userVerification=True, signatureCounter="zero", attestation="none"), with_rule(attestation="any"),
    with_rule(attestation="tpm", enterpriseAttestation=True), with_rule(attestation=["packed-self", "none"]), with_rule(attestation=["any"]),
    with_rule(rate={"perMinute": 1}), with_rule(rate={"perMinute": 60000, "burst": 60000}),
    with_rule(operations=["register"], maxRegistrations=0),
    with_rule(hours="Mon-Fri 08:00-18:00 UTC"), with_rule(hours=["22:00-06:00 local", "Sat,Sun 00:00-24:00 UTC"]),
    {"issuers": []}, {"issuers": [{"issuer": "https://a.example", "audience": "a", "jwksFile": "/no/such/file/here"}]},
    with_rule(requireGrant=True, requireClaims={"repository": "org/*", "ref": ["a", "b"]}, bindClaims=True),
]

INVALID = [
    {"rule": []}, {"rules": {}}, {"rules": [None]}, {"tpm": {"tcti": "/dev/tpmrm0"}}, {"tpm": {"tcti": ""}},
    {"tpm": {"tcti": "device:/x", "softwareDirectory": "/x", "allowSoftware": True}}, {"tpm": {"device": "x"}},
    {"tpm": {"pcrs": [24], "approvalKey": "/x"}}, {"tpm": {"pcrs": [1, 1], "approvalKey": "/x"}},
    {"tpm": {"pcrs": [0.5], "approvalKey": "/x"}}, {"tpm": {"pcrs": 7, "approvalKey": "/x"}},
    {"tpm": {"approvalKey": "x"}}, with_rule(bootState="always"),
    {"tpm": {"pins": {"handles": "0x8100c600"}}}, {"tpm": {"pins": {"handles": "0x81800000-0x81800001"}}},
    {"tpm": {"pins": {"count": 65}}}, {"tpm": {"pins": {"burst": -1}}}, {"tpm": {"resourceManager": 1}},
    {"socket": "a"}, {"socket": "/" + "a" * 107}, {"socketMode": "660"}, {"socketMode": "0888"}, {"socketMode": 432},
    {"limits": {"connections": 0}}, {"limits": {"credentials": 1.5}}, {"limits": {"connections": 65537}},
    {"limits": {"waitSeconds": 0}}, {"limits": {"waitSeconds": 3601}}, {"limits": {"wait": 1}},
    {"log": {"level": "warn"}}, {"$schema": 5},
    {"audit": {"rotateAfter": "100"}}, {"audit": {"rotateAfter": "0MB"}}, {"audit": {"keep": 0}}, {"audit": {"rotate": 1}}, {"adminGroup": ""}, {"adminGroup": -1},
    with_caller(service="a.service"), with_caller(service="a", unit="a.service"), with_caller(service=""), with_caller(service="a b"),
    {"issuers": [{}]}, {"issuers": [{"issuer": "x", "audience": "a"}]}, {"issuers": [{"issuer": "", "audience": "a", "jwksFile": "/x"}]},
    {"issuers": [{"issuer": "x", "audience": "a", "jwksFile": "x"}]},
    {"issuers": [{"issuer": "x", "audience": "a", "jwksFile": "/x", "keys": []}]},
    with_rule(name=None), with_rule(name=""), with_rule(callers=None), with_rule(callers=[]), with_rule(callers=[{}]),
    with_rule(callers=[{"user": "root"}, {"user": "root"}]), with_rule(operations=None), with_rule(operations=[]),
    with_rule(operations=["sign"]), with_rule(operations=["register", "register"]), with_rule(relyingParties=None),
    with_rule(relyingParties=[]), with_rule(relyingParties=[], operations=["reset", "manage"]),
    with_rule(relyingParties=["a.example", "a.example"]), with_rule(extra=1),
    *(
        with_rule(relyingParties=[party])
        for party in ("", "A.example", "*example.com", "a.*", "*.*.a", "https://a.example", "a.example:8443", "a..b", "192.0.2.1",
                      "ssh:a b", "ssh:*", "bücher.example", "a" * 64 + ".example", ".a", "a.")
    ),
    with_caller(user=""), with_caller(user=-1), with_caller(user=4294967295), with_caller(user=1.5), with_caller(user=None),
    with_caller(unit="ci"), with_caller(unit="ci.timer"), with_caller(unit="ci*.service"), with_caller(slice="a.service"),
    with_caller(container="abc"), with_caller(container=ID.upper().replace("0", "A")), with_caller(executable="a"),
    with_caller(executableSHA256=ID[:-1]), with_caller(socket="admin"), with_caller(socket="ctap-"), with_caller(grant=False),
    with_caller(users="root"),
    with_rule(accounts=[]), with_rule(accounts=[{}]), with_rule(accounts=[{"userHandle": "AQ", "userName": "a"}]),
    with_rule(accounts=[{"userName": "*"}]), with_rule(accounts=[{"userName": "a*b"}]), with_rule(accounts=[{"userHandle": "A+"}]),
    with_rule(accounts=[{"userName": "a"}, {"userName": "a"}]), with_rule(operations=["manage"], accounts=[{"userName": "a"}]),
    with_rule(userVerification="yes"), with_rule(signatureCounter="none"), with_rule(attestation="direct"),
    with_rule(attestation=[]), with_rule(attestation=["tpm", "tpm"]), with_rule(attestation=["any", "tpm"]),
    with_rule(attestation={}), with_rule(enterpriseAttestation="yes"),
    with_rule(rate={}), with_rule(rate={"perMinute": 0}), with_rule(rate={"perMinute": 1, "brust": 2}), with_rule(rate=5),
    with_rule(maxRegistrations=1), with_rule(operations=["register"], maxRegistrations=-1),
    with_rule(hours="Mon 08:00-18:00"), with_rule(hours="Mon 8:00-18:00 UTC"), with_rule(hours="24:00-06:00 UTC"), with_rule(hours=[]),
    with_rule(hours="Mon 08:00-18:00 CET"), with_rule(hours=8),
    with_rule(requireClaims={"ref": []}), with_rule(requireClaims={"ref": 5}), with_rule(requireClaims=["ref"]),
    with_rule(operations=["register"], bindClaims=True), with_rule(requireGrant=1),
]

# What a schema cannot see, and the reader does.
BEYOND = [
    {"rules": [RULE, RULE]},
    {"rules": [RULE, {**RULE, "name": "s"}]},
    {"rules": [RULE, {**RULE, "name": "s", "userVerification": True}]},
    {"tpm": {"softwareDirectory": "/x"}},
    {"tpm": {"pcrs": [7]}}, {"tpm": {"pcrs": [], "approvalKey": "/x"}}, with_rule(bootState="everySignature"),
    {"issuers": [{"issuer": "x", "audience": a, "jwksFile": "/x"} for a in "ab"]},
    with_rule(hours="Mon 08:00-08:00 UTC"),
]


def loads(programs, folder, document):
    file = folder / "countersign.json"
    file.write_text(json.dumps(document))
    done = subprocess.run(
        [str(programs / "countersign"), "policy", "check", str(file), "--json"], capture_output=True, text=True, timeout=30
    )
    assert done.returncode in (0, 2), done.stderr
    return done.returncode == 0, done.stdout


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_both_agree(programs, folder):
    validator = Draft202012Validator(SCHEMA)
    wrong = []
    for document, expected in [(one, True) for one in VALID] + [(one, False) for one in INVALID]:
        by_schema = validator.is_valid(document)
        by_reader, output = loads(programs, folder, document)
        if (by_schema, by_reader) != (expected, expected):
            wrong.append(f"schema {by_schema}, reader {by_reader}, expected {expected}: {json.dumps(document)} {output}")
    assert not wrong, "\n".join(wrong)
    print(f"{len(VALID)} valid and {len(INVALID)} invalid files: both agree")


@pytest.mark.parametrize("document", BEYOND, ids=range(len(BEYOND)))
def test_what_only_the_reader_sees(programs, folder, document):
    assert Draft202012Validator(SCHEMA).is_valid(document)
    assert not loads(programs, folder, document)[0]


def keys(schema, path=""):
    """Key paths of a part of the schema that have no keys of their own below."""
    for name, value in schema.get("properties", {}).items():
        yield from keys(value, f"{path}{name}.") if "properties" in value else [path + name]


def test_the_manual_names_every_key():
    page = (ROOT / "man" / "countersign.json.5").read_text()
    items = {one for line in page.splitlines() if line.startswith(".It Ic ") for one in line[7:].replace(",", " ").split()}
    wanted = {*keys(SCHEMA), *keys(SCHEMA["$defs"]["rule"]), *keys(SCHEMA["$defs"]["caller"])} - {"$schema"}
    # A rate is described as one.
    assert len(wanted) > 45 and wanted - items == {"rate.perMinute", "rate.burst"}
    assert ".It Ic rate\n" in page and "perMinute" in page and "burst" in page


def test_the_installed_example():
    example = json5.loads((ROOT / "systemd" / "countersign.json").read_text())
    assert Draft202012Validator(SCHEMA).is_valid(example)
