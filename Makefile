# Everything a contributor runs, by name. `make` alone lists the targets.

GO      ?= go
BIN     := bin/hubnerite
TOOLS   := .tools
GOLANGCI_VERSION := v2.15.0
GOLANGCI := $(TOOLS)/golangci-lint-$(GOLANGCI_VERSION)
GORELEASER_VERSION := v2.16.0
GORELEASER := $(TOOLS)/goreleaser-$(GORELEASER_VERSION)

# Flags of the program behind bench-mqtt, bench-devices and the like, for example "-rounds 1 -transport plain".
BENCHFLAGS ?=
# How long `make fuzz` spends on each fuzz target, how many rounds `make soak` takes.
FUZZTIME ?= 20s
ROUNDS   ?= 500
# How many conformance scenarios run at a time (most of them wait most of the time).
PARALLEL ?= 6
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
IMAGE   ?= hubnerite:dev

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: ## Everything: set-up, vet, lint, race-enabled unit tests, the SDK programs, fuzzing of AMQP; names what could not run
	@rm -f .cache/not-run
	@$(MAKE) --no-print-directory -j4 --output-sync=target tools python node java modules c schemathesis browser engine testcontainers programs
	@$(MAKE) --no-print-directory vet lint unit cross conformance containers fuzz-amqp
	@scripts/not-run --report

.PHONY: unit
unit: ## Unit tests with the race detector
	$(GO) test -race -timeout 20m ./...

.PHONY: vet
vet: ## go vet, conformance programs included
	$(GO) vet ./...
	$(GO) vet -tags conformance ./conformance/...
	cd testcontainers && $(GO) vet ./...

.PHONY: lint
lint: $(GOLANGCI) ## golangci-lint with the project's rules (built once into .tools)
	$(GOLANGCI) run --allow-parallel-runners ./...
	cd testcontainers && ../$(GOLANGCI) run --allow-parallel-runners ./...

.PHONY: fmt
fmt: $(GOLANGCI) ## Format the Go code: gofumpt (v0.12.0, inside golangci-lint) and gci
	$(GOLANGCI) fmt ./...
	cd testcontainers && ../$(GOLANGCI) fmt ./...

.PHONY: build
build: ## The binary, into bin/
	CGO_ENABLED=0 $(GO) build -trimpath -o $(BIN) ./cmd/hubnerite

.PHONY: cross
cross: ## The binary for linux, darwin and windows on amd64 and arm64, into dist/
	@set -e; for platform in $(PLATFORMS); do \
	  os=$${platform%/*}; arch=$${platform#*/}; ext=; [ $$os = windows ] && ext=.exe; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -ldflags '-s -w' \
	    -o dist/hubnerite-$$os-$$arch$$ext ./cmd/hubnerite; \
	  echo "built dist/hubnerite-$$os-$$arch$$ext"; \
	done

.PHONY: release-check
release-check: $(GORELEASER) ## A release for every platform into dist/, published nowhere, and what is in it (about 10 minutes the first time)
	@scripts/release-check $(GORELEASER)

.PHONY: conformance
conformance: build python node java modules c schemathesis browser ## Microsoft's SDKs, unmodified, against the built binary on ports 443, 5671 and 8883
	@scripts/conformance -test.v -test.parallel $(PARALLEL)

.PHONY: demo
demo: build python ## Both Python tutorials end to end, printing what device and back end print
	@scripts/conformance -demo

.PHONY: bench
bench: ## Everything that is measured, one after the other (about 25 minutes); docs/performance.md explains it
	@$(MAKE) --no-print-directory -j1 bench-go bench-mqtt bench-events bench-rest bench-devices bench-idle BENCHFLAGS=

.PHONY: bench-go
bench-go: ## The Go benchmarks, start-up time with 10,000 devices among them
	$(GO) test -p 1 -run '^$$' -bench . -benchmem ./...

.PHONY: bench-mqtt
bench-mqtt: build ## MQTT throughput and latency beside mosquitto, as ratios of alternating rounds (about 4 minutes)
	$(GO) run ./bench/mqttload -binary $(BIN) -mosquitto "$$(scripts/mosquitto-env --path)" $(BENCHFLAGS)

.PHONY: bench-idle
bench-idle: build ## Memory of 5,000 idle MQTT connections, plain and TLS, beside mosquitto's (about 6 minutes)
	$(GO) run ./bench/mqttload -idle 5000 -binary $(BIN) -mosquitto "$$(scripts/mosquitto-env --path)" $(BENCHFLAGS)

.PHONY: bench-devices
bench-devices: build ## 10,000 devices at once over MQTT with TLS: connecting, memory, and how long telemetry, messages and methods take (about 5 minutes)
	$(GO) run ./bench/deviceload -binary $(BIN) $(BENCHFLAGS)

.PHONY: bench-rest
bench-rest: build ## The service API with 100,000 devices: bulk creation, start-up, listing, reads and twin patches per second
	$(GO) run ./bench/restload -binary $(BIN) $(BENCHFLAGS)

.PHONY: bench-events
bench-events: build ## Reading events beside Qpid Proton's example broker, and readers that follow devices (about 1 minute)
	$(GO) run ./bench/eventload -binary $(BIN) -proton "$$(scripts/proton-env --path)" $(BENCHFLAGS)

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (20s) each
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' scripts/fuzz

.PHONY: fuzz-amqp
fuzz-amqp: ## AMQP's fuzz targets for a minute each, two at a time
	@GO='$(GO)' FUZZTIME=60s scripts/fuzz -j 2 amqp amqp/wire

.PHONY: soak
soak: build ## Kill the emulator ROUNDS (500) times in the middle of writes and look for losses
	@HUBNERITE_CRASH_ROUNDS=$(ROUNDS) scripts/conformance -test.v -test.timeout 12h -test.run '^TestConformance$$/^kill9'

.PHONY: image
image: ## The container image, as IMAGE (hubnerite:dev)
	docker build -t $(IMAGE) .

.PHONY: containers
containers: engine testcontainers ## The container image built, run and used by SDK programs, docker-compose.yml, and what is made for Testcontainers
	@scripts/containers -test.v

.PHONY: engine
engine: ## Docker, where there is no daemon to use
	@scripts/docker-env

.PHONY: testcontainers
testcontainers: python node java ## The packages of the programs in examples/testcontainers, into .cache/
	@scripts/testcontainers-env

.PHONY: python
python: ## The Python virtual environment of the conformance programs, into .cache/
	@scripts/python-env

.PHONY: node
node: ## The Node.js packages of the conformance programs, into .cache/
	@scripts/node-env

.PHONY: schemathesis
schemathesis: ## Schemathesis, which makes requests from the description of the service API, into .cache/
	@scripts/schemathesis-env

.PHONY: java
java: ## The jars and the compiled programs of the Java conformance programs, into .cache/
	@scripts/java-env

.PHONY: c
c: ## A C compiler and libmosquitto, for the documentation's C page
	@scripts/c-env

.PHONY: modules
modules: ## The Go modules of the documentation's pages, into .cache/
	@scripts/go-env

.PHONY: browser
browser: ## Chromium and Playwright for the dashboard's tests
	@scripts/browser-env

.PHONY: programs
programs: ## zsh, fish and tshark, with which unit tests try what they make
	@scripts/programs-env

.PHONY: screenshots
screenshots: build python browser ## The pictures of the dashboard in docs/images, from its test
	@mkdir -p docs/images
	@HUBNERITE_SCREENSHOTS=$(CURDIR)/docs/images scripts/conformance -test.v -test.run '^TestConformance$$/^dashboard$$'

.PHONY: tools
tools: $(GOLANGCI) ## The pinned lint tool, into .tools/

.PHONY: clean
clean: ## Remove what was built (keeps .tools and .cache)
	rm -rf bin dist

$(GOLANGCI):
	@echo "building golangci-lint $(GOLANGCI_VERSION); this takes a few minutes, once"
	@mkdir -p $(TOOLS)/build
	@GOBIN=$(CURDIR)/$(TOOLS)/build GOFLAGS= $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	@mv $(TOOLS)/build/golangci-lint $@

$(GORELEASER):
	@echo "building goreleaser $(GORELEASER_VERSION); this takes a few minutes, once"
	@mkdir -p $(TOOLS)/build
	@GOBIN=$(CURDIR)/$(TOOLS)/build GOFLAGS= $(GO) install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)
	@mv $(TOOLS)/build/goreleaser $@
