"""What the standard asks of any authenticator, one rule at a time, on a daemon whose one rule allows everything:
what messages hold, and makeCredential."""

import pytest

from conformance import (
    AGREEMENT,
    AT,
    BLOBS,
    CHANGE_PIN,
    CLIENT_PIN,
    CONFIG,
    ED,
    ERR,
    GA,
    GET_ASSERTION,
    HASH,
    LEGACY_TOKEN,
    MAKE_CREDENTIAL,
    MANAGEMENT,
    MC,
    OK,
    POINT,
    RETRIES,
    RULES,
    SET_PIN,
    TOKEN,
    UP,
    UV_TOKEN,
)
from harness import EDDSA, ES256, descriptor

# Types and presence: every member of every command, and what stands in it.

ONE_OF_EACH = {int: 42, bytes: b"B", str: "42", list: [42], dict: {42: 42}, bool: True}

FULL = {
    "makeCredential": (
        MAKE_CREDENTIAL,
        {
            1: HASH,
            2: {"id": "example.com", "name": "x", "icon": "https://example.com/x"},
            3: {"id": b"u" * 32, "name": "x", "icon": "https://example.com/x", "displayName": "x"},
            4: [ES256],
            5: [descriptor(b"c" * 16)],
            6: {},
            7: {"rk": False, "up": True, "uv": False},
            8: b"",
            9: 1,
            10: 1,
            11: ["packed"],
        },
        {1, 2, 3, 4},
    ),
    "getAssertion": (
        GET_ASSERTION,
        {
            1: "example.com",
            2: HASH,
            3: [descriptor(b"c" * 16)],
            4: {},
            5: {"up": False, "uv": False},
            6: b"",
            7: 1,
        },
        {1, 2},
    ),
    "getPINRetries": (CLIENT_PIN, {1: 1, 2: RETRIES}, {2}),
    "getKeyAgreement": (CLIENT_PIN, {1: 1, 2: AGREEMENT}, {1, 2}),
    "setPIN": (CLIENT_PIN, {1: 1, 2: SET_PIN, 3: POINT, 4: b"", 5: b""}, {1, 2, 3, 4, 5}),
    "changePIN": (CLIENT_PIN, {1: 1, 2: CHANGE_PIN, 3: POINT, 4: b"", 5: b"", 6: b""}, {1, 2, 3, 4, 5, 6}),
    "getPinToken": (CLIENT_PIN, {1: 1, 2: LEGACY_TOKEN, 3: POINT, 6: b""}, {1, 2, 3, 6}),
    "getPinUvAuthTokenUsingUvWithPermissions": (
        CLIENT_PIN,
        {1: 1, 2: UV_TOKEN, 3: POINT, 9: MC | GA, 10: "example.com"},
        {1, 2, 3, 9, 10},
    ),
    "getPinUvAuthTokenUsingPinWithPermissions": (
        CLIENT_PIN,
        {1: 1, 2: TOKEN, 3: POINT, 6: b"", 9: MC | GA, 10: "example.com"},
        {1, 2, 3, 6, 9, 10},
    ),
    "credentialManagement": (
        MANAGEMENT,
        {1: 7, 2: {1: b"h" * 32, 2: descriptor(b"c" * 16), 3: {"id": b"u", "name": "x"}}, 3: 1, 4: b"p" * 16},
        {1, 2, 3},
    ),
    "authenticatorConfig": (CONFIG, {1: 3, 2: {1: 8, 2: ["example.com"], 3: False}, 3: 1, 4: b"p" * 16}, {1, 3}),
    "largeBlobs": (BLOBS, {2: b"b", 3: 0, 4: 17, 5: b"p" * 16, 6: 1}, set()),
}
BY_COMMAND = pytest.mark.parametrize(("command", "members", "required"), FULL.values(), ids=FULL.keys())


def with_wrong_types(members):
    """Copies of a map in each of which one value, however deep, has another type."""
    for key, value in members.items():
        for kind, other in ONE_OF_EACH.items():
            if type(value) is not kind:
                yield f"{key}: {kind.__name__}", {**members, key: other}
        if isinstance(value, dict):
            for name, inner in with_wrong_types(value):
                yield f"{key}/{name}", {**members, key: inner}
        if isinstance(value, list):
            element = value[0]
            for kind, other in ONE_OF_EACH.items():
                if type(element) is not kind:
                    yield f"{key}[1]: {kind.__name__}", {**members, key: [element, other]}
            if isinstance(element, dict):
                for name, inner in with_wrong_types(element):
                    yield f"{key}[0]/{name}", {**members, key: [inner]}


@BY_COMMAND
def test_every_wrong_type_is_named(token, command, members, required):
    for other in ONE_OF_EACH.values():
        if not isinstance(other, dict):
            assert token.status(command, other) == ERR.CBOR_UNEXPECTED_TYPE, other
    count = 0
    for name, changed in with_wrong_types(members):
        assert token.status(command, changed) == ERR.CBOR_UNEXPECTED_TYPE, name
        count += 1
    assert count >= 10


@BY_COMMAND
def test_every_missing_member_is_named(fresh, command, members, required):
    for key in required:
        assert fresh.status(command, {k: v for k, v in members.items() if k != key}) == ERR.MISSING_PARAMETER, key


@pytest.mark.parametrize("key", [1, 3, -1, -2, -3])
def test_key_agreement_keys_are_whole(fresh, key):
    members = {1: 1, 2: LEGACY_TOKEN, 3: {k: v for k, v in POINT.items() if k != key}, 6: b"p" * 16}
    assert fresh.status(CLIENT_PIN, members) == ERR.MISSING_PARAMETER


# makeCredential.


def test_names_and_icons_may_come_and_go(fresh):
    for rp in ({"name": "x"}, {"icon": "https://example.com/x"}, {}):
        fresh.create(rp={"id": "example.com", **rp})
    for user in ({"name": "x"}, {"icon": "https://example.com/" + "x" * 200}, {"displayName": "x"}, {}):
        fresh.create(user={"id": b"user", **user})


@pytest.mark.parametrize("name", ["テスト", "猫" * 90, "0" + "猫" * 90, "01" + "猫" * 90, "x" * 64, "x" * 65])
def test_long_names_are_cut_between_characters(locked, name):
    for user_id in (b"1", b"2"):
        locked.discoverable(user={"id": user_id, "name": name, "displayName": name}, **locked.proof(locked.token()))
    user = locked.sign(**locked.proof(locked.token())).user
    assert name.startswith(user["name"]) and user["name"] == user["displayName"]
    assert len(name.encode()) <= 64 and user["name"] == name or 62 <= len(user["name"].encode()) <= 64


def test_lists_are_read_to_their_ends(fresh):
    unknown = {"type": "unknown", "alg": -7}
    good = fresh.creation(parameters=[unknown, {"type": "public-key", "alg": -1}, ES256])
    assert fresh.status(MAKE_CREDENTIAL, good) == OK
    for parameters in ([], [unknown], [{"type": "public-key", "alg": 1337}], [EDDSA]):
        assert fresh.status(MAKE_CREDENTIAL, fresh.creation(parameters=parameters)) == ERR.UNSUPPORTED_ALGORITHM
    for wrong in ({"alg": -7}, {"type": "public-key"}):
        assert fresh.status(MAKE_CREDENTIAL, fresh.creation(parameters=[ES256, wrong])) == ERR.MISSING_PARAMETER


def test_exclude_lists(fresh):
    made = fresh.create().auth_data.credential_data.credential_id
    for harmless in ([], [{"type": "rot13", "id": made}], [descriptor(b"x" * 16)], [descriptor(b"")]):
        fresh.create(exclude=harmless)
    listed = fresh.creation(exclude=[descriptor(b"x" * 16), descriptor(made)])
    assert fresh.status(MAKE_CREDENTIAL, listed) == ERR.CREDENTIAL_EXCLUDED
    # One of another relying party excludes nothing.
    fresh.create(rp={"id": "other.example.com"}, exclude=[descriptor(made)])
    for wrong in ({"id": made}, {"type": "public-key"}):
        assert fresh.status(MAKE_CREDENTIAL, fresh.creation(exclude=[wrong])) == ERR.MISSING_PARAMETER


@pytest.mark.parametrize("transport", [{42: 42}, [42]])
def test_nesting_ends_at_four(fresh, transport):
    deep = [{**descriptor(b"c" * 16), "transports": ["usb", transport]}]
    assert fresh.status(MAKE_CREDENTIAL, fresh.creation(exclude=deep)) == ERR.INVALID_CBOR
    assert fresh.status(GET_ASSERTION, fresh.assertion(allow=deep)) == ERR.INVALID_CBOR


def test_creation_options(fresh):
    for options in ({}, {"rk": False}, {"rk": True}, {"up": True}, {"uv": False}, {"unknown": True}):
        response = fresh.create(options=options)
        assert response.auth_data.flags == UP | AT
    for options in ({"up": False}, {"uv": True}):
        assert fresh.status(MAKE_CREDENTIAL, fresh.creation(options=options)) == ERR.INVALID_OPTION


def test_unknown_extensions_are_ignored(fresh):
    made = fresh.create(extensions={"tetris": True}).auth_data
    assert not made.flags & ED
    signed = fresh.sign(extensions={"tetris": b"x"}, allow=[descriptor(made.credential_data.credential_id)])
    assert signed.auth_data.flags == UP and len(signed.auth_data) == 37
