#!/bin/bash
# Another user of the TPM: a key of its own, a signature, randomness, over and over. Failures go to standard error.
export TPM2TOOLS_TCTI=device:/dev/tpmrm0
cd "$(mktemp -d)" || exit 1
for ((round = 1; ; round++)); do
  for step in "createprimary -Q -C o -g sha256 -G ecc -c primary" "create -Q -C primary -G ecc -u public -r private" \
    "load -Q -C primary -u public -r private -c key" "sign -Q -c key -g sha256 -o signature /etc/hostname" \
    "verifysignature -Q -c key -g sha256 -m /etc/hostname -s signature" "getrandom --hex 16 -o random"; do
    # shellcheck disable=SC2086
    tpm2_${step%% *} ${step#* } >said 2>&1 || echo "round $round: tpm2_$step: $(cat said)" >&2
  done
  echo "round $round"
done
