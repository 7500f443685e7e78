package cli

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestReach checks which files a command keeps when it gives up all others.
func TestReach(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("XDG_STATE_HOME", t.TempDir())
	for _, name := range []string{"hub/blobs/123", "hub/snapshots/main/tokenizer.json", "parts/a-00001-of-00002.gguf", "parts/a-00002-of-00002.gguf", "run.duckdb", "other.duckdb",
		"parts/secret", "p.jsonl", "p.parquet", "n.txt", "t.json", "mine.npy", "yours.npy", "own/a.sql", "secret", "real/run.duckdb", "export/ducklens/x.json"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"hub/snapshots/main/model.safetensors": "../../blobs/123", "link.duckdb": "real/run.duckdb", "own/b.sql": "../secret"} {
		if err := os.Symlink(to, name); err != nil {
			t.Fatal(err)
		}
	}
	const model = "hub/snapshots/main hub/blobs/123"
	// The folder export is a data set: beside a file that may be its catalogue, it may be read.
	for _, c := range []struct{ line, read, folders, write string }{
		{"info run.duckdb", "export run.duckdb", "", ""},
		{"query run.duckdb key_components", "export run.duckdb", "", ""},
		{"query run.duckdb own/a.sql -o answers/x.csv", "export run.duckdb own/a.sql", ".", ""}, // the folder is not there
		{"query run.duckdb -e secret2 -o own/x.csv", "export run.duckdb", "own", ""},
		{"query run.duckdb -e X -o /dev/null", "export run.duckdb", "", "/dev/null"},
		{"query link.duckdb -e X", "export link.duckdb", "", ""},
		{"query no.duckdb -e X", "", "", ""},
		{"plot run.duckdb key_components", "export run.duckdb", ".", ""},
		{"plot run.duckdb key_components -o own/x.svg", "export run.duckdb", "own", ""},
		{"report run.duckdb --queries own", "export run.duckdb own", ".", ""},
		{"figures build run.duckdb", "run.duckdb", ".", ""},
		{"figures build run.duckdb --dir own/figures", "run.duckdb", "own", ""},
		{"verify run.duckdb", "export run.duckdb", "", ""},
		{"diff run.duckdb other.duckdb", "run.duckdb other.duckdb", "", ""},
		{"schema run.duckdb score", "export run.duckdb", "", ""},
		{"shell run.duckdb", "export run.duckdb", ".", ""},
		{"queries check own --file run.duckdb", "own run.duckdb", "", ""},
		{"queries add run.duckdb own", "run.duckdb own", ".", ""},
		{"migrate link.duckdb", "link.duckdb", ". real", ""},
		{"merge run.duckdb other.duckdb -o own/m.duckdb", "run.duckdb other.duckdb", "own", ""},
		{"export run.duckdb --parquet own/out", "run.duckdb", "own", ""},
		{"import export -o own/x.duckdb", "export", "own", ""},
		{"model inspect hub/snapshots/main", model, "", ""},
		{"tokens --model hub/snapshots/main --prompts p.jsonl", model + " p.jsonl", "", ""},
		{"ingest --model hub/snapshots/main --head 3.0 -o own/x.duckdb", model, "own", ""},
		{"ingest --model parts/a-00001-of-00002.gguf --head 3.0 -o own/x.duckdb", "parts/a-00001-of-00002.gguf parts/a-00002-of-00002.gguf", "own", ""},
		{"ingest --model hub/snapshots/main --head 3.0 --prompts p.parquet --names n.txt --query-basis mine=mine.npy:replace,none --key-basis yours=no.npy:baseline=yours.npy --templates t.json -o own/x.duckdb",
			model + " p.parquet n.txt mine.npy yours.npy t.json", "own", ""},
		{"ingest --model hub/snapshots/main --head 3.0 --append -o link.duckdb --cpuprofile own/cpu", model, ". real own", ""},
	} {
		root := newRoot(invocation{program: "ducklens"})
		cmd, rest, err := root.Find(strings.Fields(c.line))
		if err == nil {
			err = cmd.ParseFlags(rest)
		}
		if err != nil {
			t.Fatalf("%s: %v", c.line, err)
		}
		paths := reach(cmd, cmd.Flags().Args())
		for what, list := range map[string][2][]string{"read": {paths.Read, strings.Fields(c.read)}, "folders": {paths.Folders, strings.Fields(c.folders)}, "write": {paths.Write, strings.Fields(c.write)}} {
			if got, want := names(t, list[0]), names(t, list[1]); !slices.Equal(got, want) {
				t.Errorf("%s: %s %q, want %q", c.line, what, got, want)
			}
		}
	}
}

// names returns the files of a list with their full names, without duplicates.
func names(t *testing.T, list []string) []string {
	t.Helper()
	set := map[string]bool{}
	for _, name := range list {
		full, err := filepath.Abs(target(name))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(full); err == nil {
			set[full] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}
