package shell_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ducklens/cli/shell"
)

func TestHistory(t *testing.T) {
	t.Parallel()
	h := &shell.History{Path: filepath.Join(t.TempDir(), "state", "ducklens", "history")}
	if got, err := h.Load(); err != nil || len(got) != 0 {
		t.Fatalf("a history of %q, error %v, before anything was typed", got, err)
	}
	for _, entry := range []string{"SELECT 1;", "", "  ", ".tables"} {
		if err := h.Append(entry); err != nil {
			t.Fatal(err)
		}
	}
	got, err := h.Load()
	if want := []string{"SELECT 1;", ".tables"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("history %q, error %v, want %q", got, err, want)
	}
	if runtime.GOOS == "windows" {
		return
	}
	for path, want := range map[string]os.FileMode{h.Path: 0o600, filepath.Dir(h.Path): 0o700 | os.ModeDir} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, error %v, want %v", path, info.Mode(), err, want)
		}
	}
	// One that others could read becomes private when something is added.
	if err := os.Chmod(h.Path, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := h.Append("SELECT 2;"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(h.Path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, error %v, want 0600", info.Mode(), err)
	}
}

// TestHistoryIsCut holds that a long history keeps its last entries, in memory and in the file, and that what
// a terminal would obey is left out.
func TestHistoryIsCut(t *testing.T) {
	t.Parallel()
	h := &shell.History{Path: filepath.Join(t.TempDir(), "history")}
	var text strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&text, "SELECT %d;\n", i)
	}
	text.WriteString("SELECT '\x1b[2J';\n\xff\xfe\n")
	if err := os.WriteFile(h.Path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time from the file that the first one cut
		got, err := h.Load()
		if err != nil || len(got) != 1000 || got[0] != "SELECT 1500;" || got[999] != "SELECT 2499;" {
			t.Fatalf("%d entries, error %v, want SELECT 1500 to 2499", len(got), err)
		}
	}
	if info, err := os.Stat(h.Path); err != nil || info.Size() > 20000 || info.Mode() != 0o600 {
		t.Errorf("file of %d bytes, mode %v, error %v, want it cut", info.Size(), info.Mode(), err)
	}
}

func TestHistoryPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got, err := shell.HistoryPath(func(name string) string { return map[string]string{"XDG_STATE_HOME": dir}[name] })
	if want := filepath.Join(dir, "ducklens", "history"); err != nil || got != want {
		t.Errorf("path %q, error %v, want %q", got, err, want)
	}
	got, err = shell.HistoryPath(func(string) string { return "" })
	if err != nil || !filepath.IsAbs(got) || !strings.HasSuffix(got, filepath.Join("ducklens", "history")) {
		t.Errorf("path %q, error %v, want one below the home folder", got, err)
	}
}
