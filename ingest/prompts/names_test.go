package prompts_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/ingest/prompts"
)

func TestReadNames(t *testing.T) {
	t.Parallel()
	want := []string{"Ann", "Bo", "Łukasz", "Mary Jane", "Bo", "O'Neill"}
	const list = "Ann\n  Bo\t\r\n\nŁukasz\rMary Jane\nBo\nO'Neill"
	for name, content := range map[string]string{
		"plain": list, "BOM": "\ufeff" + list, "UTF-16": utf16Text(binary.BigEndian, "\ufeff"+list), "final newline": list + "\n",
	} {
		got, err := prompts.ReadNames(write(t, "names.txt", content))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, error %v, want %q", name, got, err, want)
		}
	}
}

func TestReadNamesErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ content, message string }{
		"empty":      {"", ": it is empty, want one name a line"},
		"blank":      {"\n \n", ": it is empty, want one name a line"},
		"on a line":  {"Ann\nBo, Cy\n", `: line 2: "Bo, Cy" has ',' in it, want one name a line and nothing else`},
		"JSON":       {`["Ann"]`, `: line 1: "[\"Ann\"]" has '[' in it`},
		"Latin-1":    {"Ann\nRen\xe9\n", ": line 2, column 4: the byte 0xE9 is not UTF-8"},
		"zero bytes": {"Ann\x00Bo", ": line 1: "},
		"large":      {strings.Repeat("Ann\n", 5<<20), ": more than 16 MiB"},
		"one line":   {strings.Repeat("Ann", 6<<20), ": line 1: longer than 16 MiB"},
	} {
		path := write(t, "names.txt", c.content)
		_, err := prompts.ReadNames(path)
		if !errors.Is(err, prompts.ErrFormat) || !strings.Contains(err.Error(), "file of names "+path+c.message) {
			t.Errorf("%s: error %v, want %q", name, err, c.message)
			continue
		}
		inTheirWords(t, err, path)
	}
	if _, err := prompts.ReadNames(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}
