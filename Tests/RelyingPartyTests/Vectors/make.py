"""Makes the ceremonies in this folder with cbor2 and cryptography, and has py_webauthn verify them.

Run by hand: pip install webauthn, then python3 make.py. The keys are new each time.
"""

import hashlib
import json
import pathlib
import struct

import cbor2
import webauthn
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from webauthn.helpers import bytes_to_base64url as text
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
)
from webauthn.helpers.cose import COSEAlgorithmIdentifier

HERE = pathlib.Path(__file__).parent
RP_ID = "login.example.com"
ORIGIN = "https://login.example.com:8443"


class Key:
    def __init__(self, algorithm):
        self.algorithm = algorithm
        if algorithm == -257:
            self.private = rsa.generate_private_key(65537, 2048)
            numbers = self.private.public_key().public_numbers()
            self.cose = {1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: b"\x01\x00\x01"}
        else:
            self.private = ec.generate_private_key(ec.SECP256R1())
            numbers = self.private.public_key().public_numbers()
            self.cose = {1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")}

    def sign(self, message):
        if self.algorithm == -257:
            return self.private.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))


def client_data(kind, challenge):
    return json.dumps({"type": kind, "challenge": text(challenge), "origin": ORIGIN, "crossOrigin": False,
                       "other_keys_can_be_added_here": "do not compare clientDataJSON against a template"}).encode()


def make(name, algorithm, attestation):
    key, credential_id = Key(algorithm), hashlib.sha256(name.encode()).digest()
    creation = webauthn.generate_registration_options(
        rp_id=RP_ID, rp_name="R", user_name="n", user_id=b"user",
        supported_pub_key_algs=[COSEAlgorithmIdentifier(a) for a in (-7, -257)],
        authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.REQUIRED))
    rp_hash = hashlib.sha256(RP_ID.encode()).digest()
    data = (rp_hash + bytes([0x45]) + struct.pack(">I", 41) + bytes(range(16)) + struct.pack(">H", len(credential_id))
            + credential_id + cbor2.dumps(key.cose, canonical=True))
    collected = client_data("webauthn.create", creation.challenge)
    statement = {}
    if attestation == "packed":
        statement = {"alg": algorithm, "sig": key.sign(data + hashlib.sha256(collected).digest())}
    attested = cbor2.dumps({"fmt": attestation, "attStmt": statement, "authData": data}, canonical=True)
    registration = {"id": text(credential_id), "rawId": text(credential_id), "type": "public-key",
                    "response": {"clientDataJSON": text(collected), "attestationObject": text(attested)},
                    "clientExtensionResults": {}}
    verified = webauthn.verify_registration_response(
        credential=registration, expected_challenge=creation.challenge, expected_rp_id=RP_ID, expected_origin=ORIGIN)

    request = webauthn.generate_authentication_options(
        rp_id=RP_ID, allow_credentials=[PublicKeyCredentialDescriptor(id=credential_id)])
    data = rp_hash + bytes([0x05]) + struct.pack(">I", 42)
    collected = client_data("webauthn.get", request.challenge)
    assertion = {"id": text(credential_id), "rawId": text(credential_id), "type": "public-key",
                 "response": {"clientDataJSON": text(collected), "authenticatorData": text(data),
                              "signature": text(key.sign(data + hashlib.sha256(collected).digest())),
                              "userHandle": text(b"user")},
                 "clientExtensionResults": {}}
    webauthn.verify_authentication_response(
        credential=assertion, expected_challenge=request.challenge, expected_rp_id=RP_ID, expected_origin=ORIGIN,
        credential_public_key=verified.credential_public_key, credential_current_sign_count=verified.sign_count)
    (HERE / f"{name}.json").write_text(json.dumps({
        "creationOptions": json.loads(webauthn.options_to_json(creation)), "registration": registration,
        "requestOptions": json.loads(webauthn.options_to_json(request)), "assertion": assertion}, indent=1) + "\n")


make("es256-packed", -7, "packed")
make("es256-none", -7, "none")
make("rs256-packed", -257, "packed")
