package cli_test

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/cli"
	"ducklens/cli/demo"
)

// A model is fetched from a server with the hub's API, checked, and used.
func TestModelPull(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := filepath.Join(dir, "source")
	if err := demo.Extract(source); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(source)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(source, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf(`{"rfilename": %q, "size": %d, "lfs": {"sha256": "%x"}}`, e.Name(), len(text), sha256.Sum256(text)))
	}
	const commit = "0123456789abcdef0123456789abcdef01234567"
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/tiny/demo/revision/main", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"sha": %q, "siblings": [%s]}`, commit, strings.Join(list, ", "))
	})
	mux.Handle("GET /tiny/demo/resolve/"+commit+"/", http.StripPrefix("/tiny/demo/resolve/"+commit+"/", http.FileServer(http.Dir(source))))
	server := httptest.NewServer(mux)
	defer server.Close()

	folder := filepath.Join(dir, "pulled")
	code, _, stderr := run(t.Context(), "model", "pull", "tiny/demo", "--hub", server.URL, "-o", folder)
	if want := "commit " + commit + "; next: ducklens model inspect " + folder; code != cli.ExitOK || !strings.Contains(stderr, want) {
		t.Fatalf("exit code %d, %s, want %q", code, stderr, want)
	}
	file := filepath.Join(dir, "run.duckdb")
	if code, _, stderr := run(t.Context(), "ingest", "--model", folder, "--name", "tiny", "--head", "3.0", "-n", "2", "--factors", "off", "-o", file); code != cli.ExitOK {
		t.Fatal(stderr)
	}
	if _, stdout, stderr := run(t.Context(), "query", file, "--scalar", "-e", "SELECT name FROM model"); stdout != "tiny\n" {
		t.Errorf("the model is called %q, want tiny\n%s", stdout, stderr)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"tiny/demo", "--hub", server.URL, "-o", folder}, cli.ExitFailed, "it is there already\nhint: -o names another folder\n"},
		{[]string{"tiny/other", "--hub", server.URL, "-o", filepath.Join(dir, "other")}, cli.ExitFailed, "model tiny/other: the hub has no such model"},
		{[]string{"tiny/../demo", "--hub", server.URL}, cli.ExitUsage, "not the name of a model of the hub"},
		{[]string{"tiny/demo", "--hub", server.URL, "-o", filepath.Join(dir, "no", "x")}, cli.ExitFailed, "folder " + filepath.Join(dir, "no") + " does not exist"},
	} {
		if code, _, stderr := run(t.Context(), append([]string{"model", "pull"}, c.args...)...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("%q: exit code %d, %s, want %q", c.args, code, stderr, c.want)
		}
	}
}
