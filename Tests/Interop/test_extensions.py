"""Extensions with python-fido2, by its WebAuthn client where that knows them and by messages of our own."""

import os

import pytest
from fido2.client import ClientError
from fido2.ctap2.extensions import CredProtectExtension, HmacSecretExtension
from fido2.ctap2.pin import ClientPin, PinProtocolV2

from harness import authenticate, ctap2, register, status_of
from pins import (
    ERR,
    EVERYTHING,
    GA,
    LBW,
    MC,
    UV,
    VERIFIED,
    Exchange,
    assert_with,
    client,
    configuration,
    register_verified,
    register_with,
    set_pin,
    token,
)

RULES = EVERYTHING
OPTIONAL, WITH_LIST, REQUIRED = 1, 2, 3


@pytest.fixture
def pin(new):
    set_pin(new)
    return new


def creation(rp_id, extensions, verification="discouraged", resident="discouraged"):
    return {
        "rp": {"id": rp_id, "name": "An example"},
        "user": {"id": os.urandom(16), "name": "deploy", "displayName": "Deployment"},
        "challenge": os.urandom(32),
        "pubKeyCredParams": [{"type": "public-key", "alg": -7}],
        "authenticatorSelection": {"userVerification": verification, "residentKey": resident},
        "extensions": extensions,
    }


def request(rp_id, credential_id, extensions, verification="discouraged"):
    return {
        "rpId": rp_id,
        "challenge": os.urandom(32),
        "allowCredentials": [{"type": "public-key", "id": credential_id}] if credential_id else [],
        "userVerification": verification,
        "extensions": extensions,
    }


def made(registration):
    return registration.response.attestation_object.auth_data.credential_data.credential_id


def test_they_are_said_to_be_there(new):
    info = new.get_info()
    assert set(info.extensions) >= {
        "credProtect",
        "hmac-secret",
        "hmac-secret-mc",
        "credBlob",
        "largeBlobKey",
        "minPinLength",
    }
    assert info.max_cred_blob_length >= 32


# credProtect


@pytest.mark.parametrize("level", [OPTIONAL, WITH_LIST, REQUIRED])
def test_levels_of_protection(pin, rp_id, level):
    account = register_verified(pin, rp_id, discoverable=True, extensions={"credProtect": level})
    assert account.response.auth_data.extensions == {"credProtect": level}
    discover = lambda: pin.get_assertion(rp_id, os.urandom(32))  # noqa: E731
    assert status_of(discover) == (0 if level == OPTIONAL else ERR.NO_CREDENTIALS)
    assert status_of(lambda: authenticate(pin, account)) == (ERR.NO_CREDENTIALS if level == REQUIRED else 0)
    look = lambda: pin.get_assertion(rp_id, os.urandom(32), [account.descriptor], options={"up": False})  # noqa: E731
    assert status_of(look) == (ERR.NO_CREDENTIALS if level == REQUIRED else 0)
    # Without verification it is not even to be known by way of the exclude list, at the highest level.
    again = lambda: register(pin, rp_id, exclude_list=[account.descriptor])  # noqa: E731
    assert status_of(again) == (0 if level == REQUIRED else ERR.CREDENTIAL_EXCLUDED)
    key = token(pin, MC, rp_id)
    again = lambda: register_with(pin, key, rp_id, exclude_list=[account.descriptor])  # noqa: E731
    assert status_of(again) == ERR.CREDENTIAL_EXCLUDED
    for allowed in (None, [account.descriptor]):
        assertion = assert_with(pin, token(pin, GA, rp_id), rp_id, allowed)
        assert assertion.credential["id"] == account.id and assertion.auth_data.flags & UV


def test_protection_of_what_is_not_discoverable(pin, rp_id):
    account = register_verified(pin, rp_id, extensions={"credProtect": REQUIRED})
    assert status_of(lambda: authenticate(pin, account)) == ERR.NO_CREDENTIALS
    assert_with(pin, token(pin, GA, rp_id), rp_id, [account.descriptor])


@pytest.mark.parametrize("value", [0, 4, -1, "2", True], ids=repr)
def test_levels_that_there_are_not(pin, rp_id, value):
    call = lambda: register(pin, rp_id, extensions={"credProtect": value})  # noqa: E731
    wrong_type = (ERR.CBOR_UNEXPECTED_TYPE,)
    assert status_of(call) in ((ERR.INVALID_PARAMETER, ERR.INVALID_OPTION) if value in (0, 4) else wrong_type) + (
        wrong_type if value == -1 else ()
    )


def test_the_client_enforces_protection(pin, rp_id):
    policy = CredProtectExtension.POLICY.REQUIRED.value
    extensions = {"credentialProtectionPolicy": policy, "enforceCredentialProtectionPolicy": True}
    registration = client(pin, rp_id).make_credential(creation(rp_id, extensions, resident="required"))
    assert registration.response.attestation_object.auth_data.extensions["credProtect"] == REQUIRED
    signed = client(pin, rp_id).get_assertion(request(rp_id, None, {}, "required"))
    assert signed.get_response(0).raw_id == made(registration)


# hmac-secret


def evaluate(ctap, account, *salts, key=None, code=None, encrypted=None, protocol=None, **more):
    """One getAssertion with hmac-secret; the outputs."""
    protocol = protocol or PinProtocolV2()
    exchange = Exchange(ctap, protocol)
    salt = exchange.protocol.encrypt(exchange.secret, b"".join(salts)) if encrypted is None else encrypted
    asked = {1: exchange.key_agreement, 2: salt, 3: exchange.code(salt) if code is None else code}
    if protocol.VERSION != 1:
        asked[4] = protocol.VERSION
    extensions = {"extensions": {"hmac-secret": asked}, **more}
    if key is None:
        assertion = ctap.get_assertion(account.rp_id, os.urandom(32), [account.descriptor], **extensions)
    else:
        assertion = assert_with(ctap, key, account.rp_id, [account.descriptor], protocol=protocol, **extensions)
    output = (assertion.auth_data.extensions or {}).get("hmac-secret")
    if output is None:
        return None
    clear = protocol.decrypt(exchange.secret, output)
    assert len(clear) == 32 * len(salts)
    return [clear[place : place + 32] for place in range(0, len(clear), 32)]


def test_secrets(daemon, pin, protocol, rp_id):
    account = register_verified(pin, rp_id, extensions={"hmac-secret": True})
    assert account.response.auth_data.extensions == {"hmac-secret": True}
    other = register_verified(pin, rp_id, extensions={"hmac-secret": True})
    salt, second = os.urandom(32), os.urandom(32)
    (output,) = evaluate(pin, account, salt, protocol=protocol)
    assert output not in (salt, bytes(32))
    both = evaluate(pin, account, salt, second, protocol=protocol)
    assert both[0] == output and both[1] != output
    assert evaluate(pin, account, second, salt, protocol=protocol) == both[::-1]
    assert evaluate(pin, other, salt, protocol=protocol) != [output]
    # With verification it is another secret.
    verified = lambda *salts: evaluate(  # noqa: E731
        pin, account, *salts, key=token(pin, GA, rp_id, protocol=protocol), protocol=protocol
    )
    (with_verification,) = verified(salt)
    assert with_verification not in (output, *both)
    assert verified(salt, second)[0] == with_verification
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        assert evaluate(pin, account, salt, second, protocol=protocol) == both
        # The protocols carry the same secret.
        assert evaluate(pin, account, salt) == [output]


def test_secrets_by_rule(make_daemon):
    """Verification by rule opens the other secret just as a PIN does."""
    daemon = make_daemon(VERIFIED).start()
    ctap = ctap2(daemon.socket)
    salt = os.urandom(32)
    with ctap.device:
        account = register(ctap, "one.example.com", extensions={"hmac-secret": True})
        protocol = PinProtocolV2()
        plain = evaluate(ctap, account, salt)
        key = ClientPin(ctap, protocol).get_uv_token(GA, account.rp_id)
        assert evaluate(ctap, account, salt, key=key) == evaluate(ctap, account, salt, options={"uv": True}) != plain


def test_secrets_that_nobody_asked_for(pin, rp_id):
    """Every credential has them or only those that asked; either way the reply says so truthfully."""
    account = register_verified(pin, rp_id)
    assert not account.response.auth_data.extensions
    assert evaluate(pin, account, os.urandom(32)) is None
    refused = register_verified(pin, rp_id, extensions={"hmac-secret": False})
    assert not (refused.response.auth_data.extensions or {}).get("hmac-secret")


def test_wrong_salts(pin, protocol, rp_id):
    account = register_verified(pin, rp_id, extensions={"hmac-secret": True})
    ask = lambda **members: status_of(  # noqa: E731
        lambda: evaluate(pin, account, os.urandom(32), protocol=protocol, **members)
    )
    assert ask(code=os.urandom(16 if protocol.VERSION == 1 else 32)) == ERR.PIN_AUTH_INVALID
    assert ask(code=b"") == ERR.PIN_AUTH_INVALID
    for length in (16, 48, 96):
        status = status_of(lambda: evaluate(pin, account, os.urandom(length), protocol=protocol))
        assert status in (ERR.INVALID_LENGTH, ERR.INVALID_PARAMETER), length
    assert ask(options={"up": False}) in (ERR.UNSUPPORTED_OPTION, ERR.INVALID_OPTION)
    # It is an input without a PIN too.
    pin.reset()
    account = register(pin, rp_id, extensions={"hmac-secret": True})
    assert evaluate(pin, account, os.urandom(32), protocol=protocol)


def test_prf(pin, rp_id):
    first, second = os.urandom(32), os.urandom(32)
    registration = client(pin, rp_id).make_credential(creation(rp_id, {"prf": {}}))
    assert registration.client_extension_results.prf.enabled is True
    evaluated = lambda values, verification: client(pin, rp_id).get_assertion(  # noqa: E731
        request(rp_id, made(registration), {"prf": {"eval": values}}, verification)
    ).get_response(0).client_extension_results.prf.results
    one = evaluated({"first": first}, "required")
    two = evaluated({"first": first, "second": second}, "required")
    assert one.first == two.first != two.second and not one.second
    assert evaluated({"first": second}, "required").first == two.second


def test_prf_at_creation(pin, rp_id):
    values = {"eval": {"first": os.urandom(32), "second": os.urandom(32)}}
    registration = client(pin, rp_id).make_credential(creation(rp_id, {"prf": values}, "required"))
    results = registration.client_extension_results.prf.results
    assert results.first and results.second
    signed = client(pin, rp_id).get_assertion(request(rp_id, made(registration), {"prf": values}, "required"))
    assert signed.get_response(0).client_extension_results.prf.results == results


def test_hmac_secret_by_the_client(pin, rp_id):
    extensions = [HmacSecretExtension(allow_hmac_secret=True)]
    registration = client(pin, rp_id, extensions=extensions).make_credential(
        creation(rp_id, {"hmacCreateSecret": True})
    )
    assert registration.client_extension_results.hmac_create_secret is True
    salt = os.urandom(32)
    outputs = {
        verification: client(pin, rp_id, extensions=extensions)
        .get_assertion(request(rp_id, made(registration), {"hmacGetSecret": {"salt1": salt}}, verification))
        .get_response(0)
        .client_extension_results.hmac_get_secret.output1
        for verification in ("required", "discouraged")
    }
    assert len(set(outputs.values())) == 2


# credBlob


def test_blob(daemon, pin, rp_id):
    most = pin.get_info().max_cred_blob_length
    blobs = [os.urandom(most), b"x", b""]
    accounts = [
        register_verified(pin, rp_id, user_id=b"user %d" % number, discoverable=True, extensions={"credBlob": blob})
        for number, blob in enumerate(blobs)
    ]
    assert all(one.response.auth_data.extensions == {"credBlob": True} for one in accounts)
    without = register_verified(pin, rp_id, discoverable=True)
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        for account, blob in zip([*accounts, without], [*blobs, b""]):
            assertion = authenticate(pin, account, extensions={"credBlob": True})
            assert assertion.auth_data.extensions == {"credBlob": blob}
        assert not authenticate(pin, accounts[0]).auth_data.extensions


def test_blobs_that_are_not_kept(pin, rp_id):
    too_long = os.urandom(pin.get_info().max_cred_blob_length + 1)
    account = register_verified(pin, rp_id, discoverable=True, extensions={"credBlob": too_long})
    assert account.response.auth_data.extensions == {"credBlob": False}
    assert authenticate(pin, account, extensions={"credBlob": True}).auth_data.extensions == {"credBlob": b""}
    # CTAP 2.1 section 12.2: only a discoverable credential has one.
    account = register_verified(pin, rp_id, extensions={"credBlob": b"blob"})
    assert account.response.auth_data.extensions == {"credBlob": False}


def test_blob_by_the_client(pin, rp_id):
    registration = client(pin, rp_id).make_credential(creation(rp_id, {"credBlob": b"blob"}, resident="required"))
    assert registration.response.attestation_object.auth_data.extensions["credBlob"] is True
    signed = client(pin, rp_id).get_assertion(request(rp_id, made(registration), {"getCredBlob": True}))
    assert signed.get_response(0).response.authenticator_data.extensions["credBlob"] == b"blob"


# largeBlobKey


def test_large_blob_key(pin, rp_id):
    account = register_verified(pin, rp_id, discoverable=True, extensions={"largeBlobKey": True})
    key = account.response.large_blob_key
    assert len(key) == 32 and not account.response.auth_data.extensions
    other = register_verified(pin, rp_id, discoverable=True, extensions={"largeBlobKey": True})
    assert other.response.large_blob_key != key
    assertion = authenticate(pin, account, extensions={"largeBlobKey": True})
    assert assertion.large_blob_key == key and not assertion.auth_data.extensions
    assert authenticate(pin, account).large_blob_key is None
    without = register_verified(pin, rp_id, discoverable=True)
    assert without.response.large_blob_key is None
    assert authenticate(pin, without, extensions={"largeBlobKey": True}).large_blob_key is None


def test_large_blob_keys_that_are_not_given(pin, rp_id):
    make = lambda **members: status_of(lambda: register_verified(pin, rp_id, **members))  # noqa: E731
    assert make(extensions={"largeBlobKey": True}) == ERR.INVALID_OPTION
    assert make(discoverable=True, extensions={"largeBlobKey": False}) == ERR.INVALID_OPTION
    account = register_verified(pin, rp_id, discoverable=True, extensions={"largeBlobKey": True})
    sign = lambda: authenticate(pin, account, extensions={"largeBlobKey": False})  # noqa: E731
    assert status_of(sign) == ERR.INVALID_OPTION


def test_large_blob_by_the_client(pin, rp_id):
    make = creation(rp_id, {"largeBlob": {"support": "required"}}, "required", "required")
    registration = client(pin, rp_id).make_credential(make)
    assert registration.client_extension_results.large_blob.supported is True
    results = lambda extension: client(pin, rp_id).get_assertion(  # noqa: E731
        request(rp_id, made(registration), {"largeBlob": extension}, "required")
    ).get_response(0).client_extension_results.large_blob
    assert results({"write": b"large " * 1000}).written is True
    assert results({"read": True}).blob == b"large " * 1000
    # Not for one that is not discoverable.
    wrong = creation(rp_id, {"largeBlob": {"support": "required"}}, "required", "discouraged")
    with pytest.raises((ClientError, ValueError)):
        client(pin, rp_id).make_credential(wrong)


# All at once, and none


def test_minimum_length_by_the_client(pin, rp_id):
    configuration(pin).set_min_pin_length(6, rp_ids=[rp_id])
    registration = client(pin, rp_id).make_credential(creation(rp_id, {"minPinLength": True}))
    assert registration.response.attestation_object.auth_data.extensions["minPinLength"] == 6


def test_all_at_once(pin, rp_id):
    configuration(pin).set_min_pin_length(rp_ids=[rp_id])
    asked = {
        "credBlob": b"blob",
        "credProtect": REQUIRED,
        "hmac-secret": True,
        "largeBlobKey": True,
        "minPinLength": True,
    }
    key = token(pin, MC | LBW, rp_id)
    account = register_with(pin, key, rp_id, discoverable=True, extensions=asked)
    expected = {"credBlob": True, "credProtect": REQUIRED, "hmac-secret": True, "minPinLength": 4}
    assert account.response.auth_data.extensions == expected
    assert account.response.large_blob_key


@pytest.mark.parametrize(
    "extensions",
    [
        {"credBlob": "text"},
        {"hmac-secret": 1},
        {"largeBlobKey": 1},
        {"minPinLength": 1},
        {"credProtect": b"1"},
    ],
    ids=repr,
)
def test_wrong_types(pin, rp_id, extensions):
    call = lambda: register(pin, rp_id, extensions=extensions)  # noqa: E731
    assert status_of(call) == ERR.CBOR_UNEXPECTED_TYPE


def test_unknown_extensions_are_left_out(pin, rp_id):
    unknown = {"example.unknown": {"a": [1]}, "payment": True}
    account = register(pin, rp_id, extensions=unknown)
    assert not account.response.auth_data.extensions
    assertion = authenticate(pin, account, extensions=unknown)
    assert not assertion.auth_data.extensions
