package cli_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ducklens/cli"
	"ducklens/cli/demo"
	"ducklens/queries"
	"ducklens/queries/session"
)

// What many tests read is made once, when the first asks for it, in a folder of the whole package. No test
// changes it: one that changes a file works on a copy.

// together is the folder of the package, with what has been made in it.
var together struct {
	dir  string
	made sync.Map // name -> func() error
}

// packageTests are the tests of the package, in the folder that they have in common.
type packageTests struct{ *testing.M }

// Run makes the folder, runs the tests, and removes it.
func (p packageTests) Run() int {
	dir, err := os.MkdirTemp("", "ducklens-cli")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	together.dir = dir
	return p.M.Run()
}

// once gives the path name below the common folder, where fill has put something.
func once(t testing.TB, name string, fill func(path string) error) string {
	t.Helper()
	path := filepath.Join(together.dir, name)
	f, _ := together.made.LoadOrStore(name, sync.OnceValue(func() error { return fill(path) }))
	if err := f.(func() error)(); err != nil {
		t.Fatal(err)
	}
	return path
}

// demoModel gives the folder of the demo's model, of 4 layers with 4 heads.
func demoModel(t testing.TB) string {
	t.Helper()
	return once(t, "demo", demo.Extract)
}

// largeModel gives the folder of a model of 12 layers with 16 heads.
func largeModel(t testing.TB) string {
	t.Helper()
	return once(t, "gpt2", tile)
}

// runFile gives a file that ducklens ingest makes of the demo's model. args are the further arguments.
func runFile(t testing.TB, args ...string) string {
	t.Helper()
	model := demoModel(t)
	return once(t, fmt.Sprintf("%.8x.duckdb", sha256.Sum256([]byte(strings.Join(args, "\x00")))), func(path string) error {
		err := command(append([]string{"ingest", "--model", model, "-o", path}, args...)...)
		if err != nil {
			return err
		}
		return os.Chmod(path, 0o444)
	})
}

// runCopy puts a copy of what runFile gives into a folder, for a test that changes it or looks beside it.
func runCopy(t testing.TB, path string, args ...string) string {
	t.Helper()
	content, err := os.ReadFile(runFile(t, args...))
	if err == nil {
		err = os.WriteFile(path, content, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// opened gives a session that reads a file until the test ends. One session with many questions costs much
// less than a command for each.
func opened(t *testing.T, path string) *session.Session {
	t.Helper()
	s, err := session.Open(t.Context(), path, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// answer gives the rows of a statement.
func answer(t *testing.T, s *session.Session, sql string) [][]any {
	t.Helper()
	q, err := queries.AdHoc(sql)
	if err != nil {
		t.Fatal(err)
	}
	result, err := s.Run(t.Context(), q, nil)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return result.Rows
}

// demoFolder gives the folder that ducklens demo --dir demo leaves.
func demoFolder(t testing.TB) string {
	t.Helper()
	return filepath.Join(once(t, "demonstration", func(path string) error {
		if err := os.Mkdir(path, 0o777); err != nil {
			return err
		}
		cmd := exec.Command("ducklens", "demo", "--dir", "demo")
		cmd.Dir = path
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	}), "demo")
}

// command runs the program in this process. It outlives the test that asks for it first.
func command(args ...string) error {
	var stderr bytes.Buffer
	if code := cli.Run(context.Background(), append([]string{"ducklens"}, args...), strings.NewReader(""), &bytes.Buffer{}, &stderr); code != cli.ExitOK {
		return fmt.Errorf("ducklens %s: exit code %d: %s", strings.Join(args, " "), code, stderr.String())
	}
	return nil
}
