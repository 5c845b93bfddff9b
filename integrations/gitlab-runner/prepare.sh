#!/bin/sh
# For `prepare_exec` of GitLab Runner's custom executor (14.1 or newer): makes a grant for the job that begins. It runs as
# the runner's own user, out of the job's reach, who must be root, or one that adminGroup lets reach countersign's
# operator socket.
#
# What follows starts the job's container or machine: mount the folder of COUNTERSIGN_SOCKET into it, which this leaves
# in $COUNTERSIGN_STATE/$CI_JOB_ID. The job must prove where it comes from by a token:
#   id_tokens: { COUNTERSIGN_ID_TOKEN: { aud: countersign } }
#
# What begins with CUSTOM_ENV_ is what the job's own file may have set, and is good for the token only. The rest is read
# from $JOB_RESPONSE_FILE, which the service gave the runner; that takes jq(1).
#
# COUNTERSIGN_RULE           the rule that jobs may use (deploy)
# COUNTERSIGN_UID            who the job is, as the host knows it: for a container with a user namespace, the mapped number
# COUNTERSIGN_TTL            how long a job may take (6h)
# COUNTERSIGN_STATE          where this remembers the grants (/run/gitlab-runner/countersign)
# COUNTERSIGN_WITHOUT_TOKEN  yes: make grants for jobs without a token too, with what the service says of them (no)
set -eu

fail() {
  echo "countersign: $1" >&2
  exit "${SYSTEM_FAILURE_EXIT_CODE:-2}"
}

# What the service says of the job.
said() { jq --exit-status --raw-output "$1 | strings, numbers" "${JOB_RESPONSE_FILE:?this needs GitLab Runner 14.1}"; }

create() {
  # shellcheck disable=SC2086
  ${COUNTERSIGN:-countersign} grant create --rule "${COUNTERSIGN_RULE:-deploy}" --uid "${COUNTERSIGN_UID:-$(id -un)}" \
    --ttl "${COUNTERSIGN_TTL:-6h}" --format env "$@" \
    ${COUNTERSIGN_ADMIN_SOCKET:+--admin-socket "$COUNTERSIGN_ADMIN_SOCKET"}
}

state=${COUNTERSIGN_STATE:-/run/gitlab-runner/countersign}
job=$(said .id) || fail "the job's number cannot be read"
case $job in '' | *[!0-9]*) fail "the job's number is none" ;; esac

umask 077
mkdir -p "$state"
if [ -n "${CUSTOM_ENV_COUNTERSIGN_ID_TOKEN:-}" ]; then
  grant=$(printf '%s' "$CUSTOM_ENV_COUNTERSIGN_ID_TOKEN" | create --oidc-token-file -)
elif [ "${COUNTERSIGN_WITHOUT_TOKEN:-no}" = yes ]; then
  project=$(said .job_info.project_id) && ref=$(said .git_info.ref) || fail "the job's project cannot be read"
  grant=$(create --claim "project_id=$project" --claim "ref=$ref" --claim "job_id=$job")
else
  fail "the job has no token: it needs id_tokens: { COUNTERSIGN_ID_TOKEN: { aud: countersign } }"
fi
printf '%s\n' "$grant" > "$state/$job"
