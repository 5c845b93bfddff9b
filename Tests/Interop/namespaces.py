"""Processes in namespaces of their own, as containers have them. Python has unshare(2) only since 3.12."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import Callable

from harness import in_another_process

NEW_MOUNTS, NEW_USERS = 0x00020000, 0x10000000
LIBC = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    if LIBC.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def make_dumpable() -> None:
    """setuid(2) has taken /proc/self away."""
    LIBC.prctl(4, 1, 0, 0, 0)


# What follows the number is executed as root of a user namespace with 1000 users; a child of it, which stays outside, says
# which ones.
MAPPED = f"""
import ctypes, os, sys
me, first = os.getpid(), sys.argv[1]
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    os.read(ready[0], 1)
    for kind in "ug":
        with open(f"/proc/{{me}}/{{kind}}id_map", "w") as map:
            map.write(f"0 {{first}} 1000\\n")
    os.write(go[1], b"x")
    os._exit(0)
os.setgroups([])
assert ctypes.CDLL(None).unshare({NEW_USERS}) == 0
os.write(ready[1], b"x")
os.read(go[0], 1)
os.waitpid(child, 0)
os.setgid(0)
os.setuid(0)
os.execv(sys.argv[2], sys.argv[2:])
"""


def mapped(first: int) -> list[str]:
    """Before a command: it is executed as root of a user namespace, whose users 0 to 999 the host knows as `first` and so on."""
    return [sys.executable, "-c", MAPPED, str(first)]


def as_mapped_root(first: int, work: Callable[[], int], prepare: Callable[[], None] = lambda: None) -> int:
    """
    Does the work as root of a user namespace, whose users 0 to 999 the host knows as `first` and so on. `prepare` runs
    before, as the host's root.
    """

    def outside() -> int:
        ready, go = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                prepare()
                os.setgroups([])
                unshare(NEW_USERS)
                os.write(ready[1], b"x")
                os.read(go[0], 1)
                os.setgid(0)
                os.setuid(0)
                assert os.getuid() == 0
                os._exit(work())
            os._exit(255)
        os.close(ready[1])
        os.close(go[0])
        assert os.read(ready[0], 1)
        # As a container engine writes it.
        Path(f"/proc/{child}/uid_map").write_text(f"0 {first} 1000\n")
        Path(f"/proc/{child}/gid_map").write_text(f"0 {first} 1000\n")
        os.write(go[1], b"x")
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    return in_another_process(outside)
