"""What the daemon says where it cannot start: each line names what to do."""

import json
import os

import pytest

from harness import check_configuration
from test_policy import rule

RULES = [rule("r", ["one.example.com"], ["register"])]


def test_two_daemons_on_one_software_tpm(make_daemon):
    first = make_daemon().start()
    second = make_daemon()
    second.tpm_state = first.tpm_state
    line = second.refuses_to_start(6)
    assert f"another countersignd uses {first.tpm_state}: stop it, or give this one a folder of its own" in line
    first.stop()
    second.start()


@pytest.mark.parametrize("which", ["socket", "admin_socket"])
def test_a_path_that_no_socket_can_have(make_daemon, which):
    daemon = make_daemon()
    option = {"socket": "--socket", "admin_socket": "--admin-socket"}[which]
    setattr(daemon, which, daemon.folder / ("x" * 100))
    line = daemon.refuses_to_start(2)
    assert "a socket's path has at most 107: choose one in a folder with a shorter name" in line and option in line
    assert not os.listdir(daemon.tpm_state), "nothing has been begun"


def test_a_folder_in_which_grants_have_no_room(make_daemon):
    daemon = make_daemon()
    folder = daemon.folder / ("x" * 60)
    folder.mkdir()
    daemon.socket = folder / "ctap.sock"
    daemon.start()
    done = daemon.run("grant", "create", "--rule", "tests", "--uid", str(os.getuid()), "--admin-socket", str(daemon.admin_socket))
    assert done.returncode == 1 and "a socket's has at most 107: choose one in a folder with a shorter name" in done.stderr


@pytest.mark.parametrize("name", ["tabrmd:", "nonsense:x"])
def test_a_tcti_without_its_library(make_daemon, name):
    """tpm2-tss says no more than that it does not know it."""
    line = make_daemon(tcti=name).refuses_to_start(6)
    library = f"libtss2-tcti-{name.split(':')[0]}.so.0"
    assert library in line and "device:/dev/tpmrm0" in line
    assert ("libtss2-tcti-tabrmd0" in line) == (name == "tabrmd:")


def test_an_owner_authorization_that_is_no_file(make_daemon, folder):
    daemon = make_daemon()
    daemon.credentials = folder
    (folder / "owner-authorization").mkdir()
    line = daemon.refuses_to_start(1)
    assert f"credential owner-authorization ({folder}/owner-authorization): read: Is a directory: have LoadCredential=" in line


def test_the_way_to_a_trial(make_daemon, folder):
    daemon = make_daemon(tcti="device:/dev/not-there")
    assert "--software-tpm DIR" in daemon.refuses_to_start(6)
    done = check_configuration(daemon.programs, folder / "missing.json")
    assert done.returncode == 2 and "for a trial" in done.stderr and "countersignd --help" in done.stderr


def written(folder, tpm, more):
    file = folder / "countersign.json"
    file.write_text(json.dumps({"rules": RULES, "tpm": tpm}, indent=1))
    (folder / "conf.d").mkdir(exist_ok=True)
    (folder / "conf.d" / "trial.json").write_text(json.dumps({"tpm": more}, indent=1))
    return file, folder / "conf.d" / "trial.json"


SOFTWARE = {"softwareDirectory": "/var/lib/countersign/tpm", "allowSoftware": True}


@pytest.mark.parametrize(
    ("tpm", "more", "at", "besides"),
    [
        ({"tcti": "device:/dev/tpmrm0"}, SOFTWARE, 1, 0), (SOFTWARE, {"tcti": "device:/dev/tpmrm0"}, 0, 1),
        (SOFTWARE, {"allowSoftware": False}, 0, 1), ({"tcti": "swtpm:path=/run/x"}, {"allowSoftware": False}, 0, 1),
    ],
)
def test_files_that_contradict_each_other(programs, folder, tpm, more, at, besides):
    files = written(folder, tpm, more)
    done = check_configuration(programs, files[0])
    assert done.returncode == 2 and done.stderr.startswith(f"countersignd: {files[at]}:") and f"({files[besides]}:" in done.stderr, done


def test_a_simulator_is_software(programs, folder):
    file, _ = written(folder, {"tcti": "swtpm:path=/run/x"}, {})
    done = check_configuration(programs, file)
    assert done.returncode == 2 and "add allowSoftware: true" in done.stderr
    file, _ = written(folder, {"tcti": "swtpm:path=/run/x"}, {"allowSoftware": True})
    assert check_configuration(programs, file).returncode == 0


def test_a_folder_in_which_others_could_put_another_configuration(programs, folder):
    parent = folder / "parent"
    (parent / "etc").mkdir(parents=True)
    file = parent / "etc" / "countersign.json"
    file.write_text(json.dumps({"rules": RULES}))
    assert check_configuration(programs, file).returncode == 0
    for place in (parent / "etc", parent):
        place.chmod(0o775)
        done = check_configuration(programs, file)
        assert done.returncode == 2 and f"its folder {place}/ can be changed by its group or by everyone" in done.stderr, done
        assert f"forbid it: chmod go-w '{place}/'" in done.stderr
        # Nobody but its owner takes a file out of a sticky folder.
        place.chmod(0o1777)
        assert check_configuration(programs, file).returncode == 0
        place.chmod(0o755)
    # By whichever way it is named.
    link = folder / "link"
    link.symlink_to(parent)
    parent.chmod(0o775)
    assert check_configuration(programs, link / "etc" / "countersign.json").returncode == 2
    parent.chmod(0o755)
    assert check_configuration(programs, link / "etc" / "countersign.json").returncode == 0
