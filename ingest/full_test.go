//go:build linux

package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"ducklens/ingest"
	"ducklens/schema/dbfile"
	"ducklens/schema/verify"
)

// Environment variables that make the test binary run an ingest.
const (
	childPath  = "INGEST_TEST_PATH"
	childLimit = "INGEST_TEST_FILE_LIMIT" // largest file in bytes; "": no limit
)

const (
	fullExamples = 600
	fullBatch    = 20
)

// TestMain lets a test start the test binary as a process that writes a run to a file.
func TestMain(m *testing.M) {
	path := os.Getenv(childPath)
	if path == "" {
		os.Exit(m.Run())
	}
	if limit := os.Getenv(childLimit); limit != "" {
		n, err := strconv.ParseUint(limit, 10, 64)
		if err == nil {
			err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: n, Max: n})
		}
		if err != nil {
			fmt.Println("no limit:", err)
			os.Exit(3)
		}
	}
	_, err := ingest.Run(context.Background(), fullOptions(path))
	if err == nil {
		os.Exit(0)
	}
	fmt.Println(err)
	var advice interface{ Hint() string }
	if errors.As(err, &advice) {
		fmt.Println("hint:", advice.Hint())
	}
	var incomplete *ingest.Incomplete
	for _, kind := range []error{dbfile.ErrNoSpace, dbfile.ErrFileSize} {
		if errors.Is(err, kind) && errors.As(err, &incomplete) {
			os.Exit(10)
		}
		if errors.Is(err, kind) {
			os.Exit(11)
		}
	}
	os.Exit(1)
}

// fullOptions returns the options of a run that does not fit.
func fullOptions(path string) ingest.Options {
	return ingest.Options{Engine: newFake(head1, head2), Prompts: numbered(fullExamples), Path: path, BatchPrompts: fullBatch,
		CreatedAt: created, Version: "test", CommandLine: "go test", PromptSource: "numbers", Seed: 7, Database: dbfile.Options{Threads: 1}}
}

// afterFull checks what is left of a run that ran out of room, and resumes it with more room.
func afterFull(t *testing.T, path string, code int, output string) {
	t.Helper()
	if !strings.Contains(output, ": no space left on device: ") && !strings.Contains(output, ": file-size limit reached: ") ||
		!strings.Contains(output, "hint: free some space") && !strings.Contains(output, "hint: raise the limit") {
		t.Errorf("the error does not say what is wrong and what to do: %s", output)
	}
	if code == 11 {
		if _, err := os.Stat(path); err == nil {
			t.Error("a run that failed before its first batch has left its file")
		}
		return
	}
	rows := tables(t, path)
	n := len(rows["edge"])
	if n == 0 || n%fullBatch != 0 || n == fullExamples {
		t.Errorf("%d examples, want some batches of %d, not all", n, fullBatch)
	}
	t.Logf("%d of %d examples", n, fullExamples)
	check(t, path, verify.Unfinished)
	o := fullOptions(path)
	o.Resume = true
	if s := mustRun(t, o); s.Resumed != n {
		t.Errorf("%d examples resumed, want %d", s.Resumed, n)
	}
	check(t, path)
}

// TestFileSizeLimit lets runs exceed a limit on the size of a file at several places. Each gives a clear
// error and leaves a file that opens and can be resumed.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		limit int
		code  int
	}{
		{64 << 10, 11}, // smaller than an empty file
		{2 << 20, 10},
		{3 << 20, 10},
	} {
		t.Run(fmt.Sprint(c.limit), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "run.duckdb")
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childPath+"="+path, childLimit+"="+strconv.Itoa(c.limit))
			out, _ := cmd.CombinedOutput()
			t.Logf("%s", out)
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Fatalf("exit code %d, want %d", code, c.code)
			}
			afterFull(t, path, c.code, string(out))
		})
	}
}

// TestDiskFull fills a small file system. It is skipped on machines where a test cannot mount one.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		size string
		code int
	}{
		{"512k", 11},
		{"4m", 10},
	} {
		t.Run(c.size, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			disk, saved := filepath.Join(dir, "disk"), filepath.Join(dir, "saved")
			for _, d := range []string{disk, saved} {
				if err := os.Mkdir(d, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			if out, err := exec.CommandContext(t.Context(), "unshare", "-Urm", "mount", "-t", "tmpfs", "none", disk).CombinedOutput(); err != nil {
				t.Skipf("no small file system can be mounted: %v: %s", err, out)
			}
			// Only the child sees the mount, so it copies the files out.
			script := `mount -t tmpfs -o size=` + c.size + ` none "$2" && "$1"; code=$?; cp "$2"/* "$3"; exit $code`
			cmd := exec.CommandContext(t.Context(), "unshare", "-Urm", "sh", "-c", script, "sh", os.Args[0], disk, saved)
			cmd.Env = append(os.Environ(), childPath+"="+filepath.Join(disk, "run.duckdb"))
			out, _ := cmd.CombinedOutput()
			t.Logf("%s", out)
			if code := cmd.ProcessState.ExitCode(); code != c.code {
				t.Fatalf("exit code %d, want %d", code, c.code)
			}
			afterFull(t, filepath.Join(saved, "run.duckdb"), c.code, string(out))
		})
	}
}
