#!/bin/sh
# For `cleanup_exec` of GitLab Runner's custom executor: ends the grant that prepare.sh has made. The job's number is the
# service's, as there, and not the job's own word.
set -eu

job=$(jq --exit-status --raw-output '.id | numbers' "${JOB_RESPONSE_FILE:?this needs GitLab Runner 14.1}")
case $job in '' | *[!0-9]*) echo "countersign: the job's number is none" >&2; exit 1 ;; esac
file=${COUNTERSIGN_STATE:-/run/gitlab-runner/countersign}/$job
[ -f "$file" ] || exit 0
grant=$(sed -n 's/^COUNTERSIGN_GRANT=//p' "$file")
rm -f "$file"
# shellcheck disable=SC2086
${COUNTERSIGN:-countersign} grant revoke "$grant" ${COUNTERSIGN_ADMIN_SOCKET:+--admin-socket "$COUNTERSIGN_ADMIN_SOCKET"} ||
  # It has ended by its time or its count: that is no failure of the job's.
  echo "countersign: grant $grant had ended already" >&2
