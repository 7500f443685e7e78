package cli_test

import (
	"bytes"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ducklens/cli"
	"ducklens/schema/dbfile"
	"ducklens/schema/draft"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

var killSeed = flag.Uint64("kill-seed", 0, "seed of the moments at which ingests are killed; 0 takes one from the clock")

// TestKilledIngest kills ingests, and resumed ones, at random moments. After each kill the file must open,
// contain only complete batches, and pass verify. When a run completes, its tables must be those of a run
// that was never killed.
func TestKilledIngest(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill-seed %d", seed)
	dir := t.TempDir()
	model, corpus := demoModel(t), filepath.Join(dir, "corpus.txt")
	text, err := os.ReadFile(filepath.Join("testdata", "texts.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(corpus, bytes.Repeat(text, 8), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name                  string
		prompts, batch, kills int
		flags                 []string
	}{
		{"given edges", 60, 4, min(*kills/2, 40), []string{"--head", "3.1,2.0", "-n", "60"}},
		{"rows of texts", 24, 2, min(*kills/4, 16), []string{"--head", "3.1", "--text", corpus, "--edges", "top:1", "--max-edges", "6", "--keys", "all"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"ingest", "--model", model, "--batch", fmt.Sprint(c.batch), "--threads", "1"}, c.flags...)
			killIngests(t, rand.New(rand.NewPCG(seed, 0)), append(args, "-o"), c.prompts, c.batch, c.kills)
		})
	}
}

// killIngests kills an ingest of the given number of prompts, kills times. args is its command line without
// the file.
func killIngests(t *testing.T, random *rand.Rand, args []string, prompts, batch, kills int) {
	t.Helper()
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole.duckdb")
	start := time.Now()
	if out, err := exec.CommandContext(t.Context(), "ducklens", append(args, whole)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	duration := time.Since(start)
	want := tablesDigest(t, whole)
	same := func(file string) {
		t.Helper()
		if tablesDigest(t, file) != want {
			compareTables(t, storedTables(t, file), storedTables(t, whole))
			t.Errorf("%s differs from an uninterrupted run", file)
		}
	}

	var before, empty, within, finished, compared int
	file := ""
	for n := 0; n < kills; {
		if file == "" {
			file = filepath.Join(dir, fmt.Sprintf("killed%d.duckdb", compared))
		}
		call := append(slices.Clone(args), file)
		if _, err := os.Stat(file); err == nil {
			call = append(call, "--resume")
		}
		moment := time.Duration(random.Int64N(int64(duration)))
		if !killAfter(t, moment, call) {
			// It ended before the kill.
			compared++
			same(file)
			file = ""
			continue
		}
		n++
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			before++
			continue
		}
		switch status, stored := killedFile(t, file, batch, prompts); {
		case status == "":
			empty++
		case status == "complete":
			finished++
			compared++
			same(file)
			file = ""
		default:
			within++
			t.Logf("kill %d after %v: %d prompts", n, moment.Round(time.Millisecond), stored)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if file != "" {
		// Resume the last one until it completes.
		call := append(slices.Clone(args), file)
		if _, err := os.Stat(file); err == nil {
			call = append(call, "--resume")
		}
		if code, _, stderr := run(t.Context(), call...); code != cli.ExitOK {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		compared++
		same(file)
	}
	t.Logf("%d kills in runs of %v: %d before there was a file, %d before the first batch, %d between batches, %d after the last; %d files compared with an uninterrupted run",
		kills, duration.Round(time.Millisecond), before, empty, within, finished, compared)
	if kills > 10 && within < kills/8 {
		t.Errorf("only %d of %d kills fell between the first and the last batch", within, kills)
	}
}

// killAfter starts ducklens and kills it after a while. It returns false if the process had already
// succeeded.
func killAfter(t *testing.T, moment time.Duration, args []string) bool {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ducklens", args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(moment, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	if err == nil {
		return false
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return true
}

// killedFile checks the file of a killed process, and returns the status of its run ("" if there is none) and
// its number of prompts.
func killedFile(t *testing.T, path string, batch, total int) (status string, prompts int) {
	t.Helper()
	db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1}, "run", "prompt")
	if err != nil {
		t.Fatalf("the file of a killed process: %v", err)
	}
	defer db.Close()
	err = db.SQL().QueryRowContext(t.Context(), "SELECT status::VARCHAR, (SELECT count(*) FROM prompt) FROM run").Scan(&status, &prompts)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	if prompts%batch != 0 && prompts != total || status != "" && prompts == 0 {
		t.Errorf("%d prompts in a %q run, want whole batches of %d", prompts, status, batch)
	}
	// If the log ends within a transaction, DuckDB shows a reader row groups of it, which refer to no prompt.
	// They are gone once the file has been opened for writing.
	report, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
	if err == nil && db.HasLog() && slices.ContainsFunc(report.Problems, isOrphan) {
		copied := filepath.Join(t.TempDir(), "settled.duckdb")
		for _, ending := range append(draft.Logs(), "") {
			if data, err := os.ReadFile(path + ending); err == nil {
				if err := os.WriteFile(copied+ending, data, 0o666); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err = dbfile.Settle(t.Context(), copied, dbfile.Options{}); err == nil {
			report, err = verify.File(t.Context(), copied, dbfile.Options{Threads: 1})
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		if p.Kind != verify.Unfinished {
			t.Errorf("the file of a killed process: %v", p)
		}
	}
	return status, prompts
}

func isOrphan(p verify.Problem) bool { return p.Kind == verify.Orphan }

// storedTables reads every table of a file as text, without the time and command of the run.
func storedTables(t *testing.T, path string) map[string][]string {
	t.Helper()
	names := storedNames(t)
	db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1}, names...)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string][]string{}
	for _, name := range names {
		all[name] = schematest.Texts(t, db.SQL(), "SELECT t::VARCHAR AS r FROM ("+storedRows(name)+") AS t ORDER BY r")
	}
	return all
}

// storedNames lists the tables of a file.
func storedNames(t *testing.T) (names []string) {
	t.Helper()
	tables, err := dbfile.Tables()
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		names = append(names, table.Name)
	}
	return names
}

// storedRows selects the rows of a table, but for when its run began and by which command.
func storedRows(table string) string {
	if table == "run" {
		return "SELECT * EXCLUDE (created_at, command_line) FROM run"
	}
	return "SELECT * FROM " + table
}

// compareTables compares tables row by row.
func compareTables(t *testing.T, got, want map[string][]string) {
	t.Helper()
	for name := range want {
		if len(got[name]) != len(want[name]) {
			t.Errorf("table %s has %d rows, want the %d of an uninterrupted run", name, len(got[name]), len(want[name]))
			continue
		}
		for i := range want[name] {
			if got[name][i] != want[name][i] {
				t.Errorf("row %d of table %s is %s, of an uninterrupted run %s", i, name, got[name][i], want[name][i])
				break
			}
		}
	}
}
