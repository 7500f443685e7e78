//go:build unix

package speed_test

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/queries/figure/figuretest"
)

// benchmarkExplore times the first view of the explorer and the steps from it, in a Chromium without a
// window: on the file that the demo makes, and on one of many prompts of GPT-2's size. Of each step the best
// of five counts, and of the steps the slowest: until it is painted, and until the parts that follow are.
func benchmarkExplore(b *testing.B, file string) {
	dir := b.TempDir()
	ducklens(b, "demo", "--dir", dir)
	small := timeViews(b, filepath.Join(dir, "demo.duckdb"), "L3H0", "MLP0")
	b.ReportMetric(small["first"], "first-ms")
	step, whole := slowest(b, small)
	b.ReportMetric(step, "step-ms")
	b.ReportMetric(whole, "whole-step-ms")
	if _, err := os.Stat(file); err != nil {
		b.Log("the file of the sub-benchmark ingest is not there")
		return
	}
	large := timeViews(b, file, "L10H7", "MLP0")
	b.ReportMetric(large["first"], "many-first-ms")
	step, whole = slowest(b, large)
	b.ReportMetric(step, "many-step-ms")
	b.ReportMetric(whole, "many-whole-step-ms")
}

// timeViews gives the milliseconds that each view of a file takes.
func timeViews(b *testing.B, file, head, component string) (took map[string]float64) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childArguments+"="+strings.Join([]string{"explore", "--no-browser", file}, "\n"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill() // it was only asked
		_ = cmd.Wait()
	}()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	views := []string{"heads", "components?", "components?side=query&", "components?qb=unembed&kb=mlp0&", "cell?component=" + component + "&",
		"prompt?example=3&component=" + component + "&", "pairs?", "directions?", "compare?", "sql?"}
	args := []string{strings.TrimSuffix(address, "\n"), "5"}
	for _, view := range views {
		if strings.HasSuffix(view, "?") || strings.HasSuffix(view, "&") {
			view += "head=" + head
		}
		args = append(args, view)
	}
	figuretest.Browse(b, &took, "explore.cjs", args...)
	return took
}

// slowest gives the time of the slowest step, until it is painted and until it is whole.
func slowest(b *testing.B, took map[string]float64) (painted, whole float64) {
	for view, ms := range took {
		b.Logf("%-60s %6.0f ms", view, ms)
		if strings.HasSuffix(view, ", whole") {
			whole = max(whole, ms)
		} else if view != "first" {
			painted = max(painted, ms)
		}
	}
	return painted, whole
}
