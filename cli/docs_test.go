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
	"ducklens/engine/exchange"
	"ducklens/queries/session"
	"ducklens/schema"
)

var update = flag.Bool("update", false, "write the outputs in README.md and the figure in docs anew")

// shell runs a line of a document in dir, where ducklens is the program under test, and returns its output.
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

// TestExamples runs every example in the help of every command, with few prompts. A model of four layers
// takes the place of GPT-2, with heads that it has. What a script in testdata runs is not run again.
func TestExamples(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	if err := demo.Extract(filepath.Join(base, "gpt2")); err != nil {
		t.Fatal(err)
	}
	runCopy(t, filepath.Join(base, "run.duckdb"), "--head", "3.1", "-n", "7")
	runCopy(t, filepath.Join(base, "other.duckdb"), "--head", "3.1", "-n", "7")
	for _, line := range []string{
		`ducklens export run.duckdb --parquet runs`,
		`ducklens queries show key_components | sed 's/name: key_components/name: mine/' > mine.sql`,
		`mkdir my_queries && cp mine.sql my_queries`,
		`echo '{"text": "Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan", "IO": "Evan", "S": "Dylan"}' > prompts.jsonl`,
		`echo 'Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan' > corpus.txt`,
		`echo '{"text": "Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan"}' > corpus.jsonl`,
		`ducklens ingest --model gpt2 --head 3.1 --text corpus.txt -o texts.duckdb`,
	} {
		if output, err := shell(t, base, line); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, output)
		}
	}
	captured, _ := demoActivations(t, t.TempDir(), schema.Processed, exchange.Vectors)
	if err := os.Rename(captured, filepath.Join(base, "captured")); err != nil {
		t.Fatal(err)
	}
	small := strings.NewReplacer("11.10", "3.2", "L10H7", "L3H1", "10.7", "3.1", "9.9", "2.1", "9.6", "1.3")
	number := regexp.MustCompile(` (-n|--null) \d+`)
	drawn := regexp.MustCompile(`(figures build [^&|]*?)(?: --dpi \d+)?( &&| \|\||$)`)
	seen := scriptCommands(t)
	seen["ducklens demo"], seen["ducklens demo --dir demo"] = true, true // docs/tour.md and demoFolder run them
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			if seen[line] {
				continue
			}
			seen[line] = true
			t.Run(line, func(t *testing.T) {
				if strings.Contains(line, ".gguf") {
					t.Skip("no GGUF model is in the repository; make smollm2 runs one")
				}
				if strings.Contains(line, " pull ") {
					t.Skip("tests use no network; TestModelPull fetches from a server of its own")
				}
				if strings.Contains(line, "--wasm") {
					t.Skip("duckdb-wasm is not in the repository; TestExploreExport writes a folder with it")
				}
				t.Parallel()
				dir := t.TempDir()
				for _, name := range []string{"gpt2", "mine.sql", "my_queries", "run.duckdb", "other.duckdb", "texts.duckdb", "prompts.jsonl", "corpus.txt", "corpus.jsonl", "captured", "runs"} {
					read := strings.NewReplacer("-o "+name, "", "--parquet "+name, "").Replace(line)
					if !strings.Contains(read, name) && !strings.Contains(line, "--append") {
						continue
					}
					if output, err := shell(t, dir, "cp -R "+filepath.Join(base, name)+" ."); err != nil {
						t.Fatalf("%v\n%s", err, output)
					}
				}
				line := number.ReplaceAllString(small.Replace(line), " $1 4")
				if strings.HasPrefix(line, "ducklens ingest") && !strings.Contains(line, " -n ") && !strings.Contains(line, " --text ") {
					line += " -n 4"
				}
				line = drawn.ReplaceAllString(line, "$1 --dpi 72$2")   // large pictures take long
				if before, _, ok := strings.Cut(line, " --run "); ok { // the key of a run that is there
					keys, err := filepath.Glob(filepath.Join(base, "runs", "run", "run=*"))
					if err != nil || len(keys) != 1 {
						t.Fatalf("runs of the data set: %v, %v", keys, err)
					}
					line = before + " --run " + strings.TrimPrefix(filepath.Base(keys[0]), "run=")[:8]
				}
				if strings.HasPrefix(line, "ducklens explore") {
					explore(t, dir, line)
				} else if output, err := shell(t, dir, line); err != nil {
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

// scriptCommands gives the command lines that scripts in testdata run and that end well.
func scriptCommands(t *testing.T) map[string]bool {
	t.Helper()
	scripts, err := filepath.Glob(filepath.Join("testdata", "script", "*.txtar"))
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts:", err)
	}
	all := map[string]bool{}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if command, ok := strings.CutPrefix(strings.TrimSpace(line), "exec ducklens"); ok {
				all["ducklens"+command] = true
			}
		}
	}
	return all
}

// TestReadmePrompts runs the demo model over the prompt and the templates that docs/ingest.md shows as JSON.
func TestReadmePrompts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/ingest.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks of JSON, want a prompt and templates", len(blocks))
	}
	for i, flag := range []string{"--prompts", "--templates"} {
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

// A transcript is a command in a document, its line number, and the output shown for it.
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

// toTour matches the line of a document that changes to the folder where its commands run.
var toTour = regexp.MustCompile(`(?m)^cd demo && .*$`)

// TestReadme runs the commands of README.md, docs/tour.md and docs/questions.md in order, after make demo, in
// the folder and with the path that each page names, and compares their output with the page. Run with
// -update to rewrite the output and the figure. Package smollm2 runs the commands about a pretrained model.
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
	copyTree(t, demoFolder(t), filepath.Join(dir, "demo"))
	for _, document := range []string{"../README.md", "../docs/tour.md", "../docs/questions.md"} {
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

// runDocument runs the commands of a document, and compares or rewrites their output.
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

// steady takes out of an output what differs from run to run and from build to build: times, how far a slow
// machine says that it is, and the version's commit.
func steady(output string) string {
	output = regexp.MustCompile(`(?m)^\d+ of \d+ prompts, .* left\n`).ReplaceAllString(output, "")
	output = regexp.MustCompile(`\b([0-9]+h)?([0-9]+m)?[0-9.]+m?s\b`).ReplaceAllString(output, "(time)")
	output = regexp.MustCompile(`\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:[0-9.]+`).ReplaceAllString(output, "(date)")
	return regexp.MustCompile(`-dev\+[0-9a-f]+`).ReplaceAllString(output, "-dev")
}

// notebookRows are the rows of the table in docs/conventions.md: the quantity, the number that the notebook
// printed for GPT-2 small, the number of prompts, the SQL that gives the number, and why the conventions
// differ.
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

// TestReadmeNotebook measures the table of docs/conventions.md. Run with -update to write it.
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
	files := map[string]*session.Session{}
	for _, m := range models {
		for _, convention := range []string{"notebook", "exact"} {
			for _, n := range []string{"50", "100"} {
				name := m.dir + convention + n
				succeed(t, "ingest", "--model", filepath.Join(goldens, m.dir, "model"), "--templates", filepath.Join(goldens, "prompts", "lists.json"),
					"--head", m.head, "--mover", m.movers, "--convention", convention, "-n", n, "--factors", "off", "-o", filepath.Join(dir, name))
				files[name] = opened(t, filepath.Join(dir, name))
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
				value := answer(t, files[m.dir+convention+row.prompts], "SELECT coalesce(printf('%.4f', value), 'NULL') FROM ("+sql+")")
				fmt.Fprintf(&table, " %s |", value[0][0])
			}
		}
		fmt.Fprintf(&table, " %s |\n", row.why)
	}
	const page = "../docs/conventions.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)(<!-- notebook table[^\n]*\n)(.*?)(<!-- end -->)`)
	shown := block.FindSubmatch(text)
	switch {
	case shown == nil:
		t.Fatalf("%s has no place for the table", page)
	case *update:
		fresh := block.ReplaceAllLiteral(text, slices.Concat(shown[1], []byte(table.String()), shown[3]))
		if err := os.WriteFile(page, fresh, 0o644); err != nil {
			t.Fatal(err)
		}
	case string(shown[2]) != table.String():
		t.Errorf("%s shows\n%s\nand it is\n%s", page, shown[2], table.String())
	}
}

// TestDocsNames checks that README.md and the pages in docs mention every command and every saved query.
func TestDocsNames(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, page := range append(pages, "../README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	for _, cmd := range cli.NewRoot().Commands() {
		if cmd.IsAvailableCommand() && !strings.Contains(all.String(), "ducklens "+cmd.Name()) {
			t.Errorf("no page mentions ducklens %s", cmd.Name())
		}
	}
	_, listed, _ := run(t.Context(), "queries", "list")
	for line := range strings.Lines(listed) {
		if name, _, _ := strings.Cut(line, " "); !strings.Contains(all.String(), "`"+name+"`") {
			t.Errorf("no page mentions the saved query `%s`", name)
		}
	}
}

// TestDocsLinks checks that links between README.md and the pages in docs lead to existing files and
// headings.
func TestDocsLinks(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	heading := regexp.MustCompile(`(?m)^#+ (.*)$`)
	for _, page := range append(pages, "../README.md", "../DESIGN.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			target := page
			if found[1] != "" {
				target = filepath.Join(filepath.Dir(page), found[1])
			}
			pointed, err := os.ReadFile(target)
			if err != nil {
				t.Errorf("%s links to %s: %v", page, found[1], err)
				continue
			}
			if found[2] == "" {
				continue
			}
			known := slices.ContainsFunc(heading.FindAllStringSubmatch(string(pointed), -1), func(h []string) bool {
				return "#"+anchor(h[1]) == found[2]
			})
			if !known {
				t.Errorf("%s links to %s%s, which is no heading there", page, found[1], found[2])
			}
		}
	}
}

// anchor returns the name by which Markdown links refer to a heading.
func anchor(heading string) string {
	kept := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}

// TestDocsText runs every command and SQL statement of docs/text.md, in order and in one folder. The page is
// about SmolLM2; the test uses the demo's model and its heads instead.
func TestDocsText(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/text.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	corpus, err := os.ReadFile(filepath.Join("testdata", "texts.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "corpus.txt"), corpus, 0o666); err != nil {
		t.Fatal(err)
	}
	small := strings.NewReplacer("SmolLM2-135M-Instruct.Q4_1.gguf", "demo", "24.4", "3.1", "['23.3', 'MLP0']", "['0.1', '0.0']")
	do := func(line string) {
		t.Helper()
		if output, err := shell(t, dir, line); err != nil {
			t.Errorf("%s: %v\n%s", line, err, output)
		}
	}
	lines := regexp.MustCompile("(?s)```(sh|sql)\n(.*?)```").FindAllSubmatch(text, -1)
	if len(lines) < 5 {
		t.Fatalf("%d blocks of commands and SQL in docs/text.md", len(lines))
	}
	for _, block := range lines {
		for line := range strings.Lines(small.Replace(string(block[2]))) {
			if line = strings.TrimSpace(line); string(block[1]) == "sql" {
				line, _, _ = strings.Cut(line, ";")
				line = `ducklens query without.duckdb -e "` + line + `"`
			}
			do(line)
		}
	}
}

// TestDocsEngines runs every command of docs/engines.md and docs/shards.md, and with a Python that has the
// engine every block of SQL and Python: a block is left out where its engine is not installed. The one for
// Spark takes minutes and is left to make peers.
func TestDocsEngines(t *testing.T) {
	t.Parallel()
	interpreter := os.Getenv("DUCKLENS_PYTHON")
	for page, least := range map[string]int{"engines.md": 6, "shards.md": 3} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile(filepath.Join("..", "docs", page))
			if err != nil {
				t.Fatal(err)
			}
			blocks := regexp.MustCompile("(?s)```(sh|sql|python)\n(.*?)```").FindAllSubmatch(text, -1)
			if len(blocks) < least {
				t.Fatalf("%d blocks of commands, SQL and Python, want %d", len(blocks), least)
			}
			dir := t.TempDir()
			for _, block := range blocks {
				kind, code := string(block[1]), string(block[2])
				if kind == "sh" {
					if output, err := shell(t, dir, "set -e\n"+code); err != nil {
						t.Fatalf("%s: %v\n%s", code, err, output)
					}
					continue
				}
				if kind == "sql" {
					code = "import duckdb\nprint(duckdb.sql('''" + code + "'''))"
				}
				if interpreter == "" || strings.Contains(code, "pyspark") && os.Getenv("DUCKLENS_SPARK") == "" {
					t.Logf("left out: %s", strings.SplitN(code, "\n", 2)[0])
					continue
				}
				cmd := exec.CommandContext(t.Context(), interpreter, "-c", code)
				cmd.Dir = dir
				if output, err := cmd.CombinedOutput(); strings.Contains(string(output), "ModuleNotFoundError") {
					t.Logf("left out: %s", lastLine(string(output)))
				} else if err != nil {
					t.Errorf("%s: %v\n%s", code, err, output)
				}
			}
		})
	}
}
