#!/bin/sh
# Verifies an audit log without countersign, as countersignd(8) describes it: verify_audit.sh LOG KEY
# LOG is one whole file of the log, KEY what `countersign audit key` printed.
set -eu
log=$1 key=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
jq -r .pem "$key" > "$work/key.pem"

fail() { echo "line $number: $1"; exit 1; }
# What a hexadecimal text stands for.
bytes() { printf '%s' "$1" | xxd -r -p; }

number=0 signatures=0 previous=
while IFS= read -r line; do
  number=$((number + 1))
  if [ -n "$previous" ] && [ "$(printf '%s' "$line" | jq -r .previous)" != "$previous" ]; then fail "broken chain"; fi
  previous=$(printf '%s\n' "$line" | sha256sum | cut -d ' ' -f 1)
  echo "$previous" >> "$work/hashes"
  [ "$(printf '%s' "$line" | jq -r .operation)" = log.head ] || continue

  # The signed record is one before this line.
  head=$(printf '%s' "$line" | jq -r '.seq - .head')
  [ "$(tail -n $((head + 1)) "$work/hashes" | head -n 1)" = "$(printf '%s' "$line" | jq -r .headHash)" ] ||
    fail "signs another record"
  # The TPM's statement holds the hash of the line up to it: 8 bytes in, after a name with its length.
  attested=$(printf '%s' "$line" | jq -r .attested)
  name=$((0x$(printf '%s' "$attested" | cut -c 13-16)))
  said=$(printf '%s' "$attested" | cut -c $((17 + 2 * name + 4))-$((16 + 2 * name + 4 + 64)))
  [ "$said" = "$(printf '%s' "${line%%,\"attested\"*}" | sha256sum | cut -d ' ' -f 1)" ] || fail "about another line"
  bytes "$attested" > "$work/attested"
  bytes "$(printf '%s' "$line" | jq -r .signature)" > "$work/signature"
  openssl dgst -sha256 -verify "$work/key.pem" -signature "$work/signature" "$work/attested" > "$work/said" ||
    fail "bad signature"
  signatures=$((signatures + 1))
done < "$log"
echo "$number records, $signatures signatures"
