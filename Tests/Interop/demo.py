"""The demonstration: `make demo`.

A software TPM, countersignd and the countersign command line in a temporary folder. The relying party is py_webauthn,
which knows nothing of Countersign: it makes the options and verifies the answers.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import webauthn
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AttestationConveyancePreference,
    PublicKeyCredentialDescriptor,
    UserVerificationRequirement,
)

from harness import ME, Daemon

RP_ID = "deploy.example.com"
ORIGIN = "https://deploy.example.com"

_begun = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _begun:5.2f} s] {text}", flush=True)


def show(title: str, **members: object) -> None:
    print(f"\n  {title}")
    for name, value in members.items():
        print(f"    {name.replace('_', ' ') + ':':<22}{value}")
    print(flush=True)


def run(daemon: Daemon, command: str, options: str) -> str:
    """One countersign command with options on its standard input."""
    done = daemon.run(command, "--origin", ORIGIN, standard_input=options)
    if done.returncode != 0:
        sys.exit(f"demo: countersign {command} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def ceremony(daemon: Daemon) -> None:
    say(f"py_webauthn {webauthn.__version__}, as the relying party {RP_ID}, makes creation options")
    creation = webauthn.generate_registration_options(
        rp_id=RP_ID,
        rp_name="Deployment",
        user_name="release pipeline",
        attestation=AttestationConveyancePreference.DIRECT,
        supported_pub_key_algs=[COSEAlgorithmIdentifier.ECDSA_SHA_256],
    )
    say("countersign register answers them: a new key, made inside the TPM")
    registration = run(daemon, "register", webauthn.options_to_json(creation))
    registered = webauthn.verify_registration_response(
        credential=registration,
        expected_challenge=creation.challenge,
        expected_rp_id=RP_ID,
        expected_origin=ORIGIN,
        supported_pub_key_algs=[COSEAlgorithmIdentifier.ECDSA_SHA_256],
    )
    say("py_webauthn has verified the registration")

    request = webauthn.generate_authentication_options(
        rp_id=RP_ID,
        allow_credentials=[PublicKeyCredentialDescriptor(id=registered.credential_id)],
        user_verification=UserVerificationRequirement.DISCOURAGED,
    )
    say("countersign authenticate answers request options: the TPM signs, nobody touches anything")
    assertion = run(daemon, "authenticate", webauthn.options_to_json(request))
    authenticated = webauthn.verify_authentication_response(
        credential=assertion,
        expected_challenge=request.challenge,
        expected_rp_id=RP_ID,
        expected_origin=ORIGIN,
        credential_public_key=registered.credential_public_key,
        credential_current_sign_count=registered.sign_count,
    )
    say("py_webauthn has verified the assertion")

    show(
        "Verified registration",
        credential_ID=json.loads(registration)["id"],
        relying_party=RP_ID,
        attestation=f"{registered.fmt} (self-attestation by the new key)",
        algorithm="ES256, P-256",
        authenticator=registered.aaguid,
        signature_counter=registered.sign_count,
        user_verified=registered.user_verified,
    )
    show(
        "Verified assertion",
        credential_ID=json.loads(assertion)["id"],
        relying_party=RP_ID,
        signature=json.loads(assertion)["response"]["signature"],
        signature_counter=f"{authenticated.new_sign_count} (was {registered.sign_count})",
        user_verified=authenticated.user_verified,
    )
    records = [record for record in daemon.audit() if record["outcome"] == "allowed"]
    say(f"the audit log has {len(records)} records, each durable before its signature left; the last one:")
    print(f"    {json.dumps(records[-1])}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=Path, required=True, help="the folder with countersign and countersignd")
    programs = parser.parse_args().programs.resolve()

    with tempfile.TemporaryDirectory(prefix="countersign-demo-") as name:
        rules = [
            {
                "name": "deploy",
                "callers": [{"user": ME}],
                "relyingParties": [RP_ID],
                "operations": ["register", "authenticate"],
            }
        ]
        daemon = Daemon(Path(name), programs, rules)
        say(f"one rule: user {ME} may register and authenticate at {RP_ID}; everything else is refused")
        say(f"starting countersignd with a software TPM in {name}")
        try:
            daemon.start()
            say("countersignd is ready")
            ceremony(daemon)
            daemon.stop()
            say("stopped the daemon and its software TPM, removing the folder")
        except BaseException:
            print(daemon.errors(), file=sys.stderr)
            daemon.kill()
            raise
    print("countersign: the demonstration succeeded")


if __name__ == "__main__":
    main()
