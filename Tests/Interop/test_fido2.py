"""PyPI's fido2 (python-fido2) as the client: registration and authentication as a program that knows security keys."""

import os

import pytest
from fido2.client import DefaultClientDataCollector, Fido2Client
from fido2.attestation import PackedAttestation
from fido2.ctap import CtapError
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestationConveyancePreference,
    AuthenticatorData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    ResidentKeyRequirement,
)

from harness import EDDSA, ES256, ES384, RS256, authenticate, ctap2, register, sha256, status_of

UP = AuthenticatorData.FLAG.UP
UV = AuthenticatorData.FLAG.UV
AT = AuthenticatorData.FLAG.AT


def test_info_states_what_is_true(ctap):
    info = ctap.info
    assert info.versions == ["U2F_V2", "FIDO_2_0", "FIDO_2_1"]
    assert len(info.aaguid) == 16
    assert info.options["rk"] is True and info.options["up"] is True
    # A PIN can be set, and is not; nobody is verified by these rules. No finger, no certificates.
    assert info.options["clientPin"] is False and info.options["pinUvAuthToken"] is True
    assert not any(info.options.get(name) for name in ("uv", "bioEnroll", "ep", "alwaysUv"))
    assert sorted(info.pin_uv_protocols) == [1, 2]
    assert {"type": "public-key", "alg": -7} in info.algorithms
    assert EDDSA not in info.algorithms
    assert info.max_msg_size <= 65535
    assert info.remaining_disc_creds is None or info.remaining_disc_creds > 0


@pytest.mark.parametrize("discoverable", [False, True])
def test_registers_and_authenticates(ctap, rp_id, discoverable):
    challenge = os.urandom(32)
    account = register(ctap, rp_id, discoverable=discoverable, client_data_hash=challenge)
    data = account.response.auth_data
    assert data.rp_id_hash == sha256(rp_id.encode())
    assert data.flags & UP and data.flags & AT and not data.flags & UV
    assert data.credential_data.aaguid == ctap.info.aaguid

    assertion = authenticate(ctap, account)
    assert assertion.auth_data.rp_id_hash == sha256(rp_id.encode())
    assert assertion.auth_data.flags == UP
    assert assertion.credential["id"] == account.id
    assert assertion.number_of_credentials is None
    assert assertion.auth_data.counter > data.counter


def test_packed_attestation_is_verified_by_fido2(ctap, rp_id):
    challenge = os.urandom(32)
    response = register(ctap, rp_id, client_data_hash=challenge).response
    assert response.fmt == "packed"
    PackedAttestation().verify(response.att_stmt, response.auth_data, challenge)


@pytest.mark.parametrize("parameters", [ES256, ES384, RS256], ids=["ES256", "ES384", "RS256"])
def test_every_algorithm_of_the_tpm(ctap, rp_id, parameters):
    if parameters not in ctap.info.algorithms:
        pytest.skip("this TPM cannot do it, and getInfo says so")
    challenge = os.urandom(32)
    account = register(ctap, rp_id, parameters=[EDDSA, parameters], client_data_hash=challenge)
    assert account.public_key[3] == parameters["alg"]
    response = account.response
    PackedAttestation().verify(response.att_stmt, response.auth_data, challenge)
    authenticate(ctap, account)


def test_discoverable_needs_no_allow_list(ctap, rp_id):
    account = register(ctap, rp_id, discoverable=True)
    challenge = os.urandom(32)
    assertion = ctap.get_assertion(rp_id, challenge)
    assertion.verify(challenge, account.public_key)
    assert assertion.credential["id"] == account.id
    # CTAP 2.1 section 6.2.2: without user verification no more than the user handle.
    assert assertion.user == {"id": account.user["id"]}


def test_non_discoverable_is_not_discovered(ctap, rp_id):
    account = register(ctap, rp_id)
    assert status_of(lambda: ctap.get_assertion(rp_id, os.urandom(32))) == CtapError.ERR.NO_CREDENTIALS
    assert authenticate(ctap, account).user is None


def test_ten_accounts_newest_first(ctap, rp_id):
    accounts = [register(ctap, rp_id, b"user-%d" % number, discoverable=True) for number in range(10)]
    challenge = os.urandom(32)
    assertions = ctap.get_assertions(rp_id, challenge)
    assert [one.user["id"] for one in assertions] == [b"user-%d" % number for number in reversed(range(10))]
    assert assertions[0].number_of_credentials == 10
    assert all(one.number_of_credentials is None for one in assertions[1:])
    assert all(set(one.user) == {"id"} for one in assertions)
    for assertion, account in zip(assertions, reversed(accounts)):
        assertion.verify(challenge, account.public_key)
    counters = [one.auth_data.counter for one in assertions]
    assert len(set(counters)) == 10
    # The list is finished.
    assert status_of(ctap.get_next_assertion) == CtapError.ERR.NOT_ALLOWED


def test_next_assertion_belongs_to_its_connection(daemon, ctap, rp_id):
    for _ in range(3):
        register(ctap, rp_id, discoverable=True)
    assert status_of(ctap.get_next_assertion) == CtapError.ERR.NOT_ALLOWED
    assert ctap.get_assertion(rp_id, os.urandom(32)).number_of_credentials == 3
    other = ctap2(daemon.socket)
    with other.device:
        assert status_of(other.get_next_assertion) == CtapError.ERR.NOT_ALLOWED
    ctap.get_next_assertion()
    # Another command in between ends the list.
    ctap.get_assertion(rp_id, os.urandom(32))
    ctap.get_info()
    assert status_of(ctap.get_next_assertion) == CtapError.ERR.NOT_ALLOWED


def test_allow_list_with_several_gives_one(ctap, rp_id):
    accounts = [register(ctap, rp_id, discoverable=number % 2 == 0) for number in range(4)]
    foreign = register(ctap, "other." + rp_id)
    challenge = os.urandom(32)
    allowed = [foreign.descriptor, {"type": "public-key", "id": os.urandom(16)}] + [one.descriptor for one in accounts]
    assertion = ctap.get_assertion(rp_id, challenge, allowed)
    # CTAP 2.1 section 6.2.2 step 11: with an allow list one of them is taken, and there is no list to go on with.
    assert assertion.number_of_credentials is None
    chosen = {account.id: account for account in accounts}[assertion.credential["id"]]
    assertion.verify(challenge, chosen.public_key)
    assert status_of(ctap.get_next_assertion) == CtapError.ERR.NOT_ALLOWED


def test_a_credential_of_another_rp_is_not_found(ctap, rp_id):
    account = register(ctap, rp_id)
    other = "other." + rp_id
    call = lambda: ctap.get_assertion(other, os.urandom(32), [account.descriptor])  # noqa: E731
    assert status_of(call) == CtapError.ERR.NO_CREDENTIALS


def test_exclude_list(ctap, rp_id):
    account = register(ctap, rp_id)
    excluded = lambda descriptors: status_of(lambda: register(ctap, rp_id, exclude_list=descriptors))  # noqa: E731
    assert excluded([{"type": "public-key", "id": os.urandom(16)}, account.descriptor]) == (
        CtapError.ERR.CREDENTIAL_EXCLUDED
    )
    assert excluded([{"type": "public-key", "id": os.urandom(16)}]) == 0
    # Excluded at its own RP only.
    assert status_of(lambda: register(ctap, "other." + rp_id, exclude_list=[account.descriptor])) == 0


def test_a_second_registration_replaces_the_first(ctap, rp_id):
    first = register(ctap, rp_id, b"one user", discoverable=True)
    other = register(ctap, rp_id, b"another user", discoverable=True)
    second = register(ctap, rp_id, b"one user", discoverable=True)
    assert first.id != second.id
    call = lambda: ctap.get_assertion(rp_id, os.urandom(32), [first.descriptor])  # noqa: E731
    assert status_of(call) == CtapError.ERR.NO_CREDENTIALS
    found = [one.credential["id"] for one in ctap.get_assertions(rp_id, os.urandom(32))]
    assert found == [second.id, other.id]


def test_look_up_without_presence(ctap, rp_id):
    account = register(ctap, rp_id)
    challenge = os.urandom(32)
    assertion = ctap.get_assertion(rp_id, challenge, [account.descriptor], options={"up": False})
    assert not assertion.auth_data.flags & UP
    assertion.verify(challenge, account.public_key)
    unknown = [{"type": "public-key", "id": os.urandom(16)}]
    call = lambda: ctap.get_assertion(rp_id, challenge, unknown, options={"up": False})  # noqa: E731
    assert status_of(call) == CtapError.ERR.NO_CREDENTIALS


def test_remaining_credentials_go_down(ctap, rp_id):
    before = ctap.get_info().remaining_disc_creds
    register(ctap, rp_id, discoverable=True)
    assert ctap.get_info().remaining_disc_creds == before - 1
    register(ctap, rp_id)
    assert ctap.get_info().remaining_disc_creds <= before - 1


def test_selection(ctap):
    ctap.selection()


@pytest.mark.parametrize("resident", [ResidentKeyRequirement.DISCOURAGED, ResidentKeyRequirement.REQUIRED])
def test_fido2_client_and_server(ctap, rp_id, resident):
    """The whole ceremony: python-fido2's own relying party and its own WebAuthn client."""
    rp = PublicKeyCredentialRpEntity(id=rp_id, name="An example")
    server = Fido2Server(rp, attestation=AttestationConveyancePreference.DIRECT, verify_attestation=lambda *_: None)
    client = Fido2Client(ctap.device, DefaultClientDataCollector(f"https://{rp_id}"))
    user = PublicKeyCredentialUserEntity(id=os.urandom(16), name="deploy", display_name="Deployment")

    options, state = server.register_begin(user, resident_key_requirement=resident, user_verification="discouraged")
    registration = client.make_credential(options.public_key)
    credential = server.register_complete(state, registration).credential_data
    assert credential is not None

    known = [] if resident == ResidentKeyRequirement.REQUIRED else [credential]
    options, state = server.authenticate_begin(known or None, user_verification="discouraged")
    selection = client.get_assertion(options.public_key)
    result = server.authenticate_complete(state, [credential], selection.get_response(0))
    assert result.credential_id == credential.credential_id
