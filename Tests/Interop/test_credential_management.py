"""Credential management with python-fido2: what is listed, deleted and changed, and for whom."""

import os

import pytest
from fido2.ctap2.credman import CredentialManagement
from fido2.ctap2.pin import PinProtocolV2

from harness import authenticate, ctap2, descriptor, register, status_of
from pins import (
    CM,
    ERR,
    EVERYTHING,
    GA,
    MC,
    PCMR,
    PIN,
    Exchange,
    management,
    register_verified,
    retries,
    rp_id_hash,
    rule,
    set_pin,
    token,
)

RULES = EVERYTHING
RESULT = CredentialManagement.RESULT


@pytest.fixture
def pin(new):
    set_pin(new)
    return new


def listed_ids(managed, rp_id):
    return [one[RESULT.CREDENTIAL_ID]["id"] for one in managed.enumerate_creds(rp_id_hash(rp_id))]


def test_nothing_is_there(pin):
    managed = management(pin)
    metadata = managed.get_metadata()
    assert metadata[RESULT.EXISTING_CRED_COUNT] == 0 and metadata[RESULT.MAX_REMAINING_COUNT] > 0
    assert status_of(managed.enumerate_rps_begin) == ERR.NO_CREDENTIALS
    assert status_of(lambda: managed.enumerate_creds_begin(os.urandom(32))) == ERR.NO_CREDENTIALS


def test_everything_is_listed(pin, rp_id):
    accounts = {}
    for party in (rp_id, "b." + rp_id, "c." + rp_id):
        accounts[party] = [
            register_verified(pin, party, user_id=b"user %d" % number, discoverable=True) for number in range(3)
        ]
    # Those that are not discoverable are nobody's to list.
    register(pin, rp_id)
    managed = management(pin)
    metadata = managed.get_metadata()
    assert metadata[RESULT.EXISTING_CRED_COUNT] == 9
    assert metadata[RESULT.MAX_REMAINING_COUNT] == pin.get_info().remaining_disc_creds
    parties = managed.enumerate_rps()
    assert {one[RESULT.RP]["id"] for one in parties} == set(accounts) and len(parties) == 3
    assert all(one[RESULT.RP_ID_HASH] == rp_id_hash(one[RESULT.RP]["id"]) for one in parties)
    assert parties[0][RESULT.TOTAL_RPS] == 3 and all(RESULT.TOTAL_RPS not in one for one in parties[1:])
    for party, expected in accounts.items():
        found = managed.enumerate_creds(rp_id_hash(party))
        assert found[0][RESULT.TOTAL_CREDENTIALS] == 3
        assert all(RESULT.TOTAL_CREDENTIALS not in one for one in found[1:])
        by_id = {one[RESULT.CREDENTIAL_ID]["id"]: one for one in found}
        assert set(by_id) == {account.id for account in expected}
        for account in expected:
            one = by_id[account.id]
            assert one[RESULT.USER] == account.user
            assert one[RESULT.PUBLIC_KEY] == account.public_key
            assert one[RESULT.CREDENTIAL_ID]["type"] == "public-key"
            assert one[RESULT.CRED_PROTECT] == 1
            assert RESULT.LARGE_BLOB_KEY not in one


def test_extensions_are_listed(pin, rp_id):
    account = register_verified(pin, rp_id, discoverable=True, extensions={"credProtect": 3, "largeBlobKey": True})
    (one,) = management(pin).enumerate_creds(rp_id_hash(rp_id))
    assert one[RESULT.CRED_PROTECT] == 3
    assert one[RESULT.LARGE_BLOB_KEY] == account.response.large_blob_key and len(one[RESULT.LARGE_BLOB_KEY]) == 32


def test_delete(daemon, pin, rp_id):
    first, second = (register_verified(pin, rp_id, discoverable=True) for _ in range(2))
    before = pin.get_info().remaining_disc_creds
    managed = management(pin)
    managed.delete_cred(first.descriptor)
    assert listed_ids(managed, rp_id) == [second.id]
    assert status_of(lambda: managed.delete_cred(first.descriptor)) == ERR.NO_CREDENTIALS
    assert status_of(lambda: authenticate(pin, first)) == ERR.NO_CREDENTIALS
    assert pin.get_info().remaining_disc_creds == before + 1
    authenticate(pin, second)
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        managed = management(pin)
        assert listed_ids(managed, rp_id) == [second.id]
        managed.delete_cred(second.descriptor)
        assert managed.enumerate_rps() == []


def test_update(daemon, pin, rp_id):
    account = register_verified(pin, rp_id, user_id=b"me", discoverable=True)
    managed = management(pin)
    for user in (
        {"id": b"me", "name": "another name", "displayName": "Another Name"},
        {"id": b"me", "name": "only a name"},
        {"id": b"me"},
        {"id": b"me", "displayName": "Only A Name"},
    ):
        managed.update_user_info(account.descriptor, user)
        assert managed.enumerate_creds(rp_id_hash(rp_id))[0][RESULT.USER] == user
    stranger = {"id": b"you", "name": "another user"}
    assert status_of(lambda: managed.update_user_info(account.descriptor, stranger)) == ERR.INVALID_PARAMETER
    unknown = descriptor(os.urandom(16))
    assert status_of(lambda: managed.update_user_info(unknown, {"id": b"me"})) == ERR.NO_CREDENTIALS
    pin.device.close()
    daemon.kill()
    daemon.start()
    pin = ctap2(daemon.socket)
    with pin.device:
        assert management(pin).enumerate_creds(rp_id_hash(rp_id))[0][RESULT.USER] == user
        authenticate(pin, account)


def test_lists_belong_to_their_connection(daemon, pin, rp_id):
    for party in (rp_id, "b." + rp_id):
        for _ in range(2):
            register_verified(pin, party, discoverable=True)
    managed = management(pin)
    steps = [managed.enumerate_rps_next, managed.enumerate_creds_next]
    assert [status_of(step) for step in steps] == [ERR.NOT_ALLOWED] * 2
    managed.enumerate_rps_begin()
    other = ctap2(daemon.socket)
    with other.device:
        theirs = management(other)
        assert status_of(theirs.enumerate_rps_next) == ERR.NOT_ALLOWED
        theirs.enumerate_creds_begin(rp_id_hash(rp_id))
        # Neither is in the other's way.
        managed.enumerate_rps_next()
        theirs.enumerate_creds_next()
        assert status_of(theirs.enumerate_creds_next) == ERR.NOT_ALLOWED
    assert status_of(managed.enumerate_rps_next) == ERR.NOT_ALLOWED
    # One list is no continuation of the other.
    managed.enumerate_rps_begin()
    assert status_of(managed.enumerate_creds_next) == ERR.NOT_ALLOWED
    # Another command ends it.
    managed.enumerate_creds_begin(rp_id_hash(rp_id))
    pin.get_info()
    assert status_of(managed.enumerate_creds_next) == ERR.NOT_ALLOWED


def test_authorization(pin, rp_id):
    account = register_verified(pin, rp_id, discoverable=True)
    managed = management(pin)
    calls = {
        "metadata": managed.get_metadata,
        "RPs": managed.enumerate_rps_begin,
        "credentials": lambda: managed.enumerate_creds_begin(rp_id_hash(rp_id)),
        "delete": lambda: managed.delete_cred(account.descriptor),
        "update": lambda: managed.update_user_info(account.descriptor, account.user),
    }
    good = managed.pin_uv.token
    for name, call in calls.items():
        managed.pin_uv.token = os.urandom(32)
        assert status_of(call) == ERR.PIN_AUTH_INVALID, name
    managed.pin_uv.token = good
    assert listed_ids(managed, rp_id) == [account.id]
    hash = {1: rp_id_hash(rp_id)}
    for command, members in ((1, None), (2, None), (4, hash), (6, {2: account.descriptor})):
        without = lambda: pin.credential_mgmt(command, members)  # noqa: E731
        assert status_of(without) == ERR.PUAT_REQUIRED, command
    protocol = PinProtocolV2()
    signed = lambda command, members=None, version=2: pin.credential_mgmt(  # noqa: E731
        command, members, version, protocol.authenticate(good, bytes([command]))
    )
    assert status_of(lambda: signed(1, version=3)) == ERR.INVALID_PARAMETER
    assert status_of(lambda: signed(1, version=None)) == ERR.MISSING_PARAMETER
    assert status_of(lambda: signed(4)) == ERR.MISSING_PARAMETER
    assert status_of(lambda: signed(6)) == ERR.MISSING_PARAMETER
    assert status_of(lambda: signed(7)) == ERR.MISSING_PARAMETER
    assert status_of(lambda: signed(0x20)) in (ERR.INVALID_SUBCOMMAND, ERR.INVALID_PARAMETER)


def test_a_token_for_one_relying_party(pin, rp_id):
    other = "other." + rp_id
    ours, theirs = (register_verified(pin, party, discoverable=True) for party in (rp_id, other))
    managed = management(pin, rp_id)
    assert listed_ids(managed, rp_id) == [ours.id]
    for name, call in {
        "metadata": managed.get_metadata,
        "RPs": managed.enumerate_rps_begin,
        "credentials": lambda: managed.enumerate_creds_begin(rp_id_hash(other)),
        "delete": lambda: managed.delete_cred(theirs.descriptor),
        "update": lambda: managed.update_user_info(theirs.descriptor, theirs.user),
    }.items():
        assert status_of(call) == ERR.PIN_AUTH_INVALID, name
    managed.update_user_info(ours.descriptor, {"id": ours.user["id"]})
    managed.delete_cred(ours.descriptor)
    authenticate(pin, theirs)


def test_a_persistent_token_only_reads(daemon, pin, rp_id):
    if not CredentialManagement.is_readonly_supported(pin.info):
        pytest.fail("getInfo does not have perCredMgmtRO")
    account = register_verified(pin, rp_id, discoverable=True)
    key = token(pin, PCMR)
    # It is the same for whoever asks, and lasts.
    assert token(pin, PCMR) == key
    pin.device.close()
    daemon.stop()
    daemon.start()
    pin = ctap2(daemon.socket)
    managed = CredentialManagement(pin, PinProtocolV2(), key)
    assert managed.get_metadata()[RESULT.EXISTING_CRED_COUNT] == 1
    assert len(managed.enumerate_rps()) == 1
    assert listed_ids(managed, rp_id) == [account.id]
    assert status_of(lambda: managed.delete_cred(account.descriptor)) == ERR.PIN_AUTH_INVALID
    assert status_of(lambda: managed.update_user_info(account.descriptor, account.user)) == ERR.PIN_AUTH_INVALID
    state = pin.get_info().get_cred_store_state(key)
    identifier = pin.get_info().get_identifier(key)
    assert identifier == pin.get_info().get_identifier(key)
    management(pin).delete_cred(account.descriptor)
    assert state is None or pin.get_info().get_cred_store_state(key) != state
    # A new PIN ends it.
    exchange = Exchange(pin, PinProtocolV2())
    encrypted, old = exchange.encrypted_pin(b"another PIN".ljust(64, b"\0")), exchange.encrypted_hash(PIN)
    exchange.call(4, new_pin_enc=encrypted, pin_hash_enc=old, pin_uv_param=exchange.code(encrypted + old))
    with pin.device:
        assert status_of(managed.get_metadata) == ERR.PIN_AUTH_INVALID
        assert token(pin, PCMR, pin="another PIN") != key


@pytest.fixture
def two_parties(make_daemon):
    """A device with credentials of two RPs, made before the rules that the test is about."""
    daemon = make_daemon(EVERYTHING).start()
    ctap = ctap2(daemon.socket)
    set_pin(ctap)
    accounts = {
        party: register_verified(ctap, party, discoverable=True) for party in ("a.one.example", "b.two.example")
    }
    ctap.device.close()
    daemon.stop()
    return daemon, accounts["a.one.example"], accounts["b.two.example"]


def test_management_within_the_rules(two_parties):
    daemon, ours, theirs = two_parties
    daemon.configure([rule(["*.one.example"], ["manage"])])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        managed = management(ctap)
        assert managed.get_metadata()[RESULT.MAX_REMAINING_COUNT] > 0
        # The other is not there, not even as a number.
        (party,) = managed.enumerate_rps()
        assert party[RESULT.RP]["id"] == ours.rp_id and party[RESULT.TOTAL_RPS] == 1
        assert listed_ids(managed, ours.rp_id) == [ours.id]
        foreign = rp_id_hash(theirs.rp_id)
        assert status_of(lambda: managed.enumerate_creds_begin(foreign)) == ERR.NO_CREDENTIALS
        assert status_of(lambda: managed.delete_cred(theirs.descriptor)) == ERR.NO_CREDENTIALS
        assert status_of(lambda: managed.update_user_info(theirs.descriptor, theirs.user)) == ERR.NO_CREDENTIALS
        managed.update_user_info(ours.descriptor, {"id": ours.user["id"], "name": "new"})
        managed.delete_cred(ours.descriptor)
    daemon.stop()
    daemon.configure(EVERYTHING)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        (one,) = management(ctap).enumerate_creds(rp_id_hash(theirs.rp_id))
        assert one[RESULT.USER] == theirs.user
    managed = [one for one in daemon.audit() if one["operation"] == "manage"]
    assert {one["outcome"] for one in managed} == {"allowed", "refused"}


def test_management_without_a_rule(two_parties):
    daemon, ours, _ = two_parties
    daemon.configure([rule(["*"], ["register", "authenticate"])])
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        managed = management(ctap)
        for name, call in {
            "metadata": managed.get_metadata,
            "RPs": managed.enumerate_rps_begin,
            "credentials": lambda: managed.enumerate_creds_begin(rp_id_hash(ours.rp_id)),
            "delete": lambda: managed.delete_cred(ours.descriptor),
            "update": lambda: managed.update_user_info(ours.descriptor, ours.user),
        }.items():
            assert status_of(call) == ERR.OPERATION_DENIED, name
        assert retries(ctap) == 8
        authenticate(ctap, ours)
        assert token(ctap, GA | MC | CM, ours.rp_id)
