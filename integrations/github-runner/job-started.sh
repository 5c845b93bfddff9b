#!/bin/sh
# For ACTIONS_RUNNER_HOOK_JOB_STARTED of a self-hosted runner: has a grant made for the job that begins, and has the job's
# steps use its socket. It ends with the runner's worker, and so with the job.
#
# The hook runs as the user that the job's steps run as. So a job can do whatever the hook can, and the only thing that it
# may have root do is grant-create.sh, without arguments. In sudoers(5), in one line (the path is that of the package):
#   runner ALL=(root) NOPASSWD: /usr/share/countersign/integrations/github-runner/grant-create.sh ""
# Never let it run countersign itself: options name files that root would read and write.
#
# Let the rule require claims of a token (requireClaims: { iss: "…" }), which the job cannot make. The workflow must have
# `permissions: id-token: write`.
#
# COUNTERSIGN_AUDIENCE   the audience in the configuration's issuers (countersign)
set -eu

token=
if [ -n "${ACTIONS_ID_TOKEN_REQUEST_URL:-}" ]; then
  # The request token stays off the command line, where every user could read it.
  answer=$(printf 'header = "Authorization: bearer %s"\n' "$ACTIONS_ID_TOKEN_REQUEST_TOKEN" |
    curl --silent --fail --config - "$ACTIONS_ID_TOKEN_REQUEST_URL&audience=${COUNTERSIGN_AUDIENCE:-countersign}")
  token=$(printf '%s' "$answer" | sed -n 's/.*"value" *: *"\([^"]*\)".*/\1/p')
fi
# shellcheck disable=SC2086
grant=$(printf '%s' "$token" |
  ${COUNTERSIGN_GRANT_CREATE:-sudo -n /usr/share/countersign/integrations/github-runner/grant-create.sh})
printf '%s\n' "$grant" >> "$GITHUB_ENV"
