package cli_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A rule says what the packages at and below a path may import. The longest matching path is a package's
// rule.
type rule struct {
	path     string   // of the package, below the module's root
	internal []string // packages of this module it may import; a trailing /... includes those below
	outside  []string // modules it may import beside the standard library; nil means any
	never    []string // packages it may not even depend on through others
}

const module = "ducklens/"

// rules says which package may import which. DESIGN.md shows the same as a picture.
func rules() []rule {
	const (
		driver = "github.com/duckdb/duckdb-go/v2"
		tensor = "gorgonia.org/tensor"
		cobra  = "github.com/spf13/cobra"
	)
	sql := []string{"database/sql", driver}
	return []rule{
		{path: "schema", outside: []string{}, never: sql},
		{path: "schema/draft", internal: []string{}, outside: []string{"golang.org/x/sys"}, never: sql},
		{path: "schema/moment", internal: []string{}, outside: []string{}, never: sql},
		{path: "schema/dbfile", internal: []string{"schema", "schema/draft"}, outside: []string{driver}},
		{path: "schema/verify", internal: []string{"schema", "schema/dbfile", "schema/moment"}, outside: []string{driver}},
		{path: "schema/transfer", internal: []string{"schema", "schema/dbfile", "schema/draft", "schema/moment", "internal/regular"}, outside: []string{driver}},
		{path: "schema/schematest", internal: []string{"schema", "schema/dbfile", "schema/verify"}, outside: []string{driver}},
		{path: "internal/advice", internal: []string{}, outside: []string{}},
		{path: "internal/regular", internal: []string{}, outside: []string{"golang.org/x/sys"}},
		{path: "engine", internal: []string{"schema", "engine/...", "internal/..."}, never: append(sql, cobra)},
		{path: "engine/checkpoint", internal: []string{"engine/checkpoint/...", "engine/internal/...", "internal/..."}, never: append(sql, cobra)},
		{path: "engine/exchange", internal: []string{"schema", "engine/checkpoint", "engine/model", "engine/rotary", "internal/..."}, outside: []string{}, never: append(sql, cobra)},
		{path: "engine/exchange/exchangetest", internal: []string{"schema", "engine/..."}, never: append(sql, cobra)},
		{path: "engine/model", internal: []string{"schema", "engine/blas", "engine/checkpoint/...", "engine/decompose", "engine/rotary", "engine/model", "engine/internal/..."}, never: append(sql, cobra)},
		{path: "engine/model/modeltest", internal: []string{"schema", "engine/..."}, never: append(sql, cobra)},
		{path: "engine/model/plain", internal: []string{"schema", "engine/checkpoint", "engine/family", "engine/model", "engine/rotary"}, outside: []string{}},
		{path: "engine/decompose", internal: []string{"schema", "engine/blas", "engine/rotary", "engine/internal/workers"}, never: append(sql, cobra)},
		{path: "ingest", internal: []string{"schema", "schema/dbfile", "schema/moment", "schema/draft", "engine", "ingest/...", "internal/advice"}, outside: []string{driver}},
		{path: "ingest/prompts", internal: []string{"schema", "schema/dbfile", "internal/regular"}, outside: []string{driver, "gonum.org/v1/gonum"}, never: []string{tensor}},
		{path: "queries", internal: []string{}, outside: []string{}, never: []string{"database/sql"}},
		{path: "queries/session", internal: []string{"schema", "schema/dbfile", "queries"}, outside: []string{driver, "github.com/jedib0t/go-pretty/v6"}, never: []string{tensor, cobra}},
		{path: "queries/spark", internal: []string{"schema", "schema/dbfile", "queries"}, outside: []string{driver}, never: []string{tensor, cobra}},
		{path: "queries/output", internal: []string{"schema", "schema/dbfile", "queries"}, outside: []string{driver, "github.com/jedib0t/go-pretty/v6"}, never: []string{tensor, cobra}},
		{path: "queries/figure", internal: []string{"queries", "queries/figure/..."}, outside: []string{"gonum.org/v1/plot", "gonum.org/v1/gonum", "golang.org/x/image", "codeberg.org/go-fonts"}, never: append(sql, tensor, cobra)},
		{path: "queries/figure/internal", internal: []string{"queries", "queries/figure/internal/..."}, outside: []string{"gonum.org/v1/plot", "gonum.org/v1/gonum", "golang.org/x/image", "codeberg.org/go-fonts"}, never: append(sql, tensor, cobra)},
		{path: "queries/figure/plotly", internal: []string{"queries", "queries/figure", "queries/figure/internal/..."}, outside: []string{}, never: append(sql, tensor, cobra)},
		{path: "queries/figure/vegalite", internal: []string{"queries", "queries/figure", "queries/figure/internal/..."}, outside: []string{}, never: append(sql, tensor, cobra)},
		{path: "queries/report", internal: []string{"schema", "queries", "queries/figure", "queries/figure/plotly", "queries/session"}, outside: []string{}, never: []string{tensor, cobra}},
		{path: "queries/explorer", internal: []string{"queries", "queries/output", "queries/session", "schema/draft", "internal/advice"}, outside: []string{}, never: []string{tensor, cobra}},
		{path: "queries/internal/sample", internal: []string{"schema", "schema/dbfile"}},
		{path: "cli", internal: []string{"internal/...", "schema/...", "engine/...", "ingest/...", "queries/...", "cli/..."}},
		{path: "cli/conformance", internal: []string{"cli", "cli/smollm2", "cli/conformance"}, outside: []string{}},
		{path: "cli/smollm2", internal: []string{"cli", "cli/smollm2", "internal/advice", "schema/draft"}, outside: []string{}},
		{path: "cli/demo", internal: []string{"schema/draft"}, outside: []string{}},
		{path: "cli/hub", internal: []string{"schema/draft"}, outside: []string{}},
		{path: "cli/demo/generate", internal: []string{"engine/...", "ingest/prompts", "cli/demo"}},
	}
}

// A listed package is what `go list -json` says of one.
type listed struct {
	ImportPath string
	Imports    []string // direct
	Deps       []string // direct and through others
	Standard   bool
}

// TestImports checks [rules] for every package of the module.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Imports,Deps", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	var packages []listed
	for decoder := json.NewDecoder(strings.NewReader(string(out))); decoder.More(); {
		var p listed
		if err := decoder.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
	if len(packages) < 5 {
		t.Fatalf("go list gave %d packages, want the whole module", len(packages))
	}
	for _, fault := range violations(packages) {
		t.Error(fault)
	}
}

// TestCommandFiles checks the files of this package: cmd_NAME.go builds the command NAME, and no other file
// builds commands, except cli.go, which builds the root.
func TestCommandFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	command := regexp.MustCompile(`(?s)cobra\.Command\{\s*Use: *"([a-z]+)`)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "cli.go" {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		first := command.FindSubmatch(text)
		name, named := strings.CutPrefix(strings.TrimSuffix(file, ".go"), "cmd_")
		switch {
		case named && first == nil:
			t.Errorf("%s builds no command", file)
		case !named && first != nil:
			t.Errorf("%s builds the command %s, want that in a file cmd_%[2]s.go", file, first[1])
		case named && name != string(first[1]) && !strings.HasSuffix(name, "_"+string(first[1])):
			t.Errorf("%s builds the command %s", file, first[1])
		}
	}
}

// TestImportsBroken shows that each kind of rule fires.
func TestImportsBroken(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		p    listed
		want string
	}{
		{"inside", listed{ImportPath: "ducklens/queries", Imports: []string{"ducklens/engine"}}, "ducklens/queries imports ducklens/engine"},
		{"inside, below", listed{ImportPath: "ducklens/engine/model", Imports: []string{"ducklens/schema/dbfile"}}, "ducklens/engine/model imports ducklens/schema/dbfile"},
		{"outside", listed{ImportPath: "ducklens/schema", Imports: []string{"gonum.org/v1/gonum/mat"}}, "ducklens/schema imports gonum.org/v1/gonum/mat"},
		{"standard library", listed{ImportPath: "ducklens/engine/model", Imports: []string{"database/sql"}, Deps: []string{"database/sql"}}, "ducklens/engine/model depends on database/sql"},
		{"through others", listed{ImportPath: "ducklens/engine/decompose", Deps: []string{"fmt", "github.com/duckdb/duckdb-go/v2"}}, "ducklens/engine/decompose depends on github.com/duckdb/duckdb-go/v2"},
		{"no rule", listed{ImportPath: "ducklens/util"}, "ducklens/util has no rule"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := violations([]listed{c.p})
			if len(got) != 1 || !strings.Contains(got[0], c.want) {
				t.Errorf("violations %q, want one with %q", got, c.want)
			}
		})
	}
	allowed := listed{ImportPath: "ducklens/engine/model", Imports: []string{"fmt", "ducklens/schema", "ducklens/engine/blas", "gorgonia.org/tensor"}}
	if got := violations([]listed{allowed}); len(got) != 0 {
		t.Errorf("violations %q, want none", got)
	}
}

// violations lists the imports that the rules do not allow.
func violations(packages []listed) []string {
	var faults []string
	for _, p := range packages {
		var r *rule
		for _, candidate := range rules() {
			if below(p.ImportPath, module+candidate.path) && (r == nil || len(candidate.path) > len(r.path)) {
				r = &candidate
			}
		}
		if r == nil {
			faults = append(faults, fmt.Sprintf("%s has no rule in cli/imports_test.go: which layer is it?", p.ImportPath))
			continue
		}
		for _, path := range p.Imports {
			var allowed bool
			if strings.HasPrefix(path, module) {
				allowed = slices.ContainsFunc(r.internal, func(pattern string) bool {
					if tree, all := strings.CutSuffix(pattern, "/..."); all {
						return below(path, module+tree)
					}
					return path == module+pattern
				})
			} else {
				host, _, _ := strings.Cut(path, "/")
				allowed = !strings.Contains(host, ".") || r.outside == nil ||
					slices.ContainsFunc(r.outside, func(m string) bool { return below(path, m) })
			}
			if !allowed {
				faults = append(faults, fmt.Sprintf("%s imports %s; %s may import %v of this module and %v of others",
					p.ImportPath, path, r.path, r.internal, r.outside))
			}
		}
		for _, path := range r.never {
			if slices.Contains(p.Deps, path) {
				faults = append(faults, fmt.Sprintf("%s depends on %s, which %s must not", p.ImportPath, path, r.path))
			}
		}
	}
	return faults
}

// below reports whether path is tree or inside it.
func below(path, tree string) bool { return path == tree || strings.HasPrefix(path, tree+"/") }

// TestGoMod checks that go.mod has no replace line, with which `go install ducklens/cli/ducklens@latest`
// would fail.
func TestGoMod(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if line := replaceLine(string(text)); line != "" {
		t.Errorf("go.mod has %q, want no replace", line)
	}
	if replaceLine("module m\n\nreplace (\n\ta => b\n)\n") == "" {
		t.Error("a replace block was not seen")
	}
}

// replaceLine returns the first line of a go.mod that begins a replacement, or "".
func replaceLine(text string) string {
	for line := range strings.Lines(text) {
		if first, _, _ := strings.Cut(strings.TrimSpace(line), " "); first == "replace" || first == "replace(" {
			return strings.TrimSpace(line)
		}
	}
	return ""
}
