package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ducklens/cli"
)

// TestLockedFile checks that while an ingest writes a file, a second ingest and all readers get an error that
// names the process and says what to do.
func TestLockedFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	model, file := demoModel(t), filepath.Join(dir, "run.duckdb")
	ingest := []string{"ingest", "--model", model, "--head", "3.1", "-o", file}
	writer := exec.CommandContext(t.Context(), "ducklens", append(ingest, "-n", "50000", "--batch", "5")...)
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- writer.Wait() }()
	for {
		// The first batch is in the log.
		if info, err := os.Stat(file + ".wal"); err == nil && info.Size() > 0 {
			break
		}
		select {
		case err := <-ended:
			t.Fatalf("the first ingest has ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	for _, args := range [][]string{
		append(ingest, "-n", "2", "--append"), append(ingest, "-n", "2", "--force"), append(ingest, "-n", "50000", "--resume"),
		{"query", file, "key_components"}, {"query", file, "-e", "SELECT 1"}, {"plot", file, "key_components", "-o", filepath.Join(dir, "figure.svg")}, {"verify", file}, {"info", file},
	} {
		code, _, stderr := run(t.Context(), args...)
		if code != cli.ExitFailed || !strings.Contains(stderr, "file is in use by ") || !strings.Contains(stderr, fmt.Sprintf(" (PID %d)", writer.Process.Pid)) || !strings.Contains(stderr, "\nhint: wait until the other program is done") {
			t.Errorf("%s: exit code %d, %q, want the process that has the file, and a hint", args[0], code, stderr)
		}
	}
	select {
	case err := <-ended:
		t.Fatalf("the first ingest has ended meanwhile: %v", err)
	default:
	}
	if err := writer.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	err := <-ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != cli.ExitInterrupted {
		t.Errorf("the first ingest ended with %v, want exit code %d", err, cli.ExitInterrupted)
	}
	if code, _, stderr := run(t.Context(), "query", file, "-e", "SELECT count(*) FROM example"); code != cli.ExitOK {
		t.Errorf("afterwards: exit code %d\n%s", code, stderr)
	}
}

// TestManyReaders queries one file from several processes at the same time.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	file := runFile(t, "--head", "3.1", "-n", "4")
	const readers = 5
	type reader struct {
		cmd            *exec.Cmd
		stdout, stderr bytes.Buffer
	}
	var list []*reader
	for range readers {
		r := &reader{cmd: exec.CommandContext(t.Context(), "ducklens", "query", file, "-e", "SELECT count(*) FROM example AS a, range(4000000) AS b WHERE hash(b.range) % 1000 = 0", "--scalar")}
		r.cmd.Stdout, r.cmd.Stderr = &r.stdout, &r.stderr
		if err := r.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	if code, _, stderr := run(t.Context(), "verify", file); code != cli.ExitOK {
		t.Errorf("verify beside queries: exit code %d\n%s", code, stderr)
	}
	for i, r := range list {
		if err := r.cmd.Wait(); err != nil {
			t.Errorf("reader %d: %v\n%s", i, err, r.stderr.String())
		}
		if r.stdout.String() != list[0].stdout.String() || r.stdout.Len() < 2 {
			t.Errorf("reader %d says %q, reader 0 %q", i, r.stdout.String(), list[0].stdout.String())
		}
	}
}
