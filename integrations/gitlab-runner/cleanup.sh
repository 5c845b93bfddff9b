#!/bin/sh
# For `cleanup_exec` of GitLab Runner's custom executor: ends the grant that prepare.sh has made.
set -eu

file=${COUNTERSIGN_STATE:-/run/gitlab-runner/countersign}/${CUSTOM_ENV_CI_JOB_ID:?this runs in GitLab Runner only}
[ -f "$file" ] || exit 0
grant=$(sed -n 's/^COUNTERSIGN_GRANT=//p' "$file")
rm -f "$file"
# shellcheck disable=SC2086
${COUNTERSIGN:-countersign} grant revoke "$grant" ${COUNTERSIGN_ADMIN_SOCKET:+--admin-socket "$COUNTERSIGN_ADMIN_SOCKET"} ||
  # It has ended by its time or its count: that is no failure of the job's.
  echo "countersign: grant $grant had ended already" >&2
