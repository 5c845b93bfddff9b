#!/bin/sh
# Runs SwiftPM with a TMPDIR of its own: it leaves a folder there for each module that it plans, at every build and every
# `swift test`, some seventy at a time.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
TMPDIR=$folder "${SWIFT:-swift}" "$@"
