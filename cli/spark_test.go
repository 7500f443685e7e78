package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/schema"
	"ducklens/schema/schematest"
	"ducklens/schema/transfer"
)

// pyspark gives a Python that can run Spark 4, or skips the test.
func pyspark(t *testing.T) string {
	t.Helper()
	if os.Getenv("DUCKLENS_SPARK") == "" {
		t.Skip("Spark takes minutes: make peers runs it, with a Python that has pyspark in DUCKLENS_PYTHON")
	}
	path := os.Getenv("DUCKLENS_PYTHON")
	if path == "" {
		t.Skip("DUCKLENS_PYTHON names no Python with pyspark")
	}
	out, err := exec.CommandContext(t.Context(), path, "-c", "import pyspark; print(pyspark.__version__)").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "4.") {
		t.Skipf("%s lacks pyspark 4 (pip install pyspark): %s", path, strings.TrimSpace(string(out)))
	}
	if _, err := exec.LookPath("java"); err != nil {
		t.Skip("there is no java, which Spark runs on")
	}
	return path
}

// sparkCase is a question that both engines are asked.
type sparkCase struct {
	Name      string         `json:"name"`
	SQL       *string        `json:"sql"`  // a file
	Text      *string        `json:"text"` // or SQL
	View      *string        `json:"view"`
	Args      map[string]any `json:"args"`
	Expected  string         `json:"expected"`
	Run       string         `json:"run"`
	RunID     int            `json:"run_id"`
	tolerance float64
}

// sparkFiles makes a file of the demo's model, one with rows in every table but that of means, and one that
// keeps means.
func sparkFiles(t *testing.T, dir string) []string {
	t.Helper()
	model, small, full := demoModel(t), filepath.Join(dir, "small.duckdb"), filepath.Join(dir, "full.duckdb")
	means := filepath.Join(dir, "means.duckdb")
	for _, args := range [][]string{
		{"ingest", "--model", model, "--head", "3.0,3.1", "-n", "6", "--keys", "all:unembed,mlp0", "--sources", "top:2", "--gram", "4", "--logits", "--null", "3", "-o", small},
		{"ablate", small, "--model", model, "--component", "top:3"},
		{"ingest", "--model", model, "--head", "3.0", "-n", "6", "--keep", "means", "--by", "prompt_order", "-o", means},
	} {
		if code, _, stderr := run(t.Context(), args...); code != 0 {
			t.Fatal(stderr)
		}
	}
	db := schematest.NewDB(t)
	shape := schematest.GPT2Small()
	shape.Name, shape.NLayers, shape.NHeads, shape.DModel, shape.DHead = "small", 3, 2, 8, 4
	asked := schema.Run{Model: shape, Heads: schematest.Targets(schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 2, Index: 0}), Bases: schematest.AllBases(),
		Movers: []schema.Head{{Layer: 1, Index: 1}, {Layer: 0, Index: 0}}, Seed: 1, BOS: true, Factors: true, Pairs: true, Logits: true, Gram: []int{0, 3, 5}, Options: schematest.FullOptions}
	id := schematest.Insert(t, db, asked, schematest.AddSources(asked, schematest.AddNorms(asked, schematest.AddLayerScales(schematest.Random(asked, 1, 3)))))
	schematest.AddMeasures(t, db, id)
	schematest.AddAblations(t, db, id)
	if _, err := db.SQL().ExecContext(t.Context(), `UPDATE prompt SET fields = '{"kind": "a/b", "n": 3, "deep": {"x": null}}' WHERE prompt_id < 2`); err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, content, 0o666); err != nil {
		t.Fatal(err)
	}
	return []string{small, full, means}
}

// sinkFile makes a file of the demo's model with edges to the first token, which prompts of the others have
// not.
func sinkFile(t *testing.T, dir string) string {
	t.Helper()
	file := filepath.Join(dir, "sink.duckdb")
	succeed(t, "ingest", "--model", demoModel(t), "--head", "3.0", "-n", "2", "--edges", "given,first", "--factors", "on", "-o", file)
	return file
}

// settings are parameters of questions that are asked with others than their defaults too.
var settings = map[string]map[string]any{
	"basis_shares": {"only": "prompt_order=ABBA"}, "key_components": {"only": "key_token=Mary"}, "top_pairs": {"expected_heads": "0.0,1.1"},
	"pair_matrix": {"most": 3}, "top_heads": {"by": "diff"},
}

// TestSpark asks Spark 4 for every view, saved query and macro over a data set of four exports, each with a
// run 1, and compares every number with what DuckDB says of the files.
func TestSpark(t *testing.T) {
	t.Parallel()
	interpreter := pyspark(t)
	work := t.TempDir()
	data := filepath.Join(work, "data")
	var cases []sparkCase
	views, macros := map[string]bool{}, map[string]bool{}
	for n, file := range append(sparkFiles(t, work), sinkFile(t, work)) {
		if code, _, stderr := run(t.Context(), "export", file, "--parquet", data, "--add"); code != 0 {
			t.Fatal(stderr)
		}
		a := newAsked(t, work, data, file)
		switch n {
		case 0:
			a.views(views)
			a.questions(false)
			a.functions()
			a.macros(macros, "examples_where", "heatmap", "pct_explained")
		case 1:
			a.views(views)
			a.questions(true)
		case 2:
			a.questions(false, "key_components", "key_quadrants", "top_pairs")
			a.macros(macros, "moments")
		case 3:
			a.questions(false, "sink_components")
		}
		cases = append(cases, a.cases...)
	}
	text, err := json.Marshal(cases)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(work, "cases.json"), text, 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, "testdata/spark.py", work)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var found struct {
		Spark   string
		Made    int
		Comment []string
		Cases   []struct {
			Name, Error string
			Columns     bool
			Ordered     *bool
			Got, Want   int
			Numbers     int
			Worst       float64
			Where       []string
		}
	}
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	filled := map[string]bool{}
	worst, numbers := 0.0, 0
	for i, c := range found.Cases {
		worst, numbers = max(worst, c.Worst), numbers+c.Numbers
		filled[strings.SplitN(c.Name, ": ", 2)[1]] = filled[strings.SplitN(c.Name, ": ", 2)[1]] || c.Got > 0
		switch {
		case c.Error != "":
			t.Errorf("%s: %s", c.Name, c.Error)
		case c.Got != c.Want || !c.Columns:
			t.Errorf("%s: %d rows, want %d; columns are the same: %v", c.Name, c.Got, c.Want, c.Columns)
		case !(c.Worst <= cases[i].tolerance):
			t.Errorf("%s: numbers are up to %g apart, want at most %g: %v", c.Name, c.Worst, cases[i].tolerance, c.Where)
		case c.Ordered != nil && !*c.Ordered:
			t.Errorf("%s: rows come in another order", c.Name)
		}
	}
	for name, some := range filled {
		if !some {
			t.Errorf("%s has no rows: nothing is compared", name)
		}
	}
	if len(found.Cases) != len(cases) || len(found.Comment) != 1 || !strings.HasPrefix(found.Comment[0], "Attention score") {
		t.Errorf("%d cases, want %d; DESCRIBE says %q of head_score.score", len(found.Cases), len(cases), found.Comment)
	}
	if statements, err := schema.Views(); err != nil || len(macros) != countTableMacros(statements)-sparkLeavesOut {
		t.Errorf("%d macros that give a table were asked, %v", len(macros), err)
	}
	t.Logf("Spark %s: %d statements of views.sql; %d views, %d questions, %d macros that give a table and the functions agree with DuckDB in %d numbers, "+
		"the largest difference is %.1g", found.Spark, found.Made, len(views), len(queries.Embedded()), len(macros), numbers, worst)
}

// sparkLeavesOut is the number of macros that Spark cannot plan: score_without and prob_without.
const sparkLeavesOut = 2

func countTableMacros(statements []string) (n int) {
	for _, s := range statements {
		if strings.HasPrefix(s, "CREATE MACRO ") && strings.Contains(s, ") AS TABLE") {
			n++
		}
	}
	return n
}

// asked lists what is asked about the last run of a file, with what DuckDB says.
type asked struct {
	*testing.T
	data, file, name, expected string
	last                       transfer.ExportedRun
	cases                      []sparkCase
}

func newAsked(t *testing.T, work, data, file string) *asked {
	t.Helper()
	list, err := transfer.ReadManifests(data)
	if err != nil {
		t.Fatal(err)
	}
	a := &asked{T: t, data: data, file: file, name: strings.TrimSuffix(filepath.Base(file), ".duckdb")}
	taken := storedTables(t, file)["run"]
	for _, m := range list {
		for _, r := range m.Runs {
			if strings.Contains(taken[len(taken)-1], r.Key) {
				a.last = r
			}
		}
	}
	a.expected = filepath.Join(work, "expected", a.name)
	if err := os.MkdirAll(a.expected, 0o777); err != nil {
		t.Fatal(err)
	}
	return a
}

// add asks DuckDB, with the arguments of ducklens query.
func (a *asked) add(kind string, c sparkCase, args ...string) {
	a.Helper()
	c.Expected, c.Run, c.RunID = filepath.Join(a.expected, kind+"_"+strings.ReplaceAll(c.Name, " ", "_")+".parquet"), a.last.Key, a.last.RunID
	c.Name = a.name + ": " + kind + " " + c.Name
	if c.tolerance == 0 {
		c.tolerance = 1e-9 // sums in another order
	}
	if code, _, stderr := run(a.Context(), append([]string{"query", a.file, "-o", c.Expected}, args...)...); code != 0 {
		a.Fatalf("%s: %s", c.Name, stderr)
	}
	a.cases = append(a.cases, c)
}

// views asks for all views, and notes their names.
func (a *asked) views(names map[string]bool) {
	a.Helper()
	statements, err := schema.Views()
	if err != nil {
		a.Fatal(err)
	}
	for _, s := range statements {
		if rest, ok := strings.CutPrefix(s, "CREATE VIEW "); ok {
			view := strings.Fields(rest)[0]
			names[view] = true
			c := sparkCase{Name: view, View: &view}
			if strings.HasPrefix(view, "pair") {
				c.tolerance = 1e-6 // DuckDB multiplies lists of FLOAT in FLOAT, Spark in DOUBLE
			}
			a.add("view", c, "-e", "SELECT * FROM "+view)
		}
	}
}

// questions asks the saved questions of these names, or all, and those of settings a second time if set.
func (a *asked) questions(set bool, names ...string) {
	a.Helper()
	for _, q := range queries.Embedded() {
		if len(names) > 0 && !slices.Contains(names, q.Name) {
			continue
		}
		path := filepath.Join(a.data, "spark", "questions", q.Name+".sql")
		defaults := map[string]any{}
		for _, p := range q.Params {
			defaults[p.Name] = p.Default
		}
		if defaults["run"] == nil && slices.ContainsFunc(q.Params, func(p queries.Param) bool { return p.Name == "run" }) {
			defaults["run"] = a.last.Key // that of another file is later, or earlier
		}
		tolerance := 0.0
		if q.Name == "top_pairs" {
			tolerance = 1e-7 // 100 times a FLOAT is a FLOAT in DuckDB, rounded by up to 6e-8, and exact in Spark
		}
		a.add("question", sparkCase{Name: q.Name, SQL: &path, Args: defaults, tolerance: tolerance}, q.Name)
		if more := settings[q.Name]; more != nil && set {
			args, others := []string{q.Name}, maps.Clone(defaults)
			for key, value := range more {
				others[key] = value
				text, err := json.Marshal(value)
				if err != nil {
					a.Fatal(err)
				}
				args = append(args, "--set", key+"="+strings.Trim(string(text), `"`))
			}
			a.add("question", sparkCase{Name: q.Name + " set", SQL: &path, Args: others, tolerance: tolerance}, args...)
		}
	}
}

// macroArguments are arguments of the macros that give a table. NULL stands for those that are not given; run
// is added.
var macroArguments = map[string]map[string]any{
	"examples_where": {"field_and_value": "prompt_order=ABBA"},
	"heatmap":        {"head": "3.1", "side": "query", "query_basis": "unembed", "key_basis": "mlp0", "quadrant": "par_perp", "example": nil},
	"moments":        {"field_and_value": "prompt_order=ABBA"},
	"pct_explained":  {"head": "3.1", "side": "key", "query_basis": "unembed", "key_basis": "mlp0", "subtract": false},
}

// macros asks macros that give a table: as statements with parameters, and as functions where Spark can have
// them.
func (a *asked) macros(names map[string]bool, list ...string) {
	a.Helper()
	for _, name := range list {
		names[name] = true
		path := filepath.Join(a.data, "spark", "macros", name+".sql")
		var ours []string
		set := map[string]any{"run": a.last.Key}
		for key, value := range macroArguments[name] {
			set[key] = value
			text, err := json.Marshal(value)
			if err != nil {
				a.Fatal(err)
			}
			ours = append(ours, fmt.Sprintf(`"%s" := %s`, key, strings.ReplaceAll(strings.ReplaceAll(string(text), "'", "''"), `"`, "'")))
		}
		call := fmt.Sprintf("SELECT * FROM %s(run := %d, %s)", name, a.last.RunID, strings.Join(ours, ", "))
		if name == "examples_where" || name == "moments" { // their parameters have no defaults, and no names in calls
			call = fmt.Sprintf("SELECT * FROM %s(%d, '%s')", name, a.last.RunID, macroArguments[name]["field_and_value"])
		}
		a.add("macro", sparkCase{Name: name, SQL: &path, Args: set}, "-e", call)
		if name == "examples_where" {
			text := fmt.Sprintf("SELECT * FROM examples_where('%s', 'prompt_order=ABBA')", a.last.Key)
			a.add("macro", sparkCase{Name: name + " as a function", Text: &text}, "-e", call)
		}
	}
}

// functions asks the macros that give a value.
func (a *asked) functions() {
	a.Helper()
	const ask = `SELECT head_label('3.1') AS label, head_name('L3H1') AS name, default_head(%[1]s) AS first, known_run(%[1]s) AS run, known_head(%[1]s, '3.1') AS head,
		known_basis(%[1]s, 'query', 'unembed') AS basis, known_example(%[1]s, 1) AS example, what_if(0.25, 1.5) AS what, component_names('L1H0') AS names,
		known_components(%[1]s, 'L3H1', 'MLP0') AS components, bootstrap_ci(%[2]s) AS interval`
	text := fmt.Sprintf(ask, "'"+a.last.Key+"'", "array(1.5D, 2D, NULL, 4D, -3D)")
	a.add("macro", sparkCase{Name: "that gives a value", Text: &text}, "-e", fmt.Sprintf(ask, fmt.Sprint(a.last.RunID), "[1.5, 2, NULL, 4, -3]"))
}
