package cli_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ducklens/cli"
)

// interrupt starts ducklens, sends it SIGINT when it has read stdin and ready says so, and gives its exit
// code, what it printed to standard error, and how long it took to stop.
func interrupt(t *testing.T, stdin string, ready func() bool, args ...string) (code int, stderr string, took time.Duration) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ducklens", args...) // the one that TestMain puts on the path
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(in, stdin); err != nil {
		t.Fatal(err)
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !ready() {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it was interrupted: %v\n%s", err, errs.String())
		case <-time.After(time.Millisecond):
		}
	}
	start := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err = <-ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("it ended with %v, want an exit code\n%s", err, errs.String())
	}
	return exit.ExitCode(), errs.String(), time.Since(start)
}

// ended is in what a process says that did not stop when it was interrupted: it gives itself five seconds.
const ended = "did not stop within"

// TestFinishedIsNotInterrupted holds that a command that is done has ended well, however long its process
// takes to go: main cancels the context then.
func TestFinishedIsNotInterrupted(t *testing.T) {
	t.Parallel()
	if output, err := exec.CommandContext(t.Context(), "linger", "version").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, output)
	}
}

// TestInterruptIngest holds that an interrupted ingest leaves a file that opens, with whole batches of a
// run that is marked as running, and that saved queries say so.
func TestInterruptIngest(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	model, file := demoModel(t), filepath.Join(dir, "run.duckdb")
	// Far more prompts than are done before the signal comes.
	// The second batch is in the log of the file, so the first is known to be in the file.
	code, stderr, _ := interrupt(t, "", func() bool { log, err := os.Stat(file + ".wal"); return err == nil && log.Size() > 0 },
		"ingest", "--model", model, "--head", "3.1", "-n", "20000", "--batch", "5", "-o", file)
	if code != cli.ExitInterrupted {
		t.Errorf("exit code %d, want %d\n%s", code, cli.ExitInterrupted, stderr)
	}
	if !strings.Contains(stderr, "of 20000 prompts") || !strings.Contains(stderr, "\nhint: ") || !strings.Contains(stderr, "the same command with --resume") {
		t.Errorf("it says %q, want how far the run came, and a hint", stderr)
	}
	code, stdout, stderr := run(t.Context(), "query", file, "--scalar", "-e",
		"SELECT status || ' ' || (SELECT count(*) % 5 FROM example) || ' ' || (SELECT count(*) > 0 FROM example) FROM run")
	if code != cli.ExitOK || stdout != "running 0 true\n" {
		t.Errorf("exit code %d, %q, want a running run with batches of five\n%s", code, stdout, stderr)
	}
	code, _, stderr = run(t.Context(), "query", file, "key_components")
	if code != cli.ExitFailed || !strings.Contains(stderr, "not complete") {
		t.Errorf("exit code %d, %q, want a saved query to refuse an unfinished run", code, stderr)
	}
	code, stdout, _ = run(t.Context(), "verify", file)
	if code != cli.ExitFailed || !strings.Contains(stdout, "unfinished") {
		t.Errorf("exit code %d, %q, want verify to name the unfinished run", code, stdout)
	}
}

// TestInterruptBeforeFirstBatch holds that an ingest that is interrupted before its first batch is stored
// says so, unless there is a file that may hold it.
func TestInterruptBeforeFirstBatch(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "run.duckdb")
	const nothing = "interrupted; nothing was written"
	if got := cli.UntilFirstBatch(file, false); got != nothing {
		t.Errorf("without a file it says %q, want %q", got, nothing)
	}
	if got := cli.UntilFirstBatch(file, true); got != "interrupted" {
		t.Errorf("of a file to be continued it says %q", got)
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := cli.UntilFirstBatch(file, false); got != "interrupted" {
		t.Errorf("with a file it says %q", got)
	}
}

// TestInterruptQuery holds that a query stops soon after it is interrupted.
func TestInterruptQuery(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, output := runFile(t, "--head", "3.1", "-n", "2"), filepath.Join(dir, "output.csv")
	// A pipe holds 64 kB: when all of this is written, the command is reading it or has read it.
	sql := strings.Repeat(" ", 128<<10) + "SELECT count(*) FROM range(1000000000) a, range(1000000000) b"
	code, stderr, took := interrupt(t, sql, func() bool { return true }, "query", file, "-e", "-", "-o", output)
	if code != cli.ExitInterrupted {
		t.Errorf("exit code %d, want %d\n%s", code, cli.ExitInterrupted, stderr)
	}
	if strings.Contains(stderr, ended) {
		t.Error(stderr)
	}
	t.Logf("stopped after %v", took)
	if _, err := os.Stat(output); err == nil {
		t.Error("an interrupted query left its output")
	}
}

// TestLimitsOfWriters: commands that copy whole files end within the time that they are given, and leave what
// was there.
func TestLimitsOfWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	runCopy(t, in("a.duckdb"), "--head", "3.1", "-n", "4")
	succeed(t, "export", in("a.duckdb"), "--parquet", in("a"))
	if err := os.WriteFile(in("v2.duckdb"), unzip(t, filepath.Join("..", "schema", "transfer", "testdata", "v2.duckdb.gz")), 0o644); err != nil {
		t.Fatal(err)
	}
	before := treeDigest(t, dir)
	for _, args := range [][]string{
		{"merge", in("a.duckdb"), "-o", in("b.duckdb")},
		{"export", in("a.duckdb"), "--parquet", in("a"), "--force"},
		{"import", in("a"), "-o", in("a.duckdb"), "--force"},
		{"migrate", in("v2.duckdb")},
	} {
		code, _, stderr := run(t.Context(), append(args, "--timeout", "1ms")...)
		if code != cli.ExitFailed || !strings.Contains(stderr, "time limit reached: 1ms\nhint: allow more time with --timeout") {
			t.Errorf("%q with a limit of time: exit code %d, %q", args, code, stderr)
		}
		if code, _, _ := run(t.Context(), append(args, "--timeout", "-1s")...); code != cli.ExitUsage {
			t.Errorf("%q with a negative limit of time: exit code %d, want %d", args, code, cli.ExitUsage)
		}
	}
	if got := treeDigest(t, dir); got != before {
		t.Errorf("the folder has\n%s\nwant\n%s", got, before)
	}
}

// TestLimitsOfReaders: commands that read whole files end within the time that they are given, and soon after
// an interrupt.
func TestLimitsOfReaders(t *testing.T) {
	dir := t.TempDir()
	file, other := filepath.Join(dir, "run.duckdb"), filepath.Join(dir, "other.duckdb")
	if code, _, stderr := run(t.Context(), "ingest", "--model", "demo", "--head", "3.0,3.1", "-n", "250", "-o", file); code != cli.ExitOK {
		t.Fatal(stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(other, data, 0o600); err != nil {
		t.Fatal(err)
	}
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for _, args := range [][]string{{"verify", file}, {"diff", file, other}} {
		code, _, stderr := run(t.Context(), append(args, "--timeout", "1ms")...)
		if code != cli.ExitFailed || !strings.Contains(stderr, "time limit reached: 1ms\nhint: allow more time with --timeout") {
			t.Errorf("%q with a limit of time: exit code %d, %q", args, code, stderr)
		}
		if code, _, _ := run(t.Context(), append(args, "--timeout", "-1s")...); code != cli.ExitUsage {
			t.Errorf("%q with a negative limit of time: exit code %d, want %d", args, code, cli.ExitUsage)
		}
		took := time.Duration(0)
		for wait := 200 * time.Millisecond; ; wait *= 2 {
			start := time.Now()
			code, stderr, took = interrupt(t, "", func() bool { return time.Since(start) > wait }, args...)
			if code != -1 { // else the system ended it, before it listened for signals
				break
			}
		}
		if code != cli.ExitInterrupted || strings.Contains(stderr, ended) {
			t.Errorf("%q interrupted: exit code %d, want %d\n%s", args, code, cli.ExitInterrupted, stderr)
		}
		t.Logf("%s stopped after %v", args[0], took)
	}
	if entries, err := os.ReadDir(temporary); err != nil || len(entries) > 0 {
		t.Errorf("%v is left of temporary folders, %v", entries, err)
	}
}
