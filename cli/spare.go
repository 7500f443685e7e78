package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// spare refuses a command line whose output would replace a file that the command reads, or a database by what is
// none. Whether one database may replace another is a matter of --force.
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
				err := fmt.Errorf("write %s: the command reads this file, and would replace it", output)
				return &hinted{err, "choose another name for the output"}
			}
		}
	}
	return nil
}

// modelFiles lists what lies in the folder of --model.
func modelFiles(cmd *cobra.Command) (list []string) {
	f := cmd.Flags().Lookup("model")
	if f == nil {
		return nil
	}
	entries, _ := os.ReadDir(f.Value.String()) // none, where it is a file
	for _, e := range entries {
		list = append(list, filepath.Join(f.Value.String(), e.Name()))
	}
	return list
}

// makesDatabase tells whether -o of a command names a database.
func makesDatabase(cmd *cobra.Command) bool {
	switch cmd.Name() {
	case "ingest", "import", "merge":
		return true
	}
	return false
}

// spareDatabase refuses to write what is no database over one.
func spareDatabase(path string) error {
	if !isDatabase(path) {
		return nil
	}
	err := fmt.Errorf("write %s: this file is a DuckDB database, and would be replaced by what is none", path)
	return &hinted{err, "choose another name for the output, or remove the database yourself"}
}

// isDatabase tells whether path is a file that begins as those of DuckDB do.
func isDatabase(path string) bool {
	info, err := os.Stat(path) // opening a pipe would wait for its other end
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	const sum, magic = 8, "DUCK" // a checksum stands before the magic bytes
	head := make([]byte, sum+len(magic))
	_, err = io.ReadFull(f, head)
	return err == nil && string(head[sum:]) == magic
}
