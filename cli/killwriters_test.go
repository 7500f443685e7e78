package cli_test

import (
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ducklens/cli"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

var kills = flag.Int("kills", 13, "how many commands that write are killed; make kill takes many more")

// A killed is a command that writes target. Before it begins, target is a copy of old or does not exist.
type killed struct {
	name    string
	target  string
	old     string
	args    []string // each TARGET stands for the path of target
	again   []string // what is run where the new one is there; nil: args
	digest  func(t *testing.T, path string) string
	partial bool   // a run that is not complete may have the name, and is resumed
	query   string // where partial, a saved query to add

	want, before string // digests of what it writes, and of old
	takes        time.Duration
	kept         int // kills after which the old one was there, or nothing
	made         int // after which the new one was
	begun        int // after which a run was there that is not complete
}

// TestKilledWriters kills every command that writes a file or a folder at random moments. After each kill the
// target is the old one or the complete new one. The next command then writes it completely, and leaves
// nothing beside it.
func TestKilledWriters(t *testing.T) {
	seed := *killSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-kill-seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	list := preparedWriters(t)
	for i := range *kills {
		k := list[i%len(list)]
		k.kill(t, time.Duration(random.Int64N(int64(k.takes+k.takes/20))))
		if t.Failed() {
			t.FailNow()
		}
	}
	for _, k := range list {
		t.Logf("%-14s of %4d ms: %d times the old, %d times the new, %d times a run to resume", k.name, k.takes.Milliseconds(), k.kept, k.made, k.begun)
	}
}

// writersOnce are the commands, after each has run to its end.
var writersOnce []killed

// preparedWriters gives the commands, and what each writes. The tests that ask for them do not run side by
// side.
func preparedWriters(t *testing.T) (list []*killed) {
	t.Helper()
	if writersOnce == nil {
		var all []killed
		for _, k := range killedWriters(t) {
			k.prepare(t)
			all = append(all, *k)
		}
		writersOnce = all
	}
	for _, k := range writersOnce {
		list = append(list, &k)
	}
	return list
}

// killedWriters gives the commands, whose files are made once.
func killedWriters(t *testing.T) []*killed {
	t.Helper()
	model := demoModel(t)
	// Before tables are compared, the time at which a run began is left out, and its command.
	ingest := []string{"ingest", "--model", model, "--head", "3.1", "--factors", "off", "--threads", "1"}
	large := append(slices.Clone(ingest), "-n", "12", "--batch", "2", "-o")
	dir := once(t, "writers", func(dir string) error {
		if err := os.MkdirAll(filepath.Join(dir, "queries"), 0o755); err != nil {
			return err
		}
		for name, text := range map[string]string{
			"queries/one.sql": "-- name: one\n-- title: Mean score\n-- chart: bar\n-- x: head\n-- y: score\n\nSELECT head, avg(score) AS score FROM head_score GROUP BY head ORDER BY head\n",
			"old.svg":         "old",
			"v2.duckdb":       string(unzip(t, filepath.Join("..", "schema", "transfer", "testdata", "v2.duckdb.gz"))),
		} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		old, base := filepath.Join(dir, "old.duckdb"), filepath.Join(dir, "base.duckdb")
		return errors.Join(command(append(slices.Clone(ingest), "-n", "4", "--seed", "7", "-o", old)...), command(append(slices.Clone(large), base)...),
			command("export", old, "--parquet", filepath.Join(dir, "old")), command("export", base, "--parquet", filepath.Join(dir, "base")))
	})
	in := func(name string) string { return filepath.Join(dir, name) }
	info := []string{"info", "TARGET"}
	merge := []string{"merge", in("base.duckdb"), in("old.duckdb"), "-o", "TARGET"}
	return []*killed{
		{name: "ingest", target: "x.duckdb", args: append(slices.Clone(large), "TARGET"), again: info, query: in("queries/one.sql"), digest: tablesDigest, partial: true},
		{name: "ingest --force", target: "x.duckdb", old: in("old.duckdb"), args: append(slices.Clone(large), "TARGET", "--force"), digest: tablesDigest},
		{name: "ingest --append", target: "x.duckdb", old: in("old.duckdb"), args: append(slices.Clone(large), "TARGET", "--append"), again: info, query: in("queries/one.sql"), digest: tablesDigest, partial: true},
		{name: "merge", target: "x.duckdb", args: merge, again: info, digest: tablesDigest},
		{name: "merge --force", target: "x.duckdb", old: in("old.duckdb"), args: append(slices.Clone(merge), "--force"), digest: tablesDigest},
		{name: "import --force", target: "x.duckdb", old: in("old.duckdb"), args: []string{"import", in("base"), "-o", "TARGET", "--force"}, digest: tablesDigest},
		{name: "export", target: "x", args: []string{"export", in("base.duckdb"), "--parquet", "TARGET"}, again: []string{"export", in("base.duckdb"), "--parquet", "TARGET", "--force"}, digest: treeDigest},
		{name: "export --force", target: "x", old: in("old"), args: []string{"export", in("base.duckdb"), "--parquet", "TARGET", "--force"}, digest: treeDigest},
		{name: "migrate", target: "x.duckdb", old: in("v2.duckdb"), args: []string{"migrate", "TARGET"}, digest: tablesDigest},
		{name: "figures build", target: "x", args: []string{"figures", "build", in("base.duckdb"), "--queries", in("queries"), "--dir", "TARGET", "--format", "svg"}, digest: treeDigest},
		{name: "report --force", target: "x.html", old: in("old.svg"), args: []string{"report", in("base.duckdb"), "--queries", in("queries"), "-o", "TARGET", "--force"}, digest: treeDigest},
		{name: "plot", target: "x.svg", old: in("old.svg"), args: []string{"plot", in("base.duckdb"), in("queries/one.sql"), "-o", "TARGET"}, digest: treeDigest},
		{name: "query -o", target: "x.csv", old: in("old.svg"), args: []string{"query", in("base.duckdb"), in("queries/one.sql"), "-o", "TARGET"}, digest: treeDigest},
	}
}

// start returns the path of the target, in its own folder, and the arguments of the command.
func (k *killed) start(t *testing.T) (path string, args []string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), k.target)
	if k.old != "" {
		copyTree(t, k.old, path)
	}
	return path, placed(k.args, path)
}

// placed replaces TARGET by a path.
func placed(args []string, path string) (list []string) {
	for _, a := range args {
		if a == "TARGET" {
			a = path
		}
		list = append(list, a)
	}
	return list
}

// prepare runs the command to its end.
func (k *killed) prepare(t *testing.T) {
	t.Helper()
	path, args := k.start(t)
	if k.old != "" {
		k.before = k.digest(t, path)
	}
	begin := time.Now()
	if out, err := exec.CommandContext(t.Context(), "ducklens", args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", k.name, err, out)
	}
	k.takes = time.Since(begin)
	if k.want = k.digest(t, path); k.want == k.before {
		t.Fatalf("%s has changed nothing", k.name)
	}
	k.alone(t, path)
}

// kill kills the command after a while, checks what is there, and runs the next command.
func (k *killed) kill(t *testing.T, after time.Duration) {
	t.Helper()
	path, args := k.start(t)
	killAfter(t, after, args)
	_, err := os.Lstat(path)
	there := err == nil
	digest := ""
	if there {
		digest = k.digest(t, path)
	}
	switch {
	case digest == k.want:
		k.made++
	case digest == k.before: // "" where there was nothing
		k.kept++
	case k.partial:
		k.begun++
		k.check(t, path)
	default:
		t.Errorf("%s, killed after %v: what is there is neither the old nor the new\n%s", k.name, after, digest)
	}
	// The next command.
	switch {
	case digest == k.want && k.again != nil:
		args = placed(k.again, path)
	case k.partial && (digest != k.before || !there):
		args = append(slices.DeleteFunc(args, func(a string) bool { return a == "--append" }), "--resume")
	}
	if out, err := exec.CommandContext(t.Context(), "ducklens", args...).CombinedOutput(); err != nil {
		t.Fatalf("%s, killed after %v, and then %s: %v\n%s", k.name, after, strings.Join(args, " "), err, out)
	}
	if digest := k.digest(t, path); digest != k.want {
		t.Errorf("%s, killed after %v, and then %s: what is there is not the new\n%s", k.name, after, strings.Join(args, " "), digest)
	}
	if _, err := os.Lstat(path + ".wal"); err == nil && digest == k.want && k.partial {
		// It was killed after its last commit. The log is part of the file until a command writes to it; info
		// does not.
		add := []string{"queries", "add", path, k.query}
		if out, err := exec.CommandContext(t.Context(), "ducklens", add...).CombinedOutput(); err != nil {
			t.Errorf("%s, killed after %v, and then %s: %v\n%s", k.name, after, strings.Join(add, " "), err, out)
		}
	}
	k.alone(t, path)
}

// check checks a file whose last run is incomplete.
func (k *killed) check(t *testing.T, path string) {
	t.Helper()
	code, out, stderr := run(t.Context(), "verify", path)
	for _, line := range strings.Split(out, "\n") {
		kind, _, _ := strings.Cut(line, ":")
		if slices.Contains([]verify.ProblemKind{verify.Damaged, verify.Altered, verify.Miscounted, verify.Orphan, verify.NotFinite, verify.Conflicting, verify.NotClosed}, verify.ProblemKind(kind)) {
			t.Errorf("%s: verify says %s", k.name, line)
		}
	}
	if code != cli.ExitOK && code != cli.ExitFailed {
		t.Errorf("%s: verify: exit code %d\n%s", k.name, code, stderr)
	}
	if code, _, stderr := run(t.Context(), "info", path); code != cli.ExitOK {
		t.Errorf("%s: info: exit code %d\n%s", k.name, code, stderr)
	}
}

// alone checks that nothing is beside path.
func (k *killed) alone(t *testing.T, path string) {
	t.Helper()
	if got := names(t, filepath.Dir(path)); !slices.Equal(got, []string{filepath.Base(path)}) {
		t.Errorf("%s: the folder has %q, want %q alone", k.name, got, filepath.Base(path))
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		for _, name := range names(t, path) {
			if strings.HasPrefix(name, ".") {
				t.Errorf("%s: %s is left in the folder", k.name, name)
			}
		}
	}
}

// tablesDigest describes the content of a database file, without the times and commands of its runs. For a
// file of an older version it hashes the bytes.
func tablesDigest(t *testing.T, path string) string {
	t.Helper()
	names := storedNames(t)
	db, err := dbfile.OpenFor(t.Context(), path, dbfile.Options{Threads: 1}, names...)
	if err != nil {
		return treeDigest(t, path)
	}
	defer db.Close()
	var parts []string
	for _, name := range names {
		parts = append(parts, fmt.Sprintf("SELECT concat('%s: ', count(*), ' rows, ', sum(hash(t::VARCHAR)::HUGEINT)) FROM (%s) AS t", name, storedRows(name)))
	}
	return strings.Join(schematest.Texts(t, db.SQL(), strings.Join(parts, " UNION ALL ")+" ORDER BY ALL"), "\n")
}

// treeDigest describes the content of a file or of a folder, without hidden folders.
func treeDigest(t *testing.T, path string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(path, func(file string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && strings.HasPrefix(e.Name(), "."):
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		text, err := os.ReadFile(file)
		relative, _ := filepath.Rel(path, file)
		fmt.Fprintf(&b, "%s: %x\n", relative, sha256.Sum256(text))
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return b.String()
}

// names lists a folder.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// copyTree copies a file or a folder.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		var text []byte
		if text, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, text, 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// unzip reads a .gz file.
func unzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
