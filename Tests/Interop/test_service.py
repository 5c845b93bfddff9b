"""The daemon as a service: sockets, their modes, socket activation, start and end."""

import contextlib
import os
import select
import signal
import stat
import subprocess

from harness import RS256, Command, FrameConnection, SocketDevice, authenticate, ctap2, encoded_frame, register
from test_frames import make_credential

RP = "service.example.com"


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_files_and_modes(make_daemon):
    daemon = make_daemon()
    daemon.state.chmod(0o700)
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        register(ctap, RP)
    assert stat.S_ISSOCK(daemon.socket.stat().st_mode)
    assert mode(daemon.admin_socket) == 0o600
    assert mode(daemon.state) == 0o700
    for file in daemon.state.iterdir():
        assert mode(file) & 0o077 == 0, file
    assert mode(daemon.audit_log) & 0o037 == 0
    daemon.stop()
    assert not daemon.socket.exists() and not daemon.admin_socket.exists()


def test_the_operators_socket_apart_from_what_containers_are_given(make_daemon):
    """Where the unit has made a folder for it, only a link stands in the folder of the jobs' socket."""
    daemon = make_daemon()
    apart = daemon.folder.with_name(daemon.folder.name + "-admin")
    apart.mkdir(mode=0o755)
    environment = {**daemon.environment(), "RUNTIME_DIRECTORY": f"{daemon.folder}:{apart}"}
    daemon.environment = lambda: environment
    for _ in range(2):
        daemon.start()
        assert stat.S_ISSOCK((apart / "admin.sock").lstat().st_mode) and mode(apart / "admin.sock") == 0o600
        assert os.readlink(daemon.admin_socket) == str(apart / "admin.sock")
        assert daemon.run("status", "--admin-socket", str(daemon.admin_socket)).returncode == 0
        daemon.kill()


def test_socket_activation(make_daemon):
    """A client that connects and asks before the daemon runs is answered when it does; the socket outlives it."""
    daemon = make_daemon()
    daemon.activate()
    with FrameConnection(daemon.socket, timeout=60) as early:
        early.send(Command.PING, b"early")
        daemon.start()
        assert early.receive() == (Command.PING, b"early")
    ctap = ctap2(daemon.socket)
    with ctap.device:
        account = register(ctap, RP)
    daemon.stop()
    assert daemon.socket.exists()
    daemon.start()
    ctap = ctap2(daemon.socket)
    with ctap.device:
        authenticate(ctap, account)


def test_a_socket_in_use_is_not_taken_away(make_daemon):
    first = make_daemon().start()
    second = make_daemon()
    second.socket = first.socket
    assert str(first.socket) in second.refuses_to_start(1)
    with SocketDevice(first.socket) as device:
        assert device.call(Command.PING, b"alive") == b"alive"


def test_a_socket_left_behind_is_replaced(make_daemon):
    daemon = make_daemon().start()
    daemon.kill()
    assert daemon.socket.exists()
    daemon.start()
    with SocketDevice(daemon.socket) as device:
        assert device.call(Command.PING, b"alive") == b"alive"


def test_a_second_daemon_on_the_same_state_is_refused(make_daemon):
    first = make_daemon().start()
    second = make_daemon()
    second.state = first.state
    assert str(first.state) in second.refuses_to_start(1)


def test_what_is_in_progress_is_finished_before_the_end(make_daemon):
    """SIGTERM while the TPM makes a key: either the whole answer or none, and a clean end."""
    daemon = make_daemon().start()
    with FrameConnection(daemon.socket) as connection:
        connection.send_bytes(encoded_frame(Command.CBOR, make_credential(RP, RS256)))
        # Its first keepalive says that the request is being processed.
        command, _ = connection.receive()
        daemon.process.send_signal(signal.SIGTERM)
        if command == Command.KEEPALIVE:
            command, payload = connection.receive_reply()
            assert command == Command.CBOR and payload[0] == 0
    assert daemon.exit_status() == 0


def test_clients_are_told_of_the_end(make_daemon):
    daemon = make_daemon().start()
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(FrameConnection(daemon.socket)) for _ in range(10)]
        for connection in connections:
            connection.exchange(Command.PING)
        daemon.stop()
        assert all(connection.is_closed() for connection in connections)


def test_it_leaves_no_process_behind(make_daemon):
    daemon = make_daemon().start()
    child = daemon.tpm_process()
    assert child
    life = os.pidfd_open(child)
    try:
        daemon.stop()
        ready, _, _ = select.select([life], [], [], 10)
        assert ready, "swtpm outlived the daemon"
    finally:
        os.close(life)
    daemon.start()
    life = os.pidfd_open(daemon.tpm_process())
    try:
        daemon.kill()
        ready, _, _ = select.select([life], [], [], 10)
        assert ready, "swtpm outlived the killed daemon"
    finally:
        os.close(life)


def test_version_and_usage(programs):
    def run(*arguments):
        return subprocess.run([programs / "countersignd", *arguments], capture_output=True, text=True, timeout=30)

    assert run("--version").returncode == 0 and run("--version").stdout
    assert run("--help").returncode == 0 and "Example" in run("--help").stdout
    wrong = run("--no-such-option")
    assert wrong.returncode == 2 and len(wrong.stderr.splitlines()) == 1
