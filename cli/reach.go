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

// outputFlags are the flags, of any command, that name a file or folder to write.
var outputFlags = map[string]bool{"output": true, "parquet": true, "dir": true, "cpuprofile": true,
	"memprofile": true}

// reach lists the files and folders that a command line names, for [confine.Process]. To read: every argument
// and flag value that is a file. To write: the folders of the files to be made.
func reach(cmd *cobra.Command, args []string) (paths confine.Paths) {
	for _, arg := range args {
		read(&paths, arg)
		if cmd.Name() == "inspect" {
			readModel(&paths, arg)
		}
		if cmd.Flags().Lookup("data") != nil && isRegular(arg) { // it may be a catalogue
			paths.Read = append(paths.Read, dataSetsBeside(arg)...)
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
	case "migrate", "add", "ablate": // these change a file
		if len(args) > 0 {
			write(&paths, args[0])
		}
	case "plot":
		if !cmd.Flags().Changed("output") { // NAME.svg
			paths.Folders = append(paths.Folders, ".")
		}
	case "explore":
		if folder := cmd.Flags().Lookup("export"); folder.Changed {
			write(&paths, folder.Value.String())
			read(&paths, cmd.Flags().Lookup("wasm").Value.String())
			break
		}
		if port, err := cmd.Flags().GetInt("port"); err == nil {
			paths.Ports = append(paths.Ports, port)
		}
	case "shell":
		paths.Folders = append(paths.Folders, ".") // .plot
		if atTerminal(cmd.InOrStdin()) {
			if path, err := shell.HistoryPath(os.Getenv); err == nil &&
				os.MkdirAll(filepath.Dir(path), 0o700) == nil {
				paths.Folders = append(paths.Folders, filepath.Dir(path))
			}
		}
	}
	paths.Libraries = flagIs(cmd, "blas", "openblas")
	return paths
}

// wantsTemporary reports whether a command needs a temporary folder.
func wantsTemporary(cmd *cobra.Command, args []string) bool {
	switch cmd.Name() {
	case "verify", "demo", "explore":
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
	return parquetFlag(cmd, "prompts") || parquetFlag(cmd, "text") || parquetFlag(cmd, "labels") ||
		flagIs(cmd, "model", demoModel) || len(args) > 0 && args[0] == demoModel
}

// parquetFlag reports whether the value of a flag is a Parquet file, or a list with one. Parquet files are
// read through a database, which may spill to disk.
func parquetFlag(cmd *cobra.Command, name string) bool {
	f := cmd.Flags().Lookup(name)
	if f == nil {
		return false
	}
	values := []string{f.Value.String()}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		values = list.GetSlice()
	}
	return slices.ContainsFunc(values,
		func(v string) bool { return strings.EqualFold(filepath.Ext(v), ".parquet") })
}

// flagIs reports whether a command has a flag with this value.
func flagIs(cmd *cobra.Command, name, value string) bool {
	f := cmd.Flags().Lookup(name)
	return f != nil && f.Value.String() == value
}

// read adds the files that a word of the command line names: the word itself, or parts of
// NAME=FILE:option=FILE. A database comes with its logs.
func read(paths *confine.Paths, word string) {
	word = strings.TrimSpace(word)
	names := append([]string{word},
		strings.FieldsFunc(word, func(r rune) bool { return r == '=' || r == ':' })...)
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

// readModel adds a model: a folder with the targets of its links, as in the cache of a hub, or a .gguf file
// with those beside it, which may be its parts.
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
		if fits, _ := filepath.Match(pattern, e.Name()); fits &&
			(!isFolder(name) || e.Type()&os.ModeSymlink != 0) {
			paths.Read = append(paths.Read, full, target(full))
		}
	}
}

// target returns the file that a link leads to.
func target(name string) string {
	if real, err := filepath.EvalSymlinks(name); err == nil {
		return real
	}
	return name
}

// write adds the nearest existing folder above a file or folder to be made. A device is added itself.
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

// isRegular reports whether path is a regular file or a link to one.
func isRegular(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
