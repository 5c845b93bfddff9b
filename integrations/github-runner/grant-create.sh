#!/bin/sh
# What job-started.sh has root do, by sudo(8): makes a grant for the caller. It takes no arguments, since sudoers(5) cannot
# bound them; whatever a job says here by other means is not believed. The token of the job comes by standard input, and
# the rest from /etc/countersign/github-runner.conf, a file of root's in the language of sh(1):
#
# COUNTERSIGN_RULE          the rule that jobs may use (deploy)
# COUNTERSIGN_TTL           how long a job may take at most (6h)
# COUNTERSIGN_WORKER        the program whose end ends the grant, which must be one of the caller's parents (Runner.Worker)
# COUNTERSIGN_WITHOUT_TOKEN yes: make grants without claims for jobs that have no token (no)
# COUNTERSIGN               the program (/usr/bin/countersign)
# COUNTERSIGN_ADMIN_SOCKET  the daemon's socket for the operator, where it is another one
set -eu
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
unset COUNTERSIGN COUNTERSIGN_RULE COUNTERSIGN_TTL COUNTERSIGN_WORKER COUNTERSIGN_WITHOUT_TOKEN COUNTERSIGN_ADMIN_SOCKET

fail() {
  echo "countersign: $1" >&2
  exit 1
}

[ $# -eq 0 ] || fail "this takes no arguments"
# Set by sudo itself.
case ${SUDO_UID:-} in '' | *[!0-9]*) fail "this is run by sudo, and SUDO_UID is not there" ;; esac
configuration=/etc/countersign/github-runner.conf
# shellcheck disable=SC1090
[ ! -e "$configuration" ] || . "$configuration"

# The worker ends with the job, also where no hook runs then.
worker=${COUNTERSIGN_WORKER:-Runner.Worker}
pid=$$
while :; do
  pid=$(sed -n 's/^PPid:[[:space:]]*//p' "/proc/$pid/status")
  [ "${pid:-0}" -gt 1 ] || fail "none of this one's parents is $worker: only a runner's hook may ask"
  program=$(readlink "/proc/$pid/exe") || continue
  [ "${program##*/}" != "$worker" ] || break
done

token=$(head -c 32768)
set -- --rule "${COUNTERSIGN_RULE:-deploy}" --uid "$SUDO_UID" --ttl "${COUNTERSIGN_TTL:-6h}" --pid "$pid" --format env \
  ${COUNTERSIGN_ADMIN_SOCKET:+--admin-socket "$COUNTERSIGN_ADMIN_SOCKET"}
if [ -n "$token" ]; then
  printf '%s' "$token" | "${COUNTERSIGN:-/usr/bin/countersign}" grant create "$@" --oidc-token-file -
elif [ "${COUNTERSIGN_WITHOUT_TOKEN:-no}" = yes ]; then
  exec "${COUNTERSIGN:-/usr/bin/countersign}" grant create "$@"
else
  fail "the job has no token: its workflow needs permissions: { id-token: write }"
fi
