package hub_test

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/cli/hub"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// serve is a hub with one model, some/model; change may spoil what it says of its files.
func serve(t *testing.T, change func(list string) string) *hub.Client {
	t.Helper()
	files := map[string]string{"config.json": `{"model_type": "gpt2"}`, "model.safetensors": strings.Repeat("weights ", 1000), "README.md": "about", "pytorch_model.bin": "code", "sub/config.json": "{}"}
	var list []string
	for _, name := range []string{"README.md", "config.json", "model.safetensors", "pytorch_model.bin", "sub/config.json"} {
		text := files[name]
		entry := fmt.Sprintf(`{"rfilename": %q, "size": %d, "blobId": "%x"`, name, len(text), sha1.Sum([]byte(fmt.Sprintf("blob %d\x00%s", len(text), text))))
		if name == "model.safetensors" {
			entry += fmt.Sprintf(`, "lfs": {"sha256": "%x"}`, sha256.Sum256([]byte(text)))
		}
		list = append(list, entry+"}")
	}
	answer := fmt.Sprintf(`{"sha": %q, "siblings": [%s]}`, commit, strings.Join(list, ", "))
	if change != nil {
		answer = change(answer)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/models/model/revision/main", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/api/models/some/model/revision/main?blobs=true", http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("GET /api/models/some/model/revision/main", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("blobs") != "true" {
			t.Errorf("asked for %s, want hashes", r.URL)
		}
		fmt.Fprint(w, answer)
	})
	mux.HandleFunc("GET /{owner}/model/resolve/"+commit+"/{file...}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, files[r.PathValue("file")]) })
	mux.HandleFunc("GET /model/resolve/"+commit+"/{file...}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, files[r.PathValue("file")]) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return &hub.Client{Host: server.URL}
}

func fetch(ctx context.Context, c *hub.Client, name, folder string) error {
	m, err := c.Look(ctx, name, "")
	if err != nil {
		return err
	}
	return c.Fetch(ctx, m, folder)
}

func TestFetch(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"some/model", "model"} { // the hub redirects old names
		c := serve(t, nil)
		var last int64
		c.Progress = func(f hub.File, done int64) {
			if f.Name == "model.safetensors" {
				last = done
			}
		}
		folder := filepath.Join(t.TempDir(), "model")
		if err := fetch(t.Context(), c, name, folder); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(folder)
		if err != nil || len(entries) != 2 {
			t.Errorf("%v, %v, want the configuration and the weights alone", entries, err)
		}
		if text, err := os.ReadFile(filepath.Join(folder, "model.safetensors")); err != nil || len(text) != 8000 || last != 8000 {
			t.Errorf("%d bytes, progress to %d, %v, want 8000", len(text), last, err)
		}
		if err := fetch(t.Context(), c, name, folder); !errors.Is(err, hub.ErrExists) {
			t.Errorf("a second time: %v", err)
		}
	}
}

// What is not as the hub says leaves nothing behind.
func TestFetchRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		model  string
		change func(string) string
		kind   error
		want   string
	}{
		"other weights":  {"some/model", func(s string) string { return strings.Replace(s, `"sha256": "`, `"sha256": "00`, 1) }, nil, "without a hash"},
		"wrong hash":     {"some/model", func(s string) string { return strings.Replace(s, `"lfs": {"sha256"`, `"lfs": {"old"`, 1) }, nil, "without a hash"},
		"other content":  {"some/model", func(s string) string { return strings.Replace(s, `"size": 22`, `"size": 21`, 1) }, hub.ErrHash, "22 bytes, want 21"},
		"too little":     {"some/model", func(s string) string { return strings.Replace(s, `"size": 8000`, `"size": 9000`, 1) }, hub.ErrHash, "8000 bytes, want 9000"},
		"no weights":     {"some/model", func(s string) string { return strings.ReplaceAll(s, "safetensors", "bin") }, hub.ErrNoModel, "want config.json and model.safetensors"},
		"no commit":      {"some/model", func(s string) string { return strings.Replace(s, commit, "main", 1) }, nil, "names no commit"},
		"no list":        {"some/model", func(string) string { return "<html>" }, nil, "is no list of files"},
		"no such model":  {"some/other", nil, hub.ErrMissing, "404"},
		"not a name":     {"../etc", nil, hub.ErrName, "../etc"},
		"name of a path": {"a/b/c", nil, hub.ErrName, "a/b/c"},
	} {
		dir := t.TempDir()
		err := fetch(t.Context(), serve(t, c.change), c.model, filepath.Join(dir, "model"))
		if err == nil || c.kind != nil && !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q", name, err, c.want)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("%s: left %v, %v", name, entries, err)
		}
	}
	closed := httptest.NewServer(nil)
	closed.Close()
	if _, err := (&hub.Client{Host: closed.URL}).Look(t.Context(), "gpt2", ""); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("nobody there: %v", err)
	}
}

// A file with the size that is said and other bytes is found by its hash.
func TestFetchOtherBytes(t *testing.T) {
	t.Parallel()
	c := serve(t, nil)
	m, err := c.Look(t.Context(), "some/model", "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Files {
		files := append([]hub.File(nil), m.Files...)
		files[i].SHA = strings.Repeat("ab", len(files[i].SHA)/2)
		other := m
		other.Files = files
		if err := c.Fetch(t.Context(), other, filepath.Join(t.TempDir(), "model")); !errors.Is(err, hub.ErrHash) || !strings.Contains(err.Error(), files[i].Name) {
			t.Errorf("%s: error %v, want ErrHash", files[i].Name, err)
		}
	}
}
