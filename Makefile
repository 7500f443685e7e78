# The targets of ducklens. `make` alone lists them. Works with GNU make 3.81 and later.

SHELL := bash
.DEFAULT_GOAL := help

GO ?= go
PYTHON ?= python3
BIN := bin/ducklens
FUZZTIME ?= 20s
FUZZJOBS ?= 2
BENCH ?= .
BENCHTIME ?= 1s
BENCHCOUNT ?= 10
KILLS ?= 1000
# benchstat is run at a fixed version and kept out of go.mod: nothing in the program needs it.
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
# So is govulncheck.
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The packages whose goroutines share memory most, and whose tests are done in a minute; make race has all.
RACED := ./engine ./engine/blas/... ./engine/model

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: tools
tools: ## check that Go and a C compiler are there, and say how to get what is not
	@bash .ci/tools

# On Linux, Go links a program to fixed addresses unless it is told otherwise; elsewhere it does not. At an address of its own
# in each process, a file that misleads DuckDB does not know where to lead it.
PIE = $(if $(filter linux/amd64 linux/arm64,$(shell $(GO) env GOOS)/$(shell $(GO) env GOARCH)),-buildmode=pie)

.PHONY: build
build: tools ## build bin/ducklens
	$(GO) build -trimpath $(PIE) -o $(BIN) ./cli/ducklens

.PHONY: install
install: tools ## put ducklens where go install puts programs
	$(GO) install -trimpath $(PIE) ./cli/ducklens

.PHONY: wheel
wheel: tools ## build a Python wheel in dist/, of the program and the package in python/; needs Python with pip
	$(GO) build -trimpath $(PIE) -ldflags '-s -w' -o bin/wheel/ducklens ./cli/ducklens
	DUCKLENS_PROGRAM=$(CURDIR)/bin/wheel/ducklens $(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist ./python
	@ls dist/*.whl

.PHONY: demo
demo: build ## build, run the whole path on the embedded model, leave demo/demo.duckdb and figures
	@$(BIN) demo --dir demo

.PHONY: test
test: tools ## run every test, in random order; skipped ones are listed with their reasons
	set -o pipefail; $(GO) test -v -shuffle on -timeout 30m $(if $(COVER),-coverpkg ./... -coverprofile $(COVER)) ./... | awk -f .ci/report.awk
	@$(if $(COVER),$(GO) tool cover -func $(COVER) | tail -n 1)

.PHONY: race
race: tools ## run the tests under the race detector, in random order
	$(GO) test -race -shuffle on -timeout 40m ./...

.PHONY: race-short
race-short: tools ## run the shorter tests of the packages that share memory under the race detector
	$(GO) test -race -short -shuffle on -timeout 20m $(RACED)

.PHONY: lint
lint: tools ## gofmt, vet, staticcheck, and a build without cgo of what must not need it
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./... ./.ci/licences
	$(GO) tool staticcheck ./...
	CGO_ENABLED=0 $(GO) build ./schema ./engine/...

.PHONY: fmt
fmt: ## gofmt every Go file
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: generate
generate: tools ## make generated files and fixtures again
	$(GO) generate ./...

.PHONY: golden
golden: tools ## write golden files anew from what the code gives now; read the difference before you commit it
	$(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update

.PHONY: fuzz
fuzz: tools ## run each fuzz target for FUZZTIME (20s), FUZZJOBS (2) at a time
	@GO='$(GO)' bash .ci/fuzz $(FUZZTIME) $(FUZZJOBS)

# OpenBLAS is compared with as it chooses for this processor.
.PHONY: bench
bench: tools ## run the benchmarks and compare with the targets: BENCH=pattern BENCHTIME=1s
	set -o pipefail; env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(GO) test -p 1 ./... -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 90m | awk -f .ci/targets.awk

.PHONY: kill
kill: tools ## kill commands that write at random moments, KILLS (1000) times
	$(GO) test ./cli -run '^TestKilled' -v -count 1 -kills $(KILLS) -timeout 120m

.PHONY: bench-compare
bench-compare: tools ## compare the benchmarks with those of another commit: BASE=ref [BENCH=pattern] [BENCHCOUNT=10]
	@[ -n "$(BASE)" ] || { echo "ducklens: no commit to compare with"; echo "hint: make bench-compare BASE=main BENCH=Gemm"; exit 2; }
	@set -e; dir=$$(mktemp -d); trap 'git worktree remove --force "$$dir/base" >/dev/null 2>&1; rm -rf "$$dir"' EXIT; \
	git worktree add --quiet --detach "$$dir/base" "$(BASE)"; \
	for side in "$$dir/base" .; do \
	  name=$$([ "$$side" = . ] && echo new || echo old); echo "$$name: $$side"; \
	  (cd "$$side" && $(GO) test ./... -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -count $(BENCHCOUNT) -benchmem -timeout 120m) > "$$dir/$$name.txt"; \
	done; \
	$(GO) run $(BENCHSTAT) "$$dir/old.txt" "$$dir/new.txt"

.PHONY: conformance
conformance: tools ## compare with published numbers of GPT-2 small (DUCKLENS_GPT2_DIR=folder DUCKLENS_IOI_TEMPLATES=file) and earlier ones of SmolLM2
	@$(GO) run ./cli/conformance/run

.PHONY: smollm2
smollm2: tools ## read a pretrained model (DUCKLENS_SMOLLM2=file, else pip gets it), leave files, reports and figures in smollm2/
	@$(GO) run ./cli/smollm2/run

.PHONY: peers
peers: build ## time a whole ingest of SmolLM2 beside a forward pass of transformers on torch, in turns (DUCKLENS_PYTHON=interpreter)
	@$(GO) run ./cli/smollm2/peers -ducklens $(BIN)

.PHONY: cover
cover: ## make test, with coverage, function by function, in cover.out and as a total
	@$(MAKE) --no-print-directory test COVER=cover.out

.PHONY: licences
licences: ## list the licences of what is linked into ducklens; fail for one that is not accepted
	@$(GO) test ./.ci/licences
	@$(GO) run ./.ci/licences

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in what ducklens calls; skipped where their list cannot be had
	@if said=$$($(GO) run $(GOVULNCHECK) ./... 2>&1); then echo "$$said"; \
	elif [[ "$$said" == *"fetching vulnerabilities"* || "$$said" == *"no such host"* || "$$said" == *"module lookup disabled"* ]]; then \
	  printf '%s\n' "skipped: govulncheck, because it cannot reach its data:" "$$(grep -v '^exit status' <<<"$$said" | tail -n 1)"; \
	else echo "$$said"; exit 1; fi

.PHONY: tidy
tidy: ## bring go.mod and go.sum in order
	$(GO) mod tidy

.PHONY: clean
clean: ## remove what the targets above made
	rm -rf bin demo smollm2 cover.out
