"""Runs in the machine, as root: does what the host asks on a virtio port, many things at a time.

A line each way is one JSON object. From the host: {"id", "run": [...], "user", "input", "environment", "terminal"}
starts a program, {"id", "kill": signal} ends it. To the host: {"boot"} once, {"id", "stream", "data"} as output comes,
{"id", "status"} at the end. Bytes are Base64. `terminal` is a list of [prompt, answer]: the program gets a controlling
terminal on which each prompt is awaited and answered; its standard streams stay pipes.
"""

import base64
import fcntl
import grp
import json
import os
import pty
import pwd
import re
import signal
import subprocess
import termios
import threading

PORT = os.open("/dev/virtio-ports/agent", os.O_RDWR)
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
sending = threading.Lock()
running: dict[int, subprocess.Popen] = {}


def say(**message) -> None:
    data = json.dumps(message).encode() + b"\n"
    with sending:
        while data:
            data = data[os.write(PORT, data) :]


def identity(name: str | None) -> dict:
    """What subprocess needs to run as this user, as after a login."""
    if name is None:
        return {}
    user = pwd.getpwnam(name)
    groups = os.getgrouplist(name, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": groups}


def forward(number: int, stream: int, file: int) -> None:
    while data := read(file):
        say(id=number, stream=stream, data=base64.b64encode(data).decode())


def read(file: int) -> bytes:
    try:
        return os.read(file, 65536)
    except OSError:
        # A terminal whose other side is closed.
        return b""


def converse(number: int, master: int, script: list[list[str]]) -> None:
    """Waits for each prompt, types each answer, and passes on what else appears."""
    seen = ""
    while data := read(master):
        say(id=number, stream=3, data=base64.b64encode(data).decode())
        seen += data.decode(errors="replace")
        while script and (found := re.search(script[0][0], seen)):
            seen = seen[found.end() :]
            os.write(master, script.pop(0)[1].encode() + b"\n")


def start(number: int, request: dict) -> None:
    try:
        user = request.get("user")
        home = pwd.getpwnam(user or "root").pw_dir
        environment = {**ENVIRONMENT, "HOME": home, "USER": user or "root", **request.get("environment", {})}
        script, prepare, terminal = request.get("terminal"), None, ()
        if script is not None:
            terminal = pty.openpty()
            os.fchown(terminal[1], pwd.getpwnam(user or "root").pw_uid, grp.getgrnam("tty").gr_gid)
            prepare = lambda: fcntl.ioctl(terminal[1], termios.TIOCSCTTY, 0)
        process = subprocess.Popen(
            request["run"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=home,
            env=environment,
            start_new_session=True,
            preexec_fn=prepare,
            **identity(user),
        )
    except (OSError, KeyError) as error:
        say(id=number, stream=2, data=base64.b64encode(f"agent: {error}\n".encode()).decode())
        say(id=number, status=127)
        return
    running[number] = process
    readers = [
        threading.Thread(target=forward, args=(number, 1, process.stdout.fileno())),
        threading.Thread(target=forward, args=(number, 2, process.stderr.fileno())),
    ]
    if terminal:
        readers.append(threading.Thread(target=converse, args=(number, terminal[0], script)))
    for reader in readers:
        reader.start()
    try:
        process.stdin.write(base64.b64decode(request.get("input", "")))
        process.stdin.close()
    except BrokenPipeError:
        pass
    # Programs that stay behind may keep the pipes: what counts is the end of the one that was asked for.
    status = process.wait()
    if terminal:
        # Until here, so that the other side has no end before the program has opened it.
        os.close(terminal[1])
    for reader in readers:
        reader.join(timeout=5)
    if terminal:
        os.close(terminal[0])
    del running[number]
    say(id=number, status=status)


def main() -> None:
    with open("/proc/sys/kernel/random/boot_id") as file:
        say(boot=file.read().strip())
    rest = b""
    while data := os.read(PORT, 65536):
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            if "kill" in request:
                process = running.get(request["id"])
                if process:
                    os.killpg(process.pid, request["kill"])
            else:
                threading.Thread(target=start, args=(request["id"], request), daemon=True).start()


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main()
