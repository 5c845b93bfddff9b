#!/bin/sh
# Installs what `make demo`, `make deb`, `make test-vm` or `make test` needs and is not there, saying what; silent where nothing is missing.
# Usage: prerequisites.sh demo|deb|vm|test
set -eu

say() { printf 'countersign: %s\n' "$*"; }
fail() { printf 'countersign: %s\n' "$*" >&2; exit 1; }

swift=${SWIFT:-swift}
command -v "$swift" >/dev/null 2>&1 ||
  fail "Swift 6.3 is needed: '$swift' was not found: install it (https://www.swift.org/install/linux/) and put it on PATH"
said=$("$swift" --version 2>&1 || true)
version=$(printf '%s\n' "$said" | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
major=${version%%.*}
minor=${version##*.}
if [ -z "$version" ]; then
  # For instance a library that Swift itself needs and that is not installed.
  fail "Swift 6.3 is needed: '$swift' does not run: $(printf '%s\n' "$said" | head -n 1): install what https://www.swift.org/install/linux/ lists for this system"
elif [ "$major" -lt 6 ] || { [ "$major" -eq 6 ] && [ "$minor" -lt 3 ]; }; then
  fail "Swift 6.3 is needed: '$swift' is $version: install it (https://www.swift.org/install/linux/) and put it on PATH"
fi

# What Swift links with (g++ brings the C and C++ libraries' headers and start files), what the programs link with, the
# software TPM, what strips them, and what the relying party of the demonstration is written in.
packages="g++ libtss2-dev libssl-dev libcbor-dev libsqlite3-dev libpsl-dev libunistring-dev zlib1g-dev swtpm binutils python3 python3-venv"
# What makes the package. (systemd and udev say where their files go.)
packaging="debhelper dpkg-dev fakeroot pkgconf systemd udev"
if [ "${1:-test}" = deb ]; then packages="$packages $packaging"; fi
# A machine to boot, its disk, and what its disk is made of.
machine="qemu-system-x86 qemu-utils mmdebstrap debian-archive-keyring busybox-static cpio e2fsprogs"
if [ "${1:-test}" = vm ]; then packages="$packages $packaging $machine"; fi
# A TPM of other agents' making, as a stranger to the daemon sees it, and one with a maker; a second client that we did not write; where memory
# is looked after; what makes the package and finds fault with it; shells that complete; and what checks
# the audit log without us.
if [ "${1:-test}" = test ]; then
  packages="$packages tpm2-tools swtpm-tools libfido2-dev valgrind $packaging lintian bash zsh fish jq openssl xxd $machine"
fi

command -v dpkg-query >/dev/null 2>&1 ||
  fail "this is no Debian or Ubuntu: install your system's equivalents of: $packages"
missing=
for package in $packages; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
  if [ "$status" != installed ]; then missing="$missing $package"; fi
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -eq 0 ]; then
  root=
elif command -v sudo >/dev/null 2>&1; then
  root=sudo
else
  fail "missing packages, and neither root nor sudo to install them: as root, run: apt-get install$missing"
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  # shellcheck disable=SC2086
  $root env DEBIAN_FRONTEND=noninteractive apt-get "$@" >"$log" 2>&1 </dev/null
}
say "fetching the package lists (${root:+$root }apt-get update)"
apt update --quiet || say "apt-get update failed; going on with the lists that are here"
say "installing (${root:+$root }apt-get install):$missing"
# shellcheck disable=SC2086
apt install --quiet --yes --no-install-recommends $missing || {
  tail -n 20 "$log" >&2
  fail "apt-get could not install$missing: see above"
}
