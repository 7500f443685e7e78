package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
)

// settleShard parses --shard and chooses the file of the shard. With --parquet it is a hidden file beside the
// data set, until its rows are in the data set.
func (f *ingestFlags) settleShard() (err error) {
	if f.shard, err = schema.ParseShard(f.shardText); err != nil {
		return usagef("--shard: %w", err)
	}
	switch {
	case f.shard.Whole() && f.parquet != "":
		return usagef(
			"--parquet is for the shards of a run, and --shard is missing; --shard 0/1 is the whole run")
	case f.shard.Whole():
		return nil
	case f.add || f.resume:
		return usagef(
			"--shard writes a new file, and an interrupted shard starts again: " +
				"leave out --append and --resume")
	case f.parquet != "" && (f.output != "" || f.force):
		return usagef("--parquet puts the shard into a data set: leave out -o and --force")
	case f.parquet != "":
		f.output = filepath.Join(filepath.Dir(filepath.Clean(f.parquet)),
			"."+filepath.Base(f.parquet)+".duckdb")
	}
	f.output = shardName(f.output, f.shard)
	return nil
}

// shardName returns the name of a shard's file: the run's name with the shard in it.
func shardName(path string, s schema.Shard) string {
	if path == "" {
		return ""
	}
	ending := filepath.Ext(path)
	return fmt.Sprintf("%s.%dof%d%s", strings.TrimSuffix(path, ending), s.Index, s.Of, ending)
}

// there reports whether the data set already has the shard.
func (f *ingestFlags) there(runKey string) (bool, error) {
	if f.parquet == "" {
		return false, nil
	}
	return transfer.HasShard(f.parquet, runKey, f.shard)
}

// ingest computes the run. A file beside a data set with another shard was left by a process that was killed,
// and is replaced.
func (f *ingestFlags) ingest(ctx context.Context, options ingest.Options) (ingest.Summary, error) {
	summary, err := ingest.Run(ctx, options)
	if different := (*ingest.DifferentError)(nil); f.parquet != "" && errors.As(err, &different) {
		options.Force = true
		return ingest.Run(ctx, options)
	}
	return summary, err
}

// intoDataSet moves the rows of a shard from its file into the data set.
func (f *ingestFlags) intoDataSet(ctx context.Context, call invocation, summary ingest.Summary,
	stderr io.Writer) error {
	if _, err := os.Stat(summary.Path); errors.Is(err, os.ErrNotExist) {
		_, err := fmt.Fprintf(stderr, "%s: shard %s is already complete, %s; %s\n", f.parquet, f.shard,
			plural(summary.Prompts, "prompt"), f.afterShard(call))
		return err
	}
	moved, err := transfer.Export(ctx, summary.Path, f.parquet, transfer.ExportOptions{Add: true})
	if err != nil && !errors.Is(err, dbfile.ErrExists) { // another process has added the same shard meanwhile
		return err
	}
	if err := os.Remove(summary.Path); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(stderr, "%s: shard %s, %s\n", f.parquet, f.shard,
		promptsAndEdges(summary.Prompts, summary.Examples)); err != nil {
		return err
	}
	if err := printExported(stderr, f.parquet, moved); err != nil {
		return err
	}
	_, err = fmt.Fprintln(stderr, f.afterShard(call))
	return err
}

// afterShard says what to do with the shards of the run when all are complete.
func (f *ingestFlags) afterShard(call invocation) string {
	all := "when all " + plural(f.shard.Of, "shard") + " are complete"
	if f.shard.Of == 1 {
		all = "next"
	}
	if f.parquet != "" {
		return fmt.Sprintf("%s: %s gather %s -o catalogue.duckdb", all, call.program, quote(f.parquet))
	}
	ending := fmt.Sprintf(".%dof%d%s", f.shard.Index, f.shard.Of, filepath.Ext(f.output))
	name := quote(strings.TrimSuffix(f.output, ending))
	return fmt.Sprintf("%s: %s merge %s.*of%d%s -o %[3]s%[5]s", all, call.program, name, f.shard.Of,
		quote(filepath.Ext(f.output)))
}
