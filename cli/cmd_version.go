package cli

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"ducklens/cli/confine"
)

// release is the version of the next tag, or of the current one.
const release = "0.2.0"

// driverModule is the DuckDB driver. Its version determines the DuckDB that is linked in.
const driverModule = "github.com/duckdb/duckdb-go/v2"

// Version returns the version of this program: the tag it was installed from, or the next release with the
// commit, if the build recorded it.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release + "-dev"
	}
	return versionOf(info)
}

// versionOf returns the version that the build recorded.
func versionOf(info *debug.BuildInfo) string {
	if v, tagged := strings.CutPrefix(info.Main.Version, "v"); tagged && !strings.Contains(v, "-") {
		return v
	}
	version := release + "-dev"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			version += "+" + s.Value[:12]
		}
	}
	return version
}

// newVersion builds `ducklens version`.
func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version of ducklens and what it was built with",
		Example: "  ducklens version\n  ducklens version --json",
		GroupID: groupOther,
		Args:    exactly(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Ducklens string `json:"ducklens"`
				Driver   string `json:"duckdb_go"`
				Go       string `json:"go"`
				System   string `json:"system"`
				Confined string `json:"confined"`
			}{Version(), "unknown", runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH, confine.Support()}
			if info, ok := debug.ReadBuildInfo(); ok {
				for _, m := range info.Deps {
					if m.Path == driverModule {
						v.Driver = m.Version
					}
				}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(v)
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(),
				"ducklens %s (duckdb-go %s, %s, %s)\nconfinement: %s\n", v.Ducklens, v.Driver, v.Go,
				v.System, v.Confined)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
