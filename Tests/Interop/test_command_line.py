"""PyPI's webauthn (py_webauthn) as the relying party of the countersign command line, and the line's exit codes."""

import json
import os
import re

import pytest
import webauthn
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fido2.webauthn import AttestationObject, AuthenticatorData
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.exceptions import InvalidAuthenticationResponse, InvalidRegistrationResponse
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from harness import Daemon, ctap2, sha256

ES256 = COSEAlgorithmIdentifier.ECDSA_SHA_256
RS256 = COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256
EDDSA = COSEAlgorithmIdentifier.EDDSA
# py_webauthn has no ES384; python-fido2 verifies that in test_fido2.py.
ALGORITHMS = [ES256, RS256]
DIRECT = AttestationConveyancePreference.DIRECT
NONE = AttestationConveyancePreference.NONE


class RelyingParty:
    """py_webauthn with what a server would keep."""

    def __init__(self, daemon: Daemon, rp_id: str):
        self.daemon = daemon
        self.rp_id = rp_id
        self.origin = f"https://{rp_id}"

    def creation_options(self, attestation=DIRECT, algorithms=(ES256,), **more):
        return webauthn.generate_registration_options(
            rp_id=self.rp_id,
            rp_name="An example",
            user_name="deploy",
            attestation=attestation,
            supported_pub_key_algs=list(algorithms),
            **more,
        )

    def request_options(self, *credential_ids: bytes):
        return webauthn.generate_authentication_options(
            rp_id=self.rp_id,
            allow_credentials=[PublicKeyCredentialDescriptor(id=one) for one in credential_ids],
            user_verification=UserVerificationRequirement.DISCOURAGED,
        )

    def register(self, options):
        done = self.daemon.run("register", standard_input=webauthn.options_to_json(options))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def authenticate(self, options):
        done = self.daemon.run("authenticate", standard_input=webauthn.options_to_json(options))
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout

    def verified_registration(self, options, response):
        return webauthn.verify_registration_response(
            credential=response,
            expected_challenge=options.challenge,
            expected_rp_id=self.rp_id,
            expected_origin=self.origin,
            supported_pub_key_algs=ALGORITHMS,
        )

    def verified_assertion(self, options, response, registered, counter):
        return webauthn.verify_authentication_response(
            credential=response,
            expected_challenge=options.challenge,
            expected_rp_id=self.rp_id,
            expected_origin=self.origin,
            credential_public_key=registered.credential_public_key,
            credential_current_sign_count=counter,
        )


@pytest.fixture
def rp(daemon, rp_id):
    return RelyingParty(daemon, rp_id)


def supports(daemon, algorithm):
    ctap = ctap2(daemon.socket)
    with ctap.device:
        return {"type": "public-key", "alg": int(algorithm)} in ctap.info.algorithms


@pytest.mark.parametrize("attestation", [NONE, DIRECT], ids=["none", "packed"])
@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=[algorithm.name for algorithm in ALGORITHMS])
def test_py_webauthn_accepts(rp, daemon, algorithm, attestation):
    if not supports(daemon, algorithm):
        pytest.skip("this TPM cannot do it, and getInfo says so")
    creation = rp.creation_options(attestation, [EDDSA, algorithm])
    response = rp.register(creation)
    registered = rp.verified_registration(creation, response)
    assert registered.fmt == ("none" if attestation == NONE else "packed")
    assert not registered.user_verified
    counter = registered.sign_count
    for _ in range(3):
        request = rp.request_options(registered.credential_id)
        assertion = rp.authenticate(request)
        counter = rp.verified_assertion(request, assertion, registered, counter).new_sign_count


def test_a_discoverable_credential_needs_no_list(rp):
    creation = rp.creation_options(
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED, user_verification=UserVerificationRequirement.DISCOURAGED
        )
    )
    registered = rp.verified_registration(creation, rp.register(creation))
    request = rp.request_options()
    response = rp.authenticate(request)
    rp.verified_assertion(request, response, registered, registered.sign_count)
    assert json.loads(response)["response"]["userHandle"] == bytes_to_base64url(creation.user.id)


def test_the_json_is_that_of_a_browser(rp):
    """RegistrationResponseJSON and AuthenticationResponseJSON of WebAuthn Level 3, nothing more and nothing less."""
    creation = rp.creation_options()
    text = rp.register(creation)
    registration = json.loads(text)
    assert set(registration) == {
        *("authenticatorAttachment", "clientExtensionResults", "id", "rawId", "response", "type")
    }
    assert set(registration["response"]) == {
        *("attestationObject", "authenticatorData", "clientDataJSON", "publicKey", "publicKeyAlgorithm", "transports")
    }
    assert registration["id"] == registration["rawId"] and registration["type"] == "public-key"
    assert registration["response"]["publicKeyAlgorithm"] == -7
    registered = rp.verified_registration(creation, text)
    text = rp.authenticate(rp.request_options(registered.credential_id))
    assertion = json.loads(text)
    assert set(assertion) == set(registration)
    assert set(assertion["response"]) <= {"authenticatorData", "clientDataJSON", "signature", "userHandle"}
    for response in (registration, assertion):
        data = response["response"]["clientDataJSON"]
        client_data = webauthn.base64url_to_bytes(data).decode()
        assert re.fullmatch(
            r'\{"type":"webauthn\.(create|get)","challenge":"[\w-]+","origin":"https://[\w.-]+","crossOrigin":false\}',
            client_data,
        ), client_data


def compact(document):
    """JSON as a browser's JSON.stringify(credential.toJSON()) writes it, members in lexicographic order."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"


def client_data(ceremony, challenge, origin):
    """The serialisation of WebAuthn section 5.8.1.1."""
    return (
        f'{{"type":"{ceremony}","challenge":"{bytes_to_base64url(challenge)}","origin":"{origin}","crossOrigin":false}}'
    ).encode()


@pytest.mark.parametrize("discoverable", [False, True], ids=["not discoverable", "discoverable"])
def test_the_json_byte_for_byte(rp, discoverable):
    """Both documents made anew from what the authenticator signed and nothing else."""
    resident_key = ResidentKeyRequirement.REQUIRED if discoverable else ResidentKeyRequirement.DISCOURAGED
    creation = rp.creation_options(
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=resident_key, user_verification=UserVerificationRequirement.DISCOURAGED
        )
    )
    text = rp.register(creation)
    attestation = AttestationObject(webauthn.base64url_to_bytes(json.loads(text)["response"]["attestationObject"]))
    data = attestation.auth_data
    key = data.credential_data.public_key
    public_key = EllipticCurvePublicNumbers(
        int.from_bytes(key[-2], "big"), int.from_bytes(key[-3], "big"), SECP256R1()
    ).public_key()
    credential_id = bytes_to_base64url(data.credential_data.credential_id)
    # The three parts of the attestation object as canonical CBOR give it again.
    again = AttestationObject.create(attestation.fmt, data, attestation.att_stmt)
    expected = {
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "id": credential_id,
        "rawId": credential_id,
        "response": {
            "attestationObject": bytes_to_base64url(bytes(again)),
            "authenticatorData": bytes_to_base64url(bytes(data)),
            "clientDataJSON": bytes_to_base64url(client_data("webauthn.create", creation.challenge, rp.origin)),
            "publicKey": bytes_to_base64url(public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
            "publicKeyAlgorithm": -7,
            "transports": ["internal"],
        },
        "type": "public-key",
    }
    assert text == compact(expected)

    request = rp.request_options(*([] if discoverable else [data.credential_data.credential_id]))
    text = rp.authenticate(request)
    response = json.loads(text)["response"]
    counter = AuthenticatorData(webauthn.base64url_to_bytes(response["authenticatorData"])).counter
    expected = {
        "authenticatorAttachment": "platform",
        "clientExtensionResults": {},
        "id": credential_id,
        "rawId": credential_id,
        "response": {
            # User present, counter, no extensions.
            "authenticatorData": bytes_to_base64url(
                sha256(rp.rp_id.encode()) + b"\x01" + counter.to_bytes(4, "big")
            ),
            "clientDataJSON": bytes_to_base64url(client_data("webauthn.get", request.challenge, rp.origin)),
            "signature": response["signature"],
            **({"userHandle": bytes_to_base64url(creation.user.id)} if discoverable else {}),
        },
        "type": "public-key",
    }
    assert text == compact(expected)


def test_excluded_credentials_are_not_made_again(rp):
    creation = rp.creation_options()
    registered = rp.verified_registration(creation, rp.register(creation))
    again = rp.creation_options(exclude_credentials=[PublicKeyCredentialDescriptor(id=registered.credential_id)])
    done = rp.daemon.run("register", standard_input=webauthn.options_to_json(again))
    assert done.returncode != 0 and done.stdout == ""


def written(folder, name, text):
    file = folder / name
    file.write_text(text)
    return str(file)


@pytest.fixture
def ceremony(rp, folder):
    """A registration and an assertion as files, for `countersign verify`."""
    creation = rp.creation_options()
    registration = rp.register(creation)
    registered = rp.verified_registration(creation, registration)
    request = rp.request_options(registered.credential_id)
    assertion = rp.authenticate(request)
    rp.verified_assertion(request, assertion, registered, registered.sign_count)
    files = {
        "creation": written(folder, "creation.json", webauthn.options_to_json(creation)),
        "registration": written(folder, "registration.json", registration),
        "request": written(folder, "request.json", webauthn.options_to_json(request)),
        "assertion": written(folder, "assertion.json", assertion),
    }
    done = verify_registration(rp, files)
    assert done.returncode == 0, done.stderr
    return {**files, "record": written(folder, "record.json", done.stdout)}


def verify_registration(rp, files, **changes):
    files = {**files, **changes}
    return rp.daemon.run(
        *("verify", "registration", "--options", files["creation"], "--response", files["registration"])
    )


def verify_assertion(rp, files, **changes):
    files = {**files, **changes}
    return rp.daemon.run(
        *("verify", "assertion", "--options", files["request"], "--response", files["assertion"]),
        *("--credential", files["record"]),
    )


def test_verify_agrees_with_py_webauthn(rp, ceremony):
    for done in (verify_registration(rp, ceremony), verify_assertion(rp, ceremony)):
        assert done.returncode == 0, done.stderr


def tampered(text, *path):
    """The JSON with one bit of one Base64url member turned over."""
    document = json.loads(text)
    place = document
    for key in path[:-1]:
        place = place[key]
    data = bytearray(webauthn.base64url_to_bytes(place[path[-1]]))
    data[len(data) // 2] ^= 1
    place[path[-1]] = bytes_to_base64url(bytes(data))
    return json.dumps(document)


def test_verify_refuses_what_py_webauthn_refuses(rp, ceremony, folder):
    registration = open(ceremony["registration"]).read()
    assertion = open(ceremony["assertion"]).read()
    # The very middle of the attestation object of a packed statement lies within what the signature covers.
    wrong = written(folder, "wrong.json", tampered(registration, "response", "attestationObject"))
    done = verify_registration(rp, ceremony, registration=wrong)
    assert done.returncode in (2, 7) and done.stderr.startswith("countersign: ")
    for member in ("signature", "authenticatorData", "clientDataJSON"):
        wrong = written(folder, "wrong.json", tampered(assertion, "response", member))
        done = verify_assertion(rp, ceremony, assertion=wrong)
        assert done.returncode in (2, 7), member
    # Another challenge.
    other = webauthn.options_to_json(rp.creation_options())
    assert verify_registration(rp, ceremony, creation=written(folder, "other.json", other)).returncode == 7
    other = webauthn.options_to_json(rp.request_options())
    assert verify_assertion(rp, ceremony, request=written(folder, "other.json", other)).returncode == 7


def test_py_webauthn_refuses_a_tampered_answer(rp, ceremony):
    """So that the acceptances above mean something."""
    creation = rp.creation_options()
    with pytest.raises(InvalidRegistrationResponse):
        rp.verified_registration(rp.creation_options(), rp.register(creation))
    registered = rp.verified_registration(creation, rp.register(creation))
    request = rp.request_options(registered.credential_id)
    with pytest.raises(InvalidAuthenticationResponse):
        rp.verified_assertion(request, rp.authenticate(request), registered, 2**32 - 1)


def one_line(done, status):
    assert done.returncode == status, (done.returncode, done.stderr)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("countersign: "), done.stderr
    assert lines[0].count(": ") >= 2, f"what failed: why: what to do: {lines[0]}"
    return lines[0]


def test_exit_status_of_usage(rp):
    one_line(rp.daemon.run("regsiter"), 2)
    one_line(rp.daemon.run("register", "--no-such-option"), 2)
    one_line(rp.daemon.run("register", standard_input="no JSON"), 2)
    one_line(rp.daemon.run("register", standard_input=""), 2)


def test_bad_json_names_the_key_path(rp):
    options = json.loads(webauthn.options_to_json(rp.creation_options()))
    options["user"]["id"] = 7
    assert "user.id" in one_line(rp.daemon.run("register", standard_input=json.dumps(options)), 2)
    options = json.loads(webauthn.options_to_json(rp.creation_options()))
    del options["challenge"]
    assert "challenge" in one_line(rp.daemon.run("register", standard_input=json.dumps(options)), 2)
    options = json.loads(webauthn.options_to_json(rp.creation_options()))
    options["pubKeyCredParams"][0]["alg"] = "ES256"
    line = one_line(rp.daemon.run("register", standard_input=json.dumps(options)), 2)
    assert "pubKeyCredParams[0].alg" in line


def test_exit_status_of_a_refusal(rp):
    other = RelyingParty(rp.daemon, "login.not-allowed.org")
    text = webauthn.options_to_json(other.creation_options())
    one_line(rp.daemon.run("register", standard_input=text), 3)


def test_exit_status_of_no_such_credential(rp):
    text = webauthn.options_to_json(rp.request_options(os.urandom(16)))
    one_line(rp.daemon.run("authenticate", standard_input=text), 4)


def test_exit_status_of_the_tpm(make_daemon, software_tpm):
    """The TPM goes away under a running daemon."""
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    rp = RelyingParty(daemon, "tpm.example.com")
    creation = rp.creation_options()
    registered = rp.verified_registration(creation, rp.register(creation))
    software_tpm.stop()
    for command, options in (
        ("register", rp.creation_options()),
        ("authenticate", rp.request_options(registered.credential_id)),
    ):
        line = one_line(daemon.run(command, standard_input=webauthn.options_to_json(options)), 6)
        assert "the TPM is away or failed" in line
    # The operator still learns what is the matter.
    status = daemon.run("status", "--admin-socket", str(daemon.admin_socket))
    assert status.returncode == 0 and "cannot be opened" in status.stdout


def test_tpms_have_no_eddsa(rp):
    """Who offers nothing else is told so."""
    text = webauthn.options_to_json(rp.creation_options(algorithms=[EDDSA]))
    line = one_line(rp.daemon.run("register", standard_input=text), 1)
    assert "EdDSA is not in TPMs" in line and "-7 (ES256)" in line


def test_exit_status_of_no_daemon(rp, folder):
    text = webauthn.options_to_json(rp.creation_options())
    line = one_line(rp.daemon.run("register", "--socket", str(folder / "nobody.sock"), standard_input=text), 5)
    assert "nobody.sock" in line


def test_exit_status_of_a_verification(rp, ceremony, folder):
    other = written(folder, "other.json", webauthn.options_to_json(rp.creation_options()))
    one_line(verify_registration(rp, ceremony, creation=other), 7)


@pytest.mark.parametrize("origin", ["https://evil.example", "http://{rp}", "https://com", "{rp}"])
def test_an_origin_of_another_site_is_refused(rp, origin):
    text = webauthn.options_to_json(rp.creation_options())
    done = rp.daemon.run("register", "--origin", origin.format(rp=rp.rp_id), standard_input=text)
    assert done.returncode == 2, done.stderr


def test_a_subdomain_may_use_the_rp_id(rp):
    creation = rp.creation_options()
    done = rp.daemon.run(
        "register", "--origin", f"https://sub.{rp.rp_id}:8443", standard_input=webauthn.options_to_json(creation)
    )
    assert done.returncode == 0, done.stderr
    rp.origin = f"https://sub.{rp.rp_id}:8443"
    rp.verified_registration(creation, done.stdout)


def test_status_and_info(rp):
    info = rp.daemon.run("info")
    assert info.returncode == 0 and "FIDO_2_0" in info.stdout
    status = rp.daemon.run("status", "--admin-socket", str(rp.daemon.admin_socket))
    assert status.returncode == 0, status.stderr
    assert "software" in status.stdout.lower()


@pytest.mark.parametrize(
    "words", [[], ["register"], ["authenticate"], ["info"], ["status"], ["verify"], ["credential"], ["pin"]]
)
def test_help_has_an_example(rp, words):
    done = rp.daemon.run(*words, "--help")
    assert done.returncode == 0 and done.stderr == ""
    assert "countersign " + " ".join(words) in done.stdout
