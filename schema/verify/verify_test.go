package verify_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// loosen returns statements that replace a table by a copy without its conditions, so that a test can add
// invalid rows.
func loosen(table string) []string {
	return []string{
		"CREATE TABLE loose AS SELECT * FROM " + table,
		"DROP TABLE " + table,
		"ALTER TABLE loose RENAME TO " + table,
	}
}

// verified closes a file and verifies it.
func verified(t *testing.T, db *dbfile.DB) verify.Report {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	report, err := verify.File(t.Context(), db.Path(), dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	findDamages(t, wholeFile(t), []damage{
		{"one contribution", []string{"UPDATE contribution_wide SET score_perp_perp = score_perp_perp + 0.01 WHERE example_id = 1 AND component_id = 9 AND side = 'key' AND query_basis_id = 0 AND key_basis_id = 3"},
			verify.NotClosed, "1 sum of contributions is not the score; first: example 1, head L1H0, key side, bases none and mlp0: contributions add up to"},
		{"one baseline", []string{"UPDATE contribution_wide SET baseline_perp_perp = baseline_perp_perp - 0.01 WHERE example_id = 1 AND component_id = 9 AND side = 'query' AND query_basis_id = 1 AND key_basis_id = 2"},
			verify.NotClosed, "1 sum of contributions is not the score; first: example 1, head L1H0, query side, bases unembed and none"},
		{"one score", []string{"UPDATE score SET score = score + 1 WHERE example_id = 0 AND head_id = 12"},
			verify.NotClosed, "8 sums of contributions are not the score; first: example 0, head L1H0"},
		{"score against attention", []string{"UPDATE score SET score = score + 1 WHERE example_id = 0 AND head_id = 12"},
			verify.Conflicting, "1 score differs from the attention row; first: example 0, head L1H0"},
		{"stored residual", []string{"UPDATE score SET closure_residual = 1", "UPDATE run SET max_closure_residual = 1"},
			verify.NotClosed, "2 scores were stored with a closure residual beyond the tolerance"},
		{"replaced score", []string{"UPDATE basis SET kind = 'replacement' WHERE name = 'unembed'",
			"DELETE FROM contribution_wide WHERE side = 'query' AND query_basis_id = 1",
			"UPDATE contribution_wide SET score_par_perp = score_par_perp + 1 WHERE example_id = 0 AND component_id = 4 AND query_basis_id = 1 AND key_basis_id = 2"},
			verify.NotClosed, "1 replaced score depends on how the other side is split; first: example 0, head L1H0, key side"},
		// 0.005 is within the tolerance of a score of 1000.
		{"replaced score beside a large score", []string{"UPDATE basis SET kind = 'replacement' WHERE name = 'unembed'",
			"DELETE FROM contribution_wide WHERE side = 'query' AND query_basis_id = 1",
			"UPDATE score SET score = 1000 WHERE example_id = 0",
			"UPDATE contribution_wide SET score_par_perp = score_par_perp + 0.005 WHERE component_id = 4 AND query_basis_id = 1 AND key_basis_id = 2"},
			verify.NotClosed, "1 replaced score depends on how the other side is split; first: example 1, head L1H0, key side"},
		{"replaced while split", []string{"UPDATE basis SET kind = 'replacement' WHERE name = 'unembed'"},
			verify.Conflicting, "4 sums are over a vector that is itself replaced; first: example 0, head L1H0, query side, bases unembed and"},
		{"parallel part of none", []string{"UPDATE contribution_wide SET score_par_perp = 1, score_perp_perp = score_perp_perp - 1 WHERE example_id = 0 AND component_id = 4 AND query_basis_id = 0 AND key_basis_id = 2 AND side = 'key'"},
			verify.Conflicting, "1 sum has a parallel part where the basis is none; first: example 0, head L1H0, key side, bases none and none"},
		{"lost contribution", []string{"DELETE FROM contribution_wide WHERE example_id = 1 AND component_id = 4 AND query_basis_id = 0 AND key_basis_id = 2 AND side = 'key'"},
			verify.Incomplete, "1 sum does not have each component once; first: example 1, head L1H0, key side, bases none and none: 16 rows, want 17"},
		{"exchanged component", []string{"UPDATE contribution_wide SET component_id = 3 WHERE example_id = 1 AND component_id = 4 AND query_basis_id = 0 AND key_basis_id = 2 AND side = 'key'"},
			verify.Incomplete, "1 sum does not have each component once; first: example 1, head L1H0, key side, bases none and none: 17 rows, want 17"},
		{"lost pair of bases", []string{"DELETE FROM contribution_wide WHERE example_id = 1 AND query_basis_id = 0 AND key_basis_id = 2 AND side = 'key'"},
			verify.Incomplete, "1 example, head, side and pair of bases has no contributions; first: example 1, head L1H0, key side, bases none and none"},
		{"contribution twice", []string{"INSERT INTO contribution_wide SELECT * EXCLUDE (diff_par_par, diff_par_perp, diff_perp_par, diff_perp_perp) FROM contribution_wide WHERE example_id = 0 AND query_basis_id = 0"},
			verify.Incomplete, "4 sums do not have each component once"},
		{"baseline lost", []string{"UPDATE contribution_wide SET baseline_par_par = NULL WHERE example_id = 0 AND component_id = 4 AND query_basis_id = 0 AND key_basis_id = 2 AND side = 'key'"},
			verify.Conflicting, "1 sum has baselines although its example has none, or lacks some"},
		{"baseline of score lost", []string{"UPDATE score SET baseline = NULL WHERE example_id = 0"},
			verify.Conflicting, "1 score has a baseline although its example has none, or lacks one; first: example 0, head L1H0"},
		{"score without example", []string{"UPDATE score SET example_id = 77 WHERE example_id = 1"},
			verify.Orphan, "1 score refers to no example; first: {'run_id': $run, 'example_id': 77"},
		{"score without head", []string{"UPDATE score SET head_id = 77 WHERE example_id = 1"}, verify.Orphan, "1 score refers to no head"},
		{"example without score", []string{"DELETE FROM score WHERE example_id = 1"},
			verify.Incomplete, "1 example and head has no score, or several; first: example 1, head L1H0 has 0 rows in score"},
		{"token without example", []string{"INSERT INTO prompt_token VALUES ($run, 5, 0, 1, 'x')"}, verify.Orphan, "1 token refers to no prompt"},
		{"lost token", []string{"DELETE FROM prompt_token WHERE prompt_id = 1 AND pos = 3"}, verify.Incomplete, "1 prompt lacks tokens or has some twice; first: prompt 1 has 4 tokens, want 5"},
		{"other token", []string{"UPDATE prompt_token SET text = ' Bob' WHERE prompt_id = 1 AND pos = 2"},
			verify.Conflicting, "1 position holds another token than its example says; first: example 1 says  John at position 2, the token there is  Bob"},
		{"attention without prompt", []string{"UPDATE prompt_attention SET prompt_id = 9 WHERE prompt_id = 1"}, verify.Orphan, "5 attention rows refer to no prompt"},
		{"attention of no query", []string{"UPDATE prompt_attention SET query_pos = 3 WHERE prompt_id = 1"}, verify.Orphan, "1 attention row belongs to no query; first: prompt 1, query at 3"},
		{"attention without head", []string{"UPDATE prompt_attention SET head_id = 9 WHERE prompt_id = 1"}, verify.Orphan, "5 attention rows refer to no head"},
		{"lost attention", []string{"DELETE FROM prompt_attention WHERE prompt_id = 1 AND pos = 0"}, verify.Incomplete, "1 attention row lacks positions or has some twice; first: prompt 1, head L1H0 has 4 positions for the query at 4, want 5"},
		{"improbable", []string{"UPDATE prompt_attention SET prob = 0.9 WHERE prompt_id = 1 AND pos = 0"}, verify.Conflicting, "1 attention is not the softmax of its scores; first: prompt 1, head L1H0, query at 4"},
		{"contribution without example", []string{"UPDATE contribution_wide SET example_id = 9 WHERE example_id = 1"}, verify.Orphan, "136 contributions refer to no example"},
		{"contribution without head", []string{"UPDATE contribution_wide SET head_id = 9 WHERE example_id = 1"}, verify.Orphan, "136 contributions refer to no head"},
		{"contribution without component", []string{"UPDATE contribution_wide SET component_id = 9999 WHERE component_id = 0"}, verify.Orphan, "16 contributions refer to no component of its run"},
		{"contribution without query basis", []string{"UPDATE contribution_wide SET query_basis_id = 2 WHERE component_id = 0"}, verify.Orphan, "16 contributions refer to no basis of its side"},
		{"contribution without key basis", []string{"UPDATE contribution_wide SET key_basis_id = 1 WHERE component_id = 0"}, verify.Orphan, "16 contributions refer to no basis of its side"},
		{"run without model", []string{"UPDATE run SET model_id = 3"}, verify.Orphan, "1 run refers to no model"},
		{"other head", []string{"UPDATE head SET label = 'L9H9'"}, verify.Conflicting, "1 head does not fit the model or its label; first: head 12 is layer 1, head 0, labelled L9H9"},
		{"key of a prompt", []string{"UPDATE prompt SET key = 'x' WHERE prompt_id = 1"}, verify.Conflicting, "1 key of a prompt does not match its tokens; first: prompt 1: x"},
		{"component of another run", []string{"DELETE FROM run_component WHERE component_id = 4"}, verify.Orphan, "contributions refer to no component of its run"},
		{"place without a component", []string{"DELETE FROM run_component WHERE component_id = 100"}, verify.Incomplete, "1 run has no components, or a place without one; first: 171 components, the last in place 171"},
		{"two in one place", []string{"UPDATE run_component SET ordinal = 3 WHERE component_id = 4"}, verify.Conflicting, "in place 3"},
		{"no scale", []string{"UPDATE head SET score_scale = 0"}, verify.Conflicting, "1 head has an impossible scale, cap, window or rotation"},
		{"other scale", []string{"UPDATE head SET soft_cap = 0.5"}, verify.Conflicting, "attention rows are not the softmax of their scores"},
		{"sink denied", []string{"UPDATE head SET sink_logit = 1"}, verify.Conflicting, "2 probabilities of sinks do not match their logits; first: example 0, head L1H0: none"},
		{"window", []string{"UPDATE head SET attention_window = 2"}, verify.Incomplete, "2 attention rows lack positions or have some twice; first: prompt 0, head L1H0 has 5 positions for the query at 4, want 2"},
		{"prompt of no example", []string{"UPDATE edge SET prompt_id = 0 WHERE example_id = 1"}, verify.Orphan, "1 prompt belongs to no example, and no head is measured on it; first: prompt 1"},
		{"example of no prompt", []string{"UPDATE edge SET prompt_id = 7 WHERE example_id = 1"}, verify.Orphan, "1 example refers to no prompt"},
		{"key after query", []string{"UPDATE edge SET query_pos = 0 WHERE example_id = 1"}, verify.Conflicting, "1 example has a position outside of its prompt, or after its query; first: example 1: query 0, key 1, baseline 2 of 5 tokens"},
		{"other baseline", []string{"UPDATE edge SET baseline_kind = 'mean' WHERE example_id = 1"}, verify.Conflicting, "1 example names another baseline than it has; first: example 1: mean at 2"},
		{"scale of QK-norm lost", []string{"UPDATE score SET query_norm_scale = 1 WHERE example_id = 1"}, verify.Conflicting, "1 score has a baseline although its example has none, or lacks one"},
		{"scale of no prompt", []string{"INSERT INTO layer_scale VALUES ($run, 9, 0, 0, 1, 1)"}, verify.Orphan, "1 scale of a layer refers to no prompt"},
		{"logits denied", []string{"INSERT INTO logit VALUES ($run, 0, 'key', 1, 0, 0, 1, 0)"}, verify.Miscounted, "1 run has logits although it says none"},
		{"logits gone", []string{"UPDATE run SET logits = true"}, verify.Incomplete, "2 examples of a run with logits do not have each once; first: example 0: 0 logits"},
		{"logit of no token", []string{"INSERT INTO logit VALUES ($run, 0, 'key', 4, 0, 0, 1, 0)"}, verify.Conflicting, "1 logit is for a token that its example does not have; first: example 0: key, token 4"},
		{"logit without its effects", []string{"UPDATE run SET logits = true", "INSERT INTO logit VALUES ($run, 0, 'key', 1, 3, 1, 1, 0)", "INSERT INTO logit_effect VALUES ($run, 0, 0, 'key', 1)"},
			verify.NotClosed, "1 effects do not add up to a logit; first: example 0, key: 1.0 and 1.0, the model says 3.0"},
		{"count of examples", []string{"UPDATE run SET n_examples = 3"}, verify.Miscounted, "1 run has a different number of examples than it says; first: n_examples says 3, has 2"},
		{"count of heads", []string{"UPDATE run SET n_heads = 3"}, verify.Miscounted, "1 run has a different number of heads than it says; first: n_heads says 3, has 1"},
		{"worst residual", []string{"UPDATE run SET max_closure_residual = 3"}, verify.Miscounted, "1 run has a different worst residual than it says; first: max_closure_residual says 3"},
		{"no worst residual", []string{"UPDATE run SET max_closure_residual = NULL"}, verify.Miscounted, "1 run has a different worst residual than it says"},
		{"stopped run", []string{"UPDATE run SET status = 'running', n_examples = NULL"}, verify.Unfinished, "its status is running, want complete: the ingest is under way or was stopped after 2 prompts"},
	})
}

// Damage to what runs have in common, or to a table as a whole.
func TestVerifyFindsCommonDamage(t *testing.T) {
	t.Parallel()
	findTogether(t, wholeFile(t), []damage{
		{"NaN", append(loosen("contribution_wide"), "UPDATE contribution_wide SET score_par_par = 'nan' WHERE example_id = 0 AND component_id = 4 AND query_basis_id = 1 AND key_basis_id = 3 AND side = 'key'"),
			verify.NotFinite, "contribution_wide.score_par_par: 1 value is NaN, infinite or missing"},
		{"NaN does not close", nil,
			verify.NotClosed, "1 sum of contributions is not the score"},
		{"infinite", append(loosen("prompt_attention"), "UPDATE prompt_attention SET score = '-inf' WHERE prompt_id = 0"),
			verify.NotFinite, "prompt_attention.score: 5 values are NaN, infinite or missing"},
		{"missing value", append(loosen("score"), "UPDATE score SET query_scale = NULL"),
			verify.NotFinite, "score.query_scale: 2 values are NaN, infinite or missing"},
		{"head without run", []string{"INSERT INTO head VALUES (3, 1, 0, 1, 'L0H1', 0, 1, 1, NULL, NULL, NULL, 0)"}, verify.Orphan, "1 head refers to no run"},
		{"basis without run", []string{"INSERT INTO basis VALUES (3, 1, 'key', 'whole', 'x', 0, '', NULL)"}, verify.Orphan, "1 basis refers to no run"},
		{"example without run", []string{"INSERT INTO edge VALUES (3, 1, 1, 'given', 0, 0, 'none', NULL, '', NULL, NULL, NULL)"}, verify.Orphan, "1 example refers to no run"},
		{"component without model", []string{"INSERT INTO component VALUES (70000, 'k', 7, 'embed', NULL, NULL, 'W_E', 'embed', 0, 0, NULL)"}, verify.Orphan, "1 component refers to no model"},
		{"lost component", []string{"DELETE FROM component WHERE label = 'MLP10'"}, verify.Orphan, "1 component of a run refers to no component"},
		{"other component", []string{"UPDATE component SET label = 'MLP99' WHERE label = 'MLP11'"}, verify.Conflicting, "component 169 is mlp, layer 11, head -1, MLP99"},
		{"hostile model", []string{"INSERT INTO model VALUES (1, '', '', '', '', NULL, 2000000000, 2000000000, 1, 1, 1, 1, 1, 1, '', 0, '')"}, verify.Conflicting, "model 1 has the key , want"},
		{"key of a model", []string{"UPDATE model SET sha256 = 'x' WHERE model_id = 0"}, verify.Conflicting, "model 0 has the key"},
		{"key of a component", []string{"UPDATE component SET key = 'x' WHERE label = 'MLP3'"}, verify.Conflicting, "with key x, want mlp, layer 3"},
		{"source of a component", []string{"UPDATE component SET source = 'x', key = 'y' WHERE label = 'MLP4'"}, verify.Conflicting, "with key y, want mlp, layer 4"},
		{"part of the model from elsewhere", []string{"UPDATE component SET source = 'x' WHERE label = 'MLP5'"}, verify.Conflicting, "component 85 is mlp, a part of the model, and comes from \"x\", want no source"},
		{"key-value head", []string{"UPDATE model SET n_kv_heads = 1", "UPDATE head SET kv_head = 1"}, verify.Conflicting, "reads key-value head 1"},
		{"long prompt", []string{"UPDATE model SET n_ctx = 3"}, verify.Conflicting, "2 prompts are longer than the model allows"},
		{"lost view", []string{"DROP VIEW closure"}, verify.Altered, "view closure is missing"},
		{"lost macro", []string{"DROP MACRO latest_run"}, verify.Altered, "macro latest_run is missing"},
		{"macro with another end", []string{`CREATE OR REPLACE MACRO head_name("label") AS regexp_replace("label", '^L([0-9]+)H([0-9]+)$', '\1-\2')`}, verify.Altered, `macro head_name is not that of this ducklens: it has "…'\\1-\\2')", want "…'\\1.\\2')"`},
		{"other view", []string{"CREATE OR REPLACE VIEW head_score AS SELECT 3 AS x"}, verify.Altered, `it has "…AS SELECT 3 AS x;", want "…AS SELECT s.run_id, s.example_id, h.\"label\" AS head, p.\"text\",…"`},
		{"other macro", []string{"CREATE OR REPLACE MACRO default_head(a, b) AS a"}, verify.Altered, `macro default_head is not that of this ducklens: it has "default_head(a, b) a", want "default_head(run) `},
		{"rules gone with it", nil, verify.Altered, `its table prompt_attention has "run_id INTEGER", want "run_id INTEGER NOT NULL"`},
	})
	findTogether(t, wholeFile(t), []damage{
		{"lost table", []string{"DROP TABLE prompt_attention"}, verify.Altered, "it has no table prompt_attention"},
	})
}

// TestVerifyLetsAdditionsBe checks that a table added by a user is read, but is not a problem.
func TestVerifyLetsAdditionsBe(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	schematest.Synthetic(t, db, 7, 1, schema.Head{Layer: 1, Index: 0})
	for _, s := range []string{`CREATE TABLE "my ""notes""" AS SELECT 1 AS a, 'x' AS "b c", NULL::DOUBLE AS d`, "CREATE VIEW mine AS SELECT 1 AS x", "CREATE MACRO my(a) AS a"} {
		if _, err := db.SQL().ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if report := verified(t, db); !report.OK() {
		t.Errorf("%v", report.Problems)
	}
}

// TestVerifyNotebookRun checks that the residual of a notebook run is measured but not judged.
func TestVerifyNotebookRun(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 2, Index: 3}), Bases: schematest.Bases(), Convention: schema.Notebook}
	results := schematest.Random(run, 3, 2)
	h := &results[1].Heads[0]
	h.Contributions[5].Score[schema.PerpPerp] += 0.5
	*h = schematest.Finish(results[1].Example, h.Head, h.Score.Score, h.Score.Baseline, h.Contributions)
	schematest.Insert(t, db, run, results)
	report := verified(t, db)
	if r := report.Runs[0]; !report.OK() || r.Judged || math.Abs(r.WorstResidual-0.5) > 1e-5 || !strings.HasPrefix(r.WorstAt, "example 1, head L2H3, query side, bases none and none") {
		t.Errorf("problems %v, run %+v", report.Problems, r)
	}
}

// TestVerifyWithoutBaseline checks that an example without a baseline has NULL in the columns about it.
func TestVerifyWithoutBaseline(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 2, Index: 3}), Bases: schematest.Bases()}
	results := schematest.Random(run, 3, 2)
	e := &results[1].Example
	e.Baseline = schema.NoPosition
	nan := float32(math.NaN())
	for i := range results[1].Heads[0].Contributions {
		results[1].Heads[0].Contributions[i].Baseline = [4]float32{nan, nan, nan, nan}
	}
	h := &results[1].Heads[0]
	*h = schematest.Finish(*e, h.Head, h.Score.Score, nan, h.Contributions)
	schematest.Insert(t, db, run, results)
	var missing, all int
	if err := db.SQL().QueryRowContext(t.Context(), "SELECT count(*) - count(diff), count(*) FROM contribution").Scan(&missing, &all); err != nil {
		t.Fatal(err)
	}
	if missing*2 != all {
		t.Errorf("%d of %d differences are NULL, want half", missing, all)
	}
}

// TestVerifyDamagedBlock checks that damage inside a block is found, because the block is read.
func TestVerifyDamagedBlock(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.duckdb")
	db, err := dbfile.Create(ctx, path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.SQL().ExecContext(ctx, "CREATE TABLE big AS SELECT hash(range)::VARCHAR AS noise FROM range(200000)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 0xff
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	report, err := verify.File(ctx, path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Problems) != 1 || report.Problems[0].Kind != verify.Damaged || !strings.Contains(report.Problems[0].Text, "table big cannot be read") {
		t.Errorf("problems %v, want table big damaged", report.Problems)
	}
}

func TestVerifyStops(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := verify.File(ctx, db.Path(), dbfile.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
}

func ExampleProblem() {
	fmt.Println(verify.Problem{Kind: verify.NotClosed, RunID: 1, Text: "1 sum of contributions is not the score; first: ..."})
	// Output: not closed: run 1: 1 sum of contributions is not the score; first: ...
}

// BenchmarkVerify checks 20 examples of 10 heads over 4 pairs of bases: 200,000 contributions.
func BenchmarkVerify(b *testing.B) {
	db := schematest.NewDB(b)
	var heads []schema.Head
	for i := range 10 {
		heads = append(heads, schema.Head{Layer: 9, Index: i})
	}
	schematest.Synthetic(b, db, 1, 20, heads...)
	if err := db.Finalize(b.Context()); err != nil {
		b.Fatal(err)
	}
	var rows int64
	for b.Loop() {
		report, err := verify.File(b.Context(), db.Path(), dbfile.Options{})
		if err != nil || !report.OK() {
			b.Fatal(report.Problems, err)
		}
		rows += report.Rows
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
