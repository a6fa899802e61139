# Everything is built from pinned Go modules: Go, git, make and a shell are all that it takes.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.NOTPARALLEL:
.DEFAULT_GOAL := help

VERSION ?= v0.0.0-dev
CLUSTER_DIR ?= build/cluster
IMAGE_RUNNER_DIR ?= build/runner-image
# The first takes the longest.
UNIT_PACKAGES ?= ./runner $(shell go list ./... | grep -vE '/tests/(e2e|breakin|engines|faults|soak)|/runner$$')
E2E_PACKAGES ?= ./tests/e2e ./tests/breakin
UNIT_TIMEOUT ?= 10m
E2E_TIMEOUT ?= 30m
FAULTS_TIMEOUT ?= 40m
SOAK_OBJECTS ?= 200
SOAK_TENANTS ?= 20
SOAK_FOR ?= 20m
RACE_TIMEOUT ?= 30m
# FUZZ_TIME is for each fuzz target.
FUZZ_TIME ?= 30s
# RUN=Name limits tests to those whose names match.
RUN ?=
# The engines that `make test-all` tries the core of the end-to-end tests with, besides tofu, and that core.
TERRAFORMS := terraform_1.5.7 terraform_1.13.3
CORE_E2E := ^Test(Auto|Manual|Failure|Drift|DriftCheck|Suspend|Destroy|Targets|Outputs|StateGuard|PlanAccount|Apply|ReadablePlan|RefreshBeforeApply|ForceUnlock)_|^TestDeletion_(Keeps|Destroys)|^TestGate_(Safe|TheRest)|^TestInputs_AllTogether|^TestStateGuard
CORE_FAULTS := ^Test(Lock_OfSomebodyElse|Plan_|RunnerKilled_InTheMiddle|State_Backend)
# KEEP=1 leaves the demo's cluster running.
KEEP ?=

export GOTOOLCHAIN := local
export GOFLAGS := $(strip $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false)

MODULES := . api
GO_TEST = go test -v $(if $(RUN),-run '$(RUN)')
# core ENGINE: the core of the end-to-end tests with that engine.
core = export RUNNER_IMAGE_DIR=$(CURDIR)/build/runner-image-$(1); echo "$(1)"; \
	go test -v -run '$(or $(RUN),$(CORE_E2E))' -count=1 -p 1 -parallel 4 -timeout $(E2E_TIMEOUT) ./tests/e2e $(call report,$(1),-v live=1); \
	go test -v -run '$(or $(RUN),$(CORE_FAULTS))' -short -count=1 -parallel 4 -timeout $(E2E_TIMEOUT) ./tests/faults $(call report,$(1)-faults,-v live=1)
# report FILE,OPTIONS: keeps all that a test run says in build/test/FILE.log and shows what matters.
report = 2>&1 | tee build/test/$(1).log | awk $(2) -f hack/test-report.awk
CONTROLLER_GEN := go tool -modfile=../hack/tools/controller-gen/go.mod controller-gen
GOLANGCI_LINT := go tool -modfile=$(CURDIR)/hack/tools/golangci-lint/go.mod golangci-lint

##@ Use

.PHONY: help
help: ## Show what can be made
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: companions build image-runner ## Show the whole story on a local cluster (KEEP=1 leaves it running)
	@$(if $(KEEP),hack/up.sh $(CLUSTER_DIR) --demo,bin/localcluster up --dir $(CLUSTER_DIR) --demo --once)

.PHONY: up
up: companions build image-runner ## Start a local cluster and print its kubeconfig's path
	@hack/up.sh $(CLUSTER_DIR)

.PHONY: down
down: ## Stop the local cluster and remove all of it but its logs
	@if [ -x bin/localcluster ]; then bin/localcluster down --dir $(CLUSTER_DIR); fi

##@ Build

.PHONY: companions
companions: ## Build the real programs that demo and tests run, once per user and version
	@hack/companions/build.sh

.PHONY: build
build: ## Build our programs into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/... ./tests/cmd/...

.PHONY: image-runner
image-runner: ## Assemble the runner image's files in build/runner-image
	@hack/image-runner.sh $(IMAGE_RUNNER_DIR)

.PHONY: generate
generate: ## Generate deepcopy functions and CRDs from the types, docs/compatibility.md from rows and tests
	cd api && $(CONTROLLER_GEN) object paths=./... && $(CONTROLLER_GEN) crd paths=./... output:crd:dir=../config/crd/bases
	go run ./tests/compat/document docs/compatibility.md

.PHONY: fmt
fmt: ## Format the code
	gofmt -w $$(git ls-files --cached --others --exclude-standard '*.go')

.PHONY: clean
clean: down ## Stop the local cluster and remove what was built here; the per-user cache stays
	rm -rf bin build

##@ Check

.PHONY: test
test: companions build image-runner verify test-unit test-e2e ## Run every test: the one command of CI
	@awk -v summary=1 -f hack/test-report.awk build/test/{api,unit,e2e,faults}.log

.PHONY: test-all
test-all: test test-engines test-race fuzz faults soak ## All there is: make test, Terraform's engines, race detector, fuzzing, the long fault tests, the soak
	@awk -v summary=1 -f hack/test-report.awk build/test/*.log

.PHONY: terraforms
terraforms: ## Build the Terraforms of test-all, once per user and version
	@hack/companions/build.sh terraform-1.5 terraform

.PHONY: test-engines
test-engines: terraforms companions build ## The core of the end-to-end tests with each Terraform, and what only the engines' versions make
	@mkdir -p build/test
	@for engine in $(TERRAFORMS); do hack/image-runner.sh build/runner-image-$$engine bin/engines/$$engine/terraform; done
	@$(GO_TEST) -count=1 -timeout $(E2E_TIMEOUT) ./tests/engines $(call report,engines,-v live=1)
	@$(foreach engine,$(TERRAFORMS),$(call core,$(engine));)

.PHONY: test-unit
test-unit: ## Run all tests but the end-to-end ones
	@mkdir -p build/test
	@(cd api && $(GO_TEST) -timeout $(UNIT_TIMEOUT) ./...) $(call report,api)
	@$(GO_TEST) -timeout $(UNIT_TIMEOUT) $(UNIT_PACKAGES) $(call report,unit)

.PHONY: test-e2e
test-e2e: ## Run the end-to-end tests on a local cluster
	@mkdir -p build/test
	@$(GO_TEST) -count=1 -p 1 -parallel 5 -timeout $(E2E_TIMEOUT) $(E2E_PACKAGES) $(call report,e2e,-v live=1)
	@$(GO_TEST) -short -count=1 -parallel 6 -timeout $(E2E_TIMEOUT) ./tests/faults $(call report,faults,-v live=1)

.PHONY: faults
faults: companions build image-runner ## Break things for real, in every phase (the long form of the fault tests)
	@mkdir -p build/test
	@$(GO_TEST) -count=1 -parallel 6 -timeout $(FAULTS_TIMEOUT) ./tests/faults $(call report,faults,-v live=1)

.PHONY: soak
soak: companions build image-runner ## Break things at random for 20 minutes, with 200 objects (SOAK_OBJECTS, SOAK_FOR)
	@mkdir -p build/test
	@$(GO_TEST) -count=1 -timeout 90m ./tests/soak -soak.objects=$(SOAK_OBJECTS) -soak.tenants=$(SOAK_TENANTS) \
		-soak.for=$(SOAK_FOR) -soak.every=10s $(call report,soak,-v live=1)

.PHONY: test-race
test-race: companions build ## Run unit and controller tests with the race detector (needs a C compiler)
	@hack/race.sh -timeout $(RACE_TIMEOUT) $(if $(RUN),-run '$(RUN)')

.PHONY: fuzz
fuzz: ## Run each fuzz target for 30 s (RUN=Name: some)
	@hack/fuzz.sh $(FUZZ_TIME) '$(RUN)'

.PHONY: verify
verify: ## Fail when generated files or go.mod are stale, or code is not formatted
	@hack/verify.sh

.PHONY: vet
vet: ## Run go vet
	@for module in $(MODULES); do echo "vet $$module"; (cd $$module && go vet ./...); done

.PHONY: lint
lint: ## Run golangci-lint with .golangci.yml (the first time builds it)
	@for module in $(MODULES); do echo "lint $$module"; (cd $$module && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml ./...); done
