#!/usr/bin/env bash
# usage: deploy/package/build.sh VERSION DIRECTORY [ARCHITECTURE ...]
# Builds what is released into a directory: static binaries as archives, packages for Debian and Red Hat's family, a list
# of what each binary is made of (SBOM), and checksums. The same source gives the same bytes. Run it in the source tree;
# make release installs the tools that NFPM and CYCLONEDX name.
set -euo pipefail

version=$1 directory=$2
shift 2
[ $# -gt 0 ] || set -- amd64 arm64
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
MTIME=$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
commit=$(git describe --always --abbrev=40 --exclude '*' --dirty=+dirty)
number=${version#v}
case $number in
[0-9]*.[0-9]*.[0-9]*) ;;
*) number=0.0.0+$number ;; # no release
esac

mkdir -p "$directory"
directory=$(cd "$directory" && pwd)
rm -rf "$directory"/logoff-worker* "$directory"/logoffctl* "$directory"/SHA256SUMS

for ARCH in "$@"; do
	DIST=$directory/work-$ARCH
	rm -rf "$DIST"
	mkdir -p "$DIST"
	echo "build $version for $ARCH"
	for program in logoff-worker logoffctl; do
		CGO_ENABLED=0 GOOS=linux GOARCH=$ARCH GOFLAGS=-mod=readonly go build -trimpath -buildvcs=false \
			-ldflags "-s -w -buildid= -X main.release=$version -X main.commit=$commit" -o "$DIST/$program" ./cmd/$program
		go run -C deploy/check ./man $program "$version" "$MTIME" | gzip -9n >"$DIST/$program.1.gz"
		"$CYCLONEDX" bin -json -noserial -notimestamp -version "$version" -output "$directory/${program}_${number}_linux_$ARCH.cdx.json" "$DIST/$program"
	done
	mkdir "$DIST/completions"
	go run ./cmd/logoffctl completion bash >"$DIST/completions/logoffctl"
	go run ./cmd/logoffctl completion zsh >"$DIST/completions/_logoffctl"
	go run ./cmd/logoffctl completion fish >"$DIST/completions/logoffctl.fish"
	cat >"$DIST/copyright" <<-EOF
		Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
		Upstream-Name: logoff-worker

		Files: *
		Copyright: ${MTIME%%-*} The logoff-worker developers
		License: Apache-2.0
		 On Debian systems, the full text is in /usr/share/common-licenses/Apache-2.0.
	EOF
	cat >"$DIST/changelog.yaml" <<-EOF
		- semver: $number
		  date: $MTIME
		  packager: The logoff-worker developers <logoff-worker@example.invalid>
		  deb: {urgency: medium, distributions: [stable]}
		  changes:
		    - note: See the file CHANGELOG.md of the source.
	EOF
	tar -C "$DIST" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner -cf - \
		logoff-worker logoff-worker.1.gz logoffctl logoffctl.1.gz completions |
		gzip -9n >"$directory/logoff-worker_${number}_linux_$ARCH.tar.gz"
	sed -e "s|\${ARCH}|$ARCH|; s|\${VERSION}|$number|; s|\${MTIME}|$MTIME|; s|\${DIST}|$DIST|" deploy/package/nfpm.yaml >"$DIST/nfpm.yaml"
	for packager in deb rpm; do
		"$NFPM" package --config "$DIST/nfpm.yaml" --packager $packager --target "$directory"
	done
	rm -rf "$DIST"
done
cd "$directory"
sha256sum logoff-worker* logoffctl* >SHA256SUMS
cat SHA256SUMS
