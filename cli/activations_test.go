package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/cli/demo"
	"ducklens/engine"
	"ducklens/engine/blas"
	"ducklens/engine/exchange"
	"ducklens/engine/exchange/exchangetest"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/ingest/prompts"
	"ducklens/queries/session"
	"ducklens/schema"
)

// demoActivations runs the demo model over a few prompts, and writes a folder of activations in the given
// form and a file of the prompts. The form "whole" is "parts" with whole prompts and no edges.
func demoActivations(t *testing.T, dir string, processing schema.Processing, form string) (folder, promptFile string) {
	t.Helper()
	path := filepath.Join(dir, "model")
	if err := demo.Extract(path); err != nil {
		t.Fatal(err)
	}
	heads := []schema.Head{{Layer: 3, Index: 0}, {Layer: 3, Index: 1}}
	e, err := engine.Open(path, engine.Options{Heads: heads, Processing: processing})
	if err != nil {
		t.Fatal(err)
	}
	opened := modeltest.OpenPath(t, path)
	provider, err := blas.ByName(e.BLAS())
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load[float32](opened.Checkpoint, opened.Spec, opened.Sources, processing, provider, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder, promptFile = filepath.Join(dir, "activations"), filepath.Join(dir, "prompts.jsonl")
	var examples []schema.Example
	var lines strings.Builder
	for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: 4, Seed: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		x, err := e.Example(p)
		if err != nil {
			continue // a name of several tokens
		}
		x.PromptIndex = len(examples)
		examples = append(examples, x)
		fmt.Fprintf(&lines, "{\"text\": %q, \"query\": %d, \"key\": %d, \"baseline\": %d}\n", x.Prompt.Text, x.Query, x.Key, x.Baseline)
	}
	if len(examples) < 3 {
		t.Fatalf("%d prompts of 4 can be used, want at least 3", len(examples))
	}
	if form == "whole" {
		form = exchange.Parts
		for i := range examples {
			examples[i].Query, examples[i].Key, examples[i].Baseline = schema.NoPosition, schema.NoPosition, schema.NoPosition
		}
	}
	f := exchangetest.Of(t, m, e.Model(), e.BOS(), heads, form, examples)
	if err := errors.Join(os.Mkdir(folder, 0o755), f.Write(folder), os.WriteFile(promptFile, []byte(lines.String()), 0o644), e.Close()); err != nil {
		t.Fatal(err)
	}
	return folder, promptFile
}

// TestActivations checks that a folder of activations gives the same file as the model, cell by cell, except
// what needs a model that runs, and that the file is complete.
func TestActivations(t *testing.T) {
	t.Parallel()
	tables := []string{"score", "contribution_wide", "prompt_attention", "query_factor", "key_factor", "query_coordinate", "key_coordinate",
		"pair_mean_wide", "projection", "vector_cosine", "substitution"}
	for _, c := range []struct {
		processing schema.Processing
		form       string
		tables     []string
		args       []string
	}{
		{schema.Processed, exchange.Vectors, append(tables, "component_norm"), nil},
		{schema.Raw, exchange.Parts, append(tables, "component_norm"), nil},
		{schema.Processed, "whole", append(tables, "edge_rule", "head_measure", "prompt", "row_contribution"), []string{"--edges", "top:1,previous,sample:2", "--keys", "all"}},
	} {
		t.Run(c.processing.String()+", "+c.form, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			folder, promptFile := demoActivations(t, dir, c.processing, c.form)
			ingest := func(file string, args ...string) *session.Session {
				t.Helper()
				file = filepath.Join(dir, file)
				succeed(t, slices.Concat([]string{"ingest", "-o", file}, args, c.args)...)
				return opened(t, file)
			}
			own := ingest("own.duckdb", "--model", filepath.Join(dir, "model"), "--head", "3.0,3.1", "--prompts", promptFile, "--processing", c.processing.String())
			given := ingest("given.duckdb", "--activations", folder)
			if c.form == "whole" { // the others have fewer tables, which are compared as these are
				succeed(t, "verify", filepath.Join(dir, "given.duckdb"))
			}
			for _, table := range c.tables {
				where := " WHERE run_id = 1"
				if table == "substitution" {
					where += " AND vector NOT LIKE 'W_EE%' AND NOT contains(vector, 'random')"
				}
				a, b := answer(t, own, "FROM "+table+where), answer(t, given, "FROM "+table+where)
				if len(a) != len(b) || len(a) < 2 {
					t.Errorf("%s: %d and %d rows", table, len(a), len(b))
					continue
				}
				for i := range a {
					one, other := fmt.Sprintln(a[i]...), fmt.Sprintln(b[i]...)
					if !nearLines(one, other) {
						t.Errorf("%s, row %d:\n%s%s", table, i, one, other)
						break
					}
				}
			}
		})
	}
}

// nearLines tells whether two printed rows have the same words, and numbers that differ by roundings of
// float32.
func nearLines(a, b string) bool {
	split := func(r rune) bool { return strings.ContainsRune(",[]: \n", r) }
	one, two := strings.FieldsFunc(a, split), strings.FieldsFunc(b, split)
	if len(one) != len(two) {
		return false
	}
	for i := range one {
		var x, y float64
		if one[i] == two[i] {
			continue
		}
		if _, err := fmt.Sscan(one[i], &x); err != nil {
			return false
		}
		if _, err := fmt.Sscan(two[i], &y); err != nil {
			return false
		}
		if d := x - y; d > 1e-5*max(1, x, -x) || d < -1e-5*max(1, x, -x) {
			return false
		}
	}
	return true
}

// TestActivationsRefuse checks the errors for flags that a folder already answers, and for what needs a model
// that runs.
func TestActivationsRefuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, promptFile := demoActivations(t, dir, schema.Processed, exchange.Vectors)
	for _, c := range []struct{ args, want string }{
		{"--model demo", "--model is for a model that ducklens runs"},
		{"--prompts " + promptFile, "--prompts is for a model that ducklens runs"},
		{"--logits", "--logits is for a model that ducklens runs"},
		{"--processing raw", "--processing is for a model that ducklens runs"},
		{"--head 2.0", "the folder of activations does not have it"},
		{"--edges given,top:1", "rules that choose edges"},
		{"--sources top:2", "sources: what heads below read is not there"},
		{"--keys all", "what the scores of all keys are made of"},
		{"--key-basis effective", "lacks the effective embedding"},
	} {
		code, _, stderr := run(t.Context(), append([]string{"ingest", "--activations", folder, "-o", filepath.Join(dir, "x.duckdb")}, strings.Fields(c.args)...)...)
		if code == 0 || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %s, want %q", c.args, code, stderr, c.want)
		}
	}
	whole := t.TempDir()
	bare, _ := demoActivations(t, whole, schema.Processed, "whole")
	if code, _, stderr := run(t.Context(), "ingest", "--activations", bare, "-o", filepath.Join(dir, "x.duckdb")); code == 0 || !strings.Contains(stderr, "no edges of it") {
		t.Errorf("whole prompts without rules: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := run(t.Context(), "ingest", "--activations", filepath.Join(dir, "model"), "-o", filepath.Join(dir, "x.duckdb")); code == 0 || !strings.Contains(stderr, "run.json") {
		t.Errorf("a model folder: exit code %d, %s", code, stderr)
	}
}

// torchPython returns the Python of DUCKLENS_PYTHON if it has torch and transformers, or skips the test.
func torchPython(t *testing.T, modules string) string {
	t.Helper()
	name := os.Getenv("DUCKLENS_PYTHON")
	if name == "" {
		t.Skip("DUCKLENS_PYTHON names no Python with torch, transformers, safetensors and duckdb")
	}
	if out, err := exec.CommandContext(t.Context(), name, "-c", "import "+modules).CombinedOutput(); err != nil {
		t.Skipf("%s lacks one of %s: %s", name, modules, strings.TrimSpace(string(out)))
	}
	return name
}

// script runs a script of the Python package's tests with the program.
func script(t *testing.T, interpreter, name string, args ...string) {
	t.Helper()
	program, err := exec.LookPath("ducklens")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{"-W", "ignore", filepath.Join("..", "python", "tests", name)}, args...)...)
	cmd.Env = append(os.Environ(), "DUCKLENS_PROGRAM="+program, "HF_HUB_OFFLINE=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	t.Logf("%s", out)
}

// TestCapture checks for every model of the reference families that the file of a captured model is the file
// of the model itself, table by table.
func TestCapture(t *testing.T) {
	families := filepath.Join("..", "..", "shared", "families")
	if _, err := os.Stat(families); err != nil {
		t.Skip("the reference families are not there:", err)
	}
	script(t, torchPython(t, "duckdb, safetensors, torch, transformers"), "captured.py", families)
}

// TestCaptureBridge checks that a TransformerBridge of TransformerLens gives the same as the model that it
// wraps, also through its hooks, with stored weights and in compatibility mode.
func TestCaptureBridge(t *testing.T) {
	families := filepath.Join("..", "..", "shared", "families")
	if _, err := os.Stat(families); err != nil {
		t.Skip("the reference families are not there:", err)
	}
	interpreter := torchPython(t, "duckdb, safetensors, torch, transformers, transformer_lens")
	for _, c := range []struct{ family, head string }{{"gpt2", "2.1"}, {"pythia", "2.1"}, {"llama3", "2.3"}, {"qwen3", "1.1"}, {"gemma2", "2.1"}} {
		script(t, interpreter, "bridge.py", filepath.Join(families, c.family, "model"), c.head)
	}
}

// TestCaptureHooks checks that models of families that ducklens does not run are captured through the hooks
// of their TransformerBridge and add up, or are refused with the reason.
func TestCaptureHooks(t *testing.T) {
	tokenizer := filepath.Join("..", "..", "shared", "families", "gpt2", "model")
	if _, err := os.Stat(tokenizer); err != nil {
		t.Skip("a bridge wants a tokenizer, and that of the reference families is not there:", err)
	}
	interpreter := torchPython(t, "duckdb, safetensors, torch, transformers, transformer_lens")
	t.Setenv("DUCKLENS_TOKENIZER", tokenizer)
	script(t, interpreter, "bridge.py")
}
