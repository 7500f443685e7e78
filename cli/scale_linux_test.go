package cli_test

import (
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ducklens/cli/demo"
)

var (
	scalePrompts = flag.String("scale-prompts", "4,8", "numbers of prompts that TestScale runs")
	scaleKeep    = flag.String("scale-keep", "all,means", "what its runs keep")
	scaleQueries = flag.String("scale-queries", "key_components,key_quadrants,top_pairs,basis_shares", "saved queries that it times; a run of means has no rows for the last")
)

// TestScale runs the demo's model over more and more prompts, and prints a row of the table in docs/scale.md
// for each run: what it took, and what questions about it take. make scale takes more prompts. Times are of
// the processor, because a machine may be shared.
func TestScale(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	if err := demo.Extract(model); err != nil {
		t.Fatal(err)
	}
	names := strings.Split(*scaleQueries, ",")
	t.Logf("| keeps | prompts | processor time | peak memory | file | `%s` |", strings.Join(names, "` | `"))
	for _, keep := range strings.Split(*scaleKeep, ",") {
		for _, n := range strings.Split(*scalePrompts, ",") {
			file := filepath.Join(dir, keep+n+".duckdb")
			took, memory := spent(t, "ingest", "--model", model, "--head", "3.0", "-n", n, "--keep", keep, "--threads", "1", "--large", "-o", file)
			row := fmt.Sprintf("| %s | %s | %.1f s | %d MB | %.1f MB |", keep, n, took.Seconds(), memory, size(t, file))
			for _, name := range names {
				if keep == "means" && name == "basis_shares" {
					row += " |"
					continue
				}
				took, _ := spent(t, "query", file, name, "--timeout", "0")
				row += fmt.Sprintf(" %.2f s |", took.Seconds())
			}
			t.Log(row)
			// A file has a row for each of its prompts, whatever else it keeps.
			if got, _ := succeed(t, "query", file, "--scalar", "-e", "SELECT count(*) AS n FROM score"); strings.TrimSpace(got) != n {
				t.Errorf("%s scores, want %s", strings.TrimSpace(got), n)
			}
		}
	}
}

// spent runs a command as a process of its own, which must succeed, and says how much processor time and
// memory it took.
func spent(t *testing.T, args ...string) (took time.Duration, megabytes int64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ducklens", args...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		megabytes = usage.Maxrss >> 10
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), megabytes
}
