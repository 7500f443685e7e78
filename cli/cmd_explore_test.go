package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/queries"
	"ducklens/queries/figure/figuretest"
	"ducklens/queries/session"
)

// explore runs a command that serves pages until it is interrupted, requests one of them, and returns the
// address that it prints.
func explore(t *testing.T, dir, line string) (address string) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh to run the commands of documents with")
	}
	cmd := exec.CommandContext(t.Context(), sh, "-c", "exec "+line)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DISPLAY=", "WAYLAND_DISPLAY=")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("it prints no address: %v: %v\n%s", err, cmd.Wait(), errs.String())
	}
	address = strings.TrimSuffix(address, "\n")
	page, _, _ := strings.Cut(address, "#")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Error(err)
	} else if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", page, answer.Status, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil || errs.Len() > 0 {
		t.Errorf("interrupted, it ends with %v and says %q, want nothing", err, errs.String())
	}
	return address
}

// TestExploreOpen checks that a link from another reader opens its view, whichever part of the link is given.
func TestExploreOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	runCopy(t, filepath.Join(dir, "run.duckdb"), "--head", "3.0", "-n", "4")
	for link, want := range map[string]string{
		"": "", "/components?head=L3H0": "#/components?head=L3H0", "#/components?head=L3H0": "#/components?head=L3H0",
		"http://127.0.0.1:1/?token=1#/components?head=L3H0": "#/components?head=L3H0", "https://example.org/run/": "",
	} {
		address := explore(t, dir, "ducklens explore run.duckdb --open '"+link+"'")
		start, token, _ := strings.Cut(address, "/?token=")
		token, view, _ := strings.Cut(token, "#")
		if !strings.HasPrefix(start, "http://127.0.0.1:") || len(token) < 32 || view != strings.TrimPrefix(want, "#") {
			t.Errorf("--open %s: it prints %s, want an address of this machine with a token that ends with %q", link, address, want)
		}
	}
}

// TestExploreExport checks that duckdb-wasm in an exported folder gives the same answers to all saved queries
// as ducklens, up to rounding, because it is another version of DuckDB. It needs node, and
// @duckdb/duckdb-wasm in DUCKLENS_NODE_MODULES.
func TestExploreExport(t *testing.T) {
	t.Parallel()
	foreign := foreignClient(t)
	wasm := filepath.Join(os.Getenv("DUCKLENS_NODE_MODULES"), "@duckdb", "duckdb-wasm")
	if _, err := os.Stat(wasm); err != nil {
		t.Skipf("there is no @duckdb/duckdb-wasm in %s", os.Getenv("DUCKLENS_NODE_MODULES"))
	}
	dir := t.TempDir()
	prompts := filepath.Join(dir, "prompts.jsonl")
	if err := os.WriteFile(prompts, []byte(`{"text": "Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan", "IO": "Evan", "S": "Dylan", "mood": "a\"b' <i>"}
{"text": "Our guests were Dylan and Evan. After dinner, Dylan described the hat in detail to Evan", "IO": "Evan", "S": "Dylan", "mood": "calm", "~/odd name": 3}
`), 0o600); err != nil {
		t.Fatal(err)
	}
	file, site := filepath.Join(dir, "run.duckdb"), filepath.Join(dir, "site")
	if code, _, stderr := run(t.Context(), "ingest", "--model", "demo", "--head", "3.0", "--prompts", prompts, "--sources", "top:2", "--logits", "-o", file); code != cli.ExitOK {
		t.Fatal(stderr)
	}
	if code, _, stderr := run(t.Context(), "explore", file, "--export", site, "--wasm", wasm); code != cli.ExitOK {
		t.Fatal(stderr)
	}
	var found []struct {
		Query string
		Rows  [][]*string
	}
	// The user's own fields, which the folder's DuckDB reads without JSON.
	own := []string{"SELECT * FROM example_field ORDER BY ALL"}
	for _, only := range []string{`mood=a"b'' <i>`, "mood=calm", "~/odd name=3", "mood=none"} {
		own = append(own, "SELECT example_id FROM examples_where(latest_run(), '"+only+"') ORDER BY ALL")
	}
	output := foreign(append([]string{"testdata/wasm.cjs", site}, own...)...)
	if err := json.Unmarshal(output, &found); err != nil {
		t.Fatalf("%v\n%.1000s", err, output)
	}
	s, err := session.Open(t.Context(), file, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	answered := 0
	for _, f := range found {
		q, err := queries.Find(queries.Embedded(), f.Query)
		if slices.Contains(own, f.Query) {
			q, err = queries.AdHoc(f.Query)
		}
		if err != nil {
			t.Fatal(err)
		}
		q.SQL = "SELECT COLUMNS(*)::VARCHAR FROM (\n" + strings.TrimRight(q.SQL, "; \n") + "\n)"
		want, err := s.Run(t.Context(), q, nil)
		if err != nil {
			t.Errorf("%s: %v", f.Query, err)
			continue
		}
		if len(f.Rows) != len(want.Rows) {
			t.Errorf("%s: %d rows, want %d", f.Query, len(f.Rows), len(want.Rows))
			continue
		}
		if len(f.Rows) > 0 {
			answered++
		}
		for i, row := range f.Rows {
			for j, got := range row {
				if !alike(got, want.Rows[i][j]) {
					t.Fatalf("%s: row %d: %s is %v, want %v", f.Query, i, want.Columns[j].Name, deref(got), want.Rows[i][j])
				}
			}
		}
	}
	t.Logf("%d queries, %d with rows", len(found), answered)
	if want := len(queries.Embedded()) + len(own); len(found) != want || answered < 25 {
		t.Errorf("%d queries were asked and %d have rows, want %d and at least 25", len(found), answered, want)
	}
	if code, _, stderr := run(t.Context(), "explore", file, "--export", site, "--wasm", wasm); code != cli.ExitFailed || !strings.Contains(stderr, "exists") {
		t.Errorf("over a folder that is there: exit code %d, %s", code, stderr)
	}
	other := filepath.Join(dir, "wasm")
	if err := os.MkdirAll(filepath.Join(other, "dist"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"duckdb-eh.wasm", "duckdb-browser-eh.worker.js"} {
		if err := os.WriteFile(filepath.Join(other, "dist", name), []byte("another"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, wasm := range []string{other, filepath.Join(dir, "nowhere")} {
		next := filepath.Join(dir, "next")
		code, _, stderr := run(t.Context(), "explore", file, "--export", next, "--wasm", wasm)
		if _, err := os.Stat(next); code != cli.ExitFailed || !strings.Contains(stderr, "npm pack") || err == nil {
			t.Errorf("with %s: exit code %d, %s", wasm, code, stderr)
		}
	}
}

// alike reports whether texts of two versions of DuckDB are the same, with numbers up to rounding.
func alike(got *string, want any) bool {
	text, is := want.(string)
	if got == nil || !is {
		return got == nil && want == nil
	}
	x, err := strconv.ParseFloat(*got, 64)
	y, yerr := strconv.ParseFloat(text, 64)
	if err != nil || yerr != nil {
		return *got == text
	}
	return math.Abs(x-y) <= 1e-6*max(1, math.Abs(y))
}

func deref(s *string) string {
	if s == nil {
		return "NULL"
	}
	return *s
}

// TestExplorePictures checks that the pictures in docs/explore.md exist and are small. -update takes them
// again, with the demo's file.
func TestExplorePictures(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/explore.md")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		dir := t.TempDir()
		if code, _, stderr := run(t.Context(), "demo", "--dir", dir); code != cli.ExitOK {
			t.Fatal(stderr)
		}
		var titles []string
		figuretest.Browse(t, &titles, "testdata/screenshots.cjs", serve(t, filepath.Join(dir, "demo.duckdb")), "../docs",
			"components", "components?", "cell", "cell?component=MLP0", "prompt", "prompt?component=MLP0&example=103", "pairs", "pairs?", "directions", "directions?",
			"nearest", "directions?@section[aria-label='Nearest unembeddings']",
			"compare", "compare?only=prompt_order%3DABBA&only2=prompt_order%3DBABA", "dark-sql", "sql?q="+url.QueryEscape("SELECT component, mean_diff, se_diff, n\nFROM heatmap(side := $side)\nORDER BY abs(mean_diff) DESC\nLIMIT 8")+"&p.side=query")
		t.Logf("%q", titles)
	}
	pictures := regexp.MustCompile(`\]\((explore-[a-z-]+\.png)\)`).FindAllSubmatch(text, -1)
	if len(pictures) < 5 {
		t.Errorf("%d pictures, want one of each view", len(pictures))
	}
	for _, p := range pictures {
		info, err := os.Stat(filepath.Join("../docs", string(p[1])))
		if err != nil {
			t.Error(err)
		} else if info.Size() > 100_000 {
			t.Errorf("%s has %d bytes, want at most 100,000", p[1], info.Size())
		}
	}
}
