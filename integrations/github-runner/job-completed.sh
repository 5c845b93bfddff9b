#!/bin/sh
# For ACTIONS_RUNNER_HOOK_JOB_COMPLETED: ends the grant that job-started.sh has made.
set -eu

[ -n "${COUNTERSIGN_GRANT:-}" ] || exit 0
# shellcheck disable=SC2086
${COUNTERSIGN:-sudo -n /usr/bin/countersign} grant revoke "$COUNTERSIGN_GRANT" \
  ${COUNTERSIGN_ADMIN_SOCKET:+--admin-socket "$COUNTERSIGN_ADMIN_SOCKET"} ||
  # It has ended by its time or its count: that is no failure of the job's.
  echo "countersign: grant $COUNTERSIGN_GRANT had ended already" >&2
