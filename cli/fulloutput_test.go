package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/cli"
)

// TestFullOutput checks that a command fails with one line of error if its answer cannot be written to
// standard output.
func TestFullOutput(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no device that is full: ", err)
	}
	defer full.Close()
	dir := t.TempDir()
	model, file := demoModel(t), runFile(t, "--head", "3.1", "-n", "4")
	one := filepath.Join(dir, "queries") // one figure says as much as all
	if err := os.Mkdir(one, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(one, "one.sql"), []byte("-- name: one\n-- title: One\n-- chart: bar\n-- x: head\n-- y: score\nSELECT head, avg(score) AS score FROM head_score GROUP BY head ORDER BY head\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"--help"}, {"version"}, {"completion", "bash"}, {"schema", file}, {"info", file}, {"heads", file}, {"verify", file},
		{"queries"}, {"queries", "show", "key_components"}, {"query", file, "key_components"}, {"query", file, "-e", "SELECT 1"}, {"query", file, "-e", "SELECT 1", "--format", "parquet"},
		{"query", file, "-e", "SELECT 1", "-o", "/dev/full"}, {"report", file, "--queries", one, "--force", "-o", "/dev/full"}, {"plot", "--help"},
		{"diff", file, file}, {"model", "inspect", model}, {"tokens", "--model", model, "one two"},
		{"figures", "build", file, "--queries", one, "--dir", filepath.Join(dir, "figures")}, {"demo", "--dir", filepath.Join(dir, "demo")},
	} {
		cmd := exec.CommandContext(t.Context(), "ducklens", args...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = full, &stderr
		_ = cmd.Run()
		text := stderr.String()
		if code := cmd.ProcessState.ExitCode(); code != cli.ExitFailed || !strings.Contains(text, "ducklens: ") || !strings.Contains(text, "no space left on device") {
			t.Errorf("%s: exit code %d, want %d and a line about the device: %q", strings.Join(args, " "), code, cli.ExitFailed, text)
		}
	}
	if info, err := os.Lstat("/dev/full"); err != nil || info.Mode().IsRegular() {
		t.Errorf("/dev/full is %v, %v", info, err)
	}
}
