package ingest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// shardOf returns options with a shard and a file for it in a folder.
func shardOf(o ingest.Options, dir string, index, of int) ingest.Options {
	o.Shard = schema.Shard{Index: index, Of: of}
	o.Path = filepath.Join(dir, fmt.Sprintf("run.%dof%d.duckdb", index, of))
	return o
}

// perPrompt reports whether the rows of a table belong to prompts. The union of these rows over all shards is
// the table of the whole run.
func perPrompt(table string) bool {
	return !slices.Contains([]string{"meta", "model", "run", "component", "run_component", "head", "basis", "mover", "saved_query", "pair_mean_wide"}, table)
}

// TestShards checks that the shards of a run together have the rows of the whole run, bit for bit. That
// includes everything that depends on other prompts: bases that a late prompt cannot have, movers chosen by
// the first prompts, random names, and ids.
func TestShards(t *testing.T) {
	t.Parallel()
	with := everything(engine.Options{Heads: twoHeads[:1], Threads: 1})
	with.TopSources, with.Pairs = 2, false
	whole := realOptions(t, 9, with)
	mixed(&whole, 9, 8)
	mustRun(t, whole)
	want := tables(t, whole.Path)
	for _, of := range []int{1, 4} {
		dir := t.TempDir()
		got := map[string][]string{}
		for index := range of {
			o := realOptions(t, 9, with)
			mixed(&o, 9, 8)
			o = shardOf(o, dir, index, of)
			if s := mustRun(t, o); s.Known || s.Prompts == 0 {
				t.Errorf("shard %v: %+v", o.Shard, s)
			}
			if index == 0 {
				check(t, o.Path)
			}
			part := tables(t, o.Path)
			for table, rows := range part {
				got[table] = append(got[table], rows...)
			}
			for _, table := range []string{"model", "component", "run_component", "head", "basis", "mover"} {
				if diff := differ(want[table], part[table]); diff != "" {
					t.Errorf("shard %v: table %s is not that of the run:\n%s", o.Shard, table, diff)
				}
			}
		}
		for table, rows := range want {
			if !perPrompt(table) {
				continue
			}
			slices.Sort(got[table])
			slices.Sort(rows)
			if diff := differ(rows, got[table]); diff != "" {
				t.Errorf("%d shards: table %s is not that of the run:\n%.2000s", of, table, diff)
			}
		}
	}
}

// TestShardRules checks that, if rules choose edges, no two shards share an id, and ids follow the order of
// the whole run.
func TestShardRules(t *testing.T) {
	t.Parallel()
	fakeRun := func(o ingest.Options) (keys []string, ids []int) {
		mustRun(t, o)
		db, err := dbfile.OpenFor(t.Context(), o.Path, dbfile.Options{Threads: 1}, "edge")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		rows, err := db.SQL().QueryContext(t.Context(), "SELECT example_id, concat_ws(' ', prompt_id, query_pos, key_pos, rule) FROM edge ORDER BY example_id")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		for rows.Next() {
			var id int
			var key string
			if err := rows.Scan(&id, &key); err != nil {
				t.Fatal(err)
			}
			keys, ids = append(keys, key), append(ids, id)
		}
		return keys, ids
	}
	chosen := func() *fake {
		f := newFake(schema.Head{Layer: 1, Index: 0})
		f.rules, f.run.Options = true, `{"substitutions":false,"projections":false,"edges":["previous","first"]}`
		return f
	}
	want, _ := fakeRun(options(t, chosen(), 7))
	var keys []string
	var ids []int
	dir := t.TempDir()
	for index := range 3 {
		o := shardOf(options(t, chosen(), 7), dir, index, 3)
		k, i := fakeRun(o)
		check(t, o.Path)
		if i[0] != index*o.Shard.Room() {
			t.Errorf("shard %d begins at %d", index, i[0])
		}
		keys, ids = append(keys, k...), append(ids, i...)
	}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("the edges are not those of the run:\n%s", diff)
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Errorf("numbers %v", ids)
	}
}

// TestShardAgain checks that an existing file of the same shard is kept, and that one of another shard is
// refused with the differences.
func TestShardAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	make := func() ingest.Options {
		return shardOf(options(t, newFake(schema.Head{Layer: 1, Index: 0}), 9), dir, 1, 3)
	}
	first := mustRun(t, make())
	before, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	again := make()
	again.CommandLine, again.BatchPrompts = "another", 1
	s := mustRun(t, again)
	after, err := os.Stat(first.Path)
	if err != nil {
		t.Fatal(err)
	}
	if !s.Known || s.Prompts != 3 || s.Examples != 3 || s.Rows != first.Rows || s.MaxClosure != first.MaxClosure || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("%+v, want the shard that was there: %+v", s, first)
	}
	for _, tt := range []struct {
		what   string
		change func(*ingest.Options)
	}{
		{"shard 1/3, now 2/3", func(o *ingest.Options) { o.Shard.Index = 2 }},
		{"shard 1/3, now 1/4", func(o *ingest.Options) { o.Shard.Of = 4 }},
		{"prompts 9, now 10", func(o *ingest.Options) { o.Prompts = numbered(10) }},
		{"prompts with SHA-256", func(o *ingest.Options) { o.Names = []string{"another"} }},
		{"seed 7, now 8", func(o *ingest.Options) { o.Seed = 8 }},
		{"model fake with SHA-256", func(o *ingest.Options) {
			f := newFake(schema.Head{Layer: 1, Index: 0})
			f.run.Model.SHA256 = strings.Repeat("a", 64)
			o.Engine = f
		}},
		{"heads 1.0, now 1.1", func(o *ingest.Options) { o.Engine = newFake(schema.Head{Layer: 1, Index: 1}) }},
	} {
		o := make()
		tt.change(&o)
		_, err := ingest.Run(t.Context(), o)
		var different *ingest.DifferentError
		if !errors.As(err, &different) || !strings.Contains(err.Error(), tt.what) || !strings.Contains(different.Hint(), "--force") {
			t.Errorf("%v, want a difference: %s", err, tt.what)
		}
	}
	force := make()
	force.Force, force.Seed = true, 8
	if s := mustRun(t, force); s.Known {
		t.Error("--force has left the old shard")
	}
	check(t, force.Path)
	if s := mustRun(t, options(t, newFake(schema.Head{Layer: 1, Index: 0}), 9)); s.Known {
		t.Error("a whole run is known")
	}
	other := make()
	other.Path = options(t, newFake(schema.Head{Layer: 1, Index: 0}), 9).Path
	whole := other
	whole.Shard = schema.Shard{}
	mustRun(t, whole)
	if _, err := ingest.Run(t.Context(), other); err == nil || !strings.Contains(err.Error(), "shard none, now 1/3") {
		t.Errorf("%v, want that the file is no shard", err)
	}
}

// TestShardStops checks that an interrupted shard leaves no file, and that a shard that another process has
// made in the meantime is used.
func TestShardStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := shardOf(options(t, newFake(schema.Head{Layer: 1, Index: 0}), 40), dir, 0, 2)
	o.BatchPrompts = 2
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stopped := o
	stopped.Progress = func(p ingest.Progress) {
		if p.Prompts >= 4 {
			stop()
		}
		if p.Resumable || p.Total != 20 {
			t.Errorf("%+v", p)
		}
	}
	if _, err := ingest.Run(ctx, stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want that it was cancelled", err)
	}
	nothingBeside(t, o.Path)
	late := o
	late.Progress = func(p ingest.Progress) {
		if p.Prompts == 4 {
			mustRun(t, o)
		}
	}
	if s := mustRun(t, late); !s.Known || s.Prompts != 20 {
		t.Errorf("%+v, want the shard of the other", s)
	}
	nothingBeside(t, o.Path, filepath.Base(o.Path))
	check(t, o.Path)
}

func TestShardOptions(t *testing.T) {
	t.Parallel()
	o := shardOf(options(t, newFake(schema.Head{Layer: 1, Index: 0}), 5), t.TempDir(), 5, 6)
	var shards *ingest.ShardsError
	if _, err := ingest.Run(t.Context(), o); !errors.As(err, &shards) || !errors.Is(err, ingest.ErrOptions) {
		t.Errorf("%v, want that there are too many shards", err)
	}
	o.Resume = true
	if err := o.Validate(); !errors.Is(err, ingest.ErrOptions) {
		t.Errorf("%v: a shard is resumed", err)
	}
}

// TestShardSize checks that the size of a shard is measured on its own prompts.
func TestShardSize(t *testing.T) {
	t.Parallel()
	size, err := ingest.Measure(t.Context(), shardOf(options(t, newFake(schema.Head{Layer: 1, Index: 0}), 100), t.TempDir(), 3, 4))
	if err != nil || size.Prompts != 25 || size.Edges != 25 || size.Tokens != 25*6 {
		t.Errorf("%+v, %v, want 25 prompts", size, err)
	}
}
