package cli_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/queries"
	"ducklens/schema/dbfile"
)

// shardedRun computes a run in one piece and in shards, and returns the file and those of the shards.
func shardedRun(t *testing.T, shards int, args ...string) (whole string, parts []string) {
	t.Helper()
	dir := t.TempDir()
	args = append(slices.Clone(args), "--threads", "1")
	whole = runFile(t, args...)
	args = append([]string{"ingest", "--model", demoModel(t)}, args...)
	for i := range shards {
		succeed(t, append(slices.Clone(args), "-o", filepath.Join(dir, "run.duckdb"), "--shard", fmt.Sprintf("%d/%d", i, shards))...)
		parts = append(parts, filepath.Join(dir, fmt.Sprintf("run.%dof%d.duckdb", i, shards)))
	}
	return whole, parts
}

// succeed runs a command that must succeed, and returns its messages.
func succeed(t *testing.T, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr := run(t.Context(), args...)
	if code != cli.ExitOK {
		t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), code, stderr)
	}
	return stdout, stderr
}

// sameRun compares the tables of two files bit for bit, except the table of means, which are combined from
// shards and agree up to rounding.
func sameRun(t *testing.T, got, want string) {
	t.Helper()
	const means = "pair_mean_wide"
	a, b := storedTables(t, got), storedTables(t, want)
	if len(a[means]) != len(b[means]) {
		t.Errorf("%d means of pairs, want %d", len(a[means]), len(b[means]))
	}
	delete(a, means)
	delete(b, means)
	compareTables(t, a, b)
	far, n := meansApart(t, got, want)
	t.Logf("%d means of pairs, the farthest %.1e from that of the whole run, of the largest", n, far)
	if far > meansTolerance {
		t.Errorf("means of pairs are %g apart, want at most %g", far, meansTolerance)
	}
}

// meansTolerance is the allowed difference between means of pairs combined from shards and those of the whole
// run, relative to the larger of the mean and its standard error: several roundings to float32.
const meansTolerance = 1e-6

// meansApart compares the means of pairs of two files.
func meansApart(t *testing.T, got, want string) (far float64, n int) {
	t.Helper()
	read := func(path string) map[string][]float64 {
		db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1}, "pair_mean_wide")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.SQL().QueryContext(t.Context(), `SELECT concat_ws(' ', head_id, query_component_id, key_component_id, query_basis_id, key_basis_id, n, n_baseline),
			mean_score_par_par, mean_score_perp_perp, coalesce(mean_diff_par_perp, 0), coalesce(mean_diff_perp_perp, 0),
			se_score_par_par, se_score_perp_perp, coalesce(se_diff_par_perp, 0), coalesce(se_diff_perp_perp, 0) FROM pair_mean_wide`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		all := map[string][]float64{}
		for rows.Next() {
			var key string
			values := make([]float64, 8)
			if err := rows.Scan(&key, &values[0], &values[1], &values[2], &values[3], &values[4], &values[5], &values[6], &values[7]); err != nil {
				t.Fatal(err)
			}
			all[key] = values
		}
		return all
	}
	a, b := read(got), read(want)
	for key, values := range b {
		if len(a[key]) == 0 {
			t.Fatalf("no means of %s", key)
		}
		n++
		for i := range 4 {
			scale := max(abs(values[i]), abs(values[i+4]))
			for _, j := range []int{i, i + 4} {
				if d := abs(a[key][j] - values[j]); d > 0 {
					far = max(far, d/scale)
				}
			}
		}
	}
	return far, n
}

func abs(x float64) float64 { return max(x, -x) }

// TestMergeShards checks that merged shards are the run computed in one piece, both if every prompt has one
// edge and if rules choose edges.
func TestMergeShards(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"given":  {"--head", "3.1,2.0", "-n", "7", "--sources", "top:1", "--null", "1"},
		"chosen": {"--head", "3.1", "-n", "7", "--edges", "top:1,previous", "--factors", "on"},
		"means":  {"--head", "3.1", "-n", "7", "--keep", "means", "--by", "prompt_order"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			whole, shards := shardedRun(t, 3, args...)
			slices.Reverse(shards)
			merged := filepath.Join(t.TempDir(), "merged.duckdb")
			succeed(t, append([]string{"merge", "-o", merged}, append(shards, shards[0])...)...)
			sameRun(t, merged, whole)
			if name == "given" { // which has all that others have
				succeed(t, "verify", merged)
			}
			code, _, stderr := run(t.Context(), "merge", "-o", filepath.Join(t.TempDir(), "x.duckdb"), shards[1])
			if code != cli.ExitFailed || !strings.Contains(stderr, "shards 0, 2 of 3 are missing") {
				t.Errorf("exit code %d: %s", code, stderr)
			}
		})
	}
}

// catalogueOf computes a run in shards of a data set and gathers it. The catalogue is beside the data set.
func catalogueOf(t *testing.T, shards int, args ...string) (whole, catalogue string) {
	t.Helper()
	dir := t.TempDir()
	args = append(slices.Clone(args), "--threads", "1")
	whole, catalogue = runFile(t, args...), filepath.Join(dir, "catalogue.duckdb")
	args = append([]string{"ingest", "--model", demoModel(t)}, args...)
	for i := range shards {
		succeed(t, append(slices.Clone(args), "--parquet", filepath.Join(dir, "runs"), "--shard", fmt.Sprintf("%d/%d", i, shards))...)
	}
	succeed(t, "gather", filepath.Join(dir, "runs"), "-o", catalogue)
	return whole, catalogue
}

// TestCatalogue: a catalogue of a dozen shards, whose numbers are not in the order of their names, answers
// every shipped question with the numbers of the run in one file. make soak gathers more shards.
func TestCatalogue(t *testing.T) {
	t.Parallel()
	whole, catalogue := catalogueOf(t, 12, "--head", "3.1,2.0", "-n", "13", "--logits", "--null", "1", "--sources", "top:1", "--keys", "all")
	sameAnswers(t, whole, catalogue)
}

// TestCatalogueChosen does the same for a run whose edges are chosen by rules.
func TestCatalogueChosen(t *testing.T) {
	t.Parallel()
	whole, catalogue := catalogueOf(t, 3, "--head", "3.1", "-n", "7", "--edges", "top:1,previous", "--factors", "on")
	sameAnswers(t, whole, catalogue)
}

// momentsHash hashes the moments of a file, independent of their order.
const momentsHash = "SELECT count(*) AS n, bit_xor(hash(t::VARCHAR)) AS h FROM (SELECT * FROM contribution_moment) AS t"

// TestCatalogueMeans does the same for a run that keeps only means.
func TestCatalogueMeans(t *testing.T) {
	t.Parallel()
	whole, catalogue := catalogueOf(t, 3, "--head", "3.1", "-n", "7", "--keep", "means", "--by", "prompt_order")
	sameAnswers(t, whole, catalogue)
	want, _ := succeed(t, "query", whole, "-e", momentsHash, "--format", "csv")
	if got, _ := succeed(t, "query", catalogue, "-e", momentsHash, "--format", "csv"); got != want || strings.Contains(got, "\n0,") {
		t.Errorf("moments of the catalogue %s, want %s", got, want)
	}
}

// answersTolerance is the allowed difference between numbers of a catalogue and of the file, relative to the
// largest in their column: sums are added in the order of rows in Parquet files, and means of pairs are
// combined.
const answersTolerance = 1e-6

// sameAnswers runs every shipped query on a file and on a catalogue of the same run.
func sameAnswers(t *testing.T, whole, catalogue string) {
	t.Helper()
	succeed(t, "verify", catalogue)
	file, files := opened(t, whole), opened(t, catalogue)
	answered := 0
	for _, q := range append(queries.Embedded(), queries.Fingerprint()) {
		want, err := file.Run(t.Context(), q, nil)
		got, gotErr := files.Run(t.Context(), q, nil)
		if fmt.Sprint(err) != fmt.Sprint(gotErr) {
			t.Errorf("%s: %v, of the file %v", q.Name, gotErr, err)
		}
		if err != nil || gotErr != nil {
			continue
		}
		if len(want.Rows) > 0 {
			answered++
		}
		exact := q.Name == queries.Fingerprint().Name
		if diff := answersApart(want, got, exact); diff != "" {
			t.Errorf("%s: %s", q.Name, diff)
		}
	}
	t.Logf("%d questions with rows agree", answered)
	if answered < 5 {
		t.Errorf("only %d questions have an answer with rows", answered)
	}
}

// answersApart says how two answers differ, or returns "".
func answersApart(want, got *queries.Result, exact bool) string {
	if len(want.Rows) != len(got.Rows) {
		return fmt.Sprintf("%d rows, want %d", len(got.Rows), len(want.Rows))
	}
	for c := range want.Columns {
		largest := 0.0
		for _, row := range want.Rows {
			if x, ok := queries.Number(row[c]); ok {
				largest = max(largest, abs(x))
			}
		}
		for r := range want.Rows {
			a, b := want.Rows[r][c], got.Rows[r][c]
			x, isNumber := queries.Number(a)
			y, both := queries.Number(b)
			if isNumber && both && !exact && abs(x-y) <= answersTolerance*largest {
				continue
			}
			if queries.String(a) != queries.String(b) {
				return fmt.Sprintf("row %d, %s is %s, want %s", r, want.Columns[c].Name, queries.String(b), queries.String(a))
			}
		}
	}
	return ""
}

// TestGatherAmongRuns checks that no catalogue silently lacks a run that misses a shard, that --run leaves
// such a run out, and that a run and a shard can be removed as the help of gather says.
func TestGatherAmongRuns(t *testing.T) {
	t.Parallel()
	runs, catalogue := filepath.Join(t.TempDir(), "runs"), filepath.Join(t.TempDir(), "catalogue.duckdb")
	shard := func(head, shard string) {
		succeed(t, "ingest", "--model", demoModel(t), "--head", head, "-n", "2", "--factors", "off", "--shard", shard, "--parquet", runs)
	}
	key := func(pattern string) string {
		found, err := filepath.Glob(filepath.Join(runs, "ducklens", pattern))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		name, _, _ := strings.Cut(filepath.Base(found[0]), ".")
		return name
	}
	remove := func(pattern string) {
		found, err := filepath.Glob(filepath.Join(runs, pattern))
		if err != nil || len(found) == 0 {
			t.Fatal(pattern, found, err)
		}
		for _, path := range found {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
	}
	gather := func(want string, args ...string) {
		t.Helper()
		code, _, stderr := run(t.Context(), append([]string{"gather", runs, "-o", catalogue, "--force"}, args...)...)
		if !strings.Contains(stderr, want) || (code == cli.ExitOK) == strings.HasPrefix(want, "the shards do not") {
			t.Errorf("gather %v: exit code %d: %s, want %q", args, code, stderr, want)
		}
	}
	shard("1.0", "1/2")
	stray := key("*.1of2.json")
	shard("1.1", "0/2")
	wanted := key("*.0of2.json")
	gather("the shards do not make one run")
	shard("1.1", "1/2")
	gather("the shards do not make one run: of the run " + stray + ", shard 0 of 2 is missing")
	gather("run 1 of 2 shards: 2 prompts", "--run", wanted[:8])
	remove("*/run=" + stray)
	remove("*/" + stray + "*")
	gather("run 1 of 2 shards: 2 prompts")
	filepath.WalkDir(runs, func(path string, e fs.DirEntry, err error) error {
		if strings.HasPrefix(filepath.Base(path), wanted+".1of2.") {
			return os.Remove(path)
		}
		return err
	})
	gather("the shards do not make one run: of the run " + wanted + ", shard 1 of 2 is missing")
	shard("1.1", "1/2")
	gather("run 1 of 2 shards: 2 prompts")
	succeed(t, "verify", catalogue, "--data", runs)
}
