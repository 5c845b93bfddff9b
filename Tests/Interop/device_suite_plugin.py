"""A pytest plugin for python-fido2's own device tests: shows them a port of countersign-hid as the one HID device that there
is.

It is loaded into their process only, before they import fido2.hid. COUNTERSIGN_REPORTS names the socket of reports; the
device is plugged in while there is one. python-fido2's own CtapHidDevice is used.
"""

import os
import types

from fido2 import hid
from fido2.hid.base import HidDescriptor

from harness import PortConnection, port_descriptor

PATH = os.environ["COUNTERSIGN_REPORTS"]


def list_descriptors() -> list[HidDescriptor]:
    return [port_descriptor(PATH)] if os.path.exists(PATH) else []


def get_descriptor(path: str) -> HidDescriptor:
    return next(one for one in list_descriptors() if one.path == path)


hid.list_descriptors = list_descriptors
hid.get_descriptor = get_descriptor
hid.open_connection = lambda descriptor: PortConnection(descriptor.path)


def pytest_collection_modifyitems() -> None:
    """A device of bits is there when the controller has answered: nothing has to settle."""
    import tests.device

    tests.device.time = types.SimpleNamespace(sleep=lambda _seconds: None)
