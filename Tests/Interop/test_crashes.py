"""kill -9 at random moments under load, and old copies of the state: nothing that was acknowledged is lost, no
signature is out that the audit log does not have, and no value of the signature counter is ever seen twice."""

import contextlib
import itertools
import os
import random
import threading

from fido2.ctap import CtapError

from harness import (
    DEFAULT_RULES,
    Account,
    Closed,
    authenticate,
    copy_folder,
    ctap2,
    eventually,
    register,
    status_of,
)

RP = "crashes.example.com"
ROUNDS = int(os.environ.get("COUNTERSIGN_CRASHES", 20))


class Load:
    """Clients that register and authenticate until the daemon dies under them, and what it told them before."""

    def __init__(self, daemon, known: list[Account], seed: int, clients: int = 4):
        self.accounts: list[Account] = []
        self.signatures: list[tuple[bytes, int]] = []
        self.failures: list[BaseException] = []
        self.daemon = daemon
        self.known = known
        self.done = 0
        self.condition = threading.Condition()
        self.threads = [threading.Thread(target=self._work, args=(seed + number,)) for number in range(clients)]
        for thread in self.threads:
            thread.start()

    def await_operations(self, count: int) -> None:
        with self.condition:
            assert self.condition.wait_for(lambda: self.done >= count or self.failures, timeout=60)

    def join(self) -> None:
        for thread in self.threads:
            thread.join(timeout=60)
            assert not thread.is_alive()
        for failure in self.failures:
            raise failure

    def _work(self, seed: int) -> None:
        randomness = random.Random(seed)
        try:
            ctap = ctap2(self.daemon.socket)
            with ctap.device:
                while True:
                    challenge = randomness.randbytes(32)
                    if self.known and randomness.random() < 0.7:
                        account = randomness.choice(self.known)
                        counter = authenticate(ctap, account, challenge).auth_data.counter
                        self._acknowledged(None, (challenge, counter))
                    else:
                        discoverable = randomness.random() < 0.5
                        account = register(
                            ctap, RP, randomness.randbytes(16), discoverable=discoverable, client_data_hash=challenge
                        )
                        self._acknowledged(account, (challenge, account.response.auth_data.counter))
        except (Closed, ConnectionError, FileNotFoundError):
            pass
        except BaseException as failure:
            with self.condition:
                self.failures.append(failure)
                self.condition.notify_all()

    def _acknowledged(self, account: Account | None, signature: tuple[bytes, int]) -> None:
        with self.condition:
            if account:
                self.accounts.append(account)
            self.signatures.append(signature)
            self.done += 1
            self.condition.notify_all()


def logged_signatures(daemon) -> dict[str, int]:
    """Hash of the client data to counter, for every record of an allowed operation."""
    return {
        record["clientDataHash"]: record["signCount"]
        for record in daemon.audit()
        if record["outcome"] == "allowed" and record.get("signCount") is not None
    }


def sign_with_each(daemon, accounts: list[Account]) -> list[tuple[bytes, int]]:
    """All of these are there: one verified signature of each."""
    ctap = ctap2(daemon.socket)
    made = []
    with ctap.device:
        for account in accounts:
            challenge = os.urandom(32)
            made.append((challenge, authenticate(ctap, account, challenge).auth_data.counter))
    return made


def check_everything(daemon, accounts: list[Account], signatures: list[tuple[bytes, int]]) -> list[tuple[bytes, int]]:
    """Nothing lost, everything logged, no counter twice. Returns the signatures that the check itself made."""
    made = sign_with_each(daemon, accounts)
    ctap = ctap2(daemon.socket)
    with ctap.device:
        # Registrations that nobody was told of are there whole or not at all: each that is listed signs.
        challenge = os.urandom(32)
        listed = ctap.get_assertions(RP, challenge)
    by_id = {account.id: account for account in accounts}
    for assertion in listed:
        made.append((challenge, assertion.auth_data.counter))
        if assertion.credential["id"] in by_id:
            assertion.verify(challenge, by_id[assertion.credential["id"]].public_key)
    discoverable = {account.id for account in accounts if account.discoverable}
    assert discoverable and discoverable <= {assertion.credential["id"] for assertion in listed}
    counters = [counter for _, counter in signatures + made]
    assert len(counters) == len(set(counters)), "a signature counter was used twice"
    logged = logged_signatures(daemon)
    for challenge, counter in signatures:
        assert logged.get(challenge.hex()) == counter, "a signature that the audit log does not have"
    return made


def await_moment(daemon, load: Load, randomness: random.Random) -> None:
    """Somewhere within the operations under way: after so many acknowledgements, and then perhaps the instant at
    which the next audit record or the next change of the store is written."""
    load.await_operations(randomness.randrange(1, 25))
    watched = randomness.choice([None, daemon.audit_log, daemon.state])
    if watched is None:
        return

    def written():
        files = watched.iterdir() if watched.is_dir() else [watched]
        found = []
        for file in files:
            with contextlib.suppress(FileNotFoundError):
                status = file.stat()
                found.append((file.name, status.st_size, status.st_mtime_ns))
        return sorted(found)

    before = written()
    eventually(lambda: written() != before, f"the next change of {watched}", pause=0)


def test_killed_at_random_moments(make_daemon, randomness):
    daemon = make_daemon().start()
    accounts: list[Account] = []
    signatures: list[tuple[bytes, int]] = []
    for _ in range(ROUNDS):
        load = Load(daemon, list(accounts[-8:]), randomness.randrange(2**32))
        await_moment(daemon, load, randomness)
        daemon.kill()
        load.join()
        daemon.check_integrity()
        accounts += load.accounts
        signatures += load.signatures
        daemon.start()
        sample = randomness.sample(accounts, min(len(accounts), 15))
        signatures += sign_with_each(daemon, sample)
    signatures += check_everything(daemon, accounts, signatures)
    print(f"{ROUNDS} kills, {len(accounts)} credentials, {len(signatures)} signatures")


def test_an_old_copy_of_the_state_repeats_no_counter(make_daemon, folder):
    """A backup brought back, more than once, with and without a clean end before."""
    daemon = make_daemon().start()
    counters = []

    def sign(account, times):
        ctap = ctap2(daemon.socket)
        with ctap.device:
            counters.extend(authenticate(ctap, account).auth_data.counter for _ in range(times))

    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP, discoverable=True)
        counters.append(account.response.auth_data.counter)
    sign(account, 5)
    daemon.stop()
    backup = folder / "backup"
    copy_folder(daemon.state, backup)
    for number in range(5):
        daemon.start()
        sign(account, 7)
        daemon.kill() if number % 2 else daemon.stop()
        copy_folder(backup, daemon.state)
    daemon.start()
    sign(account, 7)
    assert len(counters) == len(set(counters)), "a signature counter was used twice"
    assert counters == sorted(counters), "the signature counter went back"
    # What was removed from the state is gone with it, without harm to the rest.
    ctap = ctap2(daemon.socket)
    with ctap.device:
        assert status_of(lambda: ctap.get_assertion(RP, os.urandom(32))) == 0
        assert status_of(lambda: ctap.get_assertion("x." + RP, os.urandom(32))) == CtapError.ERR.NO_CREDENTIALS


def test_a_backup_from_before_a_reset(make_daemon, folder):
    """Brought back, it is whole again, as SECURITY.md says: the reset took the keys from this state, not from copies.
    No credential sees a value of the counter twice, and what came after the reset is gone with the newer state."""
    operations = {"operations": ["register", "authenticate", "reset"]}
    daemon = make_daemon([{**DEFAULT_RULES[0], **operations}]).start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        old = register(ctap, RP, discoverable=True)
        counters = {old: [old.response.auth_data.counter, authenticate(ctap, old).auth_data.counter]}
    daemon.stop()
    backup = folder / "backup"
    copy_folder(daemon.state, backup)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        ctap.reset()
        assert status_of(lambda: authenticate(ctap, old)) == CtapError.ERR.NO_CREDENTIALS
        new = register(ctap, RP, discoverable=True)
        counters[new] = [new.response.auth_data.counter, authenticate(ctap, new).auth_data.counter]
    daemon.stop()
    after_reset = folder / "after-reset"
    copy_folder(daemon.state, after_reset)
    for state, there, away in ((backup, old, new), (after_reset, new, old)) * 2:
        copy_folder(state, daemon.state)
        daemon.start()
        ctap = ctap2(daemon.socket)
        with ctap.device:
            counters[there].append(authenticate(ctap, there).auth_data.counter)
            assert status_of(lambda: authenticate(ctap, away)) == CtapError.ERR.NO_CREDENTIALS
        daemon.stop()
    for seen in counters.values():
        assert len(seen) == 4 and all(earlier < later for earlier, later in itertools.pairwise(seen)), seen
