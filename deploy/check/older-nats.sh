#!/bin/sh
# Runs the tests of the worker, and the fault run, with an older nats-server: inside the tests, and as processes of
# their own in the fault run.
#
#   older-nats.sh VERSION DURATION     VERSION is a tag of nats-server, such as v2.10.29
set -eu
version=$1 duration=$2
cd "$(dirname "$0")/../.."
dir=$PWD/.tools/nats-$version
mkdir -p "$dir"
server=github.com/nats-io/nats-server/v2

cp go.mod "$dir/root.mod"
cp go.sum "$dir/root.sum"
cp deploy/check/go.mod "$dir/check.mod"
cp deploy/check/go.sum "$dir/check.sum"
go mod edit -replace="$server=$server@$version" "$dir/root.mod"
go mod edit -replace="$server=$server@$version" "$dir/check.mod"
root="-mod=mod -modfile=$dir/root.mod" check="-mod=mod -modfile=$dir/check.mod"

# The clock that the tests start for later servers is missing in early ones.
# shellcheck disable=SC2086 # they are several flags
go list $root "$server/server/ats" >/dev/null 2>&1 || root="$root -tags=oldnats" check="$check -tags=oldnats"

# shellcheck disable=SC2086
go test $root -count=1 -timeout 60m ./worker/...
# shellcheck disable=SC2086
go run -C deploy/check $check ./chaos -duration "$duration"
echo "nats-server $version: held"
