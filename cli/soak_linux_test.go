package cli_test

import (
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/verify"
)

var (
	soakShards  = flag.Int("soak-shards", 3, "shards of the run that TestSoak kills")
	soakPrompts = flag.Int("soak-prompts", 12, "and its prompts")
	soakKills   = flag.Int("soak-kills", 1, "how often each shard is killed, at most")
	soakOptions = flag.String("soak-options", "", "further options of its ingest, with a space between them")
	soakQueries = flag.String("soak-queries", "closure", "saved queries that it times")
)

// TestSoak computes a run in shards, in random order, and kills each at random moments until it gets through.
// What is gathered in the end has the fingerprint of the same run without shards. make soak takes more
// prompts, and what it prints are the numbers of docs/scale.md.
func TestSoak(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	dir := t.TempDir()
	model := demoModel(t)
	args := append([]string{"ingest", "--model", model, "--head", "3.1", "-n", fmt.Sprint(*soakPrompts), "--seed", "5"}, strings.Fields(*soakOptions)...)
	whole, runs, catalogue := filepath.Join(dir, "whole.duckdb"), filepath.Join(dir, "runs"), filepath.Join(dir, "catalogue.duckdb")
	took, memory := timed(t, append(slices.Clone(args), "--large", "-o", whole)...)
	t.Logf("whole: %d prompts in %v with %d MB of memory, %.1f MB", *soakPrompts, took, memory, size(t, whole))

	killed, begun := 0, time.Now()
	var alone time.Duration
	var most int64
	for place, i := range random.Perm(*soakShards) {
		call := append(slices.Clone(args), "--parquet", runs, "--shard", fmt.Sprintf("%d/%d", i, *soakShards))
		// The first shard says how long one takes.
		for n := 0; place > 0 && n < *soakKills; n++ {
			if !killAfter(t, time.Duration(random.Int64N(int64(alone)*3/2+1)), call) {
				break
			}
			killed++
			code, _, stderr := run(t.Context(), "gather", runs, "-o", catalogue)
			if code == 0 && place == *soakShards-1 { // the last shard was killed when its files were in place
				if err := os.Remove(catalogue); err != nil {
					t.Fatal(err)
				}
			} else if code == 0 || !strings.Contains(stderr, "missing") {
				t.Fatalf("gather with a killed shard: %d, %s", code, stderr)
			}
		}
		took, memory := timed(t, call...)
		if place == 0 {
			alone = took
		}
		most = max(most, memory)
	}
	t.Logf("%d shards: %v with %d kills, the first %v, at most %d MB of memory, %.1f MB", *soakShards, time.Since(begun).Round(time.Millisecond), killed, alone, most, size(t, runs))
	took, memory = timed(t, "gather", runs, "-o", catalogue)
	t.Logf("gather: %v with %d MB of memory, %.1f MB", took, memory, size(t, catalogue))
	if killed == 0 && *soakKills > 0 && *soakShards > 10 {
		t.Error("no shard was killed")
	}
	if got, want := fingerprintOf(t, catalogue), fingerprintOf(t, whole); got != want || want == "" {
		t.Errorf("the catalogue has the fingerprint %s, want %s", got, want)
	}
	// A run that keeps means has no scores for the fingerprint: its moments, and the sums beside them, are
	// compared bit for bit.
	want, _ := succeed(t, "query", whole, "-e", momentsHash, "--format", "csv")
	if got, _ := succeed(t, "query", catalogue, "-e", momentsHash, "--format", "csv"); got != want {
		t.Errorf("moments of the catalogue %s, want %s", got, want)
	}
	t.Logf("moments: %s", strings.ReplaceAll(want, "\n", " "))
	for _, path := range []string{whole, catalogue} {
		for _, name := range strings.Split(*soakQueries, ",") {
			took, memory := timed(t, "query", path, name, "--timeout", "0")
			t.Logf("%s of %s: %v with %d MB of memory", name, filepath.Base(path), took, memory)
		}
	}
	if *soakPrompts > 1000 {
		return
	}
	report, err := verify.File(t.Context(), catalogue, dbfile.Options{Threads: 1})
	if err != nil || !report.OK() {
		t.Errorf("the catalogue does not verify: %v, %v", report.Problems, err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".*")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v: left of shards that were killed and run again", left, err)
	}
}

// timed runs a command as a process of its own, which must succeed, and says how long it took and how much
// memory.
func timed(t *testing.T, args ...string) (took time.Duration, megabytes int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ducklens", args...)
	begun := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		megabytes = usage.Maxrss >> 10
	}
	return time.Since(begun).Round(time.Millisecond), megabytes
}

// size adds up the bytes of a file, or of those in a folder.
func size(t *testing.T, path string) (megabytes float64) {
	t.Helper()
	if err := filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			megabytes += float64(info.Size()) / 1e6
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return megabytes
}

// fingerprintOf gives what identifies the data of the one run of a file.
func fingerprintOf(t *testing.T, path string) string {
	t.Helper()
	s, err := session.Open(t.Context(), path, session.Options{Memory: 8 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	result, err := s.Run(t.Context(), queries.Fingerprint(), nil)
	if err != nil || len(result.Rows) != 1 {
		t.Fatalf("the fingerprint of %s: %v, %v", path, result, err)
	}
	return queries.String(result.Rows[0][1])
}
