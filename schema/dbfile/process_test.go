package dbfile_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/schema/dbfile"
)

// TestMain lets a test start the test binary as a process that opens a file and keeps it open.
func TestMain(m *testing.M) {
	if path := os.Getenv("DBFILE_TEST_WRITER"); path != "" {
		os.Exit(hold(path, dbfile.OpenWriter))
	}
	if path := os.Getenv("DBFILE_TEST_READER"); path != "" {
		os.Exit(hold(path, dbfile.OpenReader))
	}
	os.Exit(m.Run())
}

// hold opens a file, commits a row if it can, reports that, and waits for the end of its input.
func hold(path string, open func(context.Context, string, dbfile.Options) (*dbfile.DB, error)) int {
	ctx := context.Background()
	db, err := open(ctx, path, dbfile.Options{})
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	if os.Getenv("DBFILE_TEST_WRITER") != "" {
		if _, err := db.SQL().ExecContext(ctx, "INSERT INTO saved_query VALUES ('committed', 'SELECT 1')"); err != nil {
			fmt.Println("error", err)
			return 1
		}
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

// startHolder starts a process that keeps the file open.
func startHolder(t *testing.T, variable, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+path)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil || line != "open\n" {
		t.Fatalf("the other process says %q, %v", line, err)
	}
	return cmd
}

func TestLockedByAnotherProcess(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	cmd := startHolder(t, "DBFILE_TEST_WRITER", path)
	for name, open := range openers {
		_, err := open(t.Context(), path, dbfile.Options{Replace: true})
		var e *dbfile.Error
		if !errors.Is(err, dbfile.ErrLocked) || !errors.As(err, &e) {
			t.Errorf("%s: error %v, want ErrLocked", name, err)
			continue
		}
		if want := fmt.Sprintf("(PID %d)", cmd.Process.Pid); !strings.Contains(e.Holder, want) || !strings.Contains(err.Error(), "file is in use by "+e.Holder) {
			t.Errorf("%s: holder %q in %q, want %s", name, e.Holder, err, want)
		}
		if !strings.Contains(e.Hint(), "wait until the other program is done") {
			t.Errorf("%s: hint %q", name, e.Hint())
		}
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	held := 0
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), "."+filepath.Base(path)+".new-") {
			held++ // the folder of the other process's temporary files
		} else if !strings.HasPrefix(entry.Name(), filepath.Base(path)) {
			t.Errorf("%s is left", entry.Name())
		}
	}
	if held != 1 {
		t.Errorf("%d drafts, want that of the process that lives", held)
	}
}

func TestReadersShareAFile(t *testing.T) {
	t.Parallel()
	path := newFile(t)
	startHolder(t, "DBFILE_TEST_READER", path)
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	again, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if _, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{}); !errors.Is(err, dbfile.ErrLocked) {
		t.Errorf("a writer beside readers: error %v, want ErrLocked", err)
	}
}

// TestKilledWriter checks that a killed process leaves what it has committed, in a log that the next writer
// moves into the file.
func TestKilledWriter(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := newFile(t)
	cmd := startHolder(t, "DBFILE_TEST_WRITER", path)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if _, err := os.Stat(path + ".wal"); err != nil {
		t.Errorf("the log of the killed process: %v", err)
	}
	count := func(db *dbfile.DB) (n int) {
		if err := db.SQL().QueryRowContext(ctx, "SELECT count(*) FROM saved_query WHERE name = 'committed'").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	r, err := dbfile.OpenReader(ctx, path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(r); n != 1 {
		t.Errorf("a reader sees %d rows, want 1", n)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := dbfile.OpenWriter(ctx, path, dbfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := count(w); n != 1 {
		t.Errorf("a writer sees %d rows, want 1", n)
	}
	if err := w.Finalize(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + ".wal"); !os.IsNotExist(err) {
		t.Errorf("a log is left: %v", err)
	}
}
