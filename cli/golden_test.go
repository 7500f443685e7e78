package cli_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/queries"
)

// TestGoldenFigures draws every shipped query that has a figure, on the demo's file and its first head, and
// compares with testdata/figures, text by text and picture by picture. Other answers are compared as text.
// With -update it rewrites the files.
func TestGoldenFigures(t *testing.T) {
	t.Parallel()
	const folder, about = "testdata/figures", "README.md"
	dir := t.TempDir()
	file := filepath.Join(dir, "demo.duckdb")
	copyTree(t, filepath.Join(demoFolder(t), "demo.duckdb"), file)
	do := func(args ...string) string {
		t.Helper()
		code, stdout, stderr := run(t.Context(), args...)
		if code != 0 {
			t.Fatalf("%q: exit code %d: %s%s", args, code, stdout, stderr)
		}
		return stdout
	}
	do("ablate", file, "--model", "demo", "--component", "all")
	head := do("query", file, "-e", "SELECT head FROM head_score GROUP BY head ORDER BY avg(prob) DESC, head LIMIT 1", "--format", "csv")
	head = "head=" + strings.TrimSpace(strings.TrimPrefix(head, "head\n"))

	rows := filepath.Join(dir, "rows.duckdb") // with contributions to every key, which the demo does not store
	do("ingest", "--model", "demo", "--head", strings.TrimPrefix(head, "head="), "--keys", "all", "-n", "30", "-o", rows)

	drawings := filepath.Join(dir, "figures")
	do("figures", "build", file, "--dir", drawings, "--set", head, "--width", "6.75", "--dpi", "72")
	got := map[string][]byte{}
	others := ranForFigures(t, dir, do)
	for _, q := range queries.Embedded() {
		if q.Name == "closure" || q.Name == "direct_logit" || q.Name == "head_measures" {
			continue // the numbers of the first are rounding alone; the demo stores no logits for the second, and no texts for the third
		}
		if other, ok := others[q.Name]; ok {
			for _, ending := range []string{".svg", ".png"} {
				path := filepath.Join(drawings, q.Name+ending)
				args := []string{"plot", other, q.Name, "-o", path, "--width", "6.75"}
				if ending == ".png" {
					args = append(args, "--dpi", "72")
				}
				do(args...)
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				got[q.Name+ending] = bare(t, ending, content)
			}
			continue
		}
		if q.Chart.Mark == queries.Table || q.Chart.Mark == queries.Scalar {
			args := []string{"query", file, q.Name}
			if slices.ContainsFunc(q.Params, func(p queries.Param) bool { return p.Name == "head" }) {
				args = append(args, "--set", head)
			}
			got[q.Name+".txt"] = []byte(do(args...))
			continue
		}
		if strings.HasPrefix(q.Name, "row_") {
			do("plot", rows, q.Name, "--width", "6.75", "-o", filepath.Join(drawings, q.Name+".svg"))
			do("plot", rows, q.Name, "--width", "6.75", "--dpi", "72", "-o", filepath.Join(drawings, q.Name+".png"))
		}
		for _, ending := range []string{".svg", ".png"} {
			content, err := os.ReadFile(filepath.Join(drawings, q.Name+ending))
			if err != nil {
				t.Fatal(err)
			}
			got[q.Name+ending] = bare(t, ending, content)
		}
	}
	// What heads do on texts: sentences of the kind that the model has learnt, twice each.
	measured := filepath.Join(dir, "texts.duckdb")
	do("ingest", "--model", "demo", "--head", "all", "--text", "testdata/texts.txt", "-o", measured)
	for _, ending := range []string{".svg", ".png"} {
		path := filepath.Join(dir, "head_measures"+ending)
		args := []string{"plot", measured, "head_measures", "-o", path, "--width", "6.75"}
		if ending == ".png" {
			args = append(args, "--dpi", "72")
		}
		do(args...)
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		got["head_measures"+ending] = bare(t, ending, content)
	}
	if *update {
		stale, err := filepath.Glob(filepath.Join(folder, "*.*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range stale {
			if filepath.Base(path) != about {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
			}
		}
		for name, content := range got {
			if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if got[e.Name()] == nil && e.Name() != about {
			t.Errorf("%s: no shipped query gives it (make golden)", filepath.Join(folder, e.Name()))
		}
	}
	for name, content := range got {
		want, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Errorf("%v (make golden, then look at it)", err)
			continue
		}
		change := ""
		if filepath.Ext(name) == ".png" {
			if change, err = cli.ComparePNG(want, content); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		} else {
			change = compareDrawings(string(want), string(content))
		}
		if change != "" {
			t.Errorf("%s: %s (make golden, then look at it)", filepath.Join(folder, name), change)
		}
	}
}

// ranForFigures makes files for the queries that the demo's file cannot answer, by name of the query:
// sources, and edges to the first token, which head 2.1 attends to from the first occurrence of a name.
func ranForFigures(t *testing.T, dir string, do func(args ...string) string) map[string]string {
	t.Helper()
	sources, sinks := filepath.Join(dir, "sources.duckdb"), filepath.Join(dir, "sinks.duckdb")
	do("ingest", "--model", "demo", "--head", "3.0", "-n", "60", "--sources", "top:4", "-o", sources)
	do("ingest", "--model", "demo", "--head", "2.1", "--query-basis", "none", "--key-basis", "none", "--prompts", "testdata/first_token.jsonl", "-o", sinks)
	return map[string]string{"component_sources": sources, "example_sources": sources, "sink_components": sinks}
}

var (
	facts = regexp.MustCompile(`(?s)<metadata>.*?</metadata>\n?`)
	font  = regexp.MustCompile(`data:font/[a-z0-9]+;base64,[A-Za-z0-9+/=]+`)
)

// bare removes from a figure what differs between builds, or is large and tested in package figure: metadata,
// and fonts, which are replaced by a hash.
func bare(t *testing.T, ending string, figure []byte) []byte {
	t.Helper()
	if ending == ".svg" {
		figure = facts.ReplaceAll(figure, nil)
		return font.ReplaceAllFunc(figure, func(data []byte) []byte { return fmt.Appendf(nil, "font:%x", sha256.Sum256(data)) })
	}
	if !*update {
		return figure // compared by its pixels
	}
	picture, err := png.Decode(bytes.NewReader(figure))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, picture); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// On another processor, about a millionth of the numbers in the file have other last bits. That can round a
// printed number to its neighbour: a coordinate in hundredths of a point, a value with five digits, a channel
// of a colour. A real change moves more.
const (
	nearRelative = 2e-4  // of a value
	nearZero     = 2e-6  // of a value that is left of the difference of two scores
	nearPoints   = 0.011 // of a number with two decimals, or one
	nearChannel  = 1
)

var measured = regexp.MustCompile(`data:image/png;base64,[A-Za-z0-9+/=]+|#[0-9a-f]{6}\b|\d+(?:\.\d+)?(?:e[-+]?\d+)?`)

// compareDrawings says where two texts differ by more than rounding, or returns "".
func compareDrawings(want, got string) string {
	if want == got {
		return ""
	}
	a, b := measured.FindAllStringIndex(want, -1), measured.FindAllStringIndex(got, -1)
	i, j := 0, 0
	for k := range min(len(a), len(b)) {
		before, after := want[i:a[k][0]], got[j:b[k][0]]
		x, y := want[a[k][0]:a[k][1]], got[b[k][0]:b[k][1]]
		if before != after || !near(x, y) {
			line := 1 + strings.Count(want[:a[k][0]], "\n")
			return fmt.Sprintf("line %d: %.80q, was %.80q", line, after+y, before+x)
		}
		i, j = a[k][1], b[k][1]
	}
	if len(a) != len(b) || want[i:] != got[j:] {
		return fmt.Sprintf("%d numbers, was %d", len(b), len(a))
	}
	return ""
}

// near reports whether two numbers, colours or pictures are the same up to rounding.
func near(x, y string) bool {
	const picture = "data:image/png;base64,"
	switch {
	case x == y:
		return true
	case strings.HasPrefix(x, picture) && strings.HasPrefix(y, picture):
		a, errA := base64.StdEncoding.DecodeString(x[len(picture):])
		b, errB := base64.StdEncoding.DecodeString(y[len(picture):])
		change, err := cli.ComparePNG(a, b)
		return errA == nil && errB == nil && err == nil && change == ""
	case x[0] == '#' && y[0] == '#':
		for c := 1; c < 7; c += 2 {
			p, _ := strconv.ParseInt(x[c:c+2], 16, 0)
			q, _ := strconv.ParseInt(y[c:c+2], 16, 0)
			if max(p-q, q-p) > nearChannel {
				return false
			}
		}
		return true
	}
	p, errP := strconv.ParseFloat(x, 64)
	q, errQ := strconv.ParseFloat(y, 64)
	tolerance := max(nearZero, nearRelative*math.Abs(p))
	if _, decimals, found := strings.Cut(x, "."); found && len(decimals) <= 2 {
		tolerance = max(tolerance, nearPoints)
	}
	return errP == nil && errQ == nil && math.Abs(p-q) <= tolerance
}

func TestCompareDrawings(t *testing.T) {
	t.Parallel()
	const drawing = `<rect x="12.34" fill="#0a0b0c"/><title>MLP0: 0.12345 ± 0.01 (n = 200)</title>`
	for _, c := range []struct {
		from, to string
		same     bool
	}{
		{"12.34", "12.34", true}, {"12.34", "12.35", true}, {"0.12345", "0.12346", true}, {"0b", "0c", true}, {"0.12345", "0.123450e+00", true},
		{"12.34", "12.37", false}, {"0.12345", "0.12355", false}, {"0.12345", "0.12345e-1", false}, {"0b", "0d", false}, {"200", "201", false}, {"MLP0", "MLP1", false}, {"rect", "path", false}, {`"/>`, `" y="1"/>`, false},
	} {
		change := compareDrawings(drawing, strings.Replace(drawing, c.from, c.to, 1))
		if (change == "") != c.same {
			t.Errorf("%s for %s: %q", c.to, c.from, change)
		}
	}
}
