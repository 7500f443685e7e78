package shell

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"unicode/utf8"
)

// History is what was typed, in a file that only its owner reads. Shells that run side by side add to the same file.
// The zero value keeps nothing.
type History struct {
	Path string
}

// mostEntries is how many entries are kept; the file is cut when it has twice as many.
const mostEntries = 1000

// HistoryPath is where the history of a user lies: below $XDG_STATE_HOME, which is ~/.local/state unless set; on macOS and
// Windows, where the system keeps settings. getenv reads the environment.
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

// Load gives the last entries, oldest first. A file that is not there is an empty history.
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

// control tells whether a character would do something to a terminal.
func control(r rune) bool { return r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 }

// replace writes the file anew, whole or not at all.
func (h *History) replace(entries []string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(h.Path), ".history-*") // for its owner alone
	if err != nil {
		return err
	}
	_, err = f.WriteString(strings.Join(entries, "\n") + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), h.Path)
}

// Append adds an entry of one line to the file, which is made for its owner alone.
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
	// One that was there may have had other rights.
	err = f.Chmod(0o600)
	_, writeErr := f.WriteString(entry + "\n")
	return errors.Join(err, writeErr, f.Close())
}
