#!/bin/sh
# Installs this tree: programs, units, udev rules, manual pages and completions below /usr/local, and, where there is none
# yet, an example as /etc/countersign/countersign.json. Run it again with a newer tree to upgrade. DESTDIR puts all of it
# below another folder, and then nothing is told to the system.
set -eu
umask 022
cd "$(dirname "$0")"
place=${DESTDIR:-}

# By copies that replace: a program that runs cannot be written to.
cp -R --remove-destination --no-preserve=ownership usr "$place/"
install -d "$place/etc/countersign/conf.d"
if ! [ -e "$place/etc/countersign/countersign.json" ]; then
  install -m 0644 usr/local/share/doc/countersign/countersign.json.example "$place/etc/countersign/countersign.json"
fi
[ -z "$place" ] || exit 0

systemd-sysusers
udevadm control --reload
udevadm trigger --action=change --subsystem-match=tpmrm
udevadm trigger --action=change --subsystem-match=misc --sysname-match=uhid
systemctl daemon-reload
systemctl try-restart countersignd.service countersign-hid.service
echo "countersign: installed; next: systemctl enable --now countersignd.socket countersignd.service"
