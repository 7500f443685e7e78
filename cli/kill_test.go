package cli_test

import (
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
	"ducklens/cli/demo"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

var killSeed = flag.Uint64("kill-seed", 0, "seed of the moments at which ingests are killed; 0 takes one from the clock")

// TestKilledIngest kills ingests, and the resumptions of killed ingests, at random moments. After each kill the file must open,
// hold whole batches only and verify; when a run gets through, its tables must be those of one that was never killed.
func TestKilledIngest(t *testing.T) {
	const prompts, batch = 60, 4
	kills := 40
	if testing.Short() {
		kills = 4
	}
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	if err := demo.Extract(model); err != nil {
		t.Fatal(err)
	}
	args := []string{"ingest", "--model", model, "--head", "3.1,2.0", "-n", fmt.Sprint(prompts), "--batch", fmt.Sprint(batch), "--threads", "1", "-o"}
	whole := filepath.Join(dir, "whole.duckdb")
	start := time.Now()
	if out, err := exec.CommandContext(t.Context(), "ducklens", append(args, whole)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	duration := time.Since(start)
	want := storedTables(t, whole)

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
			// It was faster than the kill.
			compared++
			compareTables(t, storedTables(t, file), want)
			file = ""
			continue
		}
		n++
		if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
			before++
			continue
		}
		switch status, examples := killedFile(t, file, batch, prompts); {
		case status == "":
			empty++
		case status == "complete":
			finished++
			compared++
			compareTables(t, storedTables(t, file), want)
			file = ""
		default:
			within++
			t.Logf("kill %d after %v: %d examples", n, moment.Round(time.Millisecond), examples)
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if file != "" {
		// The last one is resumed to its end.
		call := append(slices.Clone(args), file)
		if _, err := os.Stat(file); err == nil {
			call = append(call, "--resume")
		}
		if code, _, stderr := run(t.Context(), call...); code != cli.ExitOK {
			t.Fatalf("exit code %d\n%s", code, stderr)
		}
		compared++
		compareTables(t, storedTables(t, file), want)
	}
	t.Logf("%d kills in runs of %v: %d before there was a file, %d before the first batch, %d between batches, %d after the last; %d files compared with an uninterrupted run",
		kills, duration.Round(time.Millisecond), before, empty, within, finished, compared)
	if !testing.Short() && within < kills/8 {
		t.Errorf("only %d of %d kills fell between the first and the last batch", within, kills)
	}
}

// killAfter starts ducklens and kills it after a while; false if it had ended, and well, before.
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

// killedFile checks the file of a process that was killed, and gives the status of its run ("" without one) and its examples.
func killedFile(t *testing.T, path string, batch, total int) (status string, examples int) {
	t.Helper()
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatalf("the file of a killed process: %v", err)
	}
	defer db.Close()
	err = db.SQL().QueryRowContext(t.Context(), "SELECT status::VARCHAR, (SELECT count(*) FROM example) FROM run").Scan(&status, &examples)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		t.Fatal(err)
	}
	if examples%batch != 0 && examples != total || status != "" && examples == 0 {
		t.Errorf("%d examples in a %q run, want whole batches of %d", examples, status, batch)
	}
	report, err := verify.File(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Problems {
		if p.Kind != verify.Unfinished {
			t.Errorf("the file of a killed process: %v", p)
		}
	}
	return status, examples
}

// storedTables reads every table of a file as text, but for when its run began and by which command.
func storedTables(t *testing.T, path string) map[string][]string {
	t.Helper()
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	names := schematest.Texts(t, db.SQL(), "SELECT table_name FROM duckdb_tables() WHERE database_name = 'data' ORDER BY table_name")
	if len(names) < 15 {
		t.Fatalf("%d tables, want all", len(names))
	}
	all := map[string][]string{}
	for _, name := range names {
		columns := "*"
		if name == "run" {
			columns = "* EXCLUDE (created_at, command_line)"
		}
		all[name] = schematest.Texts(t, db.SQL(), "SELECT t::VARCHAR AS r FROM (SELECT "+columns+" FROM "+name+") AS t ORDER BY r")
	}
	return all
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
