"""python-fido2 over hidraw: CTAP2, U2F, a message as long as getInfo allows, WINK, channels. Prints what was shown."""

import json
import os

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

devices[0].wink()
shown["wink"] = "taken"

# One after the other: of two that have the node open, python-fido2 takes the other's reports for a mistake.
channel = devices[0]._channel_id
devices[0].close()
(other,) = CtapHidDevice.list_devices()
assert other._channel_id != channel
assert other.call(CTAPHID.PING, b"other") == b"other"
shown["channels"] = "apart"
print(json.dumps(shown))
