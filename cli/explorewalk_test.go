package cli_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/engine/family/familytest"
	"ducklens/queries"
	"ducklens/queries/figure/figuretest"
)

// serve runs ducklens explore until the test ends, and returns the address that it prints.
func serve(t *testing.T, files ...string) string {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, w := io.Pipe()
	var stderr strings.Builder
	ended := make(chan int, 1)
	go func() {
		code := cli.Run(ctx, append([]string{"ducklens", "explore", "--no-browser"}, files...), strings.NewReader(""), w, &stderr)
		w.Close()
		ended <- code
	}()
	t.Cleanup(func() {
		stop()
		if code := <-ended; code != cli.ExitOK {
			t.Errorf("explore ended with %d: %s", code, stderr.String())
		}
	})
	address, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		t.Fatalf("explore printed no address: %v", err)
	}
	return strings.TrimSpace(address)
}

// walked is the result of walk.cjs, in the testdata of the pages.
type walked struct {
	Errors, Requests               []string
	Dialogs, Markup, Compared      int
	Steps                          []string
	Cells, Narrowed, Parts, Titles map[string]string
	Prompts, Pairs, Answer         [][]string
	Tokens, Near                   []string
	About, CSV, Figure, Cancelled  string
	Restored                       map[string]bool
}

// TestExploreWalk walks through all views in a browser, from a file to the prompts behind the cell of MLP0
// and its pairs. It checks that the numbers on the pages are those that SQL reads from the file, that the
// console has no errors, that no other server is contacted, and that text of a hostile file is shown as text.
func TestExploreWalk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, hostile := walkable(t)
	got := walk(t, file, serve(t, file, hostile))
	drawn := filepath.Join(dir, "query_components.svg")
	must(t, "plot", file, "query_components", "--set", "head=L3H0", "--set", "run=1", "-o", drawn)
	if want, err := os.ReadFile(drawn); err != nil || got.Figure != string(want) {
		t.Errorf("the figure that is saved has %d bytes and is not that of ducklens plot, of %d (%v)", len(got.Figure), len(want), err)
	}
}

// TestExploreWalkExport walks the same way through an exported folder, where DuckDB in the browser answers.
func TestExploreWalkExport(t *testing.T) {
	t.Parallel()
	wasm := filepath.Join(os.Getenv("DUCKLENS_NODE_MODULES"), "@duckdb", "duckdb-wasm")
	if _, err := os.Stat(wasm); err != nil {
		t.Skipf("there is no @duckdb/duckdb-wasm in DUCKLENS_NODE_MODULES, %q", os.Getenv("DUCKLENS_NODE_MODULES"))
	}
	dir := t.TempDir()
	file, hostile := walkable(t)
	site := filepath.Join(dir, "site")
	must(t, "explore", file, hostile, "--export", site, "--wasm", wasm)
	host := httptest.NewServer(http.FileServer(http.Dir(site)))
	t.Cleanup(host.Close)
	walk(t, file, host.URL+"/")
}

// TestExploreAccessible holds that axe-core finds no rule broken in any view, light and dark.
func TestExploreAccessible(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat(filepath.Join(os.Getenv("DUCKLENS_NODE_MODULES"), "axe-core")); err != nil {
		t.Skipf("there is no axe-core in DUCKLENS_NODE_MODULES, %q", os.Getenv("DUCKLENS_NODE_MODULES"))
	}
	file, _ := walkable(t)
	texts, means := other(t)
	views := []string{"heads?file=run", "heads?file=texts", "components?file=run", "components?file=run&side=query&qb=unembed",
		"components?file=means", "cell?file=run&component=MLP0&low=0", "cell?file=means&component=MLP0",
		"prompt?file=run&component=MLP0&example=0", "prompt?file=means&example=1", "pairs?file=run", "directions?file=run",
		"writes?file=run", "writes?file=means", "compare?file=run&only=prompt_order%3DABBA&only2=prompt_order%3DBABA",
		"sql?file=run&q=FROM+head", "sql?file=run&q=SELECT+nothing+FROM+head", "heads?file=other"}
	var seen struct {
		Looked int
		Broken []string
	}
	figuretest.Browse(t, &seen, "../queries/explorer/web/test/axe.cjs", append([]string{serve(t, file, texts, means)}, views...)...)
	if seen.Looked != 2*len(views) {
		t.Errorf("axe-core looked at %d pages, want %d", seen.Looked, 2*len(views))
	}
	for _, rule := range seen.Broken {
		t.Error(rule)
	}
}

// TestExploreFits holds that no view has to be scrolled sideways in a window of a usual width, nor when a
// reader has magnified one of 1280 pixels twice, and that no number in a cell and no name of a point is cut
// off or covers another.
func TestExploreFits(t *testing.T) {
	t.Parallel()
	file, _ := walkable(t)
	texts, means := other(t)
	views := []string{"heads?file=demo", "heads?file=texts", "components?file=demo", "components?file=run&side=query&qb=unembed",
		"cell?file=demo&component=MLP0", "cell?file=means&component=MLP0", "prompt?file=demo&component=MLP0&example=103",
		"prompt?file=run&component=MLP0&example=0", "pairs?file=demo", "directions?file=demo", "directions?file=run",
		"writes?file=demo", "writes?file=run", "compare?file=demo&only=prompt_order%3DABBA&only2=prompt_order%3DBABA",
		"sql?file=demo&q=FROM+prompt", "sql?file=run&q=SELECT+nothing+FROM+head", "heads?file=other",
		"components?file=wide", "compare?file=wide", "pairs?file=wide", "heads?file=wide", "prompt?file=edges&example=1"}
	widths := []string{"640", "1024", "1200", "1280", "1920"}
	var seen struct {
		Looked                     int
		Wide, Failed, Cut, Numbers []string
	}
	wide, edges := crowded(t)
	address := serve(t, filepath.Join(demoFolder(t), "demo.duckdb"), file, texts, means, wide, edges)
	figuretest.Browse(t, &seen, "../queries/explorer/web/test/fit.cjs", append([]string{address, strings.Join(widths, ",")}, views...)...)
	if seen.Looked != len(views)*len(widths) || !slices.Equal(seen.Failed, []string{"heads?file=other"}) {
		t.Errorf("%d pages were looked at, want %d; failed: %q", seen.Looked, len(views)*len(widths), seen.Failed)
	}
	for _, page := range slices.Concat(seen.Wide, seen.Cut) {
		t.Error(page)
	}
	for _, view := range []string{"compare?file=wide", "components?file=wide", "pairs?file=wide"} {
		if !slices.Contains(seen.Numbers, view+" at 1280") {
			t.Errorf("%s has no numbers in its cells", view)
		}
	}
}

// TestExploreSays holds what pages say of a run with several edges of a prompt, of an edge without a
// baseline, and of a head that there is not; that the block of pairs has no gaps; and which head is compared
// first.
func TestExploreSays(t *testing.T) {
	t.Parallel()
	wide, edges := crowded(t)
	s := opened(t, edges)
	count := answer(t, s, "SELECT count(*)::INTEGER, count(DISTINCT prompt_id)::INTEGER, "+
		"(min(example_id) FILTER (baseline_kind = 'none'))::INTEGER, "+
		"(min(example_id) FILTER (prompt_id = 1 AND baseline_kind <> 'none'))::INTEGER FROM edge")[0]
	without, second := fmt.Sprintf("prompt?file=edges&example=%d", count[2]), fmt.Sprintf("prompt?file=edges&example=%d", count[3])
	const whole, pairs, wrong = "components?file=edges&subtract=no", "pairs?file=wide&head=L8H0", "components?file=edges&head=L99H9"
	const compared = "compare?file=wide&head=L8H0"
	var seen map[string]struct {
		Title, Text string
		Chosen      map[string]string
		Rows        []int
	}
	figuretest.Browse(t, &seen, "../queries/explorer/web/test/look.cjs", serve(t, wide, edges), whole, without, second, pairs, compared, wrong)
	for view, said := range map[string][]string{
		whole:   {fmt.Sprintf("%d edges of %d prompts", count[0], count[1]), "standard errors over edges, taken as independent"},
		without: {fmt.Sprintf("Edge %d, of prompt", count[2]), "This edge has no baseline", "What its score is made of"},
		second:  {fmt.Sprintf("Edge %d, of prompt 1", count[3]), "What its score difference is made of"},
		wrong:   {"99.9"},
	} {
		for _, words := range said {
			if !strings.Contains(seen[view].Text, words) {
				t.Errorf("%s does not say %q:\n%.2000s", view, words, seen[view].Text)
			}
		}
	}
	for view, page := range seen {
		if view != wrong && strings.Contains(page.Text, "meets the conditions") {
			t.Errorf("%s finds nothing:\n%.2000s", view, page.Text)
		}
	}
	if got := seen[wrong]; !strings.HasPrefix(got.Title, "That did not work") || got.Chosen["Head"] != "99.9" {
		t.Errorf("after an error the title is %q and the head %q", got.Title, got.Chosen["Head"])
	}
	if got := seen[compared].Chosen["Head 2"]; got != "8.1" {
		t.Errorf("head 8.0 is compared with %q, want 8.1, of the same layer", got)
	}
	if got := seen[pairs].Rows; !slices.Equal(got, slices.Repeat([]int{10}, 10)) {
		t.Errorf("the block of pairs has rows of %d cells, want ten of ten", got)
	}
}

// crowded gives a file of a model with many heads and layers, and one of texts with several edges each.
func crowded(t *testing.T) (wide, edges string) {
	t.Helper()
	dir := once(t, "crowded", func(dir string) error {
		model, source := filepath.Join(dir, "model"), filepath.Join(dir, "texts.txt")
		text := "The cat sat on the mat, and then the cat slept on the mat.\n"
		return errors.Join(os.MkdirAll(model, 0o700), os.WriteFile(source, []byte(text+"So the "+text), 0o600),
			familytest.Write(model, familytest.Tiny("llama").With("num_attention_heads", 9, "num_key_value_heads", 3, "hidden_size", 36,
				"num_hidden_layers", 9, "vocab_size", 50257), 3),
			command("ingest", "--model", model, "--head", "3.0,8.0,8.1", "-n", "12", "-o", filepath.Join(dir, "wide.duckdb")),
			command("ingest", "--model", "demo", "--head", "3.0", "--text", source, "--edges", "top:1,induction", "--factors", "on",
				"-o", filepath.Join(dir, "edges.duckdb")))
	})
	return filepath.Join(dir, "wide.duckdb"), filepath.Join(dir, "edges.duckdb")
}

// other gives a file of texts without prompts of a task, and one that keeps means alone.
func other(t *testing.T) (texts, means string) {
	t.Helper()
	dir := once(t, "other", func(dir string) error {
		source := filepath.Join(dir, "texts.txt")
		text := "The cat sat on the mat, and then the cat slept on the mat.\n"
		return errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(source, []byte(text), 0o600),
			command("ingest", "--model", "demo", "--head", "all", "--text", source, "-o", filepath.Join(dir, "texts.duckdb")),
			command("ingest", "--model", "demo", "--head", "3.0", "-n", "4", "--keep", "means", "-o", filepath.Join(dir, "means.duckdb")))
	})
	return filepath.Join(dir, "texts.duckdb"), filepath.Join(dir, "means.duckdb")
}

// must runs a command that must succeed.
func must(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	code, stdout, stderr := run(t.Context(), args...)
	if code != cli.ExitOK {
		t.Fatalf("ducklens %s: %s", strings.Join(args, " "), stderr)
	}
	return stdout
}

// walkable gives a file that holds something for every view, and one that is hostile.
func walkable(t *testing.T) (file, hostile string) {
	t.Helper()
	dir := once(t, "walkable", func(dir string) error {
		const markup = "<img src=x onerror=alert(1)>"
		file, hostile := filepath.Join(dir, "run.duckdb"), filepath.Join(dir, "hostile.duckdb")
		prompts, query := filepath.Join(dir, "prompts.jsonl"), filepath.Join(dir, "hostile.sql")
		return errors.Join(os.Mkdir(dir, 0o700),
			command("ingest", "--model", "demo", "--head", "3.0,2.2", "-n", "24", "--logits", "--keys", "all", "--norms", "on",
				"--nearest", "6", "-o", file),
			command("ablate", file, "--model", "demo", "--component", "0.0,MLP0"),
			os.WriteFile(prompts, []byte(`{"text": "Our guests were Evan and Dylan. `+markup+` Dylan described the hat to Evan", "IO": "Evan", "S": "Dylan", "mood": "`+markup+`"}
{"text": "Our guests were Dylan and Evan. <script>alert(1)</script> Dylan described the hat to Evan", "IO": "Evan", "S": "Dylan", "mood": "calm"}
`), 0o600),
			command("ingest", "--model", "demo", "--head", "3.0", "--name", markup, "--prompts", prompts, "--keys", "all", "--logits", "-o", hostile),
			os.WriteFile(query, []byte("-- name: hostile\n-- title: "+markup+"\n-- description: "+markup+
				"\n-- chart: table\nSELECT '"+markup+"' AS \""+markup+"\", 1 AS n ORDER BY n\n"), 0o600),
			command("queries", "add", hostile, query))
	})
	return filepath.Join(dir, "run.duckdb"), filepath.Join(dir, "hostile.duckdb")
}

// walk walks through pages and compares them with the file.
func walk(t *testing.T, file, address string) (got walked) {
	t.Helper()
	figuretest.Browse(t, &got, "../queries/explorer/web/test/walk.cjs", address, "run", "hostile")
	for _, step := range got.Steps {
		t.Log(step)
	}
	if len(got.Errors) > 0 || len(got.Requests) > 0 || got.Dialogs > 0 || got.Markup > 0 {
		t.Errorf("console %q, requests elsewhere %q, %d dialogs, %d elements of the file; want none", got.Errors, got.Requests, got.Dialogs, got.Markup)
	}
	for link, same := range got.Restored {
		if !same {
			t.Errorf("the link %s shows another page than the way there", link)
		}
	}
	if len(got.Restored) == 0 || got.Compared != 3 || !strings.Contains(got.Cancelled, "cancelled") {
		t.Errorf("%d links restored, %d panels compared, %q of a query that is broken off", len(got.Restored), got.Compared, got.Cancelled)
	}

	s := opened(t, file)
	ask := func(sql string) [][]any {
		t.Helper()
		return answer(t, s, sql)
	}
	const cell = "FROM contribution_unsplit WHERE head = 'L3H0' AND side = 'key'"
	shown(t, "heatmap", got.Cells, ask("SELECT component, avg(diff) "+cell+" GROUP BY component"))
	shown(t, "heatmap of the prompts that are chosen", got.Narrowed,
		ask("SELECT component, avg(diff) "+cell+" AND example_id IN (SELECT example_id "+cell+" AND component = 'MLP0' AND diff >= 0) GROUP BY component"))
	behind := ask("SELECT example_id::VARCHAR, diff " + cell + " AND component = 'MLP0' ORDER BY abs(diff) DESC, example_id LIMIT 3")
	for i, row := range behind {
		if i >= len(got.Prompts) || got.Prompts[i][0] != row[0] {
			t.Fatalf("the prompts behind MLP0 are %v, want %v", got.Prompts, behind)
		}
		same(t, "prompt "+got.Prompts[i][0], got.Prompts[i][1], row[1])
	}
	first := fmt.Sprint(behind[0][0])
	shown(t, "parts of prompt "+first, got.Parts, ask("SELECT component, diff "+cell+" AND example_id = "+first))
	pairs := map[string]string{}
	for _, p := range got.Pairs {
		pairs[p[0]] = p[1]
	}
	shown(t, "pairs", pairs, ask("SELECT query_component || ' × ' || key_component, mean_diff FROM pair_mean WHERE head = 'L3H0' "+
		"AND key_component = 'MLP0' AND query_basis = 'none' AND key_basis = 'none'"))
	for i, row := range ask("SELECT text FROM token WHERE example_id = " + first + " ORDER BY pos") {
		if i >= len(got.Tokens) || got.Tokens[i] != row[0] {
			t.Errorf("token %d of %q is not %q", i, got.Tokens, row[0])
		}
	}
	near := ask("SELECT token || if(contains(token, chr(65533)), ' #' || token_id, ''), cosine FROM nearest_token AS n JOIN head AS h USING (run_id, head_id) WHERE label = 'L3H0' AND example_id = " + first +
		" AND vector = 'map' AND rank <= 5 ORDER BY side, rank")
	if len(near) != 10 || len(got.Near) != 2 {
		t.Fatalf("the nearest tokens are shown as %q, want %v", got.Near, near)
	}
	said := got.Near[0] + ", " + got.Near[1] // of the query, of the key
	for _, row := range near {
		token := row[0].(string)
		_, after, found := strings.Cut(said, token+" ")
		if !found {
			t.Fatalf("nearest tokens: %q is not in %q", token, said)
		}
		value, rest, _ := strings.Cut(after, " ")
		same(t, "cosine of "+token, strings.TrimRight(value, ",;"), row[1])
		said = rest
	}
	if !strings.Contains(got.About, "query") {
		t.Errorf("of the query's token it is said %q", got.About)
	}
	const own = "SELECT head, count(*) AS n, avg(diff) AS mean FROM head_score WHERE head = 'L3H0' GROUP BY head ORDER BY head"
	if want := must(t, "query", file, "--format", "csv", "-e", own); strings.TrimSpace(got.CSV) != strings.TrimSpace(want) {
		t.Errorf("as CSV the answer is %q, want %q", got.CSV, want)
	}
	if len(got.Answer) != 2 || got.Answer[1][0] != "L3H0" || got.Answer[1][1] != "24" {
		t.Errorf("the answer to %s is shown as %q", own, got.Answer)
	}
	return got
}

// shown compares names and values on a page with rows of a name and a value.
func shown(t *testing.T, what string, page map[string]string, rows [][]any) {
	t.Helper()
	if len(page) == 0 {
		t.Errorf("%s: nothing is shown", what)
	}
	values := map[string]any{}
	for _, row := range rows {
		values[row[0].(string)] = row[1]
	}
	for name, text := range page {
		text = strings.TrimPrefix(text, name+": ")
		text, _, _ = strings.Cut(text, " ")
		want, ok := values[name]
		if !ok {
			t.Errorf("%s: %s is shown, which the file does not have", what, name)
			continue
		}
		same(t, what+", "+name, text, want)
	}
}

// same compares a rounded number on a page with the file.
func same(t *testing.T, what, text string, want any) {
	t.Helper()
	got, err := strconv.ParseFloat(strings.ReplaceAll(text, "−", "-"), 64)
	value, ok := queries.Number(want)
	_, decimals, _ := strings.Cut(text, ".")
	if unit := math.Pow10(-len(decimals)); err != nil || !ok || math.Abs(got-value) > 0.5001*unit {
		t.Errorf("%s: %q is shown, want %v", what, text, want)
	}
}
