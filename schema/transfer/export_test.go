package transfer_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"ducklens/schema"
	"ducklens/schema/dbfile"
	"ducklens/schema/schematest"
	"ducklens/schema/transfer"
)

// stored reads every column of every table of a file, with sorted rows.
func stored(t *testing.T, path string) map[string][]string {
	t.Helper()
	db, err := dbfile.OpenReader(t.Context(), path, dbfile.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[string][]string{}
	for _, name := range schematest.Texts(t, db.SQL(), "SELECT table_name FROM duckdb_tables() WHERE database_name = 'data'") {
		all[name] = schematest.Texts(t, db.SQL(), "SELECT t::VARCHAR FROM (SELECT * FROM "+name+") AS t")
	}
	return all
}

// copyOf copies a file.
func copyOf(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "copy.duckdb")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestExportImport checks that a file comes back from Parquet row by row, whatever the name of the folder.
func TestExportImport(t *testing.T) {
	t.Parallel()
	whole := fullFile(t, 1, 2)
	file := copyOf(t, whole)
	moments := "INSERT INTO contribution_moment SELECT run_id, 'all', head_id, 'key', component_id, query_basis_id, key_basis_id, %s, 2, 0.5, 0.25, %s, 1, NULL, NULL, " +
		"-0.5, NULL, NULL, 'ab\\x00\\xFF'::BLOB FROM contribution_wide LIMIT 2"
	schematest.Plant(t, file, fmt.Sprintf(moments, "NULL", "[1.5, NULL]"), fmt.Sprintf(moments, "'par_perp'", "NULL"),
		"INSERT INTO saved_query VALUES ('mine', 'SELECT ''\u00e4\n'' -- \"')",
		"UPDATE score SET baseline = NULL WHERE example_id = 1", "UPDATE key_factor SET baseline = NULL, vector = list_concat(vector, vector) WHERE example_id = 1 AND run_id = 2")
	for _, name := range []string{"run=7 it's [1]*? {a,b}", "äß\n"} {
		folder, again := filepath.Join(t.TempDir(), name), filepath.Join(t.TempDir(), name+".duckdb")
		out, err := transfer.Export(t.Context(), file, folder, transfer.ExportOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "?") {
			again = filepath.Join(t.TempDir(), "x.duckdb") // DuckDB cannot write to it
		}
		in, err := transfer.Import(t.Context(), folder, "", again, dbfile.Options{Threads: 1})
		if err != nil {
			t.Fatal(err)
		}
		if in != out {
			t.Errorf("%s: imported %+v, exported %+v", name, in, out)
		}
		got, want := stored(t, again), stored(t, file)
		rows := 0
		for table := range want {
			rows += len(want[table])
			if len(want[table]) == 0 {
				t.Errorf("table %s is empty: nothing is tested", table)
			}
			slices.Sort(got[table]) // a data set has its own order
			slices.Sort(want[table])
			if !slices.Equal(got[table], want[table]) {
				t.Errorf("%s: table %s has other rows", name, table)
			}
		}
		shared := len(want["model"]) + len(want["component"]) // in the files of both runs
		if int64(rows+shared) != out.Rows || out.Tables != len(want) {
			t.Errorf("%d rows of %d tables are there, and %+v was told", rows, len(want), out)
		}
		for _, beside := range []string{folder, again} {
			if entries, _ := os.ReadDir(filepath.Dir(beside)); len(entries) != 1 {
				t.Errorf("%v is left", entries)
			}
		}
	}
	folder := filepath.Join(t.TempDir(), "out")
	if _, err := transfer.Export(t.Context(), whole, folder, transfer.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	again := filepath.Join(t.TempDir(), "again.duckdb")
	if _, err := transfer.Import(t.Context(), folder, "", again, dbfile.Options{}); err != nil {
		t.Fatal(err)
	}
	verified(t, again)
	list, err := transfer.ReadManifests(folder)
	if err != nil || len(list) != 1 || len(list[0].Runs) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	for _, run := range list[0].Runs {
		for _, name := range []string{"contribution_wide/run=RUN/head=L1H2/RUN.parquet", "edge/run=RUN/RUN.parquet", "component/run=RUN/RUN.parquet"} {
			if _, err := os.Stat(filepath.Join(folder, strings.ReplaceAll(name, "RUN", run.Key))); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	good := runFile(t, "", 1)
	unfinished := copyOf(t, good)
	schematest.Plant(t, unfinished, "UPDATE run SET status = 'running'")
	view := copyOf(t, good)
	schematest.Plant(t, view, "ALTER TABLE projection RENAME TO p", "CREATE VIEW projection AS SELECT * FROM read_csv('/etc/passwd')")
	column := copyOf(t, good)
	schematest.Plant(t, column, "ALTER TABLE prompt_token ALTER COLUMN text DROP NOT NULL")
	macro := copyOf(t, good)
	schematest.Plant(t, macro, "CREATE MACRO duckdb_columns() AS TABLE SELECT * FROM read_csv('/etc/passwd')", "CREATE MACRO count(x) AS error('macro')")
	export := func(into string) string {
		path := filepath.Join(t.TempDir(), into)
		if _, err := transfer.Export(t.Context(), good, path, transfer.ExportOptions{}); err != nil {
			t.Fatal(err)
		}
		return path
	}
	foreign, file := t.TempDir(), filepath.Join(t.TempDir(), "file")
	mixed := export("mixed")
	for _, path := range []string{filepath.Join(foreign, "thesis.tex"), file, filepath.Join(mixed, "thesis.tex")} {
		if err := os.WriteFile(path, []byte("text"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name, source, into string
		force              bool
		want               error
		text               string
	}{
		{"existing", good, export("a"), false, dbfile.ErrExists, "export to"},
		{"replaced", good, export("b"), true, nil, ""},
		{"foreign folder", good, foreign, true, dbfile.ErrNotExport, "left alone"},
		{"foreign file in it", good, mixed, true, dbfile.ErrNotExport, `"thesis.tex"`},
		{"file", good, file, true, dbfile.ErrNotExport, "not a folder"},
		{"no folder to put it in", good, filepath.Join(foreign, "a", "b"), false, dbfile.ErrNotFound, "does not exist"},
		{"older", oldFile(t, 2), "", false, dbfile.ErrSchemaVersion, "schema version 2"},
		{"unfinished", unfinished, "", false, dbfile.ErrUnfinished, "run 1 is running"},
		{"view for a table", view, "", false, dbfile.ErrNotDucklens, "it has no table projection"},
		{"altered column", column, "", false, dbfile.ErrNotDucklens, `its table prompt_token has "\"text\" VARCHAR", want "\"text\" VARCHAR NOT NULL"`},
		{"macros in place of functions", macro, "", false, nil, ""},
		{"missing", filepath.Join(foreign, "x.duckdb"), "", false, dbfile.ErrNotFound, "x.duckdb"},
	} {
		into := tt.into
		if into == "" {
			into = filepath.Join(t.TempDir(), "out")
		}
		_, err := transfer.Export(t.Context(), tt.source, into, transfer.ExportOptions{Options: dbfile.Options{Threads: 1, Replace: tt.force}})
		if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: %v, want %v with %q", tt.name, err, tt.want, tt.text)
		} else {
			t.Log(err)
		}
		hidden, _ := filepath.Glob(filepath.Join(filepath.Dir(into), ".*"))
		if _, serr := os.Stat(into); len(hidden) > 0 || tt.into == "" && (serr == nil) != (err == nil) {
			t.Errorf("%s: %v is left, %v", tt.name, hidden, serr)
		}
	}
	for _, path := range []string{filepath.Join(foreign, "thesis.tex"), file, filepath.Join(mixed, "thesis.tex")} {
		if text, err := os.ReadFile(path); string(text) != "text" {
			t.Errorf("%s is gone: %v", path, err)
		}
	}
}

// exported is the folder of an export, which tests change.
type exported struct {
	t      *testing.T
	folder string
}

// manifestPath returns the path of the only manifest.
func (e exported) manifestPath() string {
	e.t.Helper()
	names, err := filepath.Glob(filepath.Join(e.folder, "ducklens", "*.json"))
	if err != nil || len(names) != 1 {
		e.t.Fatalf("%v, %v", names, err)
	}
	return names[0]
}

// manifest changes the manifest.
func (e exported) manifest(change func(map[string]any)) {
	e.t.Helper()
	path := e.manifestPath()
	text, err := os.ReadFile(path)
	if err != nil {
		e.t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		e.t.Fatal(err)
	}
	change(m)
	if text, err = json.Marshal(m); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		e.t.Fatal(err)
	}
}

// table returns a table of a manifest.
func table(m map[string]any, name string) map[string]any {
	for _, t := range m["tables"].([]any) {
		if t := t.(map[string]any); t["name"] == name {
			return t
		}
	}
	return nil
}

// first returns the first file of a table of a manifest.
func first(m map[string]any, name string) map[string]any {
	return table(m, name)["files"].([]any)[0].(map[string]any)
}

// put replaces the content of a file, and its size and digest in the manifest, but not its rows.
func (e exported) put(table string, content []byte) {
	e.t.Helper()
	e.manifest(func(m map[string]any) {
		f := first(m, table)
		sum := sha256.Sum256(content)
		f["bytes"], f["sha256"] = len(content), hex.EncodeToString(sum[:])
		if err := os.WriteFile(filepath.Join(e.folder, f["path"].(string)), content, 0o644); err != nil {
			e.t.Fatal(err)
		}
	})
}

// rewrite replaces the file of a table by the result of a query, in which the table is called old.
func (e exported) rewrite(table, query string) {
	e.t.Helper()
	var path string
	e.manifest(func(m map[string]any) { path = filepath.Join(e.folder, first(m, table)["path"].(string)) })
	db, err := sql.Open("duckdb", "")
	if err != nil {
		e.t.Fatal(err)
	}
	defer db.Close()
	fresh := filepath.Join(e.t.TempDir(), "fresh.parquet")
	if _, err := db.Exec("COPY (WITH old AS (FROM read_parquet('" + path + "', hive_partitioning = false)) " + query + ") TO '" + fresh + "' (FORMAT parquet)"); err != nil {
		e.t.Fatal(err)
	}
	content, err := os.ReadFile(fresh)
	if err != nil {
		e.t.Fatal(err)
	}
	e.put(table, content)
}

// TestImportRefuses checks that a changed folder is refused with an error that names the difference, and that
// no file is left.
func TestImportRefuses(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole")
	if _, err := transfer.Export(t.Context(), runFile(t, "", 1), whole, transfer.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	list, err := transfer.ReadManifests(whole)
	if err != nil {
		t.Fatal(err)
	}
	run := list[0].Runs[0].Key
	inScore := "score/run=" + run + "/head=L1H2/" + run + ".parquet"
	parquet := func(e exported, table string) string {
		head := map[bool]string{true: "head=L1H2", false: "."}[table == "score"]
		return filepath.Join(e.folder, table, "run="+run, head, run+".parquet")
	}
	outside := filepath.Join(t.TempDir(), "outside.parquet")
	content, err := os.ReadFile(filepath.Join(whole, inScore))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(outside, content, 0o644); err != nil {
		t.Fatal(err)
	}
	must := func(e exported, err error) {
		if err != nil {
			e.t.Fatal(err)
		}
	}
	set := func(field string, value any) func(exported) {
		return func(e exported) { e.manifest(func(m map[string]any) { m[field] = value }) }
	}
	setFile := func(field string, value any) func(exported) {
		return func(e exported) { e.manifest(func(m map[string]any) { first(m, "score")[field] = value }) }
	}
	setRun := func(field string, value any) func(exported) {
		return func(e exported) {
			e.manifest(func(m map[string]any) { m["runs"].([]any)[0].(map[string]any)[field] = value })
		}
	}
	for _, tt := range []struct {
		name   string
		change func(exported)
		want   error
		text   string
	}{
		{"untouched", func(exported) {}, nil, ""},
		{"rewritten with the same rows", func(e exported) { e.rewrite("score", "FROM old") }, nil, ""},
		{"no manifest", func(e exported) { must(e, os.Remove(e.manifestPath())) }, dbfile.ErrNotExport, "it has no manifest ducklens/KEY.json"},
		{"manifest of nothing", func(e exported) { must(e, os.WriteFile(e.manifestPath(), nil, 0o644)) }, dbfile.ErrNotExport, ".json: unexpected end"},
		{"manifest too large", func(e exported) { must(e, os.Truncate(e.manifestPath(), 1<<30)) }, dbfile.ErrNotExport, "has 1073741824 bytes, want at most 67108864"},
		{"manifest that is a pipe", func(e exported) {
			path := e.manifestPath()
			must(e, os.Remove(path))
			must(e, syscall.Mkfifo(path, 0o644))
		}, dbfile.ErrNotExport, "not a regular file"},
		{"other format", set("ducklens_parquet", 3), dbfile.ErrNotExport, "ducklens_parquet is 3, want 2"},
		{"format 1", func(e exported) { must(e, os.Rename(e.manifestPath(), filepath.Join(e.folder, "ducklens.json"))) }, dbfile.ErrNotExport, "ducklens.json has format 1"},
		{"key of another export", set("key", strings.Repeat("0", 32)), dbfile.ErrNotExport, "its key is"},
		{"key that is a path", setRun("key", "../../x"), dbfile.ErrNotExport, "want 32 hexadecimal digits"},
		{"head that is a path", setRun("heads", []any{"../x"}), dbfile.ErrNotExport, "has a head with the label \"../x\""},
		{"run twice", func(e exported) {
			e.manifest(func(m map[string]any) { m["runs"] = append(m["runs"].([]any), m["runs"].([]any)[0]) })
		}, dbfile.ErrNotExport, "twice"},
		{"older tables", set("schema_version", schema.Version-1), dbfile.ErrSchemaVersion, "want"},
		{"newer tables", set("schema_version", 99), dbfile.ErrSchemaVersion, "schema version 99"},
		{"lie about the version", func(e exported) {
			e.rewrite("meta", "SELECT key, CASE key WHEN 'schema_version' THEN '99' ELSE value END AS value FROM old")
		}, dbfile.ErrSchemaVersion, "schema version 99"},
		{"no tables", set("tables", []any{}), dbfile.ErrNotExport, " 0 times, want once"},
		{"table twice", func(e exported) {
			e.manifest(func(m map[string]any) { m["tables"] = append(m["tables"].([]any), table(m, "score")) })
		}, dbfile.ErrNotExport, "lists table score 2 times, want once"},
		{"unknown table", func(e exported) {
			e.manifest(func(m map[string]any) { m["tables"] = append(m["tables"].([]any), map[string]any{"name": "x\x1b[2J"}) })
		}, dbfile.ErrNotExport, `lists a table "x\x1b[2J"`},
		{"path out of the folder", setFile("path", "../outside.parquet"), dbfile.ErrNotExport, `a file "../outside.parquet", want such as ` + inScore},
		{"path of another table", setFile("path", "prompt_token/run="+run+"/"+run+".parquet"), dbfile.ErrNotExport, "want such as " + inScore},
		{"path with a wildcard", setFile("path", "score/run=*/head=L1H2/"+run+".parquet"), dbfile.ErrNotExport, "want such as " + inScore},
		{"path of another head", setFile("path", "score/run="+run+"/head=L1H3/"+run+".parquet"), dbfile.ErrNotExport, "want such as " + inScore},
		{"file twice", func(e exported) {
			e.manifest(func(m map[string]any) {
				s := table(m, "score")
				s["files"] = []any{first(m, "score"), first(m, "score")}
			})
		}, dbfile.ErrNotExport, "once"},
		{"file missing", func(e exported) { must(e, os.Remove(parquet(e, "score"))) }, dbfile.ErrNotExport, inScore + " is missing"},
		{"file cut short", func(e exported) { must(e, os.Truncate(parquet(e, "prompt_token"), 100)) }, dbfile.ErrNotExport, run + ".parquet has 100 bytes, want"},
		{"bit flipped", func(e exported) {
			b, err := os.ReadFile(parquet(e, "score"))
			must(e, err)
			b[len(b)/2] ^= 1
			must(e, os.WriteFile(parquet(e, "score"), b, 0o644))
		}, dbfile.ErrNotExport, inScore + " is not the file that was exported"},
		{"link out of the folder", func(e exported) {
			must(e, os.Remove(parquet(e, "score")))
			must(e, os.Symlink(outside, parquet(e, "score")))
		}, dbfile.ErrNotExport, inScore + ": statat"},
		{"pipe", func(e exported) {
			must(e, os.Remove(parquet(e, "score")))
			must(e, syscall.Mkfifo(parquet(e, "score"), 0o644))
		}, dbfile.ErrNotExport, "not a regular file"},
		{"more rows than there are", setFile("rows", 4), dbfile.ErrNotExport, "has 3 rows, want 4"},
		{"more rows than fit", setFile("rows", 1<<40), dbfile.ErrNotExport, "has 1099511627776 rows in"},
		{"not Parquet", func(e exported) { e.put("score", []byte("SELECT 1, and much more than that")) }, dbfile.ErrNotExport, "No magic bytes"},
		{"column missing", func(e exported) { e.rewrite("score", "SELECT * EXCLUDE prob FROM old") }, dbfile.ErrNotExport, "has no column prob, want one of type FLOAT"},
		{"column too many", func(e exported) { e.rewrite("score", "SELECT *, 1 AS run FROM old") }, dbfile.ErrNotExport, `has a column "run"`},
		{"column of another type", func(e exported) { e.rewrite("score", "SELECT * REPLACE (prob::DOUBLE AS prob) FROM old") }, dbfile.ErrNotExport, "column prob of " + inScore + " has the type DOUBLE, want FLOAT"},
		{"nested type", func(e exported) { e.rewrite("query_factor", "SELECT * REPLACE ([vector] AS vector) FROM old") }, dbfile.ErrNotExport, "has the type FLOAT[][], want FLOAT[]"},
		{"word that is none", func(e exported) { e.rewrite("basis", "SELECT * REPLACE ('left' AS side) FROM old") }, dbfile.ErrNotExport, ".parquet: Conversion Error: Could not convert string 'left'"},
		{"not finite", func(e exported) { e.rewrite("score", "SELECT * REPLACE ('nan'::FLOAT AS score) FROM old") }, dbfile.ErrConstraint, "isfinite"},
		{"missing value", func(e exported) { e.rewrite("score", "SELECT * REPLACE (NULL::FLOAT AS score) FROM old") }, dbfile.ErrConstraint, "NOT NULL constraint failed: score.score"},
		{"two of a key", func(e exported) { e.rewrite("edge", "SELECT * REPLACE (0::INTEGER AS example_id) FROM old") }, dbfile.ErrConstraint, "duplicate key"},
		{"folder of a table missing", func(e exported) { must(e, os.RemoveAll(filepath.Join(e.folder, "score"))) }, dbfile.ErrNotExport, inScore + " is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := exported{t, filepath.Join(t.TempDir(), "folder")}
			if err := os.CopyFS(e.folder, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			tt.change(e)
			into := filepath.Join(t.TempDir(), "new.duckdb")
			_, err := transfer.Import(t.Context(), e.folder, "", into, dbfile.Options{Threads: 1})
			if tt.want == nil && tt.text == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || tt.want != nil && !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%v, want %v with %q", err, tt.want, tt.text)
			}
			t.Log(err)
			if entries, _ := os.ReadDir(filepath.Dir(into)); len(entries) > 0 {
				t.Errorf("%v is left", entries)
			}
		})
	}
}

// TestImportKeepsFiles checks that Import does not overwrite files.
func TestImportKeepsFiles(t *testing.T) {
	t.Parallel()
	file, folder := runFile(t, "", 1), filepath.Join(t.TempDir(), "out")
	if _, err := transfer.Export(t.Context(), file, folder, transfer.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := transfer.Import(t.Context(), folder, "", file, dbfile.Options{}); !errors.Is(err, dbfile.ErrExists) {
		t.Errorf("%v, want ErrExists", err)
	}
	if _, err := transfer.Import(t.Context(), file, "", file+"2", dbfile.Options{}); !errors.Is(err, dbfile.ErrNotExport) {
		t.Errorf("%v, want ErrNotExport", err)
	}
	if _, err := transfer.Import(t.Context(), folder+"2", "", file+"2", dbfile.Options{}); !errors.Is(err, dbfile.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	if _, err := transfer.Import(t.Context(), folder, "", file, dbfile.Options{Replace: true}); err != nil {
		t.Error(err)
	}
	verified(t, file)
}

// TestImportSurvivesDamage changes bytes of Parquet files and updates the manifest. The files are refused or
// read; the process does not crash, and rows that are read satisfy the conditions of their tables.
func TestImportSurvivesDamage(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "whole")
	if _, err := transfer.Export(t.Context(), runFile(t, "", 1), whole, transfer.ExportOptions{}); err != nil {
		t.Fatal(err)
	}
	const seed, tries = 1, 12 // two of each table in its footer, and two elsewhere
	random := rand.New(rand.NewPCG(seed, 0))
	refused := 0
	for n := range tries {
		e := exported{t, filepath.Join(t.TempDir(), "folder")}
		if err := os.CopyFS(e.folder, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		name := []string{"score", "query_factor", "basis"}[n%3]
		var path string
		e.manifest(func(m map[string]any) { path = filepath.Join(e.folder, first(m, name)["path"].(string)) })
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for range 1 + random.IntN(4) {
			at := random.IntN(len(content))
			if n%2 == 0 {
				at = max(0, len(content)-1-random.IntN(600)) // the footer
			}
			content[at] = byte(random.IntN(256))
		}
		e.put(name, content)
		into := filepath.Join(t.TempDir(), "new.duckdb")
		if _, err := transfer.Import(t.Context(), e.folder, "", into, dbfile.Options{Threads: 1}); err != nil {
			refused++
			if _, serr := os.Stat(into); !errors.Is(serr, fs.ErrNotExist) {
				t.Errorf("try %d: refused with %v, and the file is there", n, err)
			}
		}
	}
	t.Logf("%d of %d refused", refused, tries)
	if refused < tries/4 {
		t.Errorf("only %d of %d damaged folders were refused", refused, tries)
	}
}
