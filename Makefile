# The targets of ducklens. `make` alone lists them. Works with GNU make 3.81 and later.

SHELL := bash
.DEFAULT_GOAL := help

GO ?= go
BIN := bin/ducklens
FUZZTIME ?= 20s
BENCH ?= .
BENCHTIME ?= 1s
BENCHCOUNT ?= 10
# benchstat is run at a fixed version and kept out of go.mod: nothing in the program needs it.
BENCHSTAT := golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: tools
tools: ## check that Go and a C compiler are there, and say how to get what is not
	@bash .ci/tools

.PHONY: build
build: tools ## build bin/ducklens
	$(GO) build -trimpath -o $(BIN) ./cli/ducklens

.PHONY: install
install: tools ## put ducklens where go install puts programs
	$(GO) install -trimpath ./cli/ducklens

.PHONY: demo
demo: build ## build, run the whole path on the embedded model, leave demo/demo.duckdb and figures
	@$(BIN) demo --dir demo

.PHONY: test
test: tools ## run every test; skipped ones are listed with their reasons
	set -o pipefail; $(GO) test -v -timeout 20m ./... | awk -f .ci/report.awk

.PHONY: race
race: tools ## run the tests under the race detector, in random order
	$(GO) test -race -shuffle on -timeout 40m ./...

.PHONY: lint
lint: tools ## gofmt, vet, staticcheck, and a build without cgo of what must not need it
	@unformatted=$$(git ls-files -co --exclude-standard '*.go' | xargs gofmt -l); \
	if [ -n "$$unformatted" ]; then echo "not gofmt-ed (make fmt):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
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
fuzz: tools ## run each fuzz target for FUZZTIME (20s)
	@grep -rhoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . >/dev/null || { echo "no fuzz targets"; exit 1; }
	@for file in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | sort); do \
	  for target in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$file); do \
	    echo "$$target ($$(dirname $$file))"; \
	    $(GO) test $$(dirname $$file) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

# OpenBLAS is compared with as it chooses for this processor.
.PHONY: bench
bench: tools ## run the benchmarks and compare with the targets: BENCH=pattern BENCHTIME=1s
	set -o pipefail; env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE $(GO) test -p 1 ./... -run '^$$' -bench '$(BENCH)' -benchtime $(BENCHTIME) -benchmem -timeout 90m | awk -f .ci/targets.awk

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
conformance: tools ## compare with numbers published about GPT-2 small: DUCKLENS_GPT2_DIR=folder DUCKLENS_IOI_TEMPLATES=file
	@$(GO) run ./cli/conformance/run

.PHONY: cover
cover: tools ## test coverage, function by function, in cover.out and as a total
	set -o pipefail; $(GO) test -v -coverpkg ./... -coverprofile cover.out -timeout 20m ./... | awk -f .ci/report.awk
	@$(GO) tool cover -func cover.out | tail -n 1

.PHONY: tidy
tidy: ## bring go.mod and go.sum in order
	$(GO) mod tidy

.PHONY: clean
clean: ## remove what the targets above made
	rm -rf bin demo cover.out
