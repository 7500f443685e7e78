//go:build unix

package speed_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ducklens/cli"
	"ducklens/engine"
	"ducklens/engine/model/modeltest"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// many is the number of prompts of the larger runs.
var many = flag.Int("prompts", 1200, "number of prompts of the larger runs")

// childArguments makes a process of the test binary the program itself, with these arguments, a line each;
// childPeak names the file that it leaves what the system says of its memory in. (The peak that a parent is
// told of is at least the parent's own.)
const (
	childArguments = "DUCKLENS_SPEED_ARGUMENTS"
	childPeak      = "DUCKLENS_SPEED_PEAK"
)

func TestMain(m *testing.M) {
	cli.PreferThroughput() // as the program does: for what is measured in this process, and for PyTorch, which it starts
	if lines, ok := os.LookupEnv(childArguments); ok {
		code := cli.Run(context.Background(), append([]string{"ducklens"}, strings.Split(lines, "\n")...), os.Stdin, os.Stdout, os.Stderr)
		if status, err := os.ReadFile("/proc/self/status"); err == nil {
			_ = os.WriteFile(os.Getenv(childPeak), status, 0o600) // the parent notices
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// usage is what something took.
type usage struct {
	wall time.Duration
	cpu  time.Duration // of all threads: steadier than wall where others use the machine
	peak float64       // MB resident at most, of a process
	said []byte        // by a process, to standard output
}

// measure times f in this process.
func measure(b *testing.B, f func() error) usage {
	b.Helper()
	used := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC() // what was before is not f's
	start, cpu := time.Now(), used()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	return usage{wall: time.Since(start), cpu: used() - cpu}
}

// ducklens runs the program in a process of its own.
func ducklens(tb testing.TB, args ...string) usage {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), os.Args[0])
	peak := filepath.Join(tb.TempDir(), "status")
	cmd.Env = append(os.Environ(), childArguments+"="+strings.Join(args, "\n"), childPeak+"="+peak)
	var warned bytes.Buffer
	cmd.Stderr = &warned
	start := time.Now()
	said, err := cmd.Output()
	if err != nil {
		tb.Fatalf("ducklens %q: %v\n%s%s", args, err, said, warned.Bytes())
	}
	u := usage{said: said, wall: time.Since(start), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
	status, err := os.ReadFile(peak)
	if err != nil {
		return u // no /proc here
	}
	for line := range strings.Lines(string(status)) {
		if n, err := fmt.Sscanf(line, "VmHWM: %f kB", &u.peak); n == 1 && err == nil {
			u.peak *= 1024.0 / 1e6
		}
	}
	return u
}

// ingestArguments is a run of head 10.7 with everything but the table of pairs.
func ingestArguments(model, file string, n int) []string {
	return []string{"ingest", "--model", model, "--head", "10.7", "-n", fmt.Sprint(n), "--force", "-o", file}
}

// head is the target of every run here.
func head() schema.Head { return schema.Head{Layer: 10, Index: 7} }

// everything is what `ducklens ingest` computes unless told otherwise.
func everything() engine.Options {
	return engine.Options{Heads: []schema.Head{head()}, Factors: true, Substitutions: true, Projections: true}
}

// open opens the model for the length of a benchmark.
func open(b *testing.B, model string, o engine.Options) *engine.Engine {
	b.Helper()
	e, err := engine.Open(model, o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = e.Close() })
	return e
}

func ioi(n int) iter.Seq2[schema.Prompt, error] {
	return prompts.IOI().Prompts(prompts.Sampling{N: n, Seed: 1})
}

// examples makes the prompts ready.
func examples(b *testing.B, e *engine.Engine, n int) []schema.Example {
	b.Helper()
	var list []schema.Example
	for p, err := range ioi(n) {
		if err != nil {
			b.Fatal(err)
		}
		x, err := e.Example(p)
		if err != nil {
			b.Fatal(err)
		}
		x.Index, x.PromptIndex = len(list), len(list)
		list = append(list, x)
	}
	return list
}

// options is an ingest of n prompts.
func options(e ingest.Engine, file string, n int) ingest.Options {
	return ingest.Options{
		Engine: e, Prompts: ioi(n), Names: prompts.IOI().Names, Path: file, Force: true,
		CreatedAt: time.Unix(0, 0), Version: "speed", PromptSource: "ioi", Seed: 1,
	}
}

// BenchmarkTargets measures, on random weights of GPT-2 small's sizes and head 10.7: whole runs against the
// forward pass alone, the writer against DuckDB's own INSERT from memory, the size of the file, saved
// queries, the explorer, peak memory, growth with the number of prompts, and start-up.
func BenchmarkTargets(b *testing.B) {
	if testing.Short() {
		b.Skip("writes a model of 0.5 GB")
	}
	model, file := b.TempDir(), filepath.Join(b.TempDir(), "run.duckdb")
	if err := modeltest.Write(model, modeltest.Small(), 1); err != nil {
		b.Fatal(err)
	}
	b.Run("original", func(b *testing.B) { benchmarkOriginal(b, model) })
	b.Run("ingest", func(b *testing.B) { benchmarkIngest(b, model, file) })
	b.Run("engine", func(b *testing.B) { benchmarkEngine(b, model) })
	b.Run("queries", func(b *testing.B) { benchmarkQueries(b, file) })
	b.Run("explore", func(b *testing.B) { benchmarkExplore(b, file) })
	b.Run("writer", func(b *testing.B) { benchmarkWriter(b, model) })
	b.Run("memory", func(b *testing.B) { benchmarkMemory(b, model) })
	b.Run("growth", func(b *testing.B) { benchmarkGrowth(b, model) })
	b.Run("start", benchmarkStart)
}

// The original research code calls its function 15 times for what one run computes, and on a quiet machine
// with two cores a call takes 1.6 times as long as a plain PyTorch forward pass of 50 sequences of 22 tokens:
// 82 s in all, where a pass takes 3.4 s.
const originalPasses = 15 * 1.6

// benchmarkOriginal runs the program on 50 prompts, from its start to the finished file, in turns with a
// forward pass of PyTorch. The best of each counts: s/run is the time of a run, x-pass that over the time of
// a pass, x-original how many times as fast it is as the original code, by the length of a pass.
// x-original-cpu is the same of processor time.
func benchmarkOriginal(b *testing.B, model string) {
	torch := modeltest.StartTorch(b)
	file := filepath.Join(b.TempDir(), "run.duckdb")
	run, pass := usage{wall: time.Hour, cpu: time.Hour}, usage{wall: time.Hour, cpu: time.Hour}
	for b.Loop() {
		u, p := ducklens(b, ingestArguments(model, file, 50)...), torch(b)
		run.wall, run.cpu = min(run.wall, u.wall), min(run.cpu, u.cpu)
		pass.wall, pass.cpu = min(pass.wall, p.Wall), min(pass.cpu, p.CPU)
	}
	b.ReportMetric(run.wall.Seconds(), "s/run")
	b.ReportMetric(run.wall.Seconds()/pass.wall.Seconds(), "x-pass")
	b.ReportMetric(originalPasses*pass.wall.Seconds()/run.wall.Seconds(), "x-original")
	b.ReportMetric(originalPasses*pass.cpu.Seconds()/run.cpu.Seconds(), "x-original-cpu")
}

// benchmarkIngest writes a run to file. x-forward is its wall time over that of the forward passes with
// nothing but scores and attention rows, x-forward-cpu the same of processor time, and bytes/float the size
// of the file over the floats in it.
func benchmarkIngest(b *testing.B, model, file string) {
	whole := open(b, model, everything())
	bare := open(b, model, engine.Options{Heads: []schema.Head{head()}, AttentionOnly: true})
	list := examples(b, bare, *many)
	var run, forward usage
	for b.Loop() {
		// They take turns, so that both see the same machine.
		for part := range slices.Chunk(list, 64) {
			u := measure(b, func() error { _, err := bare.Analyze(b.Context(), part); return err })
			forward.wall, forward.cpu = forward.wall+u.wall, forward.cpu+u.cpu
		}
		u := measure(b, func() error { _, err := ingest.Run(b.Context(), options(whole, file, *many)); return err })
		run.wall, run.cpu = run.wall+u.wall, run.cpu+u.cpu
	}
	b.ReportMetric(run.wall.Seconds()/forward.wall.Seconds(), "x-forward")
	b.ReportMetric(run.cpu.Seconds()/forward.cpu.Seconds(), "x-forward-cpu")
	b.ReportMetric(run.cpu.Seconds()/float64(b.N**many)*1000, "cpu-ms/prompt")
	b.ReportMetric(float64(*many*b.N)/run.wall.Seconds(), "prompts/s")
	reportSize(b, file)
}

// benchmarkEngine analyses 50 prompts in different ways, in turns, without writing anything. The least
// processor time of each counts. decomposition is that of everything for head 10.7 over that of the forward
// pass with its scores and attention rows; 144-heads that of every head, one-sided (no bases beside none),
// over that of head 10.7 as the same options have it.
func benchmarkEngine(b *testing.B, model string) {
	oneSided := everything()
	oneSided.Factors, oneSided.QueryBases, oneSided.KeyBases = false, []string{"none"}, []string{"none"}
	all := oneSided
	all.Heads = nil
	ways := []engine.Options{{Heads: []schema.Head{head()}, AttentionOnly: true}, everything(), oneSided, all}
	engines, best := make([]*engine.Engine, len(ways)), make([]time.Duration, len(ways))
	var list []schema.Example
	for i, o := range ways {
		o.Threads = 1 // so that processor time is not spent on waiting for a thread that others hold up
		engines[i], best[i] = open(b, model, o), time.Hour
		if list == nil {
			list = examples(b, engines[i], 50)
		}
		if err := engines[i].Prepare(b.Context(), list[:engine.ProbeExamples]); err != nil {
			b.Fatal(err)
		}
		if _, err := engines[i].Analyze(b.Context(), list); err != nil { // the first call makes what later ones use again
			b.Fatal(err)
		}
	}
	for b.Loop() {
		for i, e := range engines {
			u := measure(b, func() error { _, err := e.Analyze(b.Context(), list); return err })
			best[i] = min(best[i], u.cpu)
		}
	}
	b.ReportMetric(best[0].Seconds()*1000, "forward-cpu-ms")
	b.ReportMetric(best[1].Seconds()/best[0].Seconds(), "decomposition")
	b.ReportMetric(best[3].Seconds()/best[2].Seconds(), "144-heads")
}

// reportSize reports the bytes of a file by the floats in it: rows times FLOAT columns, and the lengths of
// lists.
func reportSize(b *testing.B, file string) {
	b.Helper()
	db, err := dbfile.OpenReader(b.Context(), file, dbfile.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	rows, err := db.SQL().QueryContext(b.Context(), `SELECT table_name, string_agg(CASE data_type
		WHEN 'FLOAT' THEN 'count("' || column_name || '")' WHEN 'FLOAT[]' THEN 'coalesce(sum(len("' || column_name || '")), 0)' END, ' + ')
		FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) WHERE data_type IN ('FLOAT', 'FLOAT[]') AND column_name NOT LIKE 'diff%' GROUP BY table_name`)
	if err != nil {
		b.Fatal(err)
	}
	var sums []string
	for rows.Next() {
		var table, sum string
		if err := rows.Scan(&table, &sum); err != nil {
			b.Fatal(err)
		}
		sums = append(sums, "(SELECT "+sum+" FROM "+table+")")
	}
	if err := rows.Err(); err != nil {
		b.Fatal(err)
	}
	var floats float64
	if err := db.SQL().QueryRowContext(b.Context(), "SELECT ("+strings.Join(sums, " + ")+")::DOUBLE").Scan(&floats); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/floats, "bytes/float")
}

// benchmarkQueries runs every saved query on the file that benchmarkIngest has written.
func benchmarkQueries(b *testing.B, file string) {
	if _, err := os.Stat(file); err != nil {
		b.Skip("needs the file of the sub-benchmark ingest")
	}
	s, err := session.Open(b.Context(), file, session.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	best := map[string]time.Duration{}
	for b.Loop() {
		for _, q := range queries.Embedded() {
			for range 3 {
				u := measure(b, func() error { _, err := s.Run(b.Context(), q, nil); return err })
				if old, ok := best[q.Name]; !ok || u.wall < old {
					best[q.Name] = u.wall
				}
			}
		}
	}
	slowest := map[bool]string{}
	for name, took := range best {
		pairs := strings.Contains(name, "pair")
		if old, ok := slowest[pairs]; !ok || took > best[old] {
			slowest[pairs] = name
		}
		b.Logf("%s: %.1f ms", name, took.Seconds()*1000)
	}
	b.ReportMetric(best[slowest[false]].Seconds()*1000, "slowest-query-ms")
	b.ReportMetric(best[slowest[true]].Seconds()*1000, "slowest-pair-ms")
}

// replay is an engine that has analysed everything before.
type replay struct {
	*engine.Engine
	results []schema.Result
}

// Prepare has been done too.
func (r *replay) Prepare(context.Context, []schema.Example) error { return nil }

func (r *replay) Stream(_ context.Context, list []schema.Example, yield func(int, schema.PromptResult) error) error {
	for i, x := range list {
		if err := yield(i, schema.PromptResult{Prompt: x, Examples: r.results[x.Index : x.Index+1]}); err != nil {
			return err
		}
	}
	return nil
}

// benchmarkWriter writes results that lie in memory: x-insert is the processor time of DuckDB's own INSERT
// ... SELECT of the same rows from tables in memory over that of the writer, each into a new file. The
// writer's includes the means of pairs.
func benchmarkWriter(b *testing.B, model string) {
	n := min(*many, 256)
	e := open(b, model, everything())
	list := examples(b, e, n)
	if err := e.Prepare(b.Context(), list[:engine.ProbeExamples]); err != nil {
		b.Fatal(err)
	}
	r := &replay{Engine: e}
	for part := range slices.Chunk(list, 64) {
		results, err := e.Analyze(b.Context(), part)
		if err != nil {
			b.Fatal(err)
		}
		r.results = append(r.results, results...)
	}
	file, copied := filepath.Join(b.TempDir(), "written.duckdb"), filepath.Join(b.TempDir(), "copied.duckdb")
	var writer, insert usage
	for b.Loop() {
		u := measure(b, func() error { _, err := ingest.Run(b.Context(), options(r, file, n)); return err })
		writer.wall, writer.cpu = writer.wall+u.wall, writer.cpu+u.cpu
		u = insertFrom(b, file, copied)
		insert.wall, insert.cpu = insert.wall+u.wall, insert.cpu+u.cpu
	}
	b.ReportMetric(insert.cpu.Seconds()/writer.cpu.Seconds(), "x-insert")
	b.ReportMetric(insert.wall.Seconds()/writer.wall.Seconds(), "x-insert-wall")
	b.ReportMetric(writer.cpu.Seconds()*1000/float64(b.N*n), "cpu-ms/prompt")
}

// insertFrom copies the rows of a file to memory, and measures copying them from there into a new file. It
// uses a connection of its own, because those of dbfile read no other file.
func insertFrom(b *testing.B, file, copied string) usage {
	b.Helper()
	ctx := b.Context()
	empty, err := dbfile.Create(ctx, copied, dbfile.Options{Replace: true})
	if err != nil {
		b.Fatal(err)
	}
	if err := errors.Join(empty.Finalize(ctx), empty.Close()); err != nil {
		b.Fatal(err)
	}
	db, err := sql.Open("duckdb", "")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	must := func(statement string) {
		b.Helper()
		if _, err := db.ExecContext(ctx, statement); err != nil {
			b.Fatal(err)
		}
	}
	must("ATTACH '" + file + "' AS source (READ_ONLY)")
	tables := []string{"prompt", "prompt_token", "edge", "score", "prompt_attention", "layer_scale",
		"contribution_wide", "query_factor", "key_factor", "query_axis", "key_axis", "query_coordinate",
		"key_coordinate", "component_norm", "component_gram", "substitution", "projection", "vector_cosine",
		"pair_mean_wide"}
	columns := map[string]string{}
	for _, t := range tables {
		// Generated columns cannot be inserted into; only their definitions tell which they are.
		var list string
		if err := db.QueryRowContext(ctx, `SELECT string_agg(column_name, ', ' ORDER BY column_index) FROM duckdb_columns() JOIN duckdb_tables() USING (table_oid, database_name)
			WHERE database_name = 'source' AND duckdb_tables.table_name = $1 AND NOT regexp_matches(sql, '\b' || column_name || ' [A-Z]+ GENERATED')`, t).Scan(&list); err != nil {
			b.Fatalf("table %s: %v", t, err)
		}
		columns[t] = list
		must("CREATE TABLE memory." + t + " AS SELECT " + list + " FROM source." + t)
	}
	must("DETACH source")
	must("ATTACH '" + copied + "' AS target")
	return measure(b, func() error {
		for _, t := range tables {
			must("INSERT INTO target." + t + " (" + columns[t] + ") SELECT * FROM memory." + t)
		}
		must("DETACH target") // which writes what is still in the log
		return nil
	})
}

// benchmarkMemory runs the program on 50 and on many prompts, each in a process of its own.
func benchmarkMemory(b *testing.B, model string) {
	var few, lots usage
	for b.Loop() {
		few = ducklens(b, ingestArguments(model, filepath.Join(b.TempDir(), "few.duckdb"), 50)...)
		lots = ducklens(b, ingestArguments(model, filepath.Join(b.TempDir(), "many.duckdb"), *many)...)
	}
	if few.peak > 0 {
		b.ReportMetric(few.peak, "peak-MB")
		b.ReportMetric(lots.peak/few.peak, "x-peak")
	}
}

// benchmarkGrowth reports the processor time a prompt of runs of 50, 200 and 800 prompts, with the model
// open: x-linear is the largest over the smallest.
func benchmarkGrowth(b *testing.B, model string) {
	e := open(b, model, everything())
	var each []float64
	for b.Loop() {
		each = nil
		for _, n := range []int{50, 200, 800} {
			if n > *many {
				continue
			}
			file := filepath.Join(b.TempDir(), "run.duckdb")
			u := measure(b, func() error { _, err := ingest.Run(b.Context(), options(e, file, n)); return err })
			each = append(each, u.cpu.Seconds()*1000/float64(n))
		}
	}
	b.Logf("cpu ms a prompt: %.1f", each)
	b.ReportMetric(slices.Max(each)/slices.Min(each), "x-linear")
}

// benchmarkStart reports the wall time of --help and of a query on a small file, the best of ten.
func benchmarkStart(b *testing.B) {
	file := filepath.Join(b.TempDir(), "small.duckdb")
	db, err := dbfile.Create(b.Context(), file, dbfile.Options{})
	if err == nil {
		err = db.Finalize(b.Context())
	}
	if err != nil {
		b.Fatal(err)
	}
	help, query := time.Hour, time.Hour
	for b.Loop() {
		for range 10 {
			help = min(help, ducklens(b, "--help").wall)
			query = min(query, ducklens(b, "query", file, "--sql", "SELECT 1").wall)
		}
	}
	b.ReportMetric(help.Seconds()*1000, "help-ms")
	b.ReportMetric(query.Seconds()*1000, "query-ms")
}
