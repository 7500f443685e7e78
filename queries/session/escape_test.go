package session_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

const (
	childVariable = "DUCKLENS_TEST_ESCAPES" // the path of the file with the child's task
	theSecret     = "opensesame"
)

// TestMain lets the test binary run as its own child.
func TestMain(m *testing.M) {
	if file := os.Getenv(childVariable); file != "" {
		if err := tryEscapes(file); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// attempt is a statement that the child tries, with its result.
type attempt struct {
	SQL      string
	Answered bool
	Refused  bool // the error is session.ErrRefused
	Syntax   bool // the error is a session.SQLError
	Error    string
	Secret   bool   // the answer, the error or its hint contains the secret
	Changed  string // what has changed
	Broken   string // why the session no longer works
}

// task is the task and the report of the child.
type task struct {
	DB       string
	Attempts []attempt
	Faults   []string // of saved queries
}

// TestEscapes tries every known way out of a file, in a process with a folder, a home and a folder for
// temporary files that must not change. It checks the effects, not only the error messages.
func TestEscapes(t *testing.T) {
	t.Parallel()
	list := escapes()
	_, asked := planted()
	list = append(list, asked...)
	run := newEscapeRun(t)
	for _, e := range list {
		run.task.Attempts = append(run.task.Attempts, attempt{SQL: run.fill(e.sql)})
	}
	report := run.try(t)
	if len(report.Attempts) < len(list) {
		t.Fatalf("the child tried %d of %d statements", len(report.Attempts), len(list))
	}
	for i, a := range report.Attempts {
		var want any = harmless
		if i < len(list) {
			want = list[i].want
		} else if a.SQL != "good" {
			want = session.ErrRefused // for a saved query
		}
		fault := ""
		switch {
		case a.Secret:
			fault = "it shows the secret"
		case a.Changed != "":
			fault = "it changes " + a.Changed
		case a.Broken != "":
			fault = "afterwards the session is broken: " + a.Broken
		case want == harmless:
		case a.Answered:
			fault = "it is answered"
		case want == nil:
		case want == session.ErrRefused && !a.Refused:
			fault = "it is not refused"
		case want != session.ErrRefused && !a.Syntax:
			fault = "it is not an error of SQL"
		}
		if fault != "" {
			t.Errorf("%q: %s (error %q)", a.SQL, fault, a.Error)
		}
		if strings.IndexFunc(a.Error, func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f || r == '\u202e' }) >= 0 {
			t.Errorf("%q: the error has control characters: %q", a.SQL, a.Error)
		}
	}
	broken := 0
	for _, q := range plantedQueries() {
		if !q.ok {
			broken++
		}
	}
	if len(report.Faults) != broken {
		t.Errorf("%d saved queries have a fault, want %d: %q", len(report.Faults), broken, report.Faults)
	}
	for _, fault := range report.Faults {
		if strings.ContainsAny(fault, "\x1b\a\u202e") {
			t.Errorf("a fault has control characters: %q", fault)
		}
	}
	t.Logf("%d statements of a user, %d of a planted file, %d saved queries", len(escapes()), len(asked), len(report.Attempts)-len(list)+broken)
}

// escapeRun is a folder that must not change. It contains a home, a folder for temporary files, a secret and
// a database.
type escapeRun struct {
	dir, db string
	url     string
	calls   atomic.Int32 // requests to url
	task    task
	fill    func(string) string
}

func newEscapeRun(t *testing.T) *escapeRun {
	t.Helper()
	r := &escapeRun{dir: t.TempDir()}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.calls.Add(1)
			conn.Close()
		}
	}()
	r.url = "http://" + listener.Addr().String()
	secret, home := filepath.Join(r.dir, "secret.csv"), filepath.Join(r.dir, "home")
	r.db = filepath.Join(r.dir, "planted.duckdb")
	names := strings.NewReplacer("@SECRET", secret, "@OUT", filepath.Join(r.dir, "out"), "@DIR", r.dir, "@DB", r.db, "@URL", r.url)
	r.fill = names.Replace
	for _, folder := range []string{filepath.Join(home, ".duckdb"), filepath.Join(r.dir, "tmp"), filepath.Join(r.dir, "work")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		secret:                           "word\n" + theSecret + "\n",
		filepath.Join(home, ".duckdbrc"): names.Replace("COPY (SELECT 1) TO '@OUT';\nSET enable_external_access = true;\n"),
		filepath.Join(home, ".duckdb", "httpfs.duckdb_extension"): "not an extension",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.plant(t)
	r.task.DB = r.db
	return r
}

// plant creates the database.
func (r *escapeRun) plant(t *testing.T) {
	t.Helper()
	db := schematest.NewDB(t, verify.Altered)
	run := small()
	schematest.Insert(t, db, run, schematest.Random(run, 1, 2))
	for name, q := range plantedQueries() {
		if _, err := db.SQL().ExecContext(t.Context(), "INSERT INTO saved_query VALUES (?, ?)", r.fill(name), r.fill(q.text)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	statements, _ := planted()
	for i, s := range statements {
		statements[i] = r.fill(s)
	}
	if err := os.WriteFile(r.db, data, 0o600); err != nil { // the file is writable, so that only the session protects it
		t.Fatal(err)
	}
	schematest.Plant(t, r.db, statements...)
}

// try runs the attempts in a child, and fails if the folder has changed or the child has printed something.
func (r *escapeRun) try(t *testing.T) task {
	t.Helper()
	file := filepath.Join(t.TempDir(), "task.json")
	text, err := json.Marshal(r.task)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	calls := r.calls.Load() // planting made some requests
	before := snapshot(t, r.dir)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Dir = filepath.Join(r.dir, "work")
	cmd.Env = []string{childVariable + "=" + file, "HOME=" + filepath.Join(r.dir, "home"), "TMPDIR=" + filepath.Join(r.dir, "tmp"),
		"PATH=" + os.Getenv("PATH"), "HTTP_PROXY=" + r.url, "http_proxy=" + r.url,
		"GOCOVERDIR=" + t.TempDir()} // otherwise a child that measures coverage prints a warning
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader("SELECT 'from standard input'"), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("the child ended with %v\n%s", err, stderr.String())
	}
	if stdout.Len()+stderr.Len() > 0 {
		t.Errorf("the child printed %q and %q", stdout.String(), stderr.String())
	}
	if diff := cmp.Diff(before, snapshot(t, r.dir)); diff != "" {
		t.Errorf("the folder has changed (-before +after):\n%s", diff)
	}
	if n := r.calls.Load() - calls; n != 0 {
		t.Errorf("%d connections to the server", n)
	}
	if text, err = os.ReadFile(file); err != nil {
		t.Fatal(err)
	}
	var report task
	if err := json.Unmarshal(text, &report); err != nil {
		t.Fatal(err)
	}
	return report
}

// snapshot describes every file and folder below dir: name, mode, and a hash of the content.
func snapshot(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		line := fmt.Sprint(path, " ", info.Mode())
		if info.Mode().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			line += fmt.Sprintf(" %x", sha256.Sum256(data))
		}
		list = append(list, line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// tryEscapes is the child. It makes the attempts in the file and those of the database's saved queries, and
// writes the results to the file.
func tryEscapes(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var todo task
	if err := json.Unmarshal(text, &todo); err != nil {
		return err
	}
	ctx := context.Background()
	s, err := session.Open(ctx, todo.DB, session.Options{Time: 20 * time.Second})
	if err != nil {
		return err
	}
	before, err := settings(ctx, s)
	if err != nil {
		return err
	}
	whole, err := state(ctx, s)
	if err != nil {
		return err
	}
	look := func(a *attempt, result *queries.Result, err error) {
		a.Answered = err == nil
		if err != nil {
			var syntax *session.SQLError
			a.Refused, a.Syntax, a.Error = errors.Is(err, session.ErrRefused), errors.As(err, &syntax), err.Error()
		}
		all := fmt.Sprintf("%+v %v %s", result, err, hint(err))
		a.Secret = strings.Contains(all, theSecret) || strings.Contains(all, "root:x:")
		after, err := settings(ctx, s)
		if err != nil {
			a.Broken = err.Error()
		} else if diff := cmp.Diff(before, after); diff != "" {
			a.Changed, before = diff, after
		}
	}
	for i := range todo.Attempts {
		a := &todo.Attempts[i]
		result, err := ask(ctx, s, a.SQL, nil)
		look(a, result, err)
	}
	list, faults := s.Saved(ctx)
	for _, fault := range faults {
		todo.Faults = append(todo.Faults, fault.Error())
	}
	for _, q := range list {
		a := attempt{SQL: q.Name}
		result, err := s.Run(ctx, q, nil)
		look(&a, result, err)
		todo.Attempts = append(todo.Attempts, a)
	}
	after, err := state(ctx, s)
	if err != nil {
		return err
	}
	if diff := cmp.Diff(whole, after); diff != "" {
		return fmt.Errorf("after all attempts (-before +after):\n%s", diff)
	}
	if err := s.Close(); err != nil {
		return err
	}
	if text, err = json.Marshal(todo); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o600)
}

// settings describes what no attempt may change.
func settings(ctx context.Context, s *session.Session) ([]string, error) {
	return rows(ctx, s, `SELECT name, value FROM system.main.duckdb_settings()
		UNION ALL SELECT database_name, path || readonly FROM system.main.duckdb_databases()`)
}

// rows returns the rows of a result as text.
func rows(ctx context.Context, s *session.Session, sql string) (list []string, err error) {
	result, err := ask(ctx, s, sql, nil)
	if err != nil {
		return nil, err
	}
	for _, row := range result.Rows {
		list = append(list, fmt.Sprint(row))
	}
	return list, nil
}

// state describes what all attempts together may not change: settings, databases, objects and open files.
// Built-in names are qualified, because the file may have macros of the same name. Functions are included
// because an extension would add some.
func state(ctx context.Context, s *session.Session) (list []string, err error) {
	list, err = rows(ctx, s, `
		SELECT 'setting', name, value FROM system.main.duckdb_settings()
		UNION ALL SELECT 'database', database_name, path || readonly FROM system.main.duckdb_databases()
		UNION ALL SELECT 'tables', 'in ' || database_name, count(*)::TEXT FROM system.main.duckdb_tables() GROUP BY ALL
		UNION ALL SELECT 'views', 'in ' || database_name, md5(string_agg(view_name || sql ORDER BY view_oid)) FROM system.main.duckdb_views() GROUP BY ALL
		UNION ALL SELECT 'functions', 'in ' || database_name, count(*)::TEXT FROM system.main.duckdb_functions() GROUP BY ALL
		UNION ALL SELECT 'runs', status, count(*)::TEXT FROM data.main.run GROUP BY ALL`)
	if err != nil {
		return nil, err
	}
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return list, nil // not Linux
	}
	for _, f := range files {
		target, err := os.Readlink("/proc/self/fd/" + f.Name())
		if err == nil && filepath.IsAbs(target) && !strings.HasPrefix(target, "/proc/") && !strings.HasPrefix(target, "/sys/") {
			list = append(list, "open: "+strings.TrimSuffix(target, " (deleted)")) // opened by the parent
		}
	}
	slices.Sort(list)
	return list, nil
}
