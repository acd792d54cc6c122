#!/bin/sh
# Before a removal: Debian calls it with "remove", rpm with 0. An upgrade goes on while the worker runs.
set -e

[ -d /run/systemd/system ] || exit 0
case "$1" in
remove | 0) systemctl disable --now logoff-worker.service ;;
esac
