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
SHARDS ?= 16
PROMPTS ?= 1000
KEEP ?= all
SCALE ?= 1000,10000
SCALE_MODEL ?= demo
SCALE_QUERIES ?= key_components,key_quadrants,top_pairs,basis_shares
# benchstat and govulncheck run at fixed versions and are not in go.mod, because the program does not need
# them.
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
# The packages whose goroutines share the most memory, and whose tests take a minute. make race tests all
# packages.
RACED := ./engine ./engine/blas/... ./engine/model

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: tools
tools: ## check that Go and a C compiler are installed, or say how to install them
	@bash .ci/tools

# By default, Go links Linux programs to fixed addresses. A random address in each process makes it harder for
# a malicious file to take over DuckDB.
PIE = $(if $(filter linux/amd64 linux/arm64,$(shell $(GO) env GOOS)/$(shell $(GO) env GOARCH)),-buildmode=pie)

.PHONY: build
build: tools ## build bin/ducklens
	$(GO) build -trimpath $(PIE) -o $(BIN) ./cli/ducklens

.PHONY: install
install: tools ## install ducklens where go install puts programs
	$(GO) install -trimpath $(PIE) ./cli/ducklens

.PHONY: wheel
wheel: tools ## build a Python wheel of the program and the package in dist/; needs Python with pip
	$(GO) build -trimpath $(PIE) -ldflags '-s -w' -o bin/wheel/ducklens ./cli/ducklens
	DUCKLENS_PROGRAM=$(CURDIR)/bin/wheel/ducklens $(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir dist ./python
	@ls dist/*.whl

.PHONY: web
web: ## rebuild the pages of ducklens explore; needs Node.js with npm, which building ducklens does not
	cd queries/explorer/web && npm ci --no-audit --no-fund && npm run --silent check && npm run --silent build

.PHONY: release
release: tools ## build stripped programs for all systems with a compiler here, in dist/ with checksums
	@GO='$(GO)' bash .ci/release

.PHONY: module
module: ## rename the module to the path where it is published: MODULE=github.com/you/ducklens
	@bash .ci/module '$(MODULE)'

.PHONY: demo
demo: build ## build, and run everything on the embedded model; writes demo/demo.duckdb and figures
	@$(BIN) demo --dir demo

# Programs with DuckDB are linked in less time without what a debugger needs (-w).
.PHONY: test
test: tools ## run every test, in random order, and list skipped tests with their reasons
	set -o pipefail; $(GO) test -ldflags -w -v -shuffle on -timeout 60m $(if $(COVER),-coverpkg ./... -coverprofile $(COVER)) ./... | awk -f .ci/report.awk
	@$(if $(COVER),$(GO) tool cover -func $(COVER) | tail -n 1)

.PHONY: race
race: tools ## run the tests under the race detector, in random order
	$(GO) test -race -shuffle on -timeout 40m ./...

.PHONY: race-short
race-short: tools ## run the shorter tests of the packages that share memory under the race detector
	$(GO) test -race -short -shuffle on -timeout 20m $(RACED)

.PHONY: lint
lint: tools ## gofmt, vet, staticcheck, long lines and phrases, and a build without cgo of schema and engine
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./... ./.ci/licences ./.ci/lint
	$(GO) tool staticcheck ./...
	$(GO) test ./.ci/lint
	CGO_ENABLED=0 $(GO) build ./schema ./engine/...

.PHONY: fmt
fmt: ## gofmt every Go file
	gofmt -w $$(git ls-files -co --exclude-standard '*.go')

.PHONY: generate
generate: tools ## regenerate generated files and fixtures
	$(GO) generate ./...

.PHONY: golden
golden: tools ## rewrite golden files; read the difference before you commit it
	$(GO) test $$(grep -rl --include='*_test.go' 'flag.Bool("update"' . | xargs -n1 dirname | sort -u) -update

.PHONY: fuzz
fuzz: tools ## run each fuzz target for FUZZTIME (20s), FUZZJOBS (2) at a time
	@GO='$(GO)' bash .ci/fuzz $(FUZZTIME) $(FUZZJOBS)

# OpenBLAS chooses its kernels for this processor.
.PHONY: bench
bench: tools ## run the benchmarks and compare with the targets: BENCH=pattern BENCHTIME=1s
	set -o pipefail; env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(GO) test -p 1 ./... -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 90m | awk -f .ci/targets.awk

.PHONY: kill
kill: tools ## kill writing commands at random moments, KILLS (1000) times
	$(GO) test ./cli -run '^TestKilled' -v -count 1 -kills $(KILLS) -timeout 120m

.PHONY: soak
soak: tools ## compute a run in shards that are killed at random moments: SHARDS=16 PROMPTS=1000 KEEP=all|means
	$(GO) test ./cli -run '^TestSoak$$' -v -count 1 -timeout 0 -soak-shards $(SHARDS) -soak-prompts $(PROMPTS) -soak-options '--keep $(KEEP)' -soak-queries key_components,key_quadrants,top_heads,closure

.PHONY: scale
scale: tools ## measure runs of more and more prompts, for docs/scale.md: SCALE=1000,10000 SCALE_MODEL=demo|gpt2
	$(GO) test ./cli -run '^TestScale$$' -v -count 1 -timeout 0 -scale-prompts $(SCALE) -scale-model $(SCALE_MODEL) -scale-queries $(SCALE_QUERIES)

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
conformance: tools ## compare with published numbers of GPT-2 small (DUCKLENS_GPT2_DIR=folder DUCKLENS_IOI_TEMPLATES=file) and with earlier ones of SmolLM2
	@$(GO) run ./cli/conformance/run

.PHONY: smollm2
smollm2: tools ## run a pretrained model (DUCKLENS_SMOLLM2=file, or pip gets it); writes files, reports and figures to smollm2/
	@$(GO) run ./cli/smollm2/run

# The tests that need torch and Spark, and then the comparison of times.
.PHONY: peers
peers: build ## compare with transformers, TransformerLens and Spark (DUCKLENS_PYTHON=interpreter), and compare times on SmolLM2
	@set -o pipefail; DUCKLENS_SPARK=1 DUCKLENS_PYTHON="$${DUCKLENS_PYTHON:-python3}" $(GO) test ./cli -run '^(TestCapture|TestDocsNotebook|TestSpark)' -v -count 1 -timeout 120m | awk -v passed=1 -f .ci/report.awk
	@$(GO) run ./cli/smollm2/peers -ducklens $(BIN)

.PHONY: cover
cover: ## make test with coverage, per function in cover.out, and in total
	@$(MAKE) --no-print-directory test COVER=cover.out

.PHONY: licences
licences: ## list the licences of linked code, and fail for one that is not accepted
	@$(GO) test ./.ci/licences
	@$(GO) run ./.ci/licences

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in called code; skipped if their list cannot be fetched
	@if said=$$($(GO) run $(GOVULNCHECK) ./... 2>&1); then echo "$$said"; \
	elif [[ "$$said" == *"fetching vulnerabilities"* || "$$said" == *"no such host"* || "$$said" == *"module lookup disabled"* ]]; then \
	  printf '%s\n' "skipped: govulncheck, because it cannot reach its data:" "$$(grep -v '^exit status' <<<"$$said" | tail -n 1)"; \
	else echo "$$said"; exit 1; fi

.PHONY: tidy
tidy: ## tidy go.mod and go.sum
	$(GO) mod tidy

.PHONY: clean
clean: ## remove files that the targets above made
	rm -rf bin demo smollm2 cover.out
