package cli_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/cli/demo"
	"ducklens/engine"
	"ducklens/engine/blas"
	"ducklens/engine/exchange/exchangetest"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// demoActivations runs the demo model over a few prompts, in the form of its weights, and leaves a folder of activations, and the
// prompts in a file.
func demoActivations(t *testing.T, dir string, form schema.Processing) (folder, promptFile string) {
	t.Helper()
	path := filepath.Join(dir, "model")
	if err := demo.Extract(path); err != nil {
		t.Fatal(err)
	}
	heads := []schema.Head{{Layer: 3, Index: 0}, {Layer: 3, Index: 1}}
	e, err := engine.Open(path, engine.Options{Heads: heads, Processing: form})
	if err != nil {
		t.Fatal(err)
	}
	opened := modeltest.OpenPath(t, path)
	provider, err := blas.ByName(e.BLAS())
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load[float32](opened.Checkpoint, opened.Spec, opened.Sources, form, provider, 1)
	if err != nil {
		t.Fatal(err)
	}
	folder, promptFile = filepath.Join(dir, "activations"), filepath.Join(dir, "prompts.jsonl")
	var examples []schema.Example
	var lines strings.Builder
	for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: 7, Seed: 3}) {
		if err != nil {
			t.Fatal(err)
		}
		x, err := e.Example(p)
		if err != nil {
			continue // a name of several tokens
		}
		examples = append(examples, x)
		fmt.Fprintf(&lines, "{\"text\": %q, \"query\": %d, \"key\": %d, \"baseline\": %d}\n", x.Prompt.Text, x.Query, x.Key, x.Baseline)
	}
	if len(examples) < 3 {
		t.Fatalf("%d prompts of 7 can be used, want at least 3", len(examples))
	}
	f := exchangetest.Of(t, m, e.Model(), e.BOS(), heads, examples)
	if err := errors.Join(os.Mkdir(folder, 0o755), f.Write(folder), os.WriteFile(promptFile, []byte(lines.String()), 0o644), e.Close()); err != nil {
		t.Fatal(err)
	}
	return folder, promptFile
}

// TestActivations: the file made from a folder of activations is the file made from the model, cell by cell but for what needs a
// model that runs, and is whole.
func TestActivations(t *testing.T) {
	t.Parallel()
	for _, form := range []schema.Processing{schema.Processed, schema.Raw} {
		t.Run(form.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			folder, promptFile := demoActivations(t, dir, form)
			ingest := func(file string, args ...string) string {
				t.Helper()
				file = filepath.Join(dir, file)
				code, _, stderr := run(t.Context(), append([]string{"ingest", "-o", file}, args...)...)
				if code != 0 {
					t.Fatal(stderr)
				}
				if code, out, stderr := run(t.Context(), "verify", file); code != 0 {
					t.Errorf("%s: %s%s", file, out, stderr)
				}
				return file
			}
			own := ingest("own.duckdb", "--model", filepath.Join(dir, "model"), "--head", "3.0,3.1", "--prompts", promptFile, "--processing", form.String())
			given := ingest("given.duckdb", "--activations", folder)
			for _, table := range []string{"score", "contribution_wide", "prompt_attention", "query_factor", "key_factor", "query_coordinate", "key_coordinate",
				"pair_mean_wide", "component_norm", "projection", "vector_cosine", "substitution"} {
				where := " WHERE run_id = 1"
				if table == "substitution" {
					where += " AND vector NOT LIKE 'W_EE%' AND NOT contains(vector, 'random')"
				}
				ask := func(file string) string {
					t.Helper()
					code, out, stderr := run(t.Context(), "query", file, "-e", "FROM "+table+where+" LIMIT 100000", "--format", "csv")
					if code != 0 {
						t.Fatal(stderr)
					}
					return out
				}
				a, b := strings.Split(ask(own), "\n"), strings.Split(ask(given), "\n")
				if len(a) != len(b) || len(a) < 3 {
					t.Errorf("%s: %d and %d lines", table, len(a), len(b))
					continue
				}
				for i := range a {
					if !nearLines(a[i], b[i]) {
						t.Errorf("%s, line %d:\n%s\n%s", table, i, a[i], b[i])
						break
					}
				}
			}
		})
	}
}

// nearLines tells whether two lines of CSV have the same words, and numbers that differ by roundings of float32.
func nearLines(a, b string) bool {
	split := func(r rune) bool { return strings.ContainsRune(`,[]" `, r) }
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

// TestActivationsRefuse: flags that a folder has its own answer to, and questions that need a model that runs.
func TestActivationsRefuse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, promptFile := demoActivations(t, dir, schema.Processed)
	for _, c := range []struct{ args, want string }{
		{"--model demo", "--model is for a model that runs"},
		{"--prompts " + promptFile, "--prompts is for a model that runs"},
		{"--logits", "--logits is for a model that runs"},
		{"--processing raw", "--processing is for a model that runs"},
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
	if code, _, stderr := run(t.Context(), "ingest", "--activations", filepath.Join(dir, "model"), "-o", filepath.Join(dir, "x.duckdb")); code == 0 || !strings.Contains(stderr, "run.json") {
		t.Errorf("a model folder: exit code %d, %s", code, stderr)
	}
}

// torchPython gives the Python of DUCKLENS_PYTHON if it has torch and transformers, or skips the test.
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

// TestCapture: for every model of the reference families, the file of what transformers has computed is the file of the model
// itself, table by table.
func TestCapture(t *testing.T) {
	families := "../shared/families"
	if _, err := os.Stat(families); err != nil {
		t.Skip("the reference families are not there:", err)
	}
	script(t, torchPython(t, "duckdb, safetensors, torch, transformers"), "captured.py", families)
}

// TestCaptureBridge: a TransformerBridge of TransformerLens gives what the model gives that it wraps.
func TestCaptureBridge(t *testing.T) {
	families := "../shared/families"
	if _, err := os.Stat(families); err != nil {
		t.Skip("the reference families are not there:", err)
	}
	interpreter := torchPython(t, "safetensors, torch, transformers, transformer_lens")
	for _, c := range []struct{ family, head string }{{"gpt2", "2.1"}, {"pythia", "2.1"}, {"llama3", "2.3"}, {"qwen3", "1.1"}, {"gemma2", "2.1"}} {
		script(t, interpreter, "bridge.py", filepath.Join(families, c.family, "model"), c.head)
	}
}
