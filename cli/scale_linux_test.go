package cli_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ducklens/cli/demo"
	"ducklens/engine/model/modeltest"
	"ducklens/queries"
)

var (
	scalePrompts = flag.String("scale-prompts", "4,8", "numbers of prompts that TestScale runs")
	scaleKeep    = flag.String("scale-keep", "all,means", "what its runs keep")
	scaleModel   = flag.String("scale-model", "demo", "model that TestScale runs: demo, or gpt2 for random weights of GPT-2 small's sizes")
	scaleQueries = flag.String("scale-queries", "key_components,key_quadrants,top_pairs,basis_shares", "saved queries that it times, or all")
)

// TestScale runs the demo's model over more and more prompts, and prints a row of the table in docs/scale.md
// for each run: what it took, and what questions about it take. A run that cannot answer a question has an
// empty field. make scale takes more prompts. Times are of the processor, because a machine may be shared.
func TestScale(t *testing.T) {
	dir := t.TempDir()
	model, head := filepath.Join(dir, "model"), "3.0"
	var err error
	if *scaleModel == "gpt2" {
		head = "10.7"
		if err := os.Mkdir(model, 0o700); err != nil {
			t.Fatal(err)
		}
		err = modeltest.Write(model, modeltest.Small(), 1)
	} else {
		err = demo.Extract(model)
	}
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Split(*scaleQueries, ",")
	if *scaleQueries == "all" {
		names = nil
		for _, q := range queries.Embedded() {
			names = append(names, q.Name)
		}
	}
	t.Logf("| keeps | prompts | processor time | peak memory | file | `%s` |", strings.Join(names, "` | `"))
	for _, keep := range strings.Split(*scaleKeep, ",") {
		for _, n := range strings.Split(*scalePrompts, ",") {
			file := filepath.Join(dir, keep+n+".duckdb")
			took, memory, _ := spent(t, "ingest", "--model", model, "--head", head, "-n", n, "--keep", keep, "--threads", "1", "--large", "-o", file)
			row := fmt.Sprintf("| %s | %s | %.1f s | %d MB | %.1f MB |", keep, n, took.Seconds(), memory, size(t, file))
			for _, name := range names {
				took, _, said := spent(t, "query", file, name, "--timeout", "0")
				if strings.Contains(said, "note: no rows") {
					row += " |"
				} else {
					row += fmt.Sprintf(" %.2f s |", took.Seconds())
				}
			}
			t.Log(row)
			// A file has a row for each of its prompts, whatever else it keeps.
			if got, _ := succeed(t, "query", file, "--scalar", "-e", "SELECT count(*) AS n FROM score"); strings.TrimSpace(got) != n {
				t.Errorf("%s scores, want %s", strings.TrimSpace(got), n)
			}
		}
	}
}

// spent runs a command as a process of its own, which must succeed, and returns how much processor time and
// memory it took, and what it printed.
func spent(t *testing.T, args ...string) (took time.Duration, megabytes int64, said string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "ducklens", args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		megabytes = usage.Maxrss >> 10
	}
	return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), megabytes, string(out)
}
