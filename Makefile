# Needs only Go. Tools are installed into .tools/ at pinned versions when a target first wants them.

GOLANGCI_LINT_VERSION := v2.15.0
NFPM_VERSION := v2.43.4
CYCLONEDX_VERSION := v1.10.0
HELM_VERSION := v3.22.0
HELM_UNITTEST_VERSION := v1.1.2
KUBECTL_VALIDATE_VERSION := v0.0.4
NATS_COMMAND_VERSION := v0.5.1
ASYNCAPI_VERSION := 3.6.6
ARCHITECTURES ?= amd64 arm64
BENCHTIME ?= 1s
ROUNDS ?= 3
SCALE ?= 1
# Tests in processes of their own wait for the disk a good part of their time: more of them than cores.
PARALLEL ?= $(shell expr 2 '*' $$(getconf _NPROCESSORS_ONLN))
FUZZTIME ?= 200000x
DURATION ?= 75s
NATS ?= v2.10.29
SEEDS ?= 200
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
REVISION ?= $(shell git describe --always --abbrev=40 --exclude '*' --dirty=+dirty 2>/dev/null)

# The module of the checks that need modules which the product does not run on.
CHECK := deploy/check
# Of its packages, those that do things at the same time: the others compare files, and are long to build for the race detector.
CONCURRENT := ./chaos ./nats
TOOLS := $(CURDIR)/.tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)
NFPM := $(TOOLS)/nfpm-$(NFPM_VERSION)
CYCLONEDX := $(TOOLS)/cyclonedx-gomod-$(CYCLONEDX_VERSION)
HELM := $(TOOLS)/helm-$(HELM_VERSION)
HELM_UNITTEST := $(TOOLS)/helm-unittest-$(HELM_UNITTEST_VERSION)
KUBECTL_VALIDATE := $(TOOLS)/kubectl-validate-$(KUBECTL_VALIDATE_VERSION)
NATS_COMMAND := $(TOOLS)/nats-$(NATS_COMMAND_VERSION)
ASYNCAPI := $(TOOLS)/asyncapi-parser-$(ASYNCAPI_VERSION)
CHART := deploy/chart

.DEFAULT_GOAL := help

.PHONY: help
help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: run
run: ## broker, simulated Web Server and worker in one process, with a few jobs (ARGS='-nats 127.0.0.1:0')
	go run ./cmd/demo $(ARGS)

# The longest package comes first, so that the others run beside it. -count=1 is for the checks: they read files beside
# their own module, and Go takes a result from its cache without a look at those.
.PHONY: test
test: ## every test, and those that are quick enough once more under the race detector
	go test -timeout 30m -parallel $(PARALLEL) ./worker ./...
	go test -C $(CHECK) -count=1 -timeout 30m ./...
	go test -race -timeout 30m -parallel $(PARALLEL) ./worker ./...
	go test -C $(CHECK) -count=1 -race -timeout 30m $(CONCURRENT)

.PHONY: race
race: ## every test under the race detector
	LOGOFF_TEST_LONG=1 go test -race -timeout 90m ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## formatting, static checks, import rules, tidy modules
	$(GOLANGCI_LINT) run ./...
	cd $(CHECK) && $(GOLANGCI_LINT) run ./...
	go mod tidy -diff
	go mod tidy -C $(CHECK) -diff

.PHONY: lint-rules
lint-rules: $(GOLANGCI_LINT) ## each import rule complains about a wrong import
	GOLANGCI_LINT=$(GOLANGCI_LINT) go test -C $(CHECK) -count=1 ./rules

# Only these packages are linked for it.
BENCHED = $(shell grep -rl --include='*_test.go' '^func Benchmark' cmd jobs metrics worker | xargs -n 1 dirname | sort -u | sed 's,^,./,')

.PHONY: bench
bench: ## every benchmark, then the whole beside the leanest client (BENCHTIME=1s ROUNDS=3 SCALE=1)
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) $(BENCHED)
	go run ./cmd/bench -rounds $(ROUNDS) -scale $(SCALE)

.PHONY: fuzz
fuzz: ## every fuzz target in turn (FUZZTIME=200000x executions, or 2m)
	@set -e; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package; \
		done; \
	done

.PHONY: chaos
chaos: ## real processes under every fault, and a verdict (DURATION=75s, ARGS='-seed 7 -race')
	go run -C $(CHECK) ./chaos -duration $(DURATION) $(ARGS)

.PHONY: older-nats
older-nats: ## the worker's tests with an older nats-server (NATS=v2.10.29)
	deploy/check/older-nats.sh $(NATS)

.PHONY: simulate
simulate: ## whole runs in fake time, whole days, and the model (SEEDS=200, ARGS='-seed 7')
	LOGOFF_TEST_LONG=1 go test ./worker -count=1 -timeout 120m -run '^TestSimulation' -v -args -seeds $(SEEDS) $(ARGS)
	LOGOFF_TEST_LONG=1 go test ./worker -count=1 -timeout 60m -run '^TestModel' -v -args -rapid.checks 100000
	LOGOFF_TEST_LONG=1 go test ./worker ./worker/tokens -count=1 -timeout 60m -run 'Day'

.PHONY: switches
switches: ## the tests of the whole under every answer of the Web Server to ended sessions
	@set -e; for ended in 500 error ignore; do for partial in apply atomic stop; do \
		echo "ended sessions: $$ended; the others in their document: $$partial"; \
		export LOGOFF_TEST_ENDED=$$ended LOGOFF_TEST_PARTIAL=$$partial; \
		go test ./worker/webserver -count=1; \
		go test ./worker -count=1 -timeout 30m -skip '^Test(Hostile|Model|Day|Hour)' -args -seeds 3; \
	done; done

.PHONY: powercut
powercut: ## 50 power cuts against the embedded broker (as root, on Linux)
	go test ./worker/broker -count=1 -v -run PowerCut -args -powercuts 50

.PHONY: mutants
mutants: ## seeded bugs, each of which a test, the simulations or the fault run must catch (ARGS='-quick')
	go run ./cmd/mutants $(ARGS)

.PHONY: guards
guards: ## every guard taken out in turn, to see which of them no test misses (ARGS='-package ./jobs')
	go run ./cmd/mutants -guards $(ARGS)

.PHONY: build
build: ## static binaries of every program into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.release=$(VERSION) -X main.commit=$(REVISION)' -o bin/ ./cmd/...

# A file from where Debian, Alpine and Red Hat's family keep it; --timestamp makes the same image of the same files.
CA_BUNDLE ?= $(firstword $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt))
.PHONY: image
image: build ## the container image from the static binaries, into dist/ (needs buildah)
	@set -e; root=$$(mktemp -d); trap 'rm -rf "$$root"' EXIT; chmod 755 "$$root"; \
	for program in logoff-worker logoffctl; do install -D -m 755 bin/$$program "$$root/usr/bin/$$program"; done; \
	install -D -m 644 $(CA_BUNDLE) "$$root/etc/ssl/certs/ca-certificates.crt"; \
	install -D -m 644 "$$(go env GOROOT)/lib/time/zoneinfo.zip" "$$root/usr/share/zoneinfo.zip"; \
	buildah --storage-driver vfs build --isolation chroot --identity-label=false --timestamp $$(git log -1 --format=%ct) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --file deploy/image/Dockerfile --tag logoff-worker:$(VERSION) "$$root"; \
	buildah --storage-driver vfs push logoff-worker:$(VERSION) oci:$$root/oci:logoff-worker:$(VERSION); mkdir -p dist; \
	tar -C $$root/oci --sort=name --mtime=@$$(git log -1 --format=%ct) --owner=0 --group=0 --numeric-owner -cf dist/logoff-worker_$(VERSION)_linux_$$(go env GOARCH).oci.tar .

.PHONY: release
release: $(NFPM) $(CYCLONEDX) ## archives, packages, lists of modules and checksums of a release, into dist/
	NFPM=$(NFPM) CYCLONEDX=$(CYCLONEDX) deploy/package/build.sh $(VERSION) dist $(ARCHITECTURES)

.PHONY: release-check
release-check: $(NFPM) $(CYCLONEDX) ## a release twice, in two places, and whether both are the same to the byte
	@set -e; first=$$(mktemp -d) second=$$(mktemp -d); trap 'rm -rf "$$first" "$$second"' EXIT; \
	git worktree add -q --detach $$second/source; \
	NFPM=$(NFPM) CYCLONEDX=$(CYCLONEDX) deploy/package/build.sh $(VERSION) $$first $(ARCHITECTURES); \
	(cd $$second/source && NFPM=$(NFPM) CYCLONEDX=$(CYCLONEDX) GOCACHE=$$second/cache deploy/package/build.sh $(VERSION) $$second/dist $(ARCHITECTURES) >/dev/null); \
	git worktree remove --force $$second/source; chmod -R u+w $$second; \
	diff $$first/SHA256SUMS $$second/dist/SHA256SUMS && echo "both are the same"

# What debootstrap makes is kept in .tools/, so that the next time needs no network.
.PHONY: package-check
package-check: $(NFPM) $(CYCLONEDX) ## the Debian package installed, upgraded with jobs in hand and purged where systemd runs (as root; needs debootstrap and lintian)
	@set -e; dir=$$(mktemp -d); trap 'rm -rf "$$dir"' EXIT; \
	for version in v0.0.1 v0.0.2; do NFPM=$(NFPM) CYCLONEDX=$(CYCLONEDX) deploy/package/build.sh $$version $$dir/$$version $$(go env GOARCH) >/dev/null; done; \
	lintian --fail-on error $$dir/v0.0.2/*.deb; \
	CGO_ENABLED=0 go build -o $$dir/ ./cmd/simulator; CGO_ENABLED=0 go build -C $(CHECK) -o $$dir/ ./install; \
	$$dir/install -base $(TOOLS)/debian -before $$dir/v0.0.1/*.deb -after $$dir/v0.0.2/*.deb -simulator $$dir/simulator

.PHONY: manifests
manifests: $(HELM) ## the plain manifests in deploy/kubernetes, made from the chart, and what the chart carries of deploy/monitoring
	go run -C $(CHECK) ./chart -helm $(HELM) -write

# kubectl-validate has the schemas of the oldest Kubernetes that the chart takes, and of 1.30. Of objects that are not
# Kubernetes' own it has none.
.PHONY: chart-check
chart-check: $(HELM) $(HELM_UNITTEST) $(KUBECTL_VALIDATE) ## the chart, its plain manifests, and the values that it must refuse (builds helm at first: minutes)
	@set -e; for values in minimal full; do $(HELM) lint --strict --quiet --kube-version 1.34.0 --values $(CHART)/tests/values/$$values.yaml $(CHART); done
	$(HELM_UNITTEST) $(CHART)
	go run -C $(CHECK) ./chart -helm $(HELM)
	@set -e; full=$$(mktemp -d); trap 'rm -rf "$$full"' EXIT; \
	$(HELM) template logoff-worker $(CHART) --kube-version 1.34.0 --values $(CHART)/tests/values/full.yaml --set podMonitor.enabled=false,prometheusRule.enabled=false,nack.enabled=false >$$full/full.yaml; \
	for version in 1.27 1.30; do $(KUBECTL_VALIDATE) --version $$version $$full/full.yaml deploy/kubernetes/*.yaml; done

# Prometheus' own tools: promtool has each alert fire and resolve, and a Prometheus scrapes a worker.
.PHONY: monitoring-check
monitoring-check: ## alerts, dashboard and runbooks, with promtool and a real Prometheus (Debian: apt-get install prometheus)
	@for program in promtool prometheus; do command -v $$program >/dev/null || \
		{ echo "monitoring-check needs $$program, which is not installed; Debian's package prometheus has it" >&2; exit 1; }; done
	go test -C $(CHECK) -count=1 ./monitoring

# The pictures are for looking at.
SHOTS ?= $(CURDIR)/dist/page
.PHONY: page-check
page-check: ## the status page in a real Chromium, in every state, which takes minutes (SHOTS=directory of the pictures)
	@command -v chromium chromium-browser google-chrome google-chrome-stable >/dev/null || { echo "Chromium is not installed: on Debian, apt-get install chromium" >&2; exit 1; }
	LOGOFF_PAGE_SHOTS=$(SHOTS) go test -C $(CHECK) ./page -count=1 -timeout 15m -v

.PHONY: doctor-check
doctor-check: $(NATS_COMMAND) ## seeded faults: logoffctl doctor finds each, and what it prints mends it
	LOGOFF_TEST_NATS=$(NATS_COMMAND) go test -C $(CHECK) -count=1 ./doctor

.PHONY: schema-check
schema-check: $(NATS_COMMAND) $(ASYNCAPI) ## the AsyncAPI document by its own validator, and the lines that publish the samples (needs node and npm)
	LOGOFF_TEST_NATS=$(NATS_COMMAND) LOGOFF_TEST_ASYNCAPI=$(ASYNCAPI) go test -C $(CHECK) -count=1 ./schema

.PHONY: docs
docs: ## put samples, settings, metrics and what is tolerated into the README files, and the streams into deploy/nats
	go test -p 1 ./cmd/logoff-worker ./jobs -run '^TestReadme' -update
	go test -C $(CHECK) ./nats -run '^TestDefinitionsAreThoseOfTheCode' -update

$(GOLANGCI_LINT):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv $(TOOLS)/golangci-lint $@

$(NFPM):
	GOBIN=$(TOOLS) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
	mv $(TOOLS)/nfpm $@

$(CYCLONEDX):
	GOBIN=$(TOOLS) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	mv $(TOOLS)/cyclonedx-gomod $@

$(HELM):
	GOBIN=$(TOOLS) go install helm.sh/helm/v3/cmd/helm@$(HELM_VERSION)
	mv $(TOOLS)/helm $@

$(KUBECTL_VALIDATE):
	GOBIN=$(TOOLS) go install sigs.k8s.io/kubectl-validate@$(KUBECTL_VALIDATE_VERSION)
	mv $(TOOLS)/kubectl-validate $@

$(NATS_COMMAND):
	GOBIN=$(TOOLS) go install github.com/nats-io/natscli/nats@$(NATS_COMMAND_VERSION)
	mv $(TOOLS)/nats $@

$(ASYNCAPI):
	@command -v npm >/dev/null || { echo "schema-check needs npm, which is not installed; Debian's package npm has it" >&2; exit 1; }
	npm install --silent --ignore-scripts --no-audit --no-fund --no-save --prefix $@.new @asyncapi/parser@$(ASYNCAPI_VERSION)
	mv $@.new $@

# Its go.mod replaces a module, so that go install refuses it: it is built in a copy of its own source.
$(HELM_UNITTEST):
	@set -e; source=$$(mktemp -d); trap 'rm -rf "$$source"' EXIT; \
	cp -R "$$(go mod download -json github.com/helm-unittest/helm-unittest@$(HELM_UNITTEST_VERSION) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')/." "$$source"; \
	chmod -R u+w "$$source"; \
	go build -C "$$source" -o $@ ./cmd/helm-unittest
