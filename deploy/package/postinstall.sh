#!/bin/sh
# After an installation or an upgrade. Debian calls it with "configure" and the version before, if there was one; rpm
# with how many versions are installed now.
set -e

[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload
case "$1" in
configure) before="$2" ;;
abort-*) exit 0 ;; # something else went wrong, and Debian goes back
*) [ "$1" -gt 1 ] && before=yes || before="" ;;
esac
if [ -n "$before" ]; then
	# The old worker hands back what it has not sent, and the new one goes on.
	systemctl try-restart logoff-worker.service
else
	echo "Edit /etc/logoff-worker/logoff-worker.env, put the secrets into /etc/logoff-worker/secrets, and then:"
	echo "  systemctl enable --now logoff-worker"
fi
