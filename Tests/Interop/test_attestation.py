"""Attestation from the TPM's maker to the relying party: enrolment by activation, statements, and verifiers of others."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import webauthn
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from fido2.attestation import Attestation, verify_x509_chain
from fido2.ctap2 import Config
from fido2.mds3 import MetadataStatement
from fido2.webauthn import AttestationObject
from jsonschema import Draft202012Validator
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.exceptions import InvalidRegistrationResponse
from webauthn.helpers.structs import AttestationConveyancePreference, AttestationFormat

from conftest import short_folder
from harness import ME, Daemon, SoftwareTPM, ctap2, sha256, status_of

RP_ID = "deploy.example.com"
RULES = [
    {
        "name": "all",
        "callers": [{"user": ME}],
        "relyingParties": ["*"],
        "operations": ["register", "authenticate", "manage"],
    },
    {
        "name": "our own",
        "callers": [{"user": ME}],
        "relyingParties": ["ours.example.com"],
        "operations": ["register", "authenticate"],
        "attestation": ["packed", "none"],
        "enterpriseAttestation": True,
    },
]
OURS = "ours.example.com"


class Maker:
    """swtpm_setup with its local CA, as a maker of TPMs."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        (folder / "localca.options").write_text("")
        (folder / "localca.conf").write_text(
            f"statedir = {folder}\nsigningkey = {folder}/signkey.pem\nissuercert = {folder}/issuercert.pem\n"
            f"certserial = {folder}/certserial\n"
        )
        (folder / "setup.conf").write_text(
            "create_certs_tool = /usr/share/swtpm/swtpm-localca\n"
            f"create_certs_tool_config = {folder}/localca.conf\n"
            f"create_certs_tool_options = {folder}/localca.options\n"
        )

    def make(self, tpm: Path) -> SoftwareTPM:
        tpm.mkdir()
        done = subprocess.run(
            ["swtpm_setup", "--tpm2", "--tpm-state", str(tpm), "--create-ek-cert"]
            + ["--config", str(self.folder / "setup.conf")],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return SoftwareTPM(tpm).start()

    def certificates(self) -> list[Path]:
        return [self.folder / "issuercert.pem", self.folder / "swtpm-localca-rootca-cert.pem"]


class Runner:
    """A daemon on a TPM of its own, and the files that go between it and its authority."""

    def __init__(self, folder: Path, programs: Path, tpm: SoftwareTPM):
        self.tpm = tpm
        folder.mkdir()
        self.folder = folder
        self.daemon = Daemon(folder, programs, RULES, tcti=tpm.tcti).start()

    def run(self, *words: str, status: int = 0, **more):
        done = self.daemon.run(*words, **more)
        assert done.returncode == status, done.stderr
        return done

    def attestation(self, step: str, given: str | None = None, status: int = 0):
        return self.run(
            "attestation", step, "--admin-socket", str(self.daemon.admin_socket), standard_input=given, status=status
        )

    def stop(self) -> None:
        self.daemon.stop()
        self.tpm.stop()


class Authority:
    def __init__(self, folder: Path, programs: Path):
        self.folder = folder
        self.programs = programs
        self.passphrase = folder.parent / f"{folder.name}.passphrase"
        self.passphrase.write_text("correct horse battery staple\n")
        self.passphrase.chmod(0o600)
        self.run("init", "--organization", "Operator", "--country", "DE")

    def run(self, command: str, *words: str, given: str = "", status: int = 0) -> str:
        done = subprocess.run(
            [str(self.programs / "countersign"), "ca", command, "--ca", str(self.folder), *words]
            + ([] if command == "list" else ["--passphrase-file", str(self.passphrase)]),
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == status, done.stderr
        return done.stdout if status == 0 else done.stderr

    def trust(self, maker: Maker) -> None:
        for certificate in maker.certificates():
            (self.folder / "vendors" / certificate.name).write_bytes(certificate.read_bytes())

    def root(self) -> bytes:
        return (self.folder / "ca.pem").read_bytes()


@pytest.fixture(scope="module")
def world(programs):
    """A maker, an authority that trusts it, and a runner that is enrolled step by step."""
    with short_folder() as folder:
        maker = Maker(folder / "maker")
        authority = Authority(folder / "ca", programs)
        runner = Runner(folder / "runner", programs, maker.make(folder / "tpm"))
        request = runner.attestation("request").stdout
        refusal = authority.run("issue", given=request, status=7)
        assert "it leads to no certificate that is trusted here" in refusal, refusal
        authority.trust(maker)
        challenge = authority.run("issue", given=request)
        response = runner.attestation("respond", challenge).stdout
        certificates = authority.run("issue", given=response)
        assert "answered already" in authority.run("issue", given=response, status=7)
        runner.attestation("install", certificates)
        yield folder, maker, authority, runner, challenge, certificates
        print(runner.daemon.errors())
        runner.stop()


def creation(
    formats: list[str], rp_id: str = RP_ID, conveyance=AttestationConveyancePreference.DIRECT
) -> tuple[bytes, str]:
    options = webauthn.generate_registration_options(
        rp_id=rp_id, rp_name="R", user_name="deploy", attestation=conveyance
    )
    members = json.loads(webauthn.options_to_json(options))
    members["attestationFormats"] = formats
    return options.challenge, json.dumps(members)


def verify_by_py_webauthn(challenge: bytes, response: str, root: bytes, rp_id: str = RP_ID):
    return webauthn.verify_registration_response(
        credential=response,
        expected_challenge=challenge,
        expected_rp_id=rp_id,
        expected_origin=f"https://{rp_id}",
        pem_root_certs_bytes_by_fmt={AttestationFormat.TPM: [root], AttestationFormat.PACKED: [root]},
    )


def verify_by_fido2(response: str, root: bytes):
    members = json.loads(response)["response"]
    attested = AttestationObject(webauthn.base64url_to_bytes(members["attestationObject"]))
    client_data_hash = sha256(webauthn.base64url_to_bytes(members["clientDataJSON"]))
    result = Attestation.for_type(attested.fmt)().verify(attested.att_stmt, attested.auth_data, client_data_hash)
    der = x509.load_pem_x509_certificate(root).public_bytes(Encoding.DER)
    verify_x509_chain([*result.trust_path, der])
    return attested, result


@pytest.mark.parametrize("form", ["tpm", "packed"])
def test_verifiers_that_we_did_not_write_accept_it(world, folder, form):
    _, _, authority, runner, *_ = world
    challenge, options = creation([form])
    response = runner.run("register", standard_input=options).stdout
    registered = verify_by_py_webauthn(challenge, response, authority.root())
    assert registered.fmt == form
    attested, result = verify_by_fido2(response, authority.root())
    assert attested.fmt == form and len(result.trust_path) == 1

    # And so does our own, with everything that it can be asked.
    (folder / "options.json").write_text(options)
    (folder / "response.json").write_text(response)
    aaguid = json.loads(runner.run("info", "--json").stdout)["aaguid"]
    words = ["verify", "registration", "--options", str(folder / "options.json")]
    words += ["--response", str(folder / "response.json"), "--root", str(authority.folder / "ca.pem")]
    words += ["--crl", str(authority.folder / "ca.crl"), "--aaguid", aaguid, "--device-bound"]
    done = runner.run(*words, "--format", form, "--vendor", "IBM")
    record = json.loads(done.stdout)
    assert record["attestation"]["format"] == form
    if form == "tpm":
        assert record["attestation"]["tpm"]["vendor"] == "IBM"
        assert "countersign: proven: the key was made in a TPM and cannot leave it" in done.stderr
        assert "IBM, is none of those" in runner.run(*words, "--vendor", "IFX", status=7).stderr
    hardware = "02ae1364-7bbe-474c-bd39-ff3387457c82"
    assert aaguid != hardware
    words[words.index(aaguid)] = hardware
    assert "none of those that are accepted" in runner.run(*words, status=7).stderr


def leaf(response: str) -> x509.Certificate:
    attested = AttestationObject(webauthn.base64url_to_bytes(json.loads(response)["response"]["attestationObject"]))
    return x509.load_der_x509_certificate(attested.att_stmt["x5c"][0])


def test_a_rule_chooses_the_format(world):
    _, _, authority, runner, *_ = world
    challenge, options = creation(["tpm"], OURS)
    response = runner.run("register", standard_input=options).stdout
    assert verify_by_py_webauthn(challenge, response, authority.root(), OURS).fmt == "packed"
    explained = runner.run("policy", "explain", "--user", str(ME), "--rp-id", OURS, "--operation", "register",
                           "--config", str(runner.daemon.configuration)).stdout
    assert "attestation packed or none, enterpriseAttestation" in explained


def test_enterprise_attestation(programs):
    """By python-fido2's Config and by our own register: the device is named where a rule says so, and asked for."""
    with short_folder() as folder:
        authority = Authority(folder / "ca", programs)
        maker = Maker(folder / "maker")
        runner = Runner(folder / "runner", programs, maker.make(folder / "tpm"))
        authority.trust(maker)
        try:
            words = ["attestation", "enroll", "--ca", str(authority.folder), "--days", "30"]
            words += ["--passphrase-file", str(authority.passphrase)]
            runner.run(*words, "--admin-socket", str(runner.daemon.admin_socket))
            device = json.loads(authority.run("list", "--json"))["issued"][-1]["endorsementKey"]

            def make(ctap, rp_id: str, mode: int | None = None):
                challenge = os.urandom(32)
                response = ctap.make_credential(
                    challenge, {"id": rp_id, "name": "R"}, {"id": b"u", "name": "n"},
                    [{"type": "public-key", "alg": -7}], enterprise_attestation=mode,
                )
                if response.fmt == "packed":
                    Attestation.for_type("packed")().verify(response.att_stmt, response.auth_data, challenge)
                names = x509.load_der_x509_certificate(response.att_stmt["x5c"][0]).subject
                return response, [name.value for name in names.get_attributes_for_oid(NameOID.SERIAL_NUMBER)]

            ctap = ctap2(runner.daemon.socket)
            assert ctap.info.options["ep"] is False and 1 in ctap.info.authenticator_config_commands
            assert status_of(lambda: make(ctap, OURS, 1)) == 0x02  # CTAP1_ERR_INVALID_PARAMETER
            Config(ctap).enable_enterprise_attestation()
            assert ctap.get_info().options["ep"] is True
            for mode in (1, 2):
                response, named = make(ctap, OURS, mode)
                assert response.ep_att is True and response.fmt == "packed" and named == [device]
                response, named = make(ctap, RP_ID, mode)
                assert not response.ep_att and named == []
            response, named = make(ctap, OURS)
            assert not response.ep_att and named == []
            assert status_of(lambda: make(ctap, OURS, 3)) == 0x2C  # CTAP2_ERR_INVALID_OPTION

            for conveyance, expected in (("ENTERPRISE", [device]), ("DIRECT", [])):
                challenge, options = creation([], OURS, AttestationConveyancePreference[conveyance])
                printed = runner.run("register", standard_input=options).stdout
                assert verify_by_py_webauthn(challenge, printed, authority.root(), OURS).fmt == "packed"
                names = leaf(printed).subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
                assert [name.value for name in names] == expected
            # It survives a restart, and ends with a reset.
            runner.daemon.stop()
            runner.daemon.start()
            assert ctap2(runner.daemon.socket).info.options["ep"] is True
        finally:
            runner.stop()


def test_everybody_refuses_another_root(world, programs, folder):
    _, _, _, runner, *_ = world
    other = Authority(folder / "other", programs)
    challenge, options = creation(["tpm"])
    response = runner.run("register", standard_input=options).stdout
    with pytest.raises(InvalidRegistrationResponse):
        verify_by_py_webauthn(challenge, response, other.root())
    with pytest.raises(Exception):
        verify_by_fido2(response, other.root())
    (folder / "options.json").write_text(options)
    words = ["verify", "registration", "--options", str(folder / "options.json")]
    words += ["--root", str(other.folder / "ca.pem")]
    assert "trusted here" in runner.run(*words, standard_input=response, status=7).stderr


def test_a_revoked_runner_is_refused(programs):
    """With an authority of its own, since a revocation is for good."""
    with short_folder() as folder:
        maker = Maker(folder / "maker")
        tpm = maker.make(folder / "tpm")
        authority = Authority(folder / "ca", programs)
        authority.trust(maker)
        runner = Runner(folder / "runner", programs, tpm)
        try:
            words = ["attestation", "enroll", "--ca", str(authority.folder), "--days", "30"]
            words += ["--passphrase-file", str(authority.passphrase)]
            runner.run(*words, "--admin-socket", str(runner.daemon.admin_socket))
            _, options = creation(["tpm"])
            response = runner.run("register", standard_input=options).stdout
            (folder / "options.json").write_text(options)
            words = ["verify", "registration", "--options", str(folder / "options.json")]
            words += ["--root", str(authority.folder / "ca.pem"), "--crl", str(authority.folder / "ca.crl")]
            runner.run(*words, standard_input=response)
            issued = json.loads(authority.run("list", "--json"))["issued"]
            assert [one["format"] for one in issued] == ["tpm", "packed", "enterprise"]
            authority.run("revoke", issued[0]["serialNumber"])
            assert "a certificate is revoked" in runner.run(*words, standard_input=response, status=7).stderr
            # What was put into service survives a restart of the daemon.
            runner.daemon.stop()
            runner.daemon.start()
            assert json.loads(runner.run("info", "--json").stdout)["attestationFormats"] == ["tpm", "packed"]
        finally:
            runner.stop()


def test_files_of_another_runner_are_refused(world, programs, folder):
    _, maker, authority, _, challenge, certificates = world
    stranger = Runner(folder / "stranger", programs, maker.make(folder / "tpm"))
    try:
        assert "has made no request" in stranger.attestation("respond", challenge, status=1).stderr
        assert "has no attestation key" in stranger.attestation("install", certificates, status=1).stderr
        # What is no such file at all, or another one.
        for step, wrong in [("respond", "{}"), ("respond", certificates), ("install", challenge)]:
            done = stranger.attestation(step, wrong, status=2)
            assert "the daemon refused (it is " in done.stderr and done.stderr.endswith(" --help\n"), done.stderr
        request = stranger.attestation("request").stdout
        refusal = stranger.attestation("respond", challenge, status=1).stderr
        assert "for another request than the newest one" in refusal
        assert "for another key" in stranger.attestation("install", certificates, status=1).stderr

        # The attestation key of one TPM with the endorsement key of another.
        mixed = json.loads(request)
        mixed["attestationKey"] = json.loads(world[3].attestation("request").stdout)["attestationKey"]
        assert "altered" in authority.run("issue", given=json.dumps(mixed), status=7)
        for member in ("credentialBlob", "encryptedSecret"):
            altered = json.loads(authority.run("issue", given=request))
            data = bytearray(webauthn.base64url_to_bytes(altered[member]))
            data[-1] ^= 1
            altered[member] = bytes_to_base64url(bytes(data))
            refusal = stranger.attestation("respond", json.dumps(altered), status=1).stderr
            assert "the TPM does not open the challenge" in refusal
    finally:
        stranger.stop()


def test_a_tpm_without_a_certificate_must_be_on_the_list(programs, folder):
    authority = Authority(folder / "ca", programs)
    runner = Runner(folder / "runner", programs, SoftwareTPM(folder / "tpm").start())
    try:
        request = runner.attestation("request").stdout
        refusal = authority.run("issue", given=request, status=7)
        assert "is not on the list" in refusal
        known = refusal.split("endorsement key ")[1].split()[0]
        with (authority.folder / "endorsement-keys").open("a") as keys:
            keys.write(known + "\n")
        challenge = authority.run("issue", given=request)
        runner.attestation("respond", challenge)
        assert os.stat(authority.folder / "ca.key").st_mode & 0o077 == 0
    finally:
        runner.stop()


def texts(*words: str) -> dict:
    return {"type": "array", "minItems": 1, "uniqueItems": True, "items": {"enum": list(words)}}


NUMBER = {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}
SMALL = {"type": "integer", "minimum": 0, "maximum": 2**16 - 1}
# FIDO Metadata Statement 3.0, section 3, as far as it is about FIDO2 authenticators without a display, with the words of the
# FIDO Registry of Predefined Values. There is no schema of the FIDO Alliance's to be had here: this one is written after
# the text.
METADATA_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": [
        "aaguid", "attachmentHint", "attestationRootCertificates", "attestationTypes", "authenticationAlgorithms",
        "authenticatorGetInfo", "authenticatorVersion", "description", "keyProtection", "legalHeader",
        "matcherProtection", "protocolFamily", "publicKeyAlgAndEncodings", "schema", "tcDisplay", "upv",
        "userVerificationDetails",
    ],
    "properties": {
        "aaguid": {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
        "attachmentHint": texts(
            "internal", "external", "wired", "wireless", "nfc", "bluetooth", "network", "ready", "wifi_direct"),
        "attestationRootCertificates": {
            "type": "array", "minItems": 1, "items": {"type": "string", "pattern": "^[0-9A-Za-z+/]+=*$"}},
        "attestationTypes": texts("basic_full", "basic_surrogate", "ecdaa", "attca", "anonca", "none"),
        "authenticationAlgorithms": texts(
            "secp256r1_ecdsa_sha256_raw", "secp384r1_ecdsa_sha384_raw", "rsassa_pkcsv15_sha256_raw"),
        "authenticatorGetInfo": {"type": "object", "required": ["versions", "aaguid"]},
        "authenticatorVersion": NUMBER,
        "cryptoStrength": SMALL,
        "description": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[ -~]+$"},
        "isFreshUserVerificationRequired": {"type": "boolean"},
        "isKeyRestricted": {"type": "boolean"},
        "keyProtection": {
            **texts("software", "hardware", "tee", "secure_element", "remote_handle"),
            "not": {"allOf": [{"contains": {"const": "software"}}, {"contains": {"enum": ["hardware", "tee", "secure_element"]}}]},
        },
        "legalHeader": {"type": "string", "pattern": "^https://fidoalliance.org/metadata/"},
        "matcherProtection": {**texts("software", "tee", "on_chip"), "maxItems": 1},
        "protocolFamily": {"const": "fido2"},
        "publicKeyAlgAndEncodings": {"const": ["cose"]},
        "schema": {"const": 3},
        "tcDisplay": {"const": []},
        "upv": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {
                "type": "object", "additionalProperties": False, "required": ["major", "minor"],
                "properties": {"major": SMALL, "minor": SMALL},
            },
        },
        "userVerificationDetails": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["userVerificationMethod"],
                    "properties": {
                        "userVerificationMethod": {"enum": ["presence_internal", "passcode_external", "passcode_internal", "none"]},
                        "caDesc": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["base", "minLength"],
                            "properties": {"base": SMALL, "minLength": SMALL, "maxRetries": SMALL, "blockSlowdown": SMALL},
                        },
                    },
                },
            },
        },
    },
}


def test_the_metadata_statement_is_one(world):
    _, _, authority, runner, *_ = world
    words = ["attestation", "metadata", "--root", str(authority.folder / "ca.pem")]
    printed = runner.run(*words, "--admin-socket", str(runner.daemon.admin_socket)).stdout
    members = json.loads(printed)
    Draft202012Validator.check_schema(METADATA_SCHEMA)
    validator = Draft202012Validator(METADATA_SCHEMA)
    assert not [error.message for error in validator.iter_errors(members)]
    for name in METADATA_SCHEMA["required"]:
        assert not validator.is_valid({key: value for key, value in members.items() if key != name}), name
    statement = MetadataStatement.from_dict(members)
    ctap = ctap2(runner.daemon.socket)
    with ctap.device:
        info = ctap.info
    assert statement.aaguid == info.aaguid
    assert statement.protocol_family == "fido2" and statement.schema == 3
    # One entry for every version that getInfo claims.
    assert sorted((one.major, one.minor) for one in statement.upv) == [(1, 0), (1, 1), (1, 2)]
    assert len(info.versions) == 3
    assert len(statement.authentication_algorithms) == len(info.algorithms)
    assert statement.key_protection == ["software"]
    assert statement.attestation_types == ["attca", "basic_surrogate"]
    root = x509.load_der_x509_certificate(statement.attestation_root_certificates[0])
    assert root.public_bytes(Encoding.PEM) == authority.root()
    said = members["authenticatorGetInfo"]
    assert said["versions"] == info.versions and said["options"] == info.options
    assert said["aaguid"] == bytes(info.aaguid).hex()
    assert "encIdentifier" not in said
