"""What `make install` leaves behind."""

import os
import re
import stat
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Path below DESTDIR, and mode.
INSTALLED = {
    "etc/countersign/countersign.json": 0o644,
    "usr/local/bin/countersign": 0o755,
    "usr/local/libexec/countersign/countersign-bench": 0o755,
    "usr/local/sbin/countersign-hid": 0o755,
    "usr/local/sbin/countersignd": 0o755,
    "usr/local/lib/systemd/system/countersign-hid.service": 0o644,
    "usr/local/lib/systemd/system/countersignd.service": 0o644,
    "usr/local/lib/systemd/system/countersignd.socket": 0o644,
    "usr/local/lib/sysusers.d/countersign.conf": 0o644,
    "usr/local/lib/udev/rules.d/72-countersign.rules": 0o644,
    "usr/local/share/bash-completion/completions/countersign": 0o644,
    "usr/local/share/bash-completion/completions/countersign-hid": 0o644,
    "usr/local/share/bash-completion/completions/countersignd": 0o644,
    "usr/local/share/fish/vendor_completions.d/countersign.fish": 0o644,
    "usr/local/share/fish/vendor_completions.d/countersign-hid.fish": 0o644,
    "usr/local/share/fish/vendor_completions.d/countersignd.fish": 0o644,
    "usr/local/share/zsh/site-functions/_countersign": 0o644,
    "usr/local/share/zsh/site-functions/_countersign-hid": 0o644,
    "usr/local/share/zsh/site-functions/_countersignd": 0o644,
    "usr/local/share/countersign/countersign.schema.json": 0o644,
    "usr/local/share/countersign/integrations/github-runner/grant-create.sh": 0o755,
    "usr/local/share/countersign/integrations/github-runner/job-started.sh": 0o755,
    "usr/local/share/countersign/integrations/gitlab-runner/cleanup.sh": 0o755,
    "usr/local/share/countersign/integrations/gitlab-runner/prepare.sh": 0o755,
    "usr/local/share/doc/countersign/CHANGELOG.md": 0o644,
    "usr/local/share/doc/countersign/LICENSE": 0o644,
    "usr/local/share/doc/countersign/README.md": 0o644,
    "usr/local/share/doc/countersign/SECURITY.md": 0o644,
    "usr/local/share/doc/countersign/countersign.json.example": 0o644,
    "usr/local/share/man/man1/countersign.1": 0o644,
    "usr/local/share/man/man5/countersign.json.5": 0o644,
    "usr/local/share/man/man8/countersign-hid.8": 0o644,
    "usr/local/share/man/man8/countersignd.8": 0o644,
}


def install(programs, destination, *variables):
    # A make that runs these tests hands its own variables on.
    environment = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["make", "install", f"DESTDIR={destination}", f"RELEASE={programs}", *variables],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def tree(folder):
    return {
        str(path.relative_to(folder)): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if not path.is_dir() or not any(path.iterdir())
    }


def test_the_installed_tree(programs, folder):
    place = folder / "root"
    # Whatever the umask of whoever installs.
    before = os.umask(0o077)
    try:
        install(programs, place)
    finally:
        os.umask(before)
    # For rules of the operator's, empty.
    assert tree(place) == {**INSTALLED, "etc/countersign/conf.d": 0o755}
    assert all(stat.S_IMODE(one.stat().st_mode) == 0o755 for one in place.rglob("*") if one.is_dir())
    service = (place / "usr/local/lib/systemd/system/countersignd.service").read_text()
    assert "ExecStart=/usr/local/sbin/countersignd\n" in service


@pytest.mark.parametrize("program", ["countersignd", "countersign-hid"])
def test_the_manual_names_every_option(programs, program):
    help = subprocess.run([programs / program, "--help"], capture_output=True, text=True, check=True).stdout
    options = set(re.findall(r"^ +(?:-h, )?--([a-z-]+)", help, re.MULTILINE))
    page = (ROOT / "man" / f"{program}.8").read_text()
    items = " ".join(line for line in page.splitlines() if line.startswith(".It Fl "))
    assert len(options) >= 5 and options == set(re.findall(r" -([a-z][a-z-]+)", items))


def test_what_is_installed_runs_alone(programs, folder):
    """Swift's own libraries are inside; what is linked is what Debian has packages for."""
    install(programs, folder / "root")
    for program in ("bin/countersign", "libexec/countersign/countersign-bench", "sbin/countersign-hid", "sbin/countersignd"):
        file = folder / "root" / "usr/local" / program
        dynamic = subprocess.run(["readelf", "--dynamic", file], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
        assert "libc.so.6" in needed
        assert not [name for name in needed if re.match("lib(swift|Foundation|dispatch|BlocksRuntime|_)", name)], needed
        assert "RUNPATH" not in dynamic and "RPATH" not in dynamic, dynamic
        done = subprocess.run([file, "--version"], capture_output=True, text=True, env={})
        assert done.returncode == 0 and done.stdout.startswith("countersign"), done
        # Stripped.
        sections = subprocess.run(["readelf", "--sections", file], capture_output=True, text=True, check=True).stdout
        assert ".symtab" not in sections


def test_the_example_is_a_good_configuration(programs, folder):
    install(programs, folder / "root")
    for file in ("etc/countersign/countersign.json", "usr/local/share/doc/countersign/countersign.json.example"):
        checked = subprocess.run(
            [programs / "countersignd", "--check-config", "--config", folder / "root" / file],
            capture_output=True,
            text=True,
        )
        assert (checked.returncode, checked.stderr) == (0, ""), checked.stderr


def test_another_prefix_and_the_operators_file(programs, folder):
    place = folder / "root"
    install(programs, place, "PREFIX=/usr")
    assert "ExecStart=/usr/sbin/countersignd\n" in (place / "usr/lib/systemd/system/countersignd.service").read_text()
    assert not (place / "usr/local").exists()
    configuration = place / "etc/countersign/countersign.json"
    configuration.write_text("{ rules: [] } // mine")
    install(programs, place, "PREFIX=/usr")
    assert configuration.read_text() == "{ rules: [] } // mine"
