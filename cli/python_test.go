package cli_test

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// python returns a Python with the packages for the examples in docs, or skips the test.
func python(t *testing.T) string {
	t.Helper()
	name := os.Getenv("DUCKLENS_PYTHON")
	if name == "" {
		name = "python3"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s; DUCKLENS_PYTHON names another", name)
	}
	if out, err := exec.CommandContext(t.Context(), path, "-c", "import duckdb, pandas, plotly.io").CombinedOutput(); err != nil {
		t.Skipf("%s lacks duckdb, pandas or plotly (pip install duckdb pandas plotly; DUCKLENS_PYTHON names another): %s",
			path, strings.TrimSpace(string(out)))
	}
	return path
}

// TestReadmePython runs the Python code of docs/file.md: the first things that a person with a notebook
// wants.
func TestReadmePython(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	text, err := os.ReadFile("../docs/file.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(text), "```python\n")
	code, _, closed := strings.Cut(code, "```")
	if !closed {
		t.Fatal("docs/file.md has no Python")
	}
	// The test model has other heads than GPT-2.
	code = strings.NewReplacer("'10.7'", "'3.1'", "'L10H7'", "'L3H1'").Replace(code)
	dir := t.TempDir()
	file := runCopy(t, filepath.Join(dir, "run.duckdb"), "--head", "3.1,3.2", "-n", "7")
	succeed(t, "plot", file, "key_components", "-o", filepath.Join(dir, "key_components.json"))
	output, err := exec.CommandContext(t.Context(), interpreter, "testdata/readme.py", code, dir).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	var found []struct {
		Rows, Columns, N, Panels int
		Sum                      float64
		Title                    string
	}
	if err := json.Unmarshal(output, &found); err != nil || len(found) != 3 {
		t.Fatalf("%v: %s, want three answers", err, output)
	}
	sum := func(sql string) float64 {
		t.Helper()
		code, stdout, stderr := run(t.Context(), "query", file, "-e", sql, "--scalar")
		x, err := strconv.ParseFloat(strings.TrimSpace(stdout), 64)
		if code != 0 || err != nil {
			t.Fatalf("%s: %v\n%s", sql, err, stderr)
		}
		return x
	}
	// Rows: what is no layer, and layers 0 to 2; columns: 4 heads, the MLP, b_O.
	if got, want := found[0], sum("SELECT sum(mean_diff) FROM heatmap(head := '3.1')"); got.Rows != 4 || got.Columns != 6 || math.Abs(got.Sum-want) > 1e-9 {
		t.Errorf("heatmap %+v, want 4 x 6 cells that add up to %v", got, want)
	}
	if got := found[1]; got.N != 7 || got.Rows < 2 {
		t.Errorf("means by template %+v, want some over 7 prompts in all", got)
	}
	if got := found[2]; got.Panels < 2 || !strings.Contains(got.Title, "Head 3.2") && !strings.Contains(got.Title, "Head 3.1") {
		t.Errorf("figure %+v, want that of key_components", got)
	}
}

// TestPythonPackage runs the tests of the Python package, from its wheel where pip can make one, and the
// Python of its documentation.
func TestPythonPackage(t *testing.T) {
	t.Parallel()
	interpreter, packages := python(t), wheel(t, python(t))
	tests := exec.CommandContext(t.Context(), interpreter, "-m", "unittest", "discover", "-s", "../python/tests")
	docs, err := filepath.Abs("../docs/python.md")
	if err != nil {
		t.Fatal(err)
	}
	tests.Env = append(os.Environ(), "PYTHONPATH="+packages, "PYTHONDONTWRITEBYTECODE=1", "DUCKLENS_DOCS="+docs)
	if out, err := tests.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// wheel builds the wheel with the tests' program, and returns the folder that it is installed in, or the
// package's own folder if pip or hatchling is missing.
func wheel(t *testing.T, interpreter string) string {
	t.Helper()
	source, err := filepath.Abs("../python")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), interpreter, "-c", "import pip, hatchling").CombinedOutput(); err != nil {
		t.Logf("tested without its wheel: %s", out)
		return source
	}
	program, err := exec.LookPath("ducklens")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, args := range [][]string{
		{"wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", dir, source},
		{"install", "--quiet", "--no-deps", "--no-index", "--find-links", dir, "--target", filepath.Join(dir, "installed"), "--pre", "ducklens"},
	} {
		cmd := exec.CommandContext(t.Context(), interpreter, append([]string{"-m", "pip", "--disable-pip-version-check"}, args...)...)
		cmd.Env = append(os.Environ(), "DUCKLENS_PROGRAM="+program)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("pip %s: %v\n%s", args[0], err, out)
		}
	}
	installed := filepath.Join(dir, "installed")
	if _, err := os.Stat(filepath.Join(installed, "bin", "ducklens")); err != nil {
		t.Errorf("the wheel has no program: %v", err)
	}
	return installed
}

// TestDocsNotebook runs docs/notebook.ipynb from top to bottom and compares what its cells show with what is
// stored. Run with -update to store what they show now; that takes all that its cells need.
func TestDocsNotebook(t *testing.T) {
	t.Parallel()
	interpreter := python(t)
	program, err := exec.LookPath("ducklens")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"../python/tests/notebook.py", "../docs/notebook.ipynb"}
	if *update {
		args = append(args, "--update")
	}
	cmd := exec.CommandContext(t.Context(), interpreter, args...)
	source, err := filepath.Abs("../python")
	if err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "DUCKLENS_PROGRAM="+program, "PYTHONPATH="+source, "PYTHONDONTWRITEBYTECODE=1", "HF_HUB_OFFLINE=1")
	var told strings.Builder
	cmd.Stderr = &told
	said, err := cmd.Output()
	switch code := cmd.ProcessState.ExitCode(); {
	case code == cannotRun:
		t.Skipf("%s cannot run notebooks: %s", interpreter, strings.TrimSpace(string(said)))
	case err != nil:
		t.Errorf("%v (make golden, then look at it)\n%s%s", err, said, told.String())
	case len(said) > 0:
		t.Logf("%s", said)
	}
}

// cannotRun is the end of notebook.py's output if a required package is not installed.
const cannotRun = 3
