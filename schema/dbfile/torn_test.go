package dbfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/schema/dbfile"
	"ducklens/schema/transfer"
	"ducklens/schema/verify"
)

// tornTokens is the number of tokens of an example: more than a row group, so that DuckDB writes them before
// their commit.
const tornTokens = 2*dbfile.RowGroupRows + 100

// addExample commits a prompt of run 1 with its tokens.
func addExample(t *testing.T, db *dbfile.DB, example int32) {
	t.Helper()
	ctx := t.Context()
	conn, err := db.Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	err = db.InTx(ctx, conn, func() (err error) {
		if _, err := conn.ExecContext(ctx, `INSERT INTO prompt (run_id, prompt_id, key, text, n_tokens, bos) VALUES (1, $1, 'k', 'a', $2, false)`, example, tornTokens); err != nil {
			return err
		}
		a, err := db.Appender(conn, "prompt_token")
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, a.Close()) }()
		for pos := range int32(tornTokens) {
			if err := a.AppendRow(int32(1), example, pos, pos, "a"); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// crashed copies an open file as a kill would leave it, with a log without its last bytes.
func crashed(t *testing.T, path string, cut int) string {
	t.Helper()
	into := filepath.Join(t.TempDir(), "crashed.duckdb")
	for suffix, cut := range map[string]int{"": 0, ".wal": cut} {
		content, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(into+suffix, content[:len(content)-cut], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return into
}

// counts returns the number of examples, of their tokens, and of tokens without an example.
func counts(t *testing.T, db *dbfile.DB) (n [3]int) {
	t.Helper()
	if err := db.SQL().QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM prompt), (SELECT count(*) FROM prompt_token AS t SEMI JOIN prompt AS e USING (run_id, prompt_id)),
		(SELECT count(*) FROM prompt_token AS t ANTI JOIN prompt AS e USING (run_id, prompt_id))`).Scan(&n[0], &n[1], &n[2]); err != nil {
		t.Fatal(err)
	}
	return n
}

// tornFile returns a file with an example whose log is torn in the commit of another one, and checks that
// tokens of the latter can be read. The first example may be in the file or in the log.
func tornFile(t *testing.T, finalized bool) (path string, cuts []int) {
	t.Helper()
	path = newFile(t)
	open := func() *dbfile.DB {
		db, err := dbfile.OpenWriter(t.Context(), path, dbfile.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	addExample(t, db, 0)
	if finalized {
		if err := db.Finalize(t.Context()); err != nil {
			t.Fatal(err)
		}
		db = open()
	}
	addExample(t, db, 1)
	path = crashed(t, path, 0)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{1, 2, 8, 16, 32, 64} {
		r, err := dbfile.OpenFor(t.Context(), crashed(t, path, cut), dbfile.Options{Threads: 1}, "prompt", "prompt_token")
		if err != nil {
			t.Fatal(err)
		}
		if counts(t, r)[2] > 0 {
			cuts = append(cuts, cut)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(cuts) == 0 {
		t.Skip("DuckDB replays torn logs rightly: mend is not needed any more")
	}
	return path, cuts
}

// TestTornLog checks that a log that ends within a transaction adds nothing to a file that is opened for
// writing, and that the file can be written, and killed, again.
func TestTornLog(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	for _, finalized := range []bool{false, true} {
		path, cuts := tornFile(t, finalized)
		for _, cut := range []int{cuts[0], cuts[len(cuts)-1]} {
			check := func(when, path string, want [3]int) *dbfile.DB {
				t.Helper()
				db, err := dbfile.OpenWriter(ctx, path, dbfile.Options{Threads: 1})
				if err != nil {
					t.Fatal(err)
				}
				if got := counts(t, db); got != want {
					t.Errorf("finalized %v, cut %d, %s: %v examples, tokens and tokens without example, want %v", finalized, cut, when, got, want)
				}
				return db
			}
			one, two := [3]int{1, tornTokens, 0}, [3]int{2, 2 * tornTokens, 0}
			torn := crashed(t, path, cut)
			db := check("opened", torn, one)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = check("opened again", torn, one)
			addExample(t, db, 1)
			again := crashed(t, torn, 0)
			if err := db.Finalize(ctx); err != nil {
				t.Fatal(err)
			}
			for when, path := range map[string]string{"finalized": torn, "killed": again} {
				if err := check(when, path, two).Close(); err != nil {
					t.Fatal(err)
				}
			}
			// A kill just after opening.
			torn = crashed(t, path, cut)
			db = check("opened for a kill", torn, one)
			again = crashed(t, torn, 0)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := check("killed when opened", again, one).Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestTornLogReaders checks that verify explains such rows and that an export leaves them out.
func TestTornLogReaders(t *testing.T) {
	t.Parallel()
	path, cuts := tornFile(t, true)
	torn := crashed(t, path, cuts[0])
	report, err := verify.File(t.Context(), torn, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(report.Problems, func(p verify.Problem) bool { return p.Kind == verify.Orphan }) || !strings.Contains(report.Hint(), "--resume") {
		t.Errorf("hint %q for %v", report.Hint(), report.Problems)
	}
	folder := filepath.Join(t.TempDir(), "out")
	out, err := transfer.Export(t.Context(), torn, folder, transfer.ExportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(folder, "token")); err == nil {
		t.Errorf("tokens that belong to no run are exported: %+v", out)
	}
}
