#!/bin/sh
# For ACTIONS_RUNNER_HOOK_JOB_STARTED of a self-hosted runner: makes a grant for the job that begins, and has the job's
# steps use its socket. It ends with job-completed.sh, or with the runner's worker.
#
# The hook runs as the user that the job's steps run as. So a job can do whatever the hook can, and what is only said of
# it (--claim) proves nothing: let the rule require claims of a token (requireClaims: { iss: "…" }), which the job cannot
# make. The workflow must have `permissions: id-token: write`. In sudoers(5), in one line:
#   runner ALL=(root) NOPASSWD: /usr/bin/countersign grant create --rule deploy --uid runner *,
#     /usr/bin/countersign grant revoke *
#
# COUNTERSIGN_RULE       the rule that jobs may use (deploy)
# COUNTERSIGN_AUDIENCE   the audience in the configuration's issuers (countersign)
# COUNTERSIGN_TTL        how long a job may take (6h)
set -eu

countersign() {
  # shellcheck disable=SC2086
  ${COUNTERSIGN:-sudo -n /usr/bin/countersign} "$@" ${COUNTERSIGN_ADMIN_SOCKET:+--admin-socket "$COUNTERSIGN_ADMIN_SOCKET"}
}

create() {
  countersign grant create --rule "${COUNTERSIGN_RULE:-deploy}" --uid "$(id -un)" --ttl "${COUNTERSIGN_TTL:-6h}" \
    --pid "$PPID" --format env "$@"
}

if [ -n "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ]; then
  # The request token stays off the command line, where every user could read it.
  answer=$(printf 'header = "Authorization: bearer %s"\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
    curl --silent --fail --config - "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=${COUNTERSIGN_AUDIENCE:-countersign}")
  token=$(printf '%s' "$answer" | sed -n 's/.*"value" *: *"\([^"]*\)".*/\1/p')
  grant=$(printf '%s' "$token" | create --oidc-token-file -)
else
  grant=$(create --claim "repository=$GITHUB_REPOSITORY" --claim "ref=$GITHUB_REF" --claim "run_id=$GITHUB_RUN_ID" \
    --claim "actor=$GITHUB_ACTOR")
fi
printf '%s\n' "$grant" >> "$GITHUB_ENV"
