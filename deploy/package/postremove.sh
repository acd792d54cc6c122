#!/bin/sh
# After a removal. Only Debian's purge takes away what the operator and the worker have put there: the secrets, and the
# streams of the embedded broker.
set -e

if [ "$1" = purge ]; then
	rm -rf /etc/logoff-worker /var/lib/private/logoff-worker
	rm -f /var/lib/logoff-worker
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
fi
