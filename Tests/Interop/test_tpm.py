"""The TPM's side: how many commands reach it, what it holds, and what happens when it goes away."""

import collections
import os
import signal
import subprocess

from fido2.ctap import CtapError

from harness import (
    DEFAULT_RULES,
    TPM_UNAVAILABLE,
    SoftwareTPM,
    authenticate,
    ctap2,
    descriptor,
    eventually,
    register,
    status_of,
)

SIGN = 0x15D
CREATE = 0x153
TRANSIENT = 0x80000000
LOADED_SESSIONS = 0x02000000
SAVED_SESSIONS = 0x03000000
PERSISTENT = 0x81000000
NV = 0x01000000
KINDS = (TRANSIENT, LOADED_SESSIONS, SAVED_SESSIONS, PERSISTENT, NV)


def test_one_tpm_command_per_assertion(make_daemon, software_tpm):
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "count.example.com", discoverable=True)
        authenticate(ctap, account)
        offset = software_tpm.log_size()
        for _ in range(50):
            authenticate(ctap, account)
        commands = collections.Counter(software_tpm.commands(offset))
    print("TPM commands in 50 assertions:", {hex(code): count for code, count in commands.items()})
    assert commands == {SIGN: 50}


def test_what_costs_no_tpm_command(make_daemon, software_tpm):
    """
    Look-ups and refusals are the store's and policy's, whatever is asked. A credential that is here and may be used is
    signed for with `up: false` too: the only answer that CTAP 2.1 section 6.2.2 has for it is an assertion (step 9 leaves
    the consent out, and step 13 signs all the same), so that such a look-up is worth one TPM2_Sign and no more.
    """
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    ctap = ctap2(daemon.socket)
    rp = "free.example.com"
    unknown = [descriptor(os.urandom(16)) for _ in range(64)]

    def look_up(allow, **options):
        return status_of(lambda: ctap.get_assertion(rp, bytes(32), allow, options=options or None))

    with ctap.device:
        account = register(ctap, rp)
        authenticate(ctap, account)

        def cost(call, times=3):
            offset = software_tpm.log_size()
            for _ in range(times):
                call()
            return collections.Counter(software_tpm.commands(offset))

        def expect(status, found):
            assert found == status, hex(found)

        none, denied, excluded = CtapError.ERR.NO_CREDENTIALS, CtapError.ERR.OPERATION_DENIED, CtapError.ERR.CREDENTIAL_EXCLUDED
        free = {
            "getInfo": lambda: ctap.get_info(),
            "unknown": lambda: expect(none, look_up(unknown[:1])),
            "unknown, up: false": lambda: expect(none, look_up(unknown[:1], up=False)),
            "64 unknown": lambda: expect(none, look_up(unknown)),
            "64 unknown, up: false": lambda: expect(none, look_up(unknown, up=False)),
            "no discoverable": lambda: expect(none, look_up(None)),
            "excluded by the last of 64": lambda: expect(
                excluded, status_of(lambda: register(ctap, rp, exclude_list=unknown[:63] + [account.descriptor]))
            ),
            "registration refused by policy": lambda: expect(denied, status_of(lambda: register(ctap, "example.org"))),
            "assertion refused by policy": lambda: expect(
                denied, status_of(lambda: ctap.get_assertion("example.org", bytes(32), [account.descriptor]))
            ),
        }
        costs = {what: cost(call) for what, call in free.items()}
        print("TPM commands:", {what: dict(count) for what, count in costs.items()})
        assert all(not count for count in costs.values())
        # The count sees what there is: the same list with a credential that is here, and one that excludes nothing.
        known = unknown[:63] + [account.descriptor]
        assert cost(lambda: expect(0, look_up(known, up=False)), times=1) == {SIGN: 1}
        assert CREATE in cost(lambda: register(ctap, rp, exclude_list=unknown), times=1)


def test_no_handle_is_leaked(make_daemon, software_tpm):
    """After a start, many operations of every kind, errors included, and a stop the TPM holds what it held."""
    rules = [{**DEFAULT_RULES[0], "operations": ["register", "authenticate", "reset"], "relyingParties": ["*"]}]
    daemon = make_daemon(rules, tcti=software_tpm.tcti).start()
    daemon.stop()
    before = {kind: software_tpm.handles(kind) for kind in KINDS}
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        for round in range(3):
            accounts = [register(ctap, "leak.example.com", discoverable=number % 2 == 0) for number in range(15)]
            for _ in range(3):
                for account in accounts:
                    authenticate(ctap, account)
            for account in accounts:
                assert status_of(lambda: authenticate(ctap, account, options={"rk": True})) != 0
                assert status_of(lambda: register(ctap, "leak.example.com", exclude_list=[account.descriptor])) != 0
            ctap.reset()
    daemon.stop()
    after = {kind: software_tpm.handles(kind) for kind in KINDS}
    assert before[TRANSIENT] == after[TRANSIENT] == []
    assert before[LOADED_SESSIONS] == after[LOADED_SESSIONS] == []
    assert after == before


def test_the_tpm_is_killed_and_comes_back(make_daemon):
    """swtpm is a supervised child: requests are refused clearly meanwhile and served afterwards, without a restart."""
    daemon = make_daemon().start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "gone.example.com", discoverable=True)
        counters = [authenticate(ctap, account).auth_data.counter]
        for _ in range(3):
            victim = daemon.tpm_process()
            assert victim, "countersignd has no swtpm child"
            os.kill(victim, signal.SIGKILL)
            seen = set()

            def signs():
                status = status_of(lambda: counters.append(authenticate(ctap, account).auth_data.counter))
                seen.add(status)
                return status == 0

            eventually(signs, "the TPM to come back")
            assert seen <= {0, TPM_UNAVAILABLE}, [hex(status) for status in seen]
            assert daemon.process.poll() is None
            assert daemon.tpm_process() not in (None, victim)
            # Not only signing: a new key too.
            authenticate(ctap, register(ctap, "gone.example.com"))
    assert counters == sorted(set(counters)), "a signature counter came back"


def test_an_external_tpm_goes_and_comes_back(make_daemon, software_tpm):
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "gone.example.com")
        counter = authenticate(ctap, account).auth_data.counter
        software_tpm.stop()
        assert status_of(lambda: authenticate(ctap, account)) == TPM_UNAVAILABLE
        assert status_of(lambda: register(ctap, "gone.example.com")) == TPM_UNAVAILABLE
        # What needs no TPM is served.
        assert ctap.get_info().versions
        missing = lambda: ctap.get_assertion("none.example.com", os.urandom(32))  # noqa: E731
        assert status_of(missing) == CtapError.ERR.NO_CREDENTIALS
        software_tpm.start()
        eventually(lambda: status_of(lambda: authenticate(ctap, account)) == 0, "the TPM to come back")
        assert authenticate(ctap, account).auth_data.counter > counter


def test_hardware_is_required_unless_the_operator_says_otherwise(make_daemon, software_tpm):
    """A TPM that turns out to be software is not taken, by whatever path it came."""
    daemon = make_daemon()
    # By its name it is known before it is asked.
    daemon.configure(DEFAULT_RULES, tcti=software_tpm.tcti)
    line = daemon.refuses_to_start(2)
    assert "is a software TPM" in line and "allowSoftware" in line
    daemon.configure(DEFAULT_RULES, tcti=software_tpm.tcti.replace("swtpm:", "libtss2-tcti-swtpm.so.0:"))
    line = daemon.refuses_to_start(6)
    assert "this is a software TPM" in line and "allowSoftware" in line


def test_no_tpm_is_no_reason_to_take_another(make_daemon):
    daemon = make_daemon(tcti="device:/dev/not-there")
    assert "the TPM device:/dev/not-there cannot be opened" in daemon.refuses_to_start(6)
    assert daemon.tpm_state.exists() and not list(daemon.tpm_state.iterdir())


def test_another_tpm_is_not_taken_for_ours(make_daemon, folder, software_tpm):
    """The state of one TPM on another: a clear refusal, and nothing is lost for the day when the right one is back."""
    daemon = make_daemon(tcti=software_tpm.tcti).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "moved.example.com")
    daemon.stop()
    stranger = SoftwareTPM(folder / "other-tpm").start()
    try:
        daemon.tcti = stranger.tcti
        line = daemon.refuses_to_start(6)
        assert "this is not the TPM that this device was set up with" in line
    finally:
        stranger.stop()
    daemon.tcti = software_tpm.tcti
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        authenticate(ctap, account)


def test_owner_authorization(make_daemon, software_tpm, folder):
    """It comes as a systemd credential; missing or wrong, one line says so."""
    daemon = make_daemon(tcti=software_tpm.tcti)
    subprocess.run(["tpm2_changeauth", "-T", software_tpm.tcti, "-c", "owner", "open sesame"], check=True)
    wanted = "the TPM's owner authorization is set and was not given or is wrong: put it into /etc/credstore/countersign.owner-authorization"
    assert wanted in daemon.refuses_to_start(6)
    daemon.credentials = folder / "credentials"
    daemon.credentials.mkdir()
    # A directory without this credential.
    assert wanted in daemon.refuses_to_start(6)
    credential = daemon.credentials / "owner-authorization"
    for wrong in ("", "sesame", "open sesame, please"):
        credential.write_text(wrong)
        assert wanted in daemon.refuses_to_start(6), wrong
    credential.write_text("open sesame\n")
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, "owner.example.com")
        authenticate(ctap, account)
    daemon.stop()
    assert "sesame" not in daemon.errors()
    # Once the device is set up, the owner is not needed.
    daemon.credentials = None
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        authenticate(ctap, account)
