"""What the standard asks of any authenticator, one rule at a time, on a daemon whose one rule allows everything:
getAssertion, getNextAssertion and pinUvAuthParam."""

import pytest

from conformance import (
    AGREEMENT,
    AT,
    CLIENT_PIN,
    CM,
    ERR,
    GA,
    GET_ASSERTION,
    HASH,
    MAKE_CREDENTIAL,
    MC,
    NEXT,
    OK,
    PIN,
    RULES,
    SELECTION,
    UP,
    UV,
)
from harness import descriptor

# getAssertion and getNextAssertion.


def test_assertion_options(fresh):
    fresh.discoverable()
    for options in ({"rk": True}, {"rk": False}):
        assert fresh.status(GET_ASSERTION, fresh.assertion(options=options)) == ERR.UNSUPPORTED_OPTION
    assert fresh.status(GET_ASSERTION, fresh.assertion(options={"uv": True})) == ERR.INVALID_OPTION
    for options, flags in (({"up": False}, 0), ({"up": True}, UP), ({"uv": False}, UP), ({"unknown": True}, UP)):
        assert fresh.sign(options=options).auth_data.flags == flags


def test_allow_lists(fresh):
    made = fresh.create()
    credential_id = made.auth_data.credential_data.credential_id
    wrong = bytes([credential_id[0] ^ 1]) + credential_id[1:]
    for nothing in (None, [], [descriptor(wrong)], [{"type": "rot13", "id": credential_id}], [descriptor(b"")]):
        assert fresh.status(GET_ASSERTION, fresh.assertion(allow=nothing)) == ERR.NO_CREDENTIALS
    other = fresh.assertion(rp="example.com.com", allow=[descriptor(credential_id)])
    assert fresh.status(GET_ASSERTION, other) == ERR.NO_CREDENTIALS
    for part in ({"id": credential_id}, {"type": "public-key"}):
        assert fresh.status(GET_ASSERTION, fresh.assertion(allow=[part])) == ERR.MISSING_PARAMETER
    mixed = [{"type": "rot13", "id": b"1234"}, descriptor(wrong), descriptor(credential_id)]
    signed = fresh.sign(allow=mixed)
    signed.verify(HASH, made.auth_data.credential_data.public_key)
    assert signed.credential["id"] == credential_id
    assert signed.user is None and signed.number_of_credentials is None


def test_an_empty_allow_list_is_none(fresh):
    newest = [fresh.discoverable() for _ in range(2)][-1].auth_data.credential_data
    signed = fresh.sign(allow=[])
    assert signed.credential["id"] == newest.credential_id and signed.number_of_credentials == 2
    signed.verify(HASH, newest.public_key)
    assert fresh.next().user


def test_one_of_an_allow_list_answers(locked):
    made = [locked.discoverable(**locked.proof(locked.token())) for _ in range(2)]
    listed = [descriptor(one.auth_data.credential_data.credential_id) for one in made]
    signed = locked.sign(allow=listed, **locked.proof(locked.token()))
    assert signed.number_of_credentials is None and signed.user["id"] and len(signed.user) == 1
    assert locked.status(NEXT) == ERR.NOT_ALLOWED


def test_the_newest_account_answers_first(fresh):
    made = [fresh.discoverable().auth_data.credential_data for _ in range(4)]
    signed = [fresh.sign()] + [fresh.next() for _ in range(3)]
    assert [one.number_of_credentials for one in signed] == [4, None, None, None]
    assert fresh.status(NEXT) == ERR.NOT_ALLOWED
    counters = [one.auth_data.counter for one in signed]
    assert counters == sorted(set(counters))
    for one, account in zip(signed, reversed(made)):
        one.verify(HASH, account.public_key)
        assert one.credential["id"] == account.credential_id
        # Without user verification the handle, and nothing of names.
        assert list(one.user) == ["id"]


def test_names_are_for_verified_users_with_several_accounts(locked):
    locked.discoverable(**locked.proof(locked.token()))
    assert list(locked.sign(**locked.proof(locked.token())).user) == ["id"]
    locked.discoverable(**locked.proof(locked.token()))
    for one in (locked.sign(**locked.proof(locked.token())), locked.next()):
        assert sorted(one.user) == ["displayName", "id", "name"] and one.auth_data.flags == UP | UV
    for one in (locked.sign(), locked.next()):
        assert list(one.user) == ["id"] and one.auth_data.flags == UP


@pytest.mark.parametrize("between", [(0x04, None), (CLIENT_PIN, {1: 1, 2: AGREEMENT}), (SELECTION, None), (0x40, None)])
def test_another_command_ends_the_walk(fresh, between):
    for _ in range(3):
        fresh.discoverable()
    fresh.sign()
    fresh.next()
    fresh.send(*between)
    assert fresh.status(NEXT) == ERR.NOT_ALLOWED


def test_the_same_user_is_replaced(fresh):
    user = {"id": b"the user", "name": "x"}
    old = fresh.discoverable(user=user).auth_data.credential_data
    new = fresh.discoverable(user=user).auth_data.credential_data
    signed = fresh.sign()
    assert signed.number_of_credentials is None and signed.credential["id"] == new.credential_id
    gone = fresh.assertion(allow=[descriptor(old.credential_id)])
    assert fresh.status(GET_ASSERTION, gone) == ERR.NO_CREDENTIALS


def test_empty_user_handles_are_not_returned(locked):
    made = locked.discoverable(user={"id": b"", "name": "Emma"}, **locked.proof(locked.token()))
    listed = [descriptor(made.auth_data.credential_data.credential_id)]
    for more in ({}, {"allow": listed}, locked.proof(locked.token())):
        assert locked.sign(**more).user is None
    assert locked.status(MAKE_CREDENTIAL, locked.creation(user={"id": b"x" * 65})) == ERR.INVALID_LENGTH


# pinUvAuthParam.


def test_an_empty_code_chooses_an_authenticator(fresh):
    messages = [(MAKE_CREDENTIAL, fresh.creation(auth=b"")), (GET_ASSERTION, fresh.assertion(auth=b"", protocol=1))]
    for command, members in messages:
        assert fresh.status(command, members) == ERR.PIN_NOT_SET
    assert fresh.set_pin(PIN) == OK
    for command, members in messages:
        assert fresh.status(command, members) == ERR.PIN_INVALID
    assert fresh.status(SELECTION) == OK


def test_codes_need_a_protocol_and_a_token(fresh):
    def statuses(**proof):
        messages = [(MAKE_CREDENTIAL, fresh.creation(**proof)), (GET_ASSERTION, fresh.assertion(**proof))]
        return {fresh.status(command, members) for command, members in messages}

    code = b"\x55" * 16
    assert statuses(auth=code) == {ERR.MISSING_PARAMETER}
    assert statuses(auth=code, protocol=3) == {ERR.INVALID_PARAMETER}
    assert statuses(auth=code, protocol=1) == {ERR.PIN_NOT_SET}
    assert fresh.set_pin(PIN) == OK
    for protocol in (1, 2):
        assert statuses(auth=code, protocol=protocol) == {ERR.PIN_AUTH_INVALID}
    fresh.token()
    assert statuses(auth=code, protocol=2) == {ERR.PIN_AUTH_INVALID}


def test_discoverable_credentials_need_the_pin_that_is_set(locked):
    assert locked.create().auth_data.flags == UP | AT
    rk = locked.creation(options={"rk": True})
    assert locked.status(MAKE_CREDENTIAL, rk) == ERR.PUAT_REQUIRED
    # With a code, uv says no more.
    made = locked.create(options={"rk": True, "uv": True}, **locked.proof(locked.token()))
    assert made.auth_data.flags == UP | UV | AT
    assert locked.sign().auth_data.flags == UP


def test_tokens_have_a_purpose_and_an_end(locked):
    def statuses(token, rp_id="example.com"):
        proof = locked.proof(token)
        creation = locked.creation(rp={"id": rp_id}, **proof)
        return locked.status(MAKE_CREDENTIAL, creation), locked.status(
            GET_ASSERTION, locked.assertion(rp=rp_id, **proof)
        )

    invalid = ERR.PIN_AUTH_INVALID
    locked.discoverable(**locked.proof(locked.token()))
    assert statuses(locked.token(CM)) == (invalid, invalid)
    assert statuses(locked.token(MC, "other.com")) == (invalid, invalid)
    assert statuses(locked.token(MC, "example.com")) == (OK, invalid)
    assert statuses(locked.token(GA, "example.com")) == (invalid, OK)
    # One ceremony with a present user, and the token is spent.
    assert statuses(locked.token(MC | GA, "example.com")) == (OK, invalid)
    assert statuses(locked.token()) == (OK, invalid)

    token = locked.token(GA, "example.com")
    silent = locked.assertion(options={"up": False}, **locked.proof(token))
    assert locked.reply(GET_ASSERTION, silent)[2][32] == UV
    assert locked.status(GET_ASSERTION, silent) == OK
    assert statuses(token, "other.com") == (invalid, invalid)
    assert statuses(token) == (invalid, OK)
    assert locked.status(GET_ASSERTION, silent) == invalid


def test_a_token_takes_the_rp_id_of_its_first_use(locked):
    locked.discoverable(**locked.proof(locked.token()))
    token = locked.token()
    silent = {"options": {"up": False}, **locked.proof(token)}
    assert locked.status(GET_ASSERTION, locked.assertion(**silent)) == OK
    assert locked.status(GET_ASSERTION, locked.assertion(rp="other.com", **silent)) == ERR.PIN_AUTH_INVALID


def test_a_new_token_ends_the_old_one(locked):
    old = locked.token()
    locked.token()
    assert locked.status(MAKE_CREDENTIAL, locked.creation(**locked.proof(old))) == ERR.PIN_AUTH_INVALID
