package shell

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"

	"ducklens/schema/draft"
)

// History keeps the lines that were typed in a file that only its owner can read. Several shells can add to
// the same file. The zero value keeps nothing.
type History struct {
	Path string
}

// mostEntries is the number of entries to keep. The file is cut when it has twice as many.
const mostEntries = 1000

// HistoryPath returns the path of a user's history: below $XDG_STATE_HOME, by default ~/.local/state, or
// below the system's folder of settings on macOS and Windows. getenv reads the environment.
func HistoryPath(getenv func(string) string) (string, error) {
	dir := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) {
		dir = ""
	}
	if dir == "" {
		var err error
		switch runtime.GOOS {
		case "darwin", "windows":
			dir, err = os.UserConfigDir()
		default:
			if dir, err = os.UserHomeDir(); err == nil {
				dir = filepath.Join(dir, ".local", "state")
			}
		}
		if err != nil {
			return "", fmt.Errorf("history: %w", err)
		}
	}
	return filepath.Join(dir, "ducklens", "history"), nil
}

// Load returns the last entries, oldest first. A missing file is an empty history.
func (h *History) Load() ([]string, error) {
	if h.Path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(h.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var entries []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && utf8.ValidString(line) && !strings.ContainsFunc(line, control) {
			entries = append(entries, line)
		}
	}
	if len(entries) <= mostEntries {
		return entries, nil
	}
	last := entries[len(entries)-mostEntries:]
	if len(entries) >= 2*mostEntries {
		if err := h.replace(last); err != nil {
			return last, err
		}
	}
	return last, nil
}

// control reports whether a character is a control character for a terminal.
func control(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }

// replace writes the file anew, whole or not at all, and for its owner alone, as it was.
func (h *History) replace(entries []string) error {
	return draft.WriteFile(h.Path, func(w io.Writer) error {
		_, err := io.WriteString(w, strings.Join(entries, "\n")+"\n")
		return err
	})
}

// Append adds an entry of one line to the file, and creates the file for its owner alone.
func (h *History) Append(entry string) error {
	if h.Path == "" || strings.TrimSpace(entry) == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(h.Path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(h.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	// An existing file may have other permissions.
	err = f.Chmod(0o600)
	_, writeErr := f.WriteString(entry + "\n")
	return errors.Join(err, writeErr, f.Close())
}
