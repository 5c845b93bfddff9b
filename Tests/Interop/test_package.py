"""The Debian package, the units and what the system's own tools say of them, and the life of a package in a root folder."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from test_install import INSTALLED, tree

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
SERVICES = ["countersignd.service", "countersign-hid.service"]
SUFFIX = "+next"

PACKAGED = {
    "etc/countersign/countersign.json",
    "lib/systemd/system/countersign-hid.service",
    "lib/systemd/system/countersignd.service",
    "lib/systemd/system/countersignd.socket",
    "lib/udev/rules.d/72-countersign.rules",
    "usr/bin/countersign",
    "usr/lib/sysusers.d/countersign.conf",
    "usr/libexec/countersign/countersign-bench",
    "usr/sbin/countersign-hid",
    "usr/sbin/countersignd",
    "usr/share/bash-completion/completions/countersign",
    "usr/share/bash-completion/completions/countersign-hid",
    "usr/share/bash-completion/completions/countersignd",
    "usr/share/countersign/countersign.schema.json",
    "usr/share/countersign/integrations/github-runner/job-completed.sh",
    "usr/share/countersign/integrations/github-runner/job-started.sh",
    "usr/share/countersign/integrations/gitlab-runner/cleanup.sh",
    "usr/share/countersign/integrations/gitlab-runner/prepare.sh",
    "usr/share/fish/vendor_completions.d/countersign.fish",
    "usr/share/fish/vendor_completions.d/countersign-hid.fish",
    "usr/share/fish/vendor_completions.d/countersignd.fish",
    "usr/share/zsh/vendor-completions/_countersign",
    "usr/share/zsh/vendor-completions/_countersign-hid",
    "usr/share/zsh/vendor-completions/_countersignd",
    "usr/share/doc/countersign/CHANGELOG.md",
    "usr/share/doc/countersign/README.md",
    "usr/share/doc/countersign/SECURITY.md",
    "usr/share/doc/countersign/changelog",
    "usr/share/doc/countersign/copyright",
    "usr/share/doc/countersign/countersign.json.example",
    "usr/share/lintian/overrides/countersign",
    "usr/share/man/man1/countersign.1",
    "usr/share/man/man5/countersign.json.5",
    "usr/share/man/man8/countersign-hid.8",
    "usr/share/man/man8/countersignd.8",
}


def run(*command, **more):
    # A make that runs these tests hands its own variables on.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    environment.update(more.pop("env", {}))
    return subprocess.run(
        [str(word) for word in command], cwd=ROOT, env=environment, capture_output=True, text=True, **more
    )


def succeed(*command, **more):
    done = run(*command, **more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def version():
    source = (ROOT / "Sources/Platform/CountersignVersion.swift").read_text()
    (text,) = re.findall(r'static let text = "(.*)"', source)
    return text


def directives(unit):
    return [line for line in (UNITS / unit).read_text().splitlines() if line and not line.startswith("#")]


# MARK: the units


def test_versions_agree(programs):
    """The programs, the changelog and the package have one version, from one place."""
    newest = re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)[1]
    package = re.match(r"countersign \((.*?)\) ", (ROOT / "debian/changelog").read_text())[1]
    said = succeed(programs / "countersignd", "--version").split()[-1]
    assert {newest, package, said} == {version()}


@pytest.mark.parametrize("service", SERVICES)
def test_exposure(service):
    """1.5 or less, of 10. The tool gives up at the threshold, in tenths."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", UNITS / service]
    done = run(*command, "--threshold=15")
    assert done.returncode == 0, done.stdout
    print(done.stdout.splitlines()[-1])
    assert run(*command, "--threshold=1").returncode != 0, "the threshold does not hold anything"


def test_units_are_understood(folder):
    """systemd knows every key and value."""
    for unit in UNITS.glob("countersign*.s*et"), UNITS.glob("*.service"):
        for file in unit:
            # The program need not be installed here.
            text = re.sub(r"^ExecStart=.*", "ExecStart=/bin/true", file.read_text(), flags=re.MULTILINE)
            (folder / file.name).write_text(text)
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no"]
    done = run(*verify, *sorted(folder.iterdir()))
    assert (done.returncode, done.stderr) == (0, "")
    wrong = folder / "countersignd.service"
    wrong.write_text(wrong.read_text().replace("ProtectClock=", "ProtectClocks="))
    assert "ProtectClocks" in run(*verify, wrong).stderr


@pytest.mark.parametrize("service", SERVICES)
def test_what_must_not_be_hardened(service):
    """Callers are told apart by their users, and devices come back: see the comments in the units."""
    lines = directives(service)
    assert not [line for line in lines if re.match("PrivateUsers=|PrivateDevices=|RootDirectory=|DynamicUser=", line)]
    if service == "countersignd.service":
        # Where callers' units are read from.
        assert not [line for line in lines if line.startswith("ProtectProc=")]
    (device,) = [line for line in lines if line.startswith("DeviceAllow=")]
    assert device == {"countersignd.service": "DeviceAllow=/dev/tpmrm0 rw"}.get(service, "DeviceAllow=/dev/uhid rw")


# MARK: the package


@pytest.fixture(scope="session")
def packages(programs):
    """This version, and one that is newer; of the programs that are there."""
    found = []
    for suffix in ("", SUFFIX):
        # Nothing is compiled, and nothing is installed here.
        succeed(
            "make", "--old-file=build", "--old-file=deb-prerequisites", "deb", f"RELEASE={programs}",
            f"DEB_VERSION_SUFFIX={suffix}", env={"DPKG_DEB_COMPRESSOR_LEVEL": "1"} if suffix else {},
        )  # fmt: skip
        (package,) = (ROOT / ".build/deb").glob(f"countersign_{version()}{suffix}_*.deb")
        found.append(package)
    return found


def test_contents(packages):
    listed = succeed("dpkg-deb", "--contents", packages[0]).splitlines()
    files = {line.split()[5].removeprefix("./") for line in listed if line[0] == "-"}
    # What is over 4 KiB is compressed.
    assert {name.removesuffix(".gz") for name in files} == PACKAGED
    assert all(line.split()[1] == "root/root" for line in listed)
    assert "./etc/countersign/conf.d/" in [line.split()[5] for line in listed]
    fields = {name: succeed("dpkg-deb", "--field", packages[0], name).strip() for name in ("Version", "Depends")}
    assert fields["Version"] == version()
    # Found by name when it runs, so no tool sees it in the program.
    assert "libtss2-tcti-device0" in fields["Depends"]
    assert "libtss2-esys" in fields["Depends"] and "swift" not in fields["Depends"].lower()
    print(f"{packages[0].name}: {packages[0].stat().st_size / 1e6:.1f} MB; Depends: {fields['Depends']}")


def test_lintian(packages):
    done = run("lintian", "--no-tag-display-limit", "--allow-root", packages[0])
    print(done.stdout)
    assert done.returncode == 0 and not re.search("^[EW]:", done.stdout, re.MULTILINE), done.stdout


class Root:
    """A folder in which packages are installed, with scripts that know of it (DPKG_ROOT)."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("var/lib/dpkg/updates", "var/lib/dpkg/info", "etc", "usr/bin", "usr/lib/sysusers.d"):
            (folder / name).mkdir(parents=True)
        (folder / "var/lib/dpkg/status").touch()
        (folder / "usr/bin/deb-systemd-helper").symlink_to("/usr/bin/deb-systemd-helper")

    def dpkg(self, *arguments, **environment):
        return succeed(
            "dpkg", f"--root={self.folder}", "--force-script-chrootless", "--force-depends", "--force-confold",
            *arguments, env=environment,
        )  # fmt: skip

    def __truediv__(self, name):
        return self.folder / name

    def links(self):
        folder = self.folder / "etc/systemd/system"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_symlink()}


@pytest.fixture
def root(folder):
    if os.getuid() != 0:
        pytest.skip("dpkg installs as root only")
    return Root(folder / "root")


def test_install_and_upgrade(root, packages):
    root.dpkg("--install", packages[0])
    assert "countersign:x:" in (root / "etc/passwd").read_text()
    groups = {line.split(":")[0]: line.split(":")[3] for line in (root / "etc/group").read_text().splitlines()}
    assert groups["tss"] == "countersign" and groups["countersign"] == "countersign-hid"
    enabled = {"dev-tpmrm0.device.wants/countersignd.service", "sockets.target.wants/countersignd.socket"}
    assert root.links() == enabled
    # What the operator and the daemon have written since.
    written = {
        "etc/countersign/countersign.json": "{ rules: [] } // mine",
        "etc/countersign/conf.d/jobs.json": "{ rules: [] }",
        "var/lib/countersign/credentials.sqlite": "credentials",
        "var/log/countersign/audit.jsonl": "{}\n",
    }
    for name, text in written.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    # Switched off by the operator: it stays off.
    (root / "etc/systemd/system/sockets.target.wants/countersignd.socket").unlink()
    root.dpkg("--install", packages[1])
    assert version() + SUFFIX in (root / "var/lib/dpkg/status").read_text()
    for name, text in written.items():
        assert (root / name).read_text() == text, name
    assert root.links() == {"dev-tpmrm0.device.wants/countersignd.service"}


@pytest.mark.parametrize("audit", [False, True], ids=["audit log stays", "audit log goes"])
def test_remove_and_purge(root, packages, audit):
    root.dpkg("--install", packages[0])
    kept = ["var/lib/countersign/credentials.sqlite", "etc/countersign/conf.d/jobs.json", "var/log/countersign/a.jsonl"]
    for name in kept:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    root.dpkg("--remove", "countersign")
    assert not (root / "usr/sbin/countersignd").exists()
    assert all((root / name).exists() for name in [*kept, "etc/countersign/countersign.json"])
    said = root.dpkg("--purge", "countersign", **({"COUNTERSIGN_PURGE_AUDIT": "yes"} if audit else {}))
    assert not (root / "etc/countersign").exists() and not (root / "var/lib/countersign").exists()
    assert (root / "var/log/countersign/a.jsonl").exists() != audit
    assert ("the audit log stays" in said) != audit
    # What purge cannot remove.
    assert "tpm2_nvundefine" in said and "tpm2_evictcontrol" in said
    assert root.links() == set()


# MARK: for other distributions


def test_tarball(programs, folder):
    succeed("make", "tarball", f"RELEASE={programs}")
    (tarball,) = (ROOT / ".build").glob(f"countersign-{version()}-linux-*.tar.gz")
    print(f"{tarball.name}: {tarball.stat().st_size / 1e6:.1f} MB")
    succeed("tar", "--extract", "--file", tarball, "--directory", folder)
    script = folder / tarball.name.removesuffix(".tar.gz") / "install.sh"
    place = folder / "root"
    place.mkdir()
    before = os.umask(0o077)
    try:
        succeed(script, env={"DESTDIR": place})
    finally:
        os.umask(before)
    assert tree(place) == {**INSTALLED, "etc/countersign/conf.d": 0o755}
    (place / "etc/countersign/countersign.json").write_text("{ rules: [] } // mine")
    # Again, with a program running.
    with subprocess.Popen([place / "usr/local/bin/countersign", "register"], stdin=subprocess.PIPE) as running:
        succeed(script, env={"DESTDIR": place})
        running.kill()
    assert (place / "etc/countersign/countersign.json").read_text() == "{ rules: [] } // mine"
