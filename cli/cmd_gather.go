package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"ducklens/internal/advice"
	"ducklens/queries/session"
	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
)

// newGather builds `ducklens gather`.
func newGather(call invocation) *cobra.Command {
	var output, prefix string
	var only []string
	var force bool
	var timeout time.Duration
	memory := bytesFlag(session.DefaultMemory)
	cmd := &cobra.Command{
		Use:   "gather DIR -o FILE",
		Short: "Make a catalogue of a data set: a small file that queries its Parquet files",
		Long: `Writes a catalogue of a data set that export or ingest --parquet made. All commands that query
a file also work on a catalogue, but its largest tables stay in the Parquet files. Every Parquet file must
have the digest that was recorded for it. If a run was computed in shards, all shards must be there and agree
on model, prompts and options; the error lists those that are missing.

ducklens looks for the Parquet files in a folder with the data set's name beside the catalogue, or in the
folder --data. DuckDB itself looks where the data set was when the catalogue was made, or below --prefix,
which may be the address of a bucket. SET VARIABLE ducklens_data = 'DIR' names another place.

A catalogue has all runs of the data set, or those of --run. A run that was added by mistake is removed with
rm -r DIR/*/run=KEY DIR/*/KEY*, and one shard of it with find DIR -name 'KEY.1of4.*' -delete.`,
		Example: `  ducklens gather runs -o catalogue.duckdb
  ducklens gather runs -o catalogue.duckdb --run 0f6f7e21
  ducklens gather runs -o catalogue.duckdb --prefix s3://bucket/runs`,
		GroupID: groupMake,
		Args:    exactly("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output == "" {
				return usagef("-o is missing: name the file to write")
			}
			ownProcess(cmd.Context()).guard(cmd.Context(), int64(memory), 0)
			var runs []transfer.Gathered
			err := within(cmd.Context(), timeout, func(ctx context.Context) (err error) {
				runs, err = transfer.Gather(ctx, args[0], output, transfer.GatherOptions{
					Options: dbfile.Options{Replace: force, Memory: memoryLimit(memory)},
					Prefix:  prefix, Runs: only})
				return err
			})
			if errors.Is(err, dbfile.ErrExists) {
				return advice.Add(err, "choose another name, or replace the file with --force")
			}
			if err != nil {
				return err
			}
			for _, r := range runs {
				of := ""
				if r.Shards > 0 {
					of = " of " + plural(r.Shards, "shard")
				}
				if _, err := fmt.Fprintf(cmd.ErrOrStderr(),
					"run %d%s: %s; its rows stay in %s of %.1f MB\n", r.RunID, of,
					promptsAndEdges(int(r.Prompts), r.Examples), plural(r.Files, "Parquet file"),
					float64(r.Bytes)/1e6); err != nil {
					return err
				}
			}
			return sayCatalogue(cmd, call, args[0], output)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&output, "output", "o", "", "`file` to write, such as catalogue.duckdb")
	flags.StringVar(&prefix, "prefix", "",
		"where DuckDB itself will find the data set: a `folder`, "+
			"or the address of a bucket (as an absolute path unless given)")
	flags.StringSliceVar(&only, "run", nil,
		"gather only the run with this `key`, or the beginning of one; may be repeated")
	flags.BoolVar(&force, "force", false, "replace the file if it exists")
	flags.Var(&memory, "memory", "maximum memory for DuckDB")
	timeoutVar(flags, &timeout)
	return cmd
}

// sayCatalogue prints the command that queries a catalogue.
func sayCatalogue(cmd *cobra.Command, call invocation, folder, output string) error {
	where := ""
	if beside, err := filepath.Abs(filepath.Join(filepath.Dir(output), filepath.Base(folder))); err == nil {
		if abs, err := filepath.Abs(folder); err == nil && abs != beside {
			where = " --data " + quote(folder)
		}
	}
	_, err := fmt.Fprintf(cmd.ErrOrStderr(), "next: %s query %s key_components%s\n", call.program,
		quote(output), where)
	return err
}

type dataKey struct{}

// asking adds the flag --data to commands that read a file.
func asking(commands ...*cobra.Command) []*cobra.Command {
	for _, cmd := range commands {
		cmd.Flags().String("data", "",
			"`folder` of a catalogue's Parquet files, if it is not beside the catalogue")
	}
	return commands
}

// withData puts the value of --data into the command's context.
func withData(cmd *cobra.Command) {
	if f := cmd.Flags().Lookup("data"); f != nil {
		cmd.SetContext(context.WithValue(cmd.Context(), dataKey{}, f.Value.String()))
	}
}

// dataFolder returns the value of --data, or "".
func dataFolder(ctx context.Context) string {
	folder, _ := ctx.Value(dataKey{}).(string)
	return folder
}

// dataSetsBeside lists the data sets in a file's folder. If the file is a catalogue, one of them may be its
// own.
func dataSetsBeside(path string) (list []string) {
	const most = 10_000 // entries, so that a huge folder costs little
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(most)
	for _, name := range names {
		folder := filepath.Join(filepath.Dir(path), name)
		if isFolder(filepath.Join(folder, transfer.ManifestFolder)) {
			list = append(list, folder)
		}
	}
	return list
}
