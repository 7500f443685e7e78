package cli_test

import (
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ducklens/cli"
	"ducklens/engine/family/familytest"
	"ducklens/queries"
)

// A smoked model is a folder, and prompts that its windows allow.
type smoked struct {
	*testing.T
	dir     string // of files
	model   string
	prompts string
	head    string
}

var every = flag.Bool("every", false, "run every command over every family, and over the reference models beside the checkout")

// typical are families whose models have different components and scores; what does not look at a model is tried with these.
var typical = []string{"llama", "gemma2", "gpt_oss", "phi"}

// TestEveryFamily runs the commands over a small model of each type, with random weights.
func TestEveryFamily(t *testing.T) {
	t.Parallel()
	for _, kind := range familytest.Types() {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := smoked{T: t, dir: t.TempDir(), model: t.TempDir(), head: "2.1"}
			// The tokenizer is that of GPT-2, which the program has; a model of its vocabulary needs no file.
			config := familytest.Tiny(kind).With("vocab_size", 50257)
			for _, key := range []string{"max_position_embeddings", "n_positions"} {
				if _, ok := config[key]; ok {
					config[key] = 2400
				}
			}
			if err := familytest.Write(s.model, config, 3); err != nil {
				t.Fatal(err)
			}
			s.long()
			s.near("Our guests were Evan and Dylan. After dinner, Dylan described the hat to", "When the rain had stopped, Ruth and Olga went home, and then Olga wrote to")
			s.ask()
			if *every || slices.Contains(typical, kind) {
				s.change()
				s.draw()
			}
		})
	}
}

// TestEveryReferenceFamily does so with the reference models, where they lie beside the checkout.
func TestEveryReferenceFamily(t *testing.T) {
	t.Parallel()
	folders, err := filepath.Glob(filepath.Join("..", "..", "shared", "families", "*", "model"))
	if err != nil {
		t.Fatal(err)
	}
	if !*every || len(folders) == 0 {
		t.Skip("takes minutes: go test ./cli -run EveryReferenceFamily -every, with ../shared/families beside the checkout")
	}
	for _, model := range folders {
		t.Run(filepath.Base(filepath.Dir(model)), func(t *testing.T) {
			t.Parallel()
			s := smoked{T: t, dir: t.TempDir(), model: model, head: "2.3"}
			s.near("Then Jonas and Wilhelmina went to the lighthouse. Jonas gave a lamp to", "Marta kept a list of ropes, lamps and barrels, and on Sundays")
			s.ask()
			s.change()
			s.draw()
		})
	}
}

// near writes prompts whose positions are close to each other, so that every window has them in it.
func (s *smoked) near(texts ...string) {
	var lines strings.Builder
	for i, text := range texts {
		line, err := json.Marshal(map[string]any{"text": text, "query": 12 - i, "key": 10 - i, "baseline": 8})
		if err != nil {
			s.Fatal(err)
		}
		lines.Write(append(line, '\n'))
	}
	s.prompts = s.path("prompts.jsonl")
	if err := os.WriteFile(s.prompts, []byte(lines.String()), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *smoked) path(name string) string { return filepath.Join(s.dir, name) }

// ducklens runs a command that has to end well, and gives what it printed.
func (s *smoked) ducklens(args ...string) string {
	s.Helper()
	code, stdout, stderr := run(s.Context(), args...)
	if code != cli.ExitOK {
		s.Fatalf("ducklens %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// ingest makes a file of the two prompts, or adds a run to it.
func (s *smoked) ingest(file string, flags ...string) string {
	s.Helper()
	s.ducklens(append([]string{"ingest", "--model", s.model, "--prompts", s.prompts, "-o", s.path(file)}, flags...)...)
	return s.path(file)
}

// long runs a prompt of more than 2,000 tokens: its parts have to add up, or ingest refuses.
func (s *smoked) long() {
	s.prompts = s.path("long.jsonl")
	line, err := json.Marshal(map[string]any{"text": strings.Repeat(" the", 2100), "query": 2099, "key": 2097, "baseline": 2096})
	if err == nil {
		err = os.WriteFile(s.prompts, line, 0o600)
	}
	if err != nil {
		s.Fatal(err)
	}
	file := s.ingest("long.duckdb", "--head", s.head, "--logits")
	if got := s.ducklens("query", file, "--scalar", "-e", "SELECT max(pos) + 1 FROM token"); strings.TrimSpace(got) < "2100" {
		s.Errorf("%s tokens, want 2100 or one more", got)
	}
}

// ask makes files and asks them.
func (s *smoked) ask() {
	file := s.ingest("run.duckdb", "--head", s.head, "--null", "2", "--logits")
	raw := s.ingest("raw.duckdb", "--head", s.head, "--processing", "raw", "--factors", "off")
	heads := s.ingest("heads.duckdb", "--head", "all", "--query-basis", "none", "--key-basis", "none")
	s.ducklens("verify", file)
	s.ducklens("verify", raw)
	s.ducklens("tokens", "--model", s.model, "Ruth and Olga")
	s.ducklens("model", "inspect", s.model)
	s.ducklens("heads", heads)
	for _, q := range queries.Embedded() {
		s.ducklens("query", file, q.Name)
	}
}

// change makes other files of them.
func (s *smoked) change() {
	file := s.path("run.duckdb")
	s.ducklens("diff", file, file)
	s.ducklens("merge", file, s.path("raw.duckdb"), s.path("heads.duckdb"), "-o", s.path("merged.duckdb"))
	s.ducklens("export", s.path("merged.duckdb"), "--parquet", s.path("parquet"))
	s.ducklens("import", s.path("parquet"), "-o", s.path("imported.duckdb"))
	s.ducklens("verify", s.path("imported.duckdb"))
	s.ducklens("migrate", file)
	s.resume()
}

// draw makes figures and the report.
func (s *smoked) draw() {
	s.ducklens("figures", "build", s.path("run.duckdb"), "--dir", s.path("figures"))
	s.ducklens("report", s.path("run.duckdb"), "-o", s.path("report.html"))
}

// resume interrupts a run and goes on.
func (s *smoked) resume() {
	file, begun := s.path("resumed.duckdb"), s.path("many.jsonl")
	two, err := os.ReadFile(s.prompts)
	if err == nil {
		err = os.WriteFile(begun, []byte(strings.Repeat(string(two), 40)), 0o600)
	}
	if err != nil {
		s.Fatal(err)
	}
	ctx, stop := context.WithCancel(s.Context())
	defer stop()
	go func() {
		for ctx.Err() == nil {
			if _, err := os.Stat(file); err == nil {
				stop()
			}
			time.Sleep(time.Millisecond)
		}
	}()
	args := []string{"ingest", "--model", s.model, "--prompts", begun, "--head", s.head, "--factors", "off", "--batch", "4", "-o", file}
	if code, _, stderr := run(ctx, args...); code != cli.ExitInterrupted {
		s.Skipf("the run was not interrupted: exit code %d\n%s", code, stderr)
	}
	s.ducklens(append(args, "--resume")...)
	s.ducklens("verify", file)
}
