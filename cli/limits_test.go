package cli_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ducklens/cli"
)

// TestAttacks asks queries that would take all memory or all time, each in a process of its own. Each must
// end in an error that says which limit it ran into, with no more memory than the limit of the address space.
func TestAttacks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("twenty processes that use all they can get for a second each")
	}
	file := runFile(t, "--head", "3.1", "-n", "2")
	const inTime, inMemory, either = "time limit reached: 1s", "memory limit reached: 512 MB", "limit reached"
	for name, c := range map[string]struct{ sql, want string }{
		"cross join":            {"SELECT sum(a.range * b.range) FROM range(100000000) a, range(100000000) b", either},
		"join of the file":      {"SELECT count(*) FROM attention a, attention b, attention c, attention d, attention e, attention f WHERE a.score + b.score + c.score + d.score + e.score + f.score > 1", inTime},
		"large sort":            {"SELECT a.range + b.range AS s FROM range(1000000) a, range(1000000) b ORDER BY s", either},
		"large lambda":          {"SELECT len(list_transform(range(200000000), lambda x: x + 1))", either},
		"large unnest":          {"SELECT count(*) FROM (SELECT unnest(range(100000000)))", either},
		"repeat of repeat":      {"SELECT length(repeat(repeat('x', 100000000), 40))", either},
		"list of 24 GB":         {"SELECT len(range(0, 3000000000))", inMemory},
		"one endless call":      {"SELECT levenshtein(repeat('a', 400000) || run_id, repeat('b', 400000)) FROM run", inTime},
		"one that is constant":  {"SELECT levenshtein(repeat('a', 400000), repeat('b', 400000))", inTime},
		"list aggregate":        {"SELECT list(a.range) FROM range(100000) a, range(100000) b", either},
		"text aggregate":        {"SELECT string_agg(repeat('x', 1000)) FROM range(100000000)", either},
		"quantile":              {"SELECT quantile_cont(range, 0.5) FROM range(1000000000)", either},
		"endless recursion":     {"WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT count(*) FROM r", either},
		"doubling recursion":    {"WITH RECURSIVE r AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM r) SELECT max(length(s)) FROM r", either},
		"deep nesting":          {"SELECT " + strings.Repeat("abs(", 900) + "-1" + strings.Repeat(")", 900), either},
		"deeper nesting":        {"SELECT " + strings.Repeat("abs(", 50000) + "-1" + strings.Repeat(")", 50000), "SQL"},
		"regular expression":    {"SELECT regexp_matches(repeat('a', 100000000) || run_id, '(a|aa)+$') FROM run", either},
		"large bit string":      {"SELECT bit_count(repeat('1', 500000000)::BIT)", either},
		"padding":               {"SELECT lpad('x', 2000000000, 'y')", either},
		"large answer":          {"SELECT repeat('x', 1000000) AS x FROM range(100000)", ""},
		"wide answer":           {"SELECT range(20000000) AS x, range(20000000) AS y FROM range(5)", ""},
		"saved as a view's sum": {"SELECT sum(x) FROM (SELECT unnest(range(i)) AS x FROM range(100000) r(i))", either},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start, timeout := time.Now(), "1s"
			if c.want == inMemory { // which a busy machine does not find within a second
				timeout = "5m"
			}
			cmd := exec.CommandContext(t.Context(), "ducklens", "query", file, "-e", "-", "--memory", "512MB", "--timeout", timeout, "-o", filepath.Join(t.TempDir(), "out.csv"))
			var stderr bytes.Buffer
			cmd.Stdin, cmd.Stderr = strings.NewReader(c.sql), &stderr
			err := cmd.Run()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != cli.ExitFailed || !strings.HasPrefix(stderr.String(), "ducklens: ") || !strings.Contains(stderr.String(), c.want) {
				t.Errorf("it ended with %v, want exit code %d and %q\n%.2000s", err, cli.ExitFailed, c.want, stderr.String())
			}
			took := time.Since(start)
			usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
			if usage == nil {
				return
			}
			t.Logf("%v, %d MB: %s", took.Round(10*time.Millisecond), usage.Maxrss>>10, strings.SplitN(stderr.String(), "\n", 2)[0])
			if usage.Maxrss>>10 > 4<<10 { // the limit of the address space
				t.Errorf("it took %d MB", usage.Maxrss>>10)
			}
		})
	}
}

// TestWatchdog checks that a process whose query never stops ends by itself, and says why.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits until the patience of the watchdog is over")
	}
	for _, c := range []struct {
		name      string
		interrupt bool
		code      int
		want      string
	}{
		{"stuck", false, cli.ExitFailed, "ducklens: a query did not stop within 5s after its end; the process is ended\n"},
		{"interrupted", true, cli.ExitInterrupted, "ducklens: interrupted, and did not stop within 5s; the process is ended\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), "wedge", c.name)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if _, err := out.Read(make([]byte, 1)); err != nil { // it is ready
				t.Fatal(err)
			}
			if c.interrupt {
				if err := cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			err = cmd.Wait()
			if cmd.ProcessState.ExitCode() != c.code || stderr.String() != c.want {
				t.Errorf("it ended with %v, want exit code %d; it said %q, want %q", err, c.code, stderr.String(), c.want)
			}
		})
	}
}

// wedge is a program that behaves like a command whose query never stops.
func wedge(ctx context.Context) {
	cli.Wedge(cli.OwnProcess(ctx), os.Args[1] == "stuck", func() { os.Stdout.WriteString("!") })
}

// TestMemoryIsKept runs a query whose memory DuckDB does not count against its limit.
func TestMemoryIsKept(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/statm"); err != nil {
		t.Skip("memory is watched where there is /proc: ", err)
	}
	file := runFile(t, "--head", "3.1", "-n", "2")
	cmd := exec.CommandContext(t.Context(), "ducklens", "query", file, "--memory", "256MB", "-e", "SELECT length(repeat(repeat(chr(65), 100000000), 8))")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	_ = cmd.Run()
	usage, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if code := cmd.ProcessState.ExitCode(); code != cli.ExitFailed || !strings.Contains(stderr.String(), "memory limit reached: 256 MB\nhint: ") {
		t.Errorf("exit code %d, want %d\n%s", code, cli.ExitFailed, stderr.String())
	}
	// Without the limit it takes 1.6 GB. The process starts with about 60 MB, and a busy machine checks
	// rarely.
	if usage != nil && usage.Maxrss>>10 > 768 {
		t.Errorf("it took %d MB", usage.Maxrss>>10)
	}
}
