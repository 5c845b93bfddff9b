"""A relying party of py_webauthn's on the host, whose options a job in the machine answers with `countersign`."""

import webauthn
from webauthn.helpers import bytes_to_base64url
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    PublicKeyCredentialDescriptor,
    UserVerificationRequirement,
)

ALGORITHMS = [COSEAlgorithmIdentifier.ECDSA_SHA_256]


class RelyingParty:
    def __init__(self, machine, rp_id: str = "deploy.example.com"):
        self.machine = machine
        self.rp_id = rp_id
        self.origin = f"https://{rp_id}"
        self.registered = None
        self.counter = 0
        self.challenges: list[bytes] = []

    def creation(self):
        return webauthn.generate_registration_options(
            rp_id=self.rp_id, rp_name="Deployment", user_name="release pipeline",
            attestation=AttestationConveyancePreference.DIRECT, supported_pub_key_algs=ALGORITHMS,
        )  # fmt: skip

    def request(self):
        return webauthn.generate_authentication_options(
            rp_id=self.rp_id,
            allow_credentials=[PublicKeyCredentialDescriptor(id=self.registered.credential_id)],
            user_verification=UserVerificationRequirement.DISCOURAGED,
        )

    def register(self, user: str = "job", *prefix: str):
        """A whole registration, verified."""
        creation = self.creation()
        done = self.machine.run(
            [*prefix, "countersign", "register"], user=user, input=webauthn.options_to_json(creation)
        )
        self.registered = webauthn.verify_registration_response(
            credential=done.out, expected_challenge=creation.challenge, expected_rp_id=self.rp_id,
            expected_origin=self.origin, supported_pub_key_algs=ALGORITHMS,
        )  # fmt: skip
        self.counter = self.registered.sign_count
        return self.registered

    def authenticate(self, user: str = "job", *prefix: str):
        """A whole authentication, verified; the counter must have grown."""
        request = self.request()
        done = self.machine.run(
            [*prefix, "countersign", "authenticate"], user=user, input=webauthn.options_to_json(request)
        )
        verified = webauthn.verify_authentication_response(
            credential=done.out, expected_challenge=request.challenge, expected_rp_id=self.rp_id,
            expected_origin=self.origin, credential_public_key=self.registered.credential_public_key,
            credential_current_sign_count=self.counter,
        )  # fmt: skip
        assert verified.new_sign_count > self.counter
        self.counter = verified.new_sign_count
        return verified

    @property
    def credential_id(self) -> str:
        return bytes_to_base64url(self.registered.credential_id)
