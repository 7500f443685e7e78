package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/schema/draft"
)

// tidy removes what killed processes have left beside the files that a command names, and says so. It ignores
// what it cannot remove, because that is harmless.
func tidy(cmd *cobra.Command, args []string) {
	names := args
	for _, flag := range []string{"output", "parquet"} {
		if f := cmd.Flags().Lookup(flag); f != nil && f.Value.String() != "" {
			names = append(names, f.Value.String())
		}
	}
	var removed []string
	for _, name := range names {
		if target, err := draft.Resolve(name); err == nil && !strings.HasPrefix(target, "/dev/") {
			gone, _ := draft.Clean(target)
			removed = append(removed, gone...)
			if note := replacedNote(target); note != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "note: %s\n", note)
			}
		}
	}
	if f := cmd.Flags().Lookup("dir"); f != nil { // the folder of figures
		gone, _ := draft.CleanFolder(f.Value.String())
		removed = append(removed, gone...)
	}
	for _, path := range removed {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: removed %s, left by a ducklens process that was killed\n",
			filepath.Base(path))
	}
}

// replacedNote handles NAME.replaced, the second name that releases before 0.1.0 gave a file while ingest
// --force replaced it. It removes a second name of the same file. Another file may be all that is left of a
// run, so it stays, and the note says what to do.
func replacedNote(target string) string {
	name := target + ".replaced"
	second, err := os.Lstat(name)
	if err != nil || !second.Mode().IsRegular() {
		return ""
	}
	first, err := os.Lstat(target)
	switch {
	case err == nil && os.SameFile(first, second):
		if os.Remove(name) == nil {
			return fmt.Sprintf("removed %s, a second name of %s left by an ingest that was killed",
				filepath.Base(name), filepath.Base(target))
		}
	case err == nil:
		return fmt.Sprintf(
			"%s is a file that an ingest --force was replacing when it was killed; "+
				"remove it if you do not need it", filepath.Base(name))
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf(
			"%s is a file that an ingest --force was replacing when it was killed; restore its name with mv",
			filepath.Base(name))
	}
	return ""
}
