package ingest_test

import (
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/checkpoint"
	"ducklens/engine/model/plain"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// firstOf returns the first n prompts of a source.
func firstOf(n int, all iter.Seq2[schema.Prompt, error]) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		i := 0
		for p, err := range all {
			if i++; i > n || !yield(p, err) {
				return
			}
		}
	}
}

// removals names the columns of the result of [plain.Model.Without].
var removals = []string{"query", "key", "both"}

// TestScoreWithout compares the macros of a file, for a model of each family without a component, with the
// model itself, which recomputes every norm over the rest of the stream. The runs of all families stand in
// one file.
func TestScoreWithout(t *testing.T) {
	t.Parallel()
	folders, err := os.ReadDir(reference(t, "families"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "run.duckdb")
	var runs []*removing
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		dir := reference(t, "families", folder.Name())
		var facts struct{ Heads []string }
		text, err := os.ReadFile(filepath.Join(dir, "golden.json"))
		if err == nil {
			err = json.Unmarshal(text, &facts)
		}
		if err != nil {
			t.Fatal(err)
		}
		var heads []schema.Head
		for _, label := range facts.Heads {
			h, err := schema.ParseHead(label)
			if err != nil {
				t.Fatal(err)
			}
			heads = append(heads, h)
		}
		precisions := []string{engine.Float64}
		if slices.Contains([]string{"gpt2", "gemma2", "olmo2"}, folder.Name()) {
			precisions = append(precisions, engine.Float32)
		}
		for _, precision := range precisions {
			w := &removing{T: t, name: folder.Name(), model: filepath.Join(dir, "model"), prompts: filepath.Join(dir, "prompts.jsonl"), heads: heads}
			w.ingest(path, precision)
			runs = append(runs, w)
		}
	}
	check(t, path)
	db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1}, "score_without", "prob_without")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, w := range runs {
		precision, tolerance := w.engine.Run().Precision, 1e-6
		if precision == engine.Float32 {
			tolerance = 5e-5
		}
		t.Run(w.name+"/"+precision, func(t *testing.T) {
			w.T = t
			w.compare(db, tolerance)
		})
	}
}

// removing compares a model without components with the macros.
type removing struct {
	*testing.T
	name, model, prompts string
	heads                []schema.Head
	engine               *engine.Engine
	run                  int
}

// ingest writes a run over the first prompt into the file at path.
func (w *removing) ingest(path, precision string) {
	t := w.T
	t.Helper()
	const gram = 6
	e, err := engine.Open(w.model, engine.Options{Heads: w.heads, Precision: precision, Factors: true, Norms: true, Gram: gram, Threads: 1,
		QueryBases: []string{"none"}, KeyBases: []string{"none"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	_, err = os.Stat(path)
	w.engine = e
	w.run = mustRun(t, ingest.Options{
		Engine: e, Prompts: firstOf(1, prompts.File(t.Context(), w.prompts)), Path: path, Append: err == nil,
		CreatedAt: created, Version: "test", CommandLine: "go test", PromptSource: "prompts.jsonl", Seed: 3, Database: dbfile.Options{Threads: 1},
	}).RunID
}

func (w *removing) compare(db *dbfile.DB, tolerance float64) {
	t := w.T
	t.Helper()
	c, err := checkpoint.Open(w.model)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := plain.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	layout := m.Layout(schema.Processed)
	components := layout.Components()
	worst := 0.0
	for p, err := range firstOf(1, prompts.File(t.Context(), w.prompts)) {
		if err != nil {
			t.Fatal(err)
		}
		x, err := w.engine.Example(p)
		if err != nil {
			t.Fatal(err)
		}
		ids := make([]int, len(x.Tokens))
		for j, token := range x.Tokens {
			ids[j] = token.ID
		}
		run := m.Forward(ids)
		for _, head := range w.heads {
			want := m.Without(run, head.Layer, head.Index, x.Query, x.Key)
			scale := 0.0
			for _, row := range want {
				for _, v := range row {
					scale = max(scale, math.Abs(v))
				}
			}
			set := setOf(w.engine.Run().Gram, layout.Below(head.Layer))
			together := m.WithoutSet(run, head.Layer, head.Index, x.Query, x.Key, set)
			var names []string
			for _, c := range set {
				names = append(names, components[c].Label())
			}
			for column, at := range removals {
				got := w.ask(db, fmt.Sprintf("FROM score_without(at := '%s', head := '%s', run := %d)", at, head, w.run), "score_without")
				if len(got) != len(want) {
					t.Fatalf("%d rows for %d components", len(got), len(want))
				}
				for c, row := range want {
					worst = max(worst, w.close(fmt.Sprintf("head %s, %s away at the %s", head, components[c].Label(), at),
						got[components[c].Label()], row[column], tolerance*scale)/scale)
				}
				if at == "key" {
					got = w.ask(db, fmt.Sprintf("FROM prob_without(head := '%s', run := %d)", head, w.run), "prob_without")
					for c, row := range want {
						w.close(fmt.Sprintf("head %s, probability with %s away at the %s", head, components[c].Label(), at),
							got[components[c].Label()], row[len(removals)+column], tolerance*scale)
					}
				}
				if len(set) < 2 {
					continue
				}
				list := "['" + strings.Join(names, "', '") + "']"
				got = w.ask(db, fmt.Sprintf("FROM score_without(component := %s, at := '%s', head := '%s', run := %d)", list, at, head, w.run), "score_without")
				worst = max(worst, w.close(fmt.Sprintf("head %s, %s away at the %s", head, list, at),
					got[strings.Join(names, " + ")], together[column], tolerance*max(scale, math.Abs(together[column])))/scale)
			}
		}
	}
	t.Logf("largest difference %.2g of the largest number", worst)
}

// setOf returns the components with inner products below a layer, except one.
func setOf(gram []int, below int) []int {
	var set []int
	for _, c := range gram {
		if c < below {
			set = append(set, c)
		}
	}
	return slices.Clone(set[:max(0, len(set)-1)])
}

// ask returns a column by component.
func (w *removing) ask(db *dbfile.DB, from, column string) map[string]float64 {
	t := w.T
	t.Helper()
	rows, err := db.SQL().QueryContext(t.Context(), "SELECT component, "+column+" "+from)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	list := map[string]float64{}
	for rows.Next() {
		var name string
		var v float64
		if err := rows.Scan(&name, &v); err != nil {
			t.Fatal(err)
		}
		list[name] = v
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

func (w *removing) close(what string, got, want, tolerance float64) float64 {
	w.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		w.Errorf("%s: %v, want %v", what, got, want)
	}
	return math.Abs(got - want)
}

// TestProbWithout removes components at the query, where the scores of all keys change. The contributions to
// each of these scores come from a run in which every position of a prompt is the key once.
func TestProbWithout(t *testing.T) {
	t.Parallel()
	for folder, head := range map[string]schema.Head{"gpt2": {Layer: 2, Index: 1}, "qwen3": {Layer: 2, Index: 3}, "gemma2": {Layer: 2, Index: 3}, "gpt-oss": {Layer: 3, Index: 2}, "olmo2": {Layer: 2, Index: 2}} {
		t.Run(folder, func(t *testing.T) {
			t.Parallel()
			dir := reference(t, "families", folder)
			w := &removing{T: t, model: filepath.Join(dir, "model"), prompts: filepath.Join(dir, "prompts.jsonl"), heads: []schema.Head{head}}
			w.everyKey(1e-6)
		})
	}
}

func (w *removing) everyKey(tolerance float64) {
	t := w.T
	t.Helper()
	e, err := engine.Open(w.model, engine.Options{Heads: w.heads, Precision: engine.Float64, Factors: true, Norms: true, Threads: 1,
		QueryBases: []string{"none"}, KeyBases: []string{"none"}})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	var list []schema.Prompt
	var x schema.Example
	for p, err := range firstOf(1, prompts.File(t.Context(), w.prompts)) {
		if err == nil {
			x, err = e.Example(p)
		}
		if err != nil {
			t.Fatal(err)
		}
		for key := range x.Query + 1 {
			p.Key, p.Baseline = schema.AtIndex(key), schema.Position{}
			if _, err := e.Example(p); err == nil { // otherwise the key is outside the head's window
				list = append(list, p)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "run.duckdb")
	mustRun(t, ingest.Options{
		Engine: e, Path: path, CreatedAt: created, Version: "test", CommandLine: "go test", PromptSource: "prompts.jsonl", Database: dbfile.Options{Threads: 1},
		Prompts: func(yield func(schema.Prompt, error) bool) {
			for _, p := range list {
				if !yield(p, nil) {
					return
				}
			}
		},
	})
	db, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.SQL().ExecContext(t.Context(), "FROM prob_without(at := 'query')"); err == nil || !strings.Contains(err.Error(), "--keys all") {
		t.Errorf("without what the component adds to all scores: %v, want an error that says what stores it", err)
	}
	if _, err := db.SQL().ExecContext(t.Context(), `INSERT INTO row_contribution_wide
		SELECT e.run_id, e.prompt_id, e.query_pos, w.head_id, w.side, w.component_id, w.query_basis_id, w.key_basis_id, o.key_pos,
			w.score_par_par, w.score_par_perp, w.score_perp_par, w.score_perp_perp
		FROM edge AS e JOIN edge AS o ON o.run_id = e.run_id JOIN contribution_wide AS w ON w.run_id = o.run_id AND w.example_id = o.example_id
		WHERE w.side = 'query'`); err != nil {
		t.Fatal(err)
	}
	c, err := checkpoint.Open(w.model)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := plain.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	components := m.Layout(schema.Processed).Components()
	ids := make([]int, len(x.Tokens))
	for j, token := range x.Tokens {
		ids[j] = token.ID
	}
	run, worst := m.Forward(ids), 0.0
	for column, at := range removals {
		for i, p := range list {
			key, _ := p.Key.Index()
			if i%5 != 0 {
				continue
			}
			want := m.Without(run, w.heads[0].Layer, w.heads[0].Index, x.Query, key)
			got := w.ask(db, fmt.Sprintf("FROM prob_without(at := '%s') WHERE example_id = %d", at, i), "prob_without")
			for c, row := range want {
				worst = max(worst, w.close(fmt.Sprintf("%s away at the %s, key at %d", components[c].Label(), at, key),
					got[components[c].Label()], row[len(removals)+column], tolerance))
			}
		}
	}
	// With frozen norms, a score loses exactly its contribution.
	var off float64
	if err := db.SQL().QueryRowContext(t.Context(), `SELECT max(abs(s.score - s.score_without - c.score)) FROM score_without(norm := 'frozen', at := 'query') AS s
		JOIN contribution_unsplit AS c ON c.run_id = s.run_id AND c.example_id = s.example_id AND c.head = s.head AND c.component = s.component AND c.side = 'query'`).Scan(&off); err != nil {
		t.Fatal(err)
	}
	if !(off < 1e-5) {
		t.Errorf("frozen, a score loses what is off its contribution by %g", off)
	}
	t.Logf("largest difference of a probability %.2g", worst)
}
