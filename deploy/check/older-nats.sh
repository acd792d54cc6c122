#!/bin/sh
# Runs the tests of the worker with an older nats-server inside, and as processes of their own where tests start some.
#
#   older-nats.sh VERSION     a tag of nats-server, such as v2.10.29
set -eu
version=$1
cd "$(dirname "$0")/../.."
dir=$PWD/.tools/nats-$version
mkdir -p "$dir"
server=github.com/nats-io/nats-server/v2

cp go.mod "$dir/root.mod"
cp go.sum "$dir/root.sum"
go mod edit -replace="$server=$server@$version" "$dir/root.mod"
root="-mod=mod -modfile=$dir/root.mod"

# The clock that the tests start for later servers is missing in early ones.
# shellcheck disable=SC2086 # they are several flags
go list $root "$server/server/ats" >/dev/null 2>&1 || root="$root -tags=oldnats"

# shellcheck disable=SC2086
go test $root -count=1 -timeout 60m ./worker/...
echo "nats-server $version: held"
