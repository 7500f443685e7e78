package cli_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ducklens/cli"
	"ducklens/cli/demo"
	"ducklens/schema"
)

var update = flag.Bool("update", false, "write the outputs in README.md and the figure in docs anew")

// shell runs a line of a document in dir, where ducklens is the program under test, and gives what it printed.
func shell(t *testing.T, dir, line string) (output string, err error) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh to run the commands of documents with")
	}
	cmd := exec.CommandContext(t.Context(), sh, "-c", line)
	cmd.Dir = dir
	printed, err := cmd.CombinedOutput()
	return string(printed), err
}

// TestExamples runs every example in the help of every command.
func TestExamples(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	small := filepath.Join(base, "demo")
	if err := demo.Extract(small); err != nil {
		t.Fatal(err)
	}
	if err := tile(small, filepath.Join(base, "gpt2")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`ducklens ingest --model gpt2 --head 10.7 -n 6 -o run.duckdb`,
		`cp run.duckdb other.duckdb`,
		`ducklens queries show key_components | sed 's/name: key_components/name: mine/' > mine.sql`,
		`mkdir my_queries && cp mine.sql my_queries`,
		`echo '{"text": "Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan", "IO": "Evan", "S": "Dylan"}' > prompts.jsonl`,
		`echo 'Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan' > corpus.txt`,
		`echo '{"text": "Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan"}' > corpus.jsonl`,
		`ducklens ingest --model gpt2 --head 10.7 --text corpus.txt -o texts.duckdb`,
	} {
		if output, err := shell(t, base, line); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, output)
		}
	}
	captured, _ := demoActivations(t, t.TempDir(), schema.Processed)
	if err := os.Rename(captured, filepath.Join(base, "captured")); err != nil {
		t.Fatal(err)
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			t.Run(line, func(t *testing.T) {
				if strings.Contains(line, ".gguf") {
					t.Skip("no GGUF model is in the repository; make smollm2 runs one")
				}
				if strings.Contains(line, " pull ") {
					t.Skip("tests use no network; TestModelPull fetches from a server of its own")
				}
				t.Parallel()
				dir := t.TempDir()
				files := []string{"gpt2", "mine.sql", "my_queries", "other.duckdb", "prompts.jsonl", "corpus.txt", "corpus.jsonl"}
				if !strings.Contains(line, "-o run.duckdb") || strings.Contains(line, "--append") {
					files = append(files, "run.duckdb")
				}
				if !strings.Contains(line, "-o texts.duckdb") {
					files = append(files, "texts.duckdb")
				}
				if strings.Contains(line, "--activations") {
					files = append(files, "captured")
				}
				if output, err := shell(t, dir, "cp -R "+base+"/"+strings.Join(files, " "+base+"/")+" ."); err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
				if output, err := shell(t, dir, line); err != nil {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(cli.NewRoot())
}

// TestReadmePrompts runs the demo model over the prompt and the templates that README.md shows as JSON.
func TestReadmePrompts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of JSON, want templates and a prompt", len(blocks))
	}
	for i, flag := range []string{"--templates", "--prompts"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "example.jsonl")
		if err := os.WriteFile(file, blocks[i][1], 0o666); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := run(t.Context(), "ingest", "--model", "demo", "--head", "3.0", flag, file, "-o", filepath.Join(dir, "run.duckdb"))
		if code != cli.ExitOK {
			t.Errorf("%s: %s", blocks[i][1], stderr)
		}
	}
}

// A transcript is a command in a document, the line on which it stands, and the output that is shown for it.
type transcript struct {
	line    int
	command string
	output  string
}

// transcripts reads the console blocks of a Markdown text.
func transcripts(text string) []transcript {
	var list []transcript
	inside := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		switch {
		case line == "```console\n":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside && strings.HasPrefix(line, "$ "):
			list = append(list, transcript{line: number, command: strings.TrimSuffix(line[2:], "\n")})
		case inside && len(list) > 0:
			list[len(list)-1].output += line
		}
	}
	return list
}

// toTour finds the line of a document that goes to the folder where its commands run.
var toTour = regexp.MustCompile(`(?m)^cd demo && .*$`)

// TestReadme runs the commands of README.md and of docs/questions.md in their order, after what make demo does, in the folder and
// with the path that each says, and compares what they print with what is shown. Run with -update to write what they print now,
// and the figure. Commands that ask about a pretrained model are run in package smollm2.
func TestReadme(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, "bin", "ducklens")); err != nil {
		t.Fatal(err)
	}
	if output, err := shell(t, dir, "bin/ducklens demo --dir demo"); err != nil {
		t.Fatalf("what make demo does: %v\n%s", err, output)
	}
	for _, document := range []string{"../README.md", "../docs/questions.md"} {
		runDocument(t, dir, document)
	}
	if t.Failed() {
		return
	}
	const shown = "../docs/key_components.svg"
	figure, err := os.ReadFile(filepath.Join(dir, "demo", "demo-key_components.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(shown, figure, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(shown)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOARCH == "amd64" && steady(string(figure)) != steady(string(want)) {
		t.Errorf("%s is not the figure that the demo draws (make golden, then look at it)", shown)
	}
}

// runDocument runs the commands of a document, and compares or writes what they print.
func runDocument(t *testing.T, dir, document string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	enter := toTour.Find(text)
	if enter == nil {
		t.Fatalf("%s does not say where its commands run", document)
	}
	list := slices.DeleteFunc(transcripts(string(text)), func(c transcript) bool { return strings.Contains(c.command, " smollm2/") })
	if len(list) < 5 {
		t.Fatalf("%d commands with output in %s, want a tour", len(list), document)
	}
	var fresh strings.Builder
	rest := string(text)
	for _, c := range list {
		got, err := shell(t, dir, string(enter)+"\n"+c.command)
		if err != nil {
			t.Fatalf("%s:%d: %s: %v\n%s", document, c.line, c.command, err, got)
		}
		shownAs := "$ " + c.command + "\n" + c.output
		before, after, found := strings.Cut(rest, shownAs)
		if !found {
			t.Fatalf("%s:%d: the transcript is not in the text", document, c.line)
		}
		fmt.Fprintf(&fresh, "%s$ %s\n%s", before, c.command, got)
		rest = after
		if !*update && steady(got) != steady(c.output) {
			// Another processor may round the last shown digit differently.
			if runtime.GOARCH == "amd64" {
				t.Errorf("%s:%d: %s prints\n%s\nwant\n%s", document, c.line, c.command, got, c.output)
			} else {
				t.Logf("%s:%d: %s prints\n%s\nand the text shows\n%s", document, c.line, c.command, got, c.output)
			}
		}
	}
	fresh.WriteString(rest)
	if *update {
		if err := os.WriteFile(document, []byte(fresh.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// steady takes out of an output what differs from run to run and from build to build: times, and the
// version's commit.
func steady(output string) string {
	output = regexp.MustCompile(`\b[0-9.]+m?s\b`).ReplaceAllString(output, "(time)")
	output = regexp.MustCompile(`\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:[0-9.]+`).ReplaceAllString(output, "(date)")
	return regexp.MustCompile(`-dev\+[0-9a-f]+`).ReplaceAllString(output, "-dev")
}

// notebookRows are the rows of the table in README.md about conventions: what is measured, what the notebook printed for GPT-2
// small, on how many prompts, the SQL that gives the number, and why the conventions differ.
func notebookRows() []struct{ what, printed, prompts, sql, why string } {
	const (
		share      = "SELECT pct AS value FROM (SELECT 100 * sum(diff) FILTER (quadrant = 'par_par' AND %s) / sum(diff) AS pct FROM contribution WHERE side = '%s' AND query_basis = 'unembed' AND key_basis = 'mlp0')"
		projection = "SELECT avg(%s) AS value FROM head_projection WHERE vector = '%s' AND basis = '%s' AND measure = '%s'"
		own        = "the projected fixed side is divided by a standard deviation over d_model - 1 without eps, which scales it by f; b_O is in the whole"
		squares    = "the square of the mean length, not the mean of the squares: the two parts do not add up to 1"
		none       = "-"
	)
	return []struct{ what, printed, prompts, sql, why string }{
		{"share of MLP0, both parts parallel, %", "23.48", "50", fmt.Sprintf(share, "component = 'MLP0'", "key"), own},
		{"share of all MLPs, both parts parallel, %", "41.95", "50", fmt.Sprintf(share, "kind = 'mlp'", "key"), own},
		{"share of the two mover heads, both parts parallel, %", "29.42", "50", fmt.Sprintf(share, "component IN (SELECT label FROM mover)", "query"), own},
		{"sum of the key-side cells, baseline subtracted", "3.349", "50", "SELECT sum(diff) / count(DISTINCT example_id) AS value FROM contribution_unsplit WHERE side = 'key'", "b_O has no cells; exact is the model's score difference"},
		{"sum of the query-side cells, baseline subtracted", "3.445", "50", "SELECT sum(diff) / count(DISTINCT example_id) AS value FROM contribution_unsplit WHERE side = 'query'", "the same; at two key positions b_O nearly cancels, at the query it does not"},
		{"mean score with nothing replaced, query histogram", "4.407", "50", "SELECT avg(score) AS value FROM head_substitution WHERE side = 'query' AND vector = 'unpatched'", "the stream is divided by a standard deviation over d_model - 1 without eps: not the model's score"},
		{"probability of a score difference", "", "50", "SELECT avg(diff_prob) AS value FROM head_substitution WHERE side = 'query' AND vector = 'unpatched'", "a difference of scores in a softmax beside scores has no meaning: NULL in exact"},
		{"fraction of mover 1 along W_U[IO]", "0.1492", "100", fmt.Sprintf(strings.Replace(projection, "avg(%s)", "%s", 1), "CASE WHEN any_value(r.convention) = 'notebook' THEN avg(par_norm) ^ 2 ELSE avg(par_norm ^ 2) END", "$mover", "unembed", "score"), squares},
		{"the rest of it", "0.8488", "100", fmt.Sprintf(strings.Replace(projection, "avg(%s)", "%s", 1), "CASE WHEN any_value(r.convention) = 'notebook' THEN avg(perp_norm) ^ 2 ELSE avg(perp_norm ^ 2) END", "$mover", "unembed", "score"), squares},
		{"its fraction in span(W_U[IO], W_U[S])", "0.1590", "100", fmt.Sprintf(strings.Replace(projection, "avg(%s)", "%s", 1), "CASE WHEN any_value(r.convention) = 'notebook' THEN avg(par_norm) ^ 2 ELSE avg(par_norm ^ 2) END", "$mover", "unembed+baseline", "score"), squares},
		{"cosine of its part along W_U[IO] with the map to the score", "0.2794", "100", fmt.Sprintf(projection, "par_cos", "$mover", "unembed", "score"), none},
		{"the same with the baseline subtracted", "0.2001", "100", fmt.Sprintf(projection, "par_cos", "$mover", "unembed", "diff"), none},
		{"cosine of the movers' parts outside of the span", "-0.0341", "100", "SELECT avg(perp_cos) AS value FROM vector_cosine JOIN basis AS b USING (run_id, basis_id) WHERE b.name = 'unembed+baseline'", none},
		{"length of resid_pre at IO along MLP0", "0.6732", "100", fmt.Sprintf(projection, "par_norm", "resid_pre", "mlp0", "score"), none},
	}
}

// TestReadmeNotebook measures the table of README.md about conventions. Run with -update to write it.
func TestReadmeNotebook(t *testing.T) {
	if !*update { // else TestReadme, which writes the file too, is to come after it
		t.Parallel()
	}
	goldens := filepath.Join("..", "..", "shared", "goldens")
	if _, err := os.Stat(goldens); err != nil {
		t.Skip("there is no reference data beside the checkout (../shared/goldens)")
	}
	dir := t.TempDir()
	models := []struct{ dir, head, movers string }{{"m1", "10.7", "9.9,9.6"}, {"m2", "2.1", "1.2,1.3"}}
	for _, m := range models {
		for _, convention := range []string{"notebook", "exact"} {
			for _, n := range []string{"50", "100"} {
				code, _, stderr := run(t.Context(), "ingest", "--model", filepath.Join(goldens, m.dir, "model"), "--templates", filepath.Join(goldens, "prompts", "lists.json"),
					"--head", m.head, "--mover", m.movers, "--convention", convention, "-n", n, "--factors", "off", "-o", filepath.Join(dir, m.dir+convention+n))
				if code != cli.ExitOK {
					t.Fatal(stderr)
				}
			}
		}
	}
	var table strings.Builder
	table.WriteString("| what | GPT-2 small, printed | A, notebook | A, exact | B, notebook | B, exact | why they differ |\n|---|---|---|---|---|---|---|\n")
	for _, row := range notebookRows() {
		fmt.Fprintf(&table, "| %s | %s |", row.what, row.printed)
		for _, m := range models {
			for _, convention := range []string{"notebook", "exact"} {
				first, _, _ := strings.Cut(m.movers, ",")
				sql := strings.ReplaceAll(row.sql, "$mover", first)
				sql = strings.Replace(sql, "FROM head_projection WHERE", "FROM head_projection JOIN run AS r USING (run_id) WHERE", 1)
				code, value, stderr := run(t.Context(), "query", filepath.Join(dir, m.dir+convention+row.prompts), "--scalar", "-e", "SELECT coalesce(printf('%.4f', value), 'NULL') FROM ("+sql+")")
				if code != cli.ExitOK {
					t.Fatalf("%s: %s", sql, stderr)
				}
				fmt.Fprintf(&table, " %s |", strings.TrimSpace(value))
			}
		}
		fmt.Fprintf(&table, " %s |\n", row.why)
	}
	const readme = "../README.md"
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)(<!-- notebook table[^\n]*\n)(.*?)(<!-- end -->)`)
	shown := block.FindSubmatch(text)
	switch {
	case shown == nil:
		t.Fatal("README.md has no place for the table")
	case *update:
		fresh := block.ReplaceAllLiteral(text, slices.Concat(shown[1], []byte(table.String()), shown[3]))
		if err := os.WriteFile(readme, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	case string(shown[2]) != table.String():
		t.Errorf("README.md shows\n%s\nand it is\n%s", shown[2], table.String())
	}
}

// TestReadmeNames holds that README.md mentions every command and every saved query.
func TestReadmeNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range cli.NewRoot().Commands() {
		if cmd.IsAvailableCommand() && !strings.Contains(string(text), "ducklens "+cmd.Name()) {
			t.Errorf("README.md does not mention ducklens %s", cmd.Name())
		}
	}
	_, listed, _ := run(t.Context(), "queries", "list")
	for line := range strings.Lines(listed) {
		if name, _, _ := strings.Cut(line, " "); !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("README.md does not mention the saved query `%s`", name)
		}
	}
}
