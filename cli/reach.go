package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ducklens/cli/confine"
	"ducklens/cli/shell"
	"ducklens/schema/draft"
)

// outputFlags are those that name a file or folder to be made, in whatever command they are.
var outputFlags = map[string]bool{"output": true, "parquet": true, "dir": true, "cpuprofile": true, "memprofile": true}

// reach lists the files and folders that a command line names, for [confine.Process]: to read, every argument
// and every value of a flag that is one; to write, the folders in which the files that are to be made will
// lie.
func reach(cmd *cobra.Command, args []string) (paths confine.Paths) {
	for _, arg := range args {
		read(&paths, arg)
		if cmd.Name() == "inspect" {
			readModel(&paths, arg)
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch list, isList := f.Value.(pflag.SliceValue); {
		case outputFlags[f.Name]:
			write(&paths, f.Value.String())
		case !f.Changed:
		case f.Name == "model" || f.Name == "activations":
			readModel(&paths, f.Value.String())
		case isList:
			for _, value := range list.GetSlice() {
				read(&paths, value)
			}
		default:
			read(&paths, f.Value.String())
		}
	})
	switch cmd.Name() {
	case "migrate", "add", "ablate": // in place
		if len(args) > 0 {
			write(&paths, args[0])
		}
	case "plot":
		if !cmd.Flags().Changed("output") { // NAME.svg
			paths.Folders = append(paths.Folders, ".")
		}
	case "shell":
		paths.Folders = append(paths.Folders, ".") // .plot
		if atTerminal(cmd.InOrStdin()) {
			if path, err := shell.HistoryPath(os.Getenv); err == nil && os.MkdirAll(filepath.Dir(path), 0o700) == nil {
				paths.Folders = append(paths.Folders, filepath.Dir(path))
			}
		}
	}
	paths.Libraries = flagIs(cmd, "blas", "openblas")
	return paths
}

// wantsTemporary tells whether a command keeps something in a temporary folder.
func wantsTemporary(cmd *cobra.Command, args []string) bool {
	switch cmd.Name() {
	case "verify", "demo":
		return true
	case "ingest":
		if flagIs(cmd, "dry-run", "true") {
			return true
		}
	case "query":
		if flagIs(cmd, "format", "parquet") || parquetFlag(cmd, "output") {
			return true
		}
	}
	return parquetFlag(cmd, "prompts") || parquetFlag(cmd, "text") || parquetFlag(cmd, "labels") || flagIs(cmd, "model", demoModel) || len(args) > 0 && args[0] == demoModel
}

// parquetFlag tells whether a flag names a Parquet file, or several files of which one is, which is read through a database that spills.
func parquetFlag(cmd *cobra.Command, name string) bool {
	f := cmd.Flags().Lookup(name)
	if f == nil {
		return false
	}
	values := []string{f.Value.String()}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(filepath.Ext(v), ".parquet") })
}

// flagIs tells whether a command has a flag with a value.
func flagIs(cmd *cobra.Command, name, value string) bool {
	f := cmd.Flags().Lookup(name)
	return f != nil && f.Value.String() == value
}

// read adds what a word of the command line names, or a part of NAME=FILE:option=FILE, if it is there; a file
// with the logs of a database.
func read(paths *confine.Paths, word string) {
	word = strings.TrimSpace(word)
	names := append([]string{word}, strings.FieldsFunc(word, func(r rune) bool { return r == '=' || r == ':' })...)
	if _, value, found := strings.Cut(word, "="); found {
		names = append(names, value)
	}
	for _, name := range names {
		if _, err := os.Stat(name); err != nil {
			continue
		}
		paths.Read = append(paths.Read, name)
		for _, full := range []string{name, target(name)} {
			for _, ending := range draft.Logs() {
				paths.Read = append(paths.Read, full+ending)
			}
		}
	}
}

// readModel adds a model: a folder with what links in it lead to, as in the cache of a hub; a .gguf file with
// those beside it, of which some may be its parts.
func readModel(paths *confine.Paths, name string) {
	paths.Read = append(paths.Read, name)
	folder, pattern := name, "*"
	if !isFolder(name) {
		folder, pattern = filepath.Dir(name), "*.gguf"
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		full := filepath.Join(folder, e.Name())
		if fits, _ := filepath.Match(pattern, e.Name()); fits && (!isFolder(name) || e.Type()&os.ModeSymlink != 0) {
			paths.Read = append(paths.Read, full, target(full))
		}
	}
}

// target gives the file that a link leads to.
func target(name string) string {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// write adds the folder in which a file or folder is to be made: the nearest that is there. Of a device, only
// itself is written to.
func write(paths *confine.Paths, name string) {
	if name == "" {
		return
	}
	if info, err := os.Stat(name); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		paths.Write = append(paths.Write, name)
		return
	}
	for _, full := range []string{name, target(name)} {
		dir := filepath.Dir(full)
		for !isFolder(dir) && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir)
		}
		paths.Folders = append(paths.Folders, dir)
	}
}
