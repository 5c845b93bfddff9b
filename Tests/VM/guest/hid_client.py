"""python-fido2 over hidraw: CTAP2, U2F, a message of the size that getInfo names, two channels, LOCK.

Prints what was shown.
"""

import json
import os
import struct
import sys

from fido2.cose import ES256
from fido2.ctap import CtapError
from fido2.ctap1 import Ctap1
from fido2.ctap2 import Ctap2
from fido2.hid import CTAPHID, CtapHidDevice

RP = "python.example.com"
devices = list(CtapHidDevice.list_devices())
assert len(devices) == 1, devices
shown = {}

ctap = Ctap2(devices[0], strict_cbor=True)
challenge = os.urandom(32)
user = {"id": os.urandom(16), "name": "runner"}
made = ctap.make_credential(challenge, {"id": RP, "name": RP}, user, [{"type": "public-key", "alg": -7}])
data = made.auth_data.credential_data
assertion = ctap.get_assertion(RP, challenge, [{"type": "public-key", "id": data.credential_id}])
assertion.verify(challenge, data.public_key)
shown["ctap2"] = "verified"

u2f = Ctap1(devices[0])
application = os.urandom(32)
registration = u2f.register(challenge, application)
registration.verify(application, challenge)
signature = u2f.authenticate(challenge, application, registration.key_handle)
signature.verify(application, challenge, registration.public_key)
shown["u2f"] = "verified"

# The kernel loses what is much longer: see countersign-hid(8).
message = os.urandom(ctap.info.max_msg_size)
assert devices[0].call(CTAPHID.PING, message) == message
shown["ping"] = len(message)

(other,) = CtapHidDevice.list_devices()
assert other._channel_id != devices[0]._channel_id
assert other.call(CTAPHID.PING, b"other") == b"other" and devices[0].call(CTAPHID.PING, b"first") == b"first"
shown["channels"] = "apart"

devices[0].lock(10)
try:
    other.call(CTAPHID.PING, b"?")
    shown["locked"] = "not busy"
except CtapError as error:
    shown["locked"] = "busy" if error.code == CtapError.ERR.CHANNEL_BUSY else str(error)
devices[0].lock(0)
other.call(CTAPHID.PING, b"!")
print(json.dumps(shown))
