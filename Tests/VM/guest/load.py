"""Clients that register and authenticate, each on a connection of its own, over and over; a line of JSON for whatever
was acknowledged, after it has been verified.

Usage: load.py CLIENTS      until it is ended; a connection that the daemon closes is opened anew, and a line says so
       load.py sign COUNT   once a credential, then that many assertions with it; then it ends
       load.py hot|cold|registration COUNT GATE
                            gets ready and says so in a line; once there is a file GATE: assertions with one busy key,
                            one with each of so many keys, or so many registrations
       load.py check        one verified assertion of each credential in the lines on standard input
"""

import itertools
import json
import os
import sys
import threading
import time

sys.path.append("/srv/host/interop")
from fido2.cose import CoseKey  # noqa: E402
from fido2.ctap import CtapError  # noqa: E402

from harness import Closed, authenticate, ctap2, descriptor, register  # noqa: E402

SOCKET = "/run/countersign/ctap.sock"
RP = "deploy.example.com"


def say(**record) -> None:
    # One call to write: the lines of many threads stay whole.
    os.write(1, json.dumps(record).encode() + b"\n")


def acknowledge(challenge: bytes, account, counter: int, new: bool) -> None:
    key = {number: value.hex() if isinstance(value, bytes) else value for number, value in account.public_key.items()}
    say(hash=challenge.hex(), counter=counter, id=account.id.hex(), new=new, **({"key": key} if new else {}))


def work(client: int) -> None:
    while True:
        try:
            ctap = ctap2(SOCKET)
            with ctap.device:
                account = None
                for number in itertools.count():
                    challenge = os.urandom(32)
                    if number % 4 == 0:
                        # None is discoverable, for which a PIN would be asked where one is set.
                        account = register(ctap, RP, client_data_hash=challenge)
                        acknowledge(challenge, account, account.response.auth_data.counter, new=True)
                    else:
                        counter = authenticate(ctap, account, challenge).auth_data.counter
                        acknowledge(challenge, account, counter, new=False)
        except (Closed, ConnectionError) as end:
            say(client=client, closed=repr(end))
        except CtapError as error:
            say(client=client, refused=str(error))
        except BaseException as failure:
            say(client=client, failed=repr(failure))
            raise


def sign(count: int) -> None:
    ctap = ctap2(SOCKET)
    account = register(ctap, RP)
    authenticate(ctap, account)
    say(ready=True)
    sys.stdin.readline()
    for _ in range(count):
        authenticate(ctap, account)
    say(signed=count)


def await_file(path: str) -> None:
    while not os.path.exists(path):
        time.sleep(0.05)


def hot(count: int, gate: str) -> None:
    """Uses of the key have it pinned; what comes after the gate is counted."""
    ctap = ctap2(SOCKET)
    account = register(ctap, RP)
    for _ in range(12):
        authenticate(ctap, account)
    say(ready=account.id.hex())
    await_file(gate)
    for _ in range(count):
        authenticate(ctap, account)
    say(signed=count)


def cold(count: int, gate: str) -> None:
    """Each key signs once, so that none is pinned."""
    ctap = ctap2(SOCKET)
    accounts = [register(ctap, RP) for _ in range(count)]
    # The counter's block is in hand.
    authenticate(ctap, accounts[0])
    say(ready=count)
    await_file(gate)
    for account in accounts:
        authenticate(ctap, account)
    say(signed=count)


def registration(count: int, gate: str) -> None:
    ctap = ctap2(SOCKET)
    # The counter's block is in hand.
    account = register(ctap, RP)
    say(ready=account.id.hex())
    await_file(gate)
    for _ in range(count):
        register(ctap, RP)
    say(signed=count)


def check() -> None:
    ctap = ctap2(SOCKET)
    count = 0
    for line in sys.stdin:
        record = json.loads(line)
        key = {int(n): bytes.fromhex(v) if isinstance(v, str) else v for n, v in record["key"].items()}
        challenge = os.urandom(32)
        assertion = ctap.get_assertion(RP, challenge, [descriptor(bytes.fromhex(record["id"]))])
        assertion.verify(challenge, CoseKey.parse(key))
        say(hash=challenge.hex(), counter=assertion.auth_data.counter, id=record["id"], new=False)
        count += 1
    say(checked=count)


if __name__ == "__main__":
    if sys.argv[1] == "check":
        check()
    elif sys.argv[1] in (counted := {"hot": hot, "cold": cold, "registration": registration}):
        counted[sys.argv[1]](int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1] == "sign":
        sign(int(sys.argv[2]))
    else:
        for client in range(int(sys.argv[1])):
            threading.Thread(target=work, args=(client,)).start()
