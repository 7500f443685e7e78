package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
)

// spare refuses an output that would replace a file that the command reads, or a database if the output is
// not one. Whether one database may replace another is decided by --force.
func spare(cmd *cobra.Command, args []string) error {
	var inputs []string
	for _, flag := range []string{"output", "cpuprofile", "memprofile"} {
		f := cmd.Flags().Lookup(flag)
		if f == nil || f.Value.String() == "" {
			continue
		}
		output := f.Value.String()
		there, err := os.Stat(output)
		if err != nil || !there.Mode().IsRegular() {
			continue
		}
		if flag != "output" || !makesDatabase(cmd) {
			if err := spareDatabase(output); err != nil {
				return err
			}
		}
		if inputs == nil {
			inputs = append(reach(cmd, args).Read, modelFiles(cmd)...)
		}
		for _, input := range inputs {
			if info, err := os.Stat(input); err == nil && os.SameFile(info, there) {
				err := fmt.Errorf("write %s: the command also reads this file", output)
				return advice.Add(err, "choose another name for the output")
			}
		}
	}
	return nil
}

// modelFiles lists the files in the folder of --model.
func modelFiles(cmd *cobra.Command) (list []string) {
	f := cmd.Flags().Lookup("model")
	if f == nil {
		return nil
	}
	entries, _ := os.ReadDir(f.Value.String()) // none if it is a file
	for _, e := range entries {
		list = append(list, filepath.Join(f.Value.String(), e.Name()))
	}
	return list
}

// makesDatabase reports whether -o of a command names a database.
func makesDatabase(cmd *cobra.Command) bool {
	switch cmd.Name() {
	case "ingest", "import", "merge", "gather":
		return true
	}
	return false
}

// spareDatabase refuses to replace a database with anything else.
func spareDatabase(path string) error {
	if !isDatabase(path) {
		return nil
	}
	err := fmt.Errorf("write %s: this file is a DuckDB database, and the output is not", path)
	return advice.Add(err, "choose another name for the output, or remove the database first")
}

// isDatabase reports whether a file has the magic bytes of DuckDB.
func isDatabase(path string) bool {
	info, err := os.Stat(path) // opening a pipe would block
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	const sum, magic = 8, "DUCK" // a checksum comes before the magic bytes
	head := make([]byte, sum+len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head[sum:]) == magic
}
