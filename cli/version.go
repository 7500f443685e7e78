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

// release is the version that the next tag will carry, or the tag's own.
const release = "0.1.0"

// driverModule is the DuckDB driver, whose version names the DuckDB that is linked in.
const driverModule = "github.com/duckdb/duckdb-go/v2"

// Version describes the program that runs: the tag it was installed from, or the release that this source
// leads to and, where the build recorded it, the commit.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return release + "-dev"
	}
	return versionOf(info)
}

// versionOf reads the version from what the build recorded.
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
		Short:   "Say which ducklens this is, and what it was built with",
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
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "ducklens %s (duckdb-go %s, %s, %s)\nfiles of others: %s\n", v.Ducklens, v.Driver, v.Go, v.System, v.Confined)
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}
