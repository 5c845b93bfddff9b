"""A Linux machine with a TPM behind the kernel's driver: QEMU's software emulation, swtpm, and a guest to talk to.

Nothing of it needs the host's kernel: no KVM (COUNTERSIGN_VM_ACCELERATION=kvm takes it), no network, no modules.
"""

from __future__ import annotations

import base64
import json
import os
import queue
import re
import shlex
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

ACCELERATION = os.environ.get("COUNTERSIGN_VM_ACCELERATION", "tcg,thread=multi")
# Bounds for a machine that other work shares; nothing waits for them to pass.
BOOT = 600
COMMAND = 180

KERNEL_OPTIONS = (
    "console=ttyS0 root=/dev/vda quiet loglevel=4 panic=-1 mitigations=off random.trust_cpu=on audit=0"
    " systemd.show_status=0 systemd.gpt_auto=0 modprobe.blacklist=kvm_amd,kvm_intel,kvm,powernow_k8"
)

# TPM 2.0 Library, part 2, section 6.5.2: those that an authenticator or its neighbours use.
TPM_COMMANDS = {
    0x11F: "NV_UndefineSpaceSpecial", 0x120: "EvictControl", 0x122: "NV_UndefineSpace", 0x126: "Clear",
    0x12A: "NV_DefineSpace", 0x131: "CreatePrimary", 0x134: "NV_Increment", 0x137: "NV_Write", 0x143: "SelfTest",
    0x144: "Startup", 0x145: "Shutdown", 0x148: "Certify", 0x14E: "NV_Read", 0x151: "PolicySecret", 0x153: "Create",
    0x154: "ECDH_ZGen", 0x157: "Load", 0x15B: "HMAC", 0x15D: "Sign", 0x15E: "Unseal", 0x161: "ContextLoad",
    0x162: "ContextSave", 0x163: "ECDH_KeyGen", 0x165: "FlushContext", 0x167: "LoadExternal",
    0x169: "NV_ReadPublic", 0x173: "ReadPublic", 0x176: "StartAuthSession", 0x177: "VerifySignature",
    0x17A: "GetCapability", 0x17B: "GetRandom", 0x17D: "Hash", 0x17E: "PCR_Read", 0x182: "PCR_Extend",
    0x18A: "TestParms",
}  # fmt: skip


class MachineFailure(Exception):
    """The machine ended, did not come, or did not do in time what it was asked for."""


@dataclass
class Done:
    """What a program in the machine left behind."""

    command: str
    status: int
    out: str
    err: str
    terminal: str

    def __str__(self) -> str:
        parts = [f"`{self.command}` ended with {self.status}"]
        for name in ("out", "err", "terminal"):
            if text := getattr(self, name).strip():
                parts.append(f"{name}: {text}")
        return "\n".join(parts)


class Running:
    """A program in the machine; what it writes arrives as it is written."""

    def __init__(self, machine: Machine, number: int, command: str):
        self.machine = machine
        self.number = number
        self.command = command
        self.messages: queue.Queue = queue.Queue()
        self.output = {1: bytearray(), 2: bytearray(), 3: bytearray()}
        self.status: int | None = None

    def _take(self, deadline: float) -> bool:
        """Waits for one message; false at the end."""
        if self.status is not None:
            return False
        try:
            message = self.messages.get(timeout=max(0, deadline - time.monotonic()))
        except queue.Empty:
            # It must not stand in the way of those that come after it.
            self.kill(signal.SIGKILL)
            raise MachineFailure(f"`{self.command}` did not end in time\n{self.done()}") from None
        if message is None:
            raise MachineFailure(f"the machine ended during `{self.command}`\n{self.done()}")
        if "data" in message:
            self.output[message["stream"]] += base64.b64decode(message["data"])
            return True
        self.status = message["status"]
        return False

    def done(self) -> Done:
        streams = (self.output[number].decode(errors="replace") for number in (1, 2, 3))
        return Done(self.command, -1 if self.status is None else self.status, *streams)

    def wait(self, timeout: float = COMMAND) -> Done:
        deadline = time.monotonic() + timeout
        while self._take(deadline):
            pass
        return self.done()

    def wait_until(self, condition: Callable[[str], Any], what: str, timeout: float = COMMAND) -> Any:
        """Waits until the standard output so far is as it should be."""
        deadline = time.monotonic() + timeout
        while not (found := condition(self.output[1].decode(errors="replace"))):
            if not self._take(deadline):
                raise MachineFailure(f"ended before {what}: {self.done()}")
        return found

    def wait_for(self, pattern: str, timeout: float = COMMAND) -> re.Match:
        """Waits until a line of the standard output is such."""
        return self.wait_until(lambda out: re.search(pattern, out, re.MULTILINE), f"it wrote {pattern!r}", timeout)

    def received(self) -> str:
        """Everything on the standard output that has arrived, also when the machine has ended since."""
        while not self.messages.empty():
            message = self.messages.get()
            if message and message.get("stream") == 1:
                self.output[1] += base64.b64decode(message["data"])
        return self.output[1].decode(errors="replace")

    def kill(self, number: int = signal.SIGTERM) -> None:
        self.machine.send({"id": self.number, "kill": number})


class TPM:
    """The machine's TPM: a folder with its state, and a log of every command that reached it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.state = folder / "tpm"
        self.state.mkdir()
        self.log = folder / "tpm.log"
        self.process: subprocess.Popen | None = None

    def start(self) -> socket.socket:
        """Starts it and returns the control channel for QEMU."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}"]
                + ["--ctrl", f"type=unixio,clientfd={theirs.fileno()}", "--log", f"file={self.log},level=20"],
                pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
            )  # fmt: skip
        return ours

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def clear(self) -> None:
        """As if the chip had been replaced."""
        assert self.process is None
        shutil.rmtree(self.state)
        self.state.mkdir()

    def commands(self, since: int = 0) -> Counter:
        """How many of each command the TPM has got since its log had this size."""
        with open(self.log, "rb") as file:
            file.seek(since)
            text = file.read().decode(errors="replace")
        # SWTPM_IO_Read: length N, then the bytes; the command code is in bytes 6 to 9.
        found = re.findall(r"SWTPM_IO_Read: length \d+\s+((?:[0-9A-F]{2}\s+){10})", text)
        codes = (int("".join(one.split())[12:20], 16) for one in found)
        return Counter(TPM_COMMANDS.get(code, hex(code)) for code in codes)

    def mark(self) -> int:
        return self.log.stat().st_size


class Machine:
    """The machine between its boots: its disk, its TPM, and its guest while it runs."""

    def __init__(self, folder: Path, image: Path, files: Path):
        self.folder = folder
        self.image = image
        self.tpm = TPM(folder)
        self.console = folder / "console.log"
        self.disk = folder / "disk.qcow2"
        self.files = folder / "files.img"
        tool("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", image / "root.img", self.disk)
        # What the tests bring, for /srv/host.
        size = sum(file.stat().st_size for file in files.rglob("*") if file.is_file()) // (1 << 20) + 16
        tool("mke2fs", "-q", "-t", "ext4", "-L", "host", "-O", "^has_journal", "-d", files, self.files, f"{size}M")
        self.process: subprocess.Popen | None = None
        self.boots = 0

    def start(self) -> float:
        """Boots; returns after how many seconds the agent answered."""
        assert self.process is None
        self.boots += 1
        begun = time.monotonic()
        self.channel, theirs = socket.socketpair()
        control = self.tpm.start()
        with theirs, control:
            self.process = subprocess.Popen(
                ["qemu-system-x86_64", "-M", "q35", "-accel", ACCELERATION, "-cpu", "max", "-m", "1024", "-smp", "2"]
                + ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
                + ["-kernel", self.image / "vmlinuz", "-initrd", self.image / "initrd", "-append", KERNEL_OPTIONS]
                + ["-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console"]
                + ["-drive", f"if=virtio,format=qcow2,file={self.disk}"]
                + ["-drive", f"if=virtio,format=raw,readonly=on,file={self.files}"]
                + ["-chardev", f"socket,id=tpm,fd={control.fileno()}", "-tpmdev", "emulator,id=tpm,chardev=tpm"]
                + ["-device", "tpm-crb,tpmdev=tpm"]
                + ["-chardev", f"socket,id=agent,fd={theirs.fileno()}", "-device", "virtio-serial-pci"]
                + ["-device", "virtserialport,chardev=agent,name=agent"],
                pass_fds=(control.fileno(), theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=open(self.folder / "qemu.log", "ab"),
            )  # fmt: skip
        self.running: dict[int, Running] = {}
        self.numbers = 0
        self.booted: queue.Queue = queue.Queue()
        self.listener = threading.Thread(
            target=self._listen, args=(self.channel, self.running, self.booted), daemon=True
        )
        self.listener.start()
        boot = self._await_boot(begun + BOOT)
        if boot is None:
            self.cut_power()
            raise MachineFailure(f"the machine did not boot:\n{self.last_words()}")
        self.boot = boot
        return time.monotonic() - begun

    def _await_boot(self, deadline: float) -> str | None:
        """What the agent says first; nothing if the machine ends, or stops at a console that nobody sits at."""
        seen = self.console.stat().st_size if self.console.exists() else 0
        while time.monotonic() < deadline:
            try:
                return self.booted.get(timeout=1)
            except queue.Empty:
                if "emergency mode" in self.console.read_text(errors="replace")[seen:]:
                    break
        return None

    def last_words(self) -> str:
        words = ""
        for log in (self.console, self.folder / "qemu.log"):
            if log.exists():
                words += log.read_text(errors="replace")[-4000:]
        return words

    @staticmethod
    def _listen(channel: socket.socket, running: dict[int, Running], booted: queue.Queue) -> None:
        """Gives each message to whom it belongs, until the machine ends."""
        try:
            for line in channel.makefile("rb"):
                message = json.loads(line)
                if "boot" in message:
                    booted.put(message["boot"])
                else:
                    running[message["id"]].messages.put(message)
        except (OSError, ValueError):
            # The power was cut in the middle of a line.
            pass
        booted.put(None)
        for one in list(running.values()):
            one.messages.put(None)

    def send(self, message: dict[str, Any]) -> None:
        try:
            self.channel.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            raise MachineFailure(f"the machine is gone:\n{self.last_words()}") from None

    def start_program(
        self,
        command: str | list[str],
        *,
        user: str | None = None,
        input: str | bytes = b"",
        terminal: list[tuple[str, str]] | None = None,
        environment: dict[str, str] | None = None,
    ) -> Running:
        words = shlex.split(command) if isinstance(command, str) else command
        self.numbers += 1
        running = self.running[self.numbers] = Running(self, self.numbers, shlex.join(words))
        data = input.encode() if isinstance(input, str) else input
        self.send(
            {
                "id": self.numbers, "run": words, "user": user, "input": base64.b64encode(data).decode(),
                "terminal": terminal, "environment": environment or {},
            }
        )  # fmt: skip
        return running

    def run(self, command: str | list[str], *, status: int | None = 0, timeout: float = COMMAND, **more: Any) -> Done:
        """Runs a program as root or `user` and returns what it left behind; anything but `status` is a failure."""
        done = self.start_program(command, **more).wait(timeout)
        assert status is None or done.status == status, str(done)
        return done

    def shell(self, script: str, **more: Any) -> Done:
        return self.run(["/bin/sh", "-euc", script], **more)

    def read(self, file: str) -> str:
        return self.run(["cat", file]).out

    def write(self, file: str, text: str | bytes, mode: str = "0644") -> None:
        self.shell(f"umask 077; cat > {file}; chmod {mode} {file}", input=text)

    def eventually(self, condition: Callable[[], Any], what: str, timeout: float = COMMAND) -> Any:
        """Asks until the condition holds. For what has no event of its own to wait for."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, f"waited {timeout} s in vain: {what}"
        return value

    def log(self, unit: str, *options: str) -> str:
        return self.run(["journalctl", "--no-pager", "--output=cat", "--unit", unit, *options]).out

    def restart(self) -> float:
        """Shuts down as an operator would, and boots."""
        self.shut_down()
        return self.start()

    def shut_down(self) -> None:
        self.start_program("systemctl --no-block poweroff")
        try:
            self.process.wait(BOOT)
        except subprocess.TimeoutExpired:
            self.cut_power()
            raise MachineFailure(f"the machine did not shut down:\n{self.last_words()}") from None
        self._gone()

    def cut_power(self) -> None:
        """Ends QEMU and the TPM in the middle of whatever they do: nothing is written any more."""
        self.process.kill()
        self.tpm.process.kill()
        self.process.wait()
        self._gone()

    def _gone(self) -> None:
        self.tpm.stop()
        self.process = None
        # It reads to the end what the machine had said.
        self.listener.join(timeout=30)
        self.channel.close()


def tool(*command: str | Path) -> None:
    # Where some of them are is not on everybody's PATH.
    environment = {**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"}
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise MachineFailure(f"{command[0]} failed: {done.stderr}")
