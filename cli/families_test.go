package cli_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/engine/family/familytest"
	"ducklens/queries"
	"ducklens/queries/session"
)

// A smoked model is a model folder with prompts that fit its windows.
type smoked struct {
	*testing.T
	dir     string // of files
	model   string
	prompts string
	head    string
}

var every = flag.Bool("every", false, "run every command over every family, and over the reference models beside the checkout")

// typical are families whose models have different components and scores. Questions are asked of these: the
// others have no components of other kinds. drawn are those of which figures are made, and a report.
var (
	typical = []string{"llama", "gemma2", "gpt_oss", "phi"}
	drawn   = []string{"gemma2", "gpt_oss"}
)

// TestEveryFamily makes a run with a small model of each type, which has random weights: short prompts, and
// one of more than 2,000 tokens, whose parts have to add up, or ingest refuses. All are in one file, which is
// verified. Merging, exporting and comparing look at no model.
func TestEveryFamily(t *testing.T) {
	t.Parallel()
	all := smoked{T: t, dir: t.TempDir()}
	types := 0
	for _, kind := range familytest.Types() {
		t.Run(kind, func(t *testing.T) {
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
			s.write(prompt{"Our guests were Evan and Dylan. After dinner, Dylan described the hat to", 12, 10, 8},
				prompt{"When the rain had stopped, Ruth and Olga went home, and then Olga wrote to", 11, 9, 8}, prompt{strings.Repeat(" the", 2100), 2099, 2097, 2096})
			flags := []string{"ingest", "--model", s.model, "--name", kind, "--prompts", s.prompts, "--head", s.head, "--null", "2", "--logits", "-o", all.path("run.duckdb")}
			if types > 0 {
				flags = append(flags, "--append")
			}
			s.ducklens(flags...)
			types++
			if *every || slices.Contains(typical, kind) {
				s.ask(all.path("run.duckdb"))
			}
			if *every || slices.Contains(drawn, kind) {
				s.draw(all.path("run.duckdb"))
			}
		})
	}
	if types == 0 {
		return
	}
	all.ducklens("verify", all.path("run.duckdb"))
	const long = "SELECT count(*) FROM (SELECT run_id FROM prompt GROUP BY run_id HAVING max(n_tokens) >= 2100)"
	if got := all.ducklens("query", all.path("run.duckdb"), "--scalar", "-e", long); strings.TrimSpace(got) != strconv.Itoa(types) {
		t.Errorf("%s runs have a prompt of 2,100 tokens, want %d", got, types)
	}
}

// TestEveryReferenceFamily does the same with the reference models, if they are beside the checkout.
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
			file := s.ingest("run.duckdb", "--head", s.head, "--null", "2", "--logits")
			s.ask(file)
			s.change(file, s.path("raw.duckdb"), s.path("heads.duckdb"))
			s.draw(file)
		})
	}
}

// A prompt has positions that are close to each other, so that every window has them in it.
type prompt struct {
	Text     string `json:"text"`
	Query    int    `json:"query"`
	Key      int    `json:"key"`
	Baseline int    `json:"baseline"`
}

// near writes prompts with such positions.
func (s *smoked) near(texts ...string) {
	var list []prompt
	for i, text := range texts {
		list = append(list, prompt{text, 12 - i, 10 - i, 8})
	}
	s.write(list...)
}

// write writes the prompts.
func (s *smoked) write(list ...prompt) {
	var lines strings.Builder
	for _, p := range list {
		line, err := json.Marshal(p)
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

// ducklens runs a command that must succeed, and returns its output.
func (s *smoked) ducklens(args ...string) string {
	s.Helper()
	code, stdout, stderr := run(s.Context(), args...)
	if code != cli.ExitOK {
		s.Fatalf("ducklens %s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

// ingest makes a file of the prompts, or adds a run to it.
func (s *smoked) ingest(file string, flags ...string) string {
	s.Helper()
	s.ducklens(append([]string{"ingest", "--model", s.model, "--prompts", s.prompts, "-o", s.path(file)}, flags...)...)
	return s.path(file)
}

// ask makes other files and asks them, and the last run of a file.
func (s *smoked) ask(run string) {
	raw := s.ingest("raw.duckdb", "--head", s.head, "--processing", "raw", "--factors", "off", "-n", "2")
	heads := s.ingest("heads.duckdb", "--head", "all", "--query-basis", "none", "--key-basis", "none", "-n", "2")
	s.ducklens("query", raw, "key_components")
	s.ducklens("heads", heads)
	s.ducklens("tokens", "--model", s.model, "Ruth and Olga")
	s.ducklens("model", "inspect", s.model)
	file, err := session.Open(s.Context(), run, session.Options{})
	if err != nil {
		s.Fatal(err)
	}
	defer file.Close() // others write it
	for _, q := range queries.Embedded() {
		if _, err := file.Run(s.Context(), q, nil); err != nil {
			s.Errorf("%s: %v", q.Name, err)
		}
	}
}

// change makes other files of them.
func (s *smoked) change(files ...string) {
	merged, again := s.path("merged.duckdb"), s.path("imported.duckdb")
	s.ducklens(append([]string{"merge", "-o", merged}, files...)...)
	s.ducklens("verify", merged)
	s.ducklens("export", merged, "--parquet", s.path("parquet"))
	s.ducklens("import", s.path("parquet"), "-o", again)
	s.ducklens("diff", merged, again)
}

// draw makes figures and the report of the last run of a file.
func (s *smoked) draw(run string) {
	s.ducklens("figures", "build", run, "--dir", s.path("figures"), "--format", "svg")
	s.ducklens("report", run, "-o", s.path("report.html"))
}
