"""What the standard asks of any authenticator, one rule at a time, on a daemon whose one rule allows everything:
credential management and authenticatorConfig."""

import pytest
from fido2 import cbor

from conformance import ACFG, AT, CM, ED, ERR, GET_ASSERTION, LBW, MAKE_CREDENTIAL, MANAGEMENT, OK, PIN, RULES, UP
from harness import FrameConnection, descriptor, sha256

# Credential management.


def test_management_asks_for_a_token(locked):
    identifier = {2: descriptor(b"x" * 16)}
    parameters = {4: {1: b"x" * 32}, 6: identifier, 7: {**identifier, 3: {"id": b"x"}}}
    for subcommand in (1, 2, 4, 6, 7):
        request = {1: subcommand}
        assert locked.status(MANAGEMENT, request) == ERR.PUAT_REQUIRED
        assert locked.status(MANAGEMENT, {**request, 4: b"U" * 32}) == ERR.MISSING_PARAMETER
        assert locked.status(MANAGEMENT, {**request, 2: {}, 3: 3, 4: b"U" * 32}) == ERR.INVALID_PARAMETER
        if subcommand in parameters:
            for incomplete in ({}, {2: {}}):
                assert locked.status(MANAGEMENT, {**request, **incomplete, 3: 1, 4: b"U" * 16}) == ERR.MISSING_PARAMETER
            request[2] = parameters[subcommand]
        for protocol, count in ((1, 16), (2, 32)):
            assert locked.status(MANAGEMENT, {**request, 3: protocol, 4: b"U" * count}) == ERR.PIN_AUTH_INVALID
        for permissions in (None, LBW):
            token = locked.token(permissions)
            assert locked.manage(token, subcommand, request.get(2))[0] == ERR.PIN_AUTH_INVALID
        for _ in range(4):
            assert locked.manage(locked.token(CM), subcommand, request.get(2), wrong=True)[0] == ERR.PIN_AUTH_INVALID
    for subcommand in (0, 8, 255):
        assert locked.status(MANAGEMENT, {1: subcommand}) == ERR.INVALID_SUBCOMMAND
    assert locked.retries() == 8


def test_management_of_nothing(locked):
    token = locked.token(CM)
    status, metadata = locked.manage(token, 1)
    assert (status, metadata[1]) == (OK, 0) and metadata[2] >= 48
    assert locked.manage(token, 2)[0] == ERR.NO_CREDENTIALS
    for subcommand in (3, 5):
        assert locked.status(MANAGEMENT, {1: subcommand}) == ERR.NOT_ALLOWED
    for parameters in ({1: sha256(b"missing.com")}, {1: b"short"}):
        assert locked.manage(token, 4, parameters)[0] == ERR.NO_CREDENTIALS
    assert locked.manage(token, 6, {2: descriptor(b"x" * 16)})[0] == ERR.NO_CREDENTIALS


@pytest.fixture
def populated(locked):
    """Three accounts of one relying party, and one of another."""
    locked.accounts = {}
    for rp_id, count in (("ssh:", 1), ("three.example.com", 3)):
        locked.accounts[rp_id] = [
            locked.discoverable(
                rp={"id": rp_id, "name": "x"},
                user={"id": bytes([number]), "name": f"user {number}", "displayName": "x"},
                extensions={"credProtect": number + 1, "largeBlobKey": True},
                **locked.proof(locked.token()),
            )
            for number in range(count)
        ]
    locked.create(rp={"id": "not.discoverable.com"})
    return locked


def test_management_finds_everything(populated):
    token = populated.token(CM)
    assert populated.manage(token, 1)[1][1] == 4
    first = populated.manage(token, 2)[1]
    second = populated.reply(MANAGEMENT, {1: 3})
    assert first[5] == 2 and 5 not in second
    assert populated.status(MANAGEMENT, {1: 3}) == ERR.NOT_ALLOWED
    assert {one[3]["id"] for one in (first, second)} == set(populated.accounts)
    for one in (first, second):
        assert one[4] == sha256(one[3]["id"].encode())
    for rp_id, accounts in populated.accounts.items():
        found = [populated.manage(token, 4, {1: sha256(rp_id.encode())})[1]]
        assert found[0][9] == len(accounts)
        found += [populated.reply(MANAGEMENT, {1: 5}) for _ in accounts[1:]]
        assert populated.status(MANAGEMENT, {1: 5}) == ERR.NOT_ALLOWED
        by_id = {one.auth_data.credential_data.credential_id: one for one in accounts}
        assert {one[7]["id"] for one in found} == set(by_id)
        for one in found:
            made = by_id[one[7]["id"]]
            number = one[6]["id"][0]
            assert one[7]["type"] == "public-key" and one[8] == made.auth_data.credential_data.public_key
            assert one[6] == {"id": bytes([number]), "name": f"user {number}", "displayName": "x"}
            assert one[10] == number + 1 and one[11] == made.large_blob_key


def test_enumerations_go_on_only_where_they_began(populated):
    token = populated.token(CM)
    three = {1: sha256(b"three.example.com")}
    assert populated.manage(token, 4, three)[0] == OK
    assert populated.status(MANAGEMENT, {1: 3}) == ERR.NOT_ALLOWED
    assert populated.status(MANAGEMENT, {1: 5}) == ERR.NOT_ALLOWED
    assert populated.manage(token, 2)[0] == OK
    assert populated.status(MANAGEMENT, {1: 5}) == ERR.NOT_ALLOWED
    assert populated.manage(token, 4, three)[0] == OK
    assert populated.status(0x04) == OK
    assert populated.status(MANAGEMENT, {1: 5}) == ERR.NOT_ALLOWED
    assert populated.manage(token, 4, three)[0] == OK
    with FrameConnection(populated.daemon.socket) as other:
        assert other.cbor(b"\x0a" + cbor.encode({1: 5})) == (ERR.NOT_ALLOWED, b"")
    assert populated.status(MANAGEMENT, {1: 5}) == OK


def test_tokens_of_one_relying_party_manage_no_other(populated):
    made = populated.accounts["ssh:"][0].auth_data.credential_data.credential_id
    requests = [(1, None), (2, None), (4, {1: sha256(b"ssh:")})]
    requests += [(7, {2: descriptor(made), 3: {"id": b"\0"}}), (6, {2: descriptor(made)})]
    for subcommand, parameters in requests:
        token = populated.token(CM, "three.example.com")
        assert populated.manage(token, subcommand, parameters)[0] == ERR.PIN_AUTH_INVALID, subcommand
    token = populated.token(CM, "ssh:")
    statuses = [populated.manage(token, subcommand, parameters)[0] for subcommand, parameters in requests]
    assert statuses == [ERR.PIN_AUTH_INVALID, ERR.PIN_AUTH_INVALID, OK, OK, OK]


def test_updates_and_removals(populated):
    made = populated.accounts["ssh:"][0].auth_data.credential_data.credential_id
    token = populated.token(CM)
    user = {"id": b"\0", "name": "another", "displayName": "Another Name"}
    assert populated.manage(token, 7, {2: descriptor(made), 3: user}) == (OK, None)
    assert populated.manage(token, 4, {1: sha256(b"ssh:")})[1][6] == user
    assert populated.manage(token, 7, {2: descriptor(made), 3: {"id": b"\0"}})[0] == OK
    assert populated.manage(token, 4, {1: sha256(b"ssh:")})[1][6] == {"id": b"\0"}
    other = {2: descriptor(made), 3: {**user, "id": b"x"}}
    assert populated.manage(token, 7, other)[0] == ERR.INVALID_PARAMETER
    assert populated.manage(token, 6, {2: descriptor(made)}) == (OK, None)
    for subcommand, parameters in ((6, {2: descriptor(made)}), (7, {2: descriptor(made), 3: user})):
        assert populated.manage(token, subcommand, parameters)[0] == ERR.NO_CREDENTIALS
    for allow in (None, [descriptor(made)]):
        message = populated.assertion(rp="ssh:", allow=allow)
        assert populated.status(GET_ASSERTION, message) == ERR.NO_CREDENTIALS
    assert populated.manage(token, 1)[1][1] == 3
    assert 5 in populated.manage(token, 2)[1] and populated.status(MANAGEMENT, {1: 3}) == ERR.NOT_ALLOWED


# authenticatorConfig.


def test_settings_without_a_pin(fresh):
    assert fresh.configure(None, 3, {1: 6}) == OK
    assert fresh.configure(None, 3, {1: 5}) == ERR.PIN_POLICY_VIOLATION
    assert fresh.configure(None, 3, {1: 64}) == ERR.PIN_POLICY_VIOLATION
    assert fresh.configure(None, 3, {3: True}) == ERR.PIN_NOT_SET
    assert fresh.set_pin("12345") == ERR.PIN_POLICY_VIOLATION
    for subcommand in (0, 1, 4, 255):
        assert fresh.configure(None, subcommand) == ERR.INVALID_SUBCOMMAND
    info = fresh.info()
    assert info[13] == 6 and info[4]["alwaysUv"] is False
    assert fresh.set_pin("123456") == OK
    assert fresh.configure(None, 3, {1: 7}) == ERR.PUAT_REQUIRED


def test_always_verification_can_be_turned_off_again(fresh):
    assert fresh.configure(None, 2) == OK
    info = fresh.info()
    assert info[4]["alwaysUv"] is True and info[4]["makeCredUvNotRqd"] is False and "U2F_V2" not in info[1]
    assert fresh.status(MAKE_CREDENTIAL, fresh.creation()) == ERR.PUAT_REQUIRED
    assert fresh.status(GET_ASSERTION, fresh.assertion()) == ERR.PUAT_REQUIRED
    # Nothing could give a token: only the way back is open.
    assert fresh.configure(None, 3, {1: 6}) == ERR.PUAT_REQUIRED
    assert fresh.configure(None, 2) == OK
    assert fresh.create().auth_data.flags == UP | AT
    assert fresh.set_pin(PIN) == OK
    assert fresh.configure(None, 2) == ERR.PUAT_REQUIRED
    assert fresh.configure(fresh.token(ACFG), 2) == OK
    assert fresh.configure(None, 2) == ERR.PUAT_REQUIRED
    assert fresh.configure(fresh.token(CM), 2) == ERR.PIN_AUTH_INVALID
    assert fresh.configure(fresh.token(ACFG), 2) == OK


def test_a_pin_that_must_be_changed(locked):
    assert locked.configure(locked.token(ACFG), 3, {1: len(PIN) + 1}) == OK
    assert locked.info()[12] is True
    assert locked.ask_token(PIN)[0] == ERR.PIN_INVALID
    assert locked.retries() == 8
    assert locked.change_pin(PIN, PIN) == ERR.PIN_POLICY_VIOLATION
    assert locked.change_pin(PIN, PIN + "!") == OK
    assert locked.info()[12] is False
    assert locked.configure(locked.token(ACFG, pin=PIN + "!"), 3, {3: True}) == OK
    assert locked.change_pin(PIN + "!", PIN + "!") == ERR.PIN_POLICY_VIOLATION
    assert locked.change_pin(PIN + "!", PIN + "?") == OK
    locked.token(pin=PIN + "?")


def test_minimum_lengths_for_those_who_may_know(fresh):
    assert fresh.configure(None, 3, {1: 8, 2: ["example.com"]}) == OK
    assert fresh.create(extensions={"minPinLength": True}).auth_data.extensions == {"minPinLength": 8}
    assert not fresh.create(extensions={"minPinLength": False}).auth_data.flags & ED
    other = fresh.create(rp={"id": "other.com"}, extensions={"minPinLength": True})
    assert not other.auth_data.flags & ED
    assert fresh.configure(None, 3, {2: [f"{n}.example.com" for n in range(17)]}) == ERR.KEY_STORE_FULL
