"""Makes what the machine boots from: Debian's cloud kernel, a small initramfs, and a root file system with systemd.

Usage: image.py    (prints the folder; what is there already for the same recipe is taken as it is)

Everything is kept in .cache/vm, under the hash of this file and what it reads. The root file system is never written to
again: machines boot from an overlay. Debian's packages come from its mirrors, python-fido2 from PyPI; nothing of
Countersign is inside.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
CACHE = ROOT / ".cache" / "vm"
REQUIREMENTS = ROOT / "Tests" / "Interop" / "requirements.txt"
RELEASE = "bookworm"
KERNEL = "linux-image-cloud-amd64"
SIZE = "1400M"

PACKAGES = [
    # The system.
    "systemd", "systemd-sysv", "udev", "dbus", "kmod", "procps", "passwd", "debconf", "ca-certificates",
    # Users of the virtual key, none of them ours.
    "fido2-tools", "openssh-client", "openssh-server", "pamu2fcfg", "libpam-u2f", "pamtester", "cryptsetup-bin",
    "python3",
    # Another user of the TPM, and the rule that gives its device to a group.
    "tpm2-tools", "tpm-udev",
    # What the programs link with.
    "libtss2-esys-3.0.2-0", "libtss2-tctildr0", "libtss2-tcti-device0", "libtss2-rc0", "libcbor0.8", "libsqlite3-0",
    "libpsl5", "libssl3", "libunistring2", "zlib1g",
]  # fmt: skip
# python-fido2 and what it needs, for the machine's Python.
PYTHON = ["fido2", "cryptography", "cffi", "pycparser"]
WHEELS = ["--platform=manylinux2014_x86_64", "--platform=manylinux_2_28_x86_64", "--platform=manylinux_2_34_x86_64"]
# Between the firmware and systemd; udev loads the rest.
MODULES = ["virtio_pci", "virtio_blk", "crc32c-intel"]
# Nobody logs in on a terminal, nothing is tidied up behind a test's back, what no check needs costs no time at a boot.
MASKED = [
    "getty@tty1.service", "serial-getty@ttyS0.service", "apt-daily.timer", "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer", "fstrim.timer", "e2scrub_all.timer", "e2scrub_reap.service", "systemd-pstore.service",
    "systemd-logind.service", "systemd-binfmt.service", "proc-sys-fs-binfmt_misc.automount",
    "modprobe@configfs.service",
    "modprobe@drm.service", "modprobe@fuse.service", "sys-fs-fuse-connections.mount", "sys-kernel-config.mount",
    "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "dev-hugepages.mount", "dev-mqueue.mount",
]  # fmt: skip

# They run at every boot and at every reload of systemd, and find nothing here.
GENERATORS = [
    "bless-boot", "cryptsetup", "debug", "getty", "gpt-auto", "hibernate-resume", "integritysetup", "rc-local", "run",
    "system-update", "sysv", "veritysetup",
]  # fmt: skip

FILES = {
    "etc/fstab": "/dev/vda / ext4 noatime 0 0\n/dev/vdb /srv/host ext4 ro 0 0\n",
    "etc/hostname": "runner\n",
    "etc/hosts": "127.0.0.1 localhost runner\n::1 localhost\n",
    "etc/udev/rules.d/90-test-agent.rules": 'SUBSYSTEM=="virtio-ports", ATTR{name}=="agent", TAG+="systemd", '
    'ENV{SYSTEMD_WANTS}+="test-agent.service"\n',
    "etc/systemd/system/test-agent.service": "[Unit]\nDescription=What the tests ask for\nRequiresMountsFor=/srv/host\n"
    "[Service]\nExecStart=/usr/bin/python3 /srv/host/agent.py\nKillMode=process\nOOMScoreAdjust=-900\n",
    # Every line of the log is written to the disk within a second of its making.
    "etc/systemd/journald.conf.d/tests.conf": "[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n",
}


# Not installed, since its scripts would make an initramfs: only unpacked. Not over the root, whose /lib is a link.
UNPACK_KERNEL = f"""export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" && mkdir "$1/kernel" && cd "$1/kernel" &&
package=$(apt-cache depends {KERNEL} | sed -n 's/ *Depends: \\(linux-image-[0-9].*\\)/\\1/p') &&
apt-get download --quiet "$package" && dpkg -x linux-image-*.deb . &&
mv lib/modules ../usr/lib/ && mv boot/vmlinuz-* .. && rm -r ../kernel"""


class Missing(Exception):
    """Something that this machine does not have."""


def recipe() -> str:
    digest = hashlib.sha256()
    for file in (Path(__file__), HERE / "guest" / "init", REQUIREMENTS):
        digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def run(*command: str | Path, **more) -> str:
    """Runs a program; its output is shown if it fails."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **more
    )
    if done.returncode != 0:
        sys.stderr.write(done.stdout)
        raise Missing(f"{command[0]} failed: see above")
    return done.stdout


def install_debian(root: Path) -> None:
    """Debian's packages; a power cut while they are unpacked is no concern."""
    run(
        "mmdebstrap", "--variant=minbase", "--include=" + ",".join(PACKAGES), "--dpkgopt=force-unsafe-io",
        "--dpkgopt=path-exclude=/usr/share/doc/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        # Not installed, since its scripts would make an initramfs: only unpacked.
        f"--customize-hook={UNPACK_KERNEL}",
        RELEASE, root,
    )  # fmt: skip


def kernel_version(root: Path) -> str:
    (modules,) = (root / "usr" / "lib" / "modules").iterdir()
    return modules.name


def install_python(root: Path) -> None:
    pins = [line for line in REQUIREMENTS.read_text().splitlines() if line.partition("==")[0] in PYTHON]
    run(
        sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11",
        *WHEELS, "--target", root / "usr" / "local" / "lib" / "python3.11" / "dist-packages", *pins,
    )  # fmt: skip


def configure(root: Path) -> None:
    for name, text in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "srv" / "host").mkdir(parents=True)
    generators = root / "etc" / "systemd" / "system-generators"
    generators.mkdir(parents=True, exist_ok=True)
    for name in GENERATORS:
        (generators / f"systemd-{name}-generator").symlink_to("/dev/null")
    for unit in MASKED:
        (root / "etc" / "systemd" / "system" / unit).symlink_to("/dev/null")
    # Users of the runner: one whose jobs may sign, one who may knock only, and one who may not even that.
    for user in ("job", "intern", "stranger"):
        run("chroot", root, "/usr/sbin/useradd", "--create-home", "--shell", "/bin/bash", user)
    run("chroot", root, "/usr/sbin/depmod", kernel_version(root))


def initramfs(root: Path, work: Path) -> None:
    """Busybox, the modules of the disk in the order of their dependencies, and guest/init."""
    tree = work / "initramfs"
    for folder in ("bin", "dev", "modules", "root"):
        (tree / folder).mkdir(parents=True)
    shutil.copy2(shutil.which("busybox"), tree / "bin" / "busybox")
    (tree / "init").write_bytes((HERE / "guest" / "init").read_bytes())
    (tree / "init").chmod(0o755)
    modules = root / "usr" / "lib" / "modules" / kernel_version(root)
    needs = dict(line.split(":", 1) for line in (modules / "modules.dep").read_text().splitlines())
    order: list[str] = []
    for name in MODULES:
        (path,) = (one for one in needs if Path(one).stem == name)
        for module in (*reversed(needs[path].split()), path):
            if module not in order:
                order.append(module)
    for module in order:
        shutil.copy2(modules / module, tree / "modules")
    (tree / "modules" / "order").write_text("".join(f"{Path(module).name}\n" for module in order))
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    with open(work / "initrd", "wb") as archive:
        subprocess.run(
            ["cpio", "--create", "--format=newc", "--quiet", "--owner=+0:+0"], cwd=tree, input=names.encode(),
            stdout=archive, check=True,
        )  # fmt: skip
    shutil.rmtree(tree)


def build(destination: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="making-", dir=CACHE) as name:
        work = Path(name)
        root = work / "root"
        install_debian(root)
        install_python(root)
        configure(root)
        initramfs(root, work)
        (kernel,) = root.glob("vmlinuz-*")
        shutil.move(kernel, work / "vmlinuz")
        run("mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, work / "root.img", SIZE)
        shutil.rmtree(root)
        done = work / "done"
        done.mkdir()
        for file in ("vmlinuz", "initrd", "root.img"):
            (work / file).rename(done / file)
        done.rename(destination)


def image() -> Path:
    """The folder with vmlinuz, initrd and root.img; made where it is not there."""
    CACHE.mkdir(parents=True, exist_ok=True)
    destination = CACHE / recipe()
    if os.getuid() != 0 and not destination.exists():
        # The files in it belong to users of the machine's.
        run("sudo", sys.executable, __file__)
        return destination
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not destination.exists():
            for old in CACHE.glob("*"):
                if re.fullmatch("[0-9a-f]{16}|making-.*", old.name):
                    shutil.rmtree(old)
            print(
                "countersign: making the test machine's root file system (minutes, once)", file=sys.stderr, flush=True
            )
            build(destination)
        return destination


if __name__ == "__main__":
    try:
        print(image())
    except Missing as missing:
        sys.exit(f"image.py: {missing}")
