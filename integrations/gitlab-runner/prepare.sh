#!/bin/sh
# For `prepare_exec` of GitLab Runner's custom executor: makes a grant for the job that begins. It runs as the runner's
# own user, out of the job's reach, who must be root, or reach countersign's operator socket by sudo(8).
#
# What follows starts the job's container or machine: mount the folder of COUNTERSIGN_SOCKET into it, which this leaves
# in $COUNTERSIGN_STATE/$CI_JOB_ID. Where the job is to prove where it comes from, let it have a token:
#   id_tokens: { COUNTERSIGN_ID_TOKEN: { aud: countersign } }
#
# COUNTERSIGN_RULE   the rule that jobs may use (deploy)
# COUNTERSIGN_UID    who the job is, as the host knows it: for a container with a user namespace, the mapped number
# COUNTERSIGN_TTL    how long a job may take (6h)
# COUNTERSIGN_STATE  where this remembers the grants (/run/gitlab-runner/countersign)
set -eu

state=${COUNTERSIGN_STATE:-/run/gitlab-runner/countersign}
job=${CUSTOM_ENV_CI_JOB_ID:?this runs in GitLab Runner only}
case $job in *[!0-9]*) echo "countersign: CI_JOB_ID is no number" >&2; exit "${SYSTEM_FAILURE_EXIT_CODE:-2}" ;; esac

create() {
  # shellcheck disable=SC2086
  ${COUNTERSIGN:-countersign} grant create --rule "${COUNTERSIGN_RULE:-deploy}" --uid "${COUNTERSIGN_UID:-$(id -un)}" \
    --ttl "${COUNTERSIGN_TTL:-6h}" --format env "$@" \
    ${COUNTERSIGN_ADMIN_SOCKET:+--admin-socket "$COUNTERSIGN_ADMIN_SOCKET"}
}

umask 077
mkdir -p "$state"
if [ -n "${CUSTOM_ENV_COUNTERSIGN_ID_TOKEN:-}" ]; then
  grant=$(printf '%s' "$CUSTOM_ENV_COUNTERSIGN_ID_TOKEN" | create --oidc-token-file -)
else
  grant=$(create --claim "project_path=$CUSTOM_ENV_CI_PROJECT_PATH" --claim "ref=$CUSTOM_ENV_CI_COMMIT_REF_NAME" \
    --claim "pipeline_id=$CUSTOM_ENV_CI_PIPELINE_ID" --claim "job_id=$job")
fi
printf '%s\n' "$grant" > "$state/$job"
