package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// A data set is a folder of Parquet files that were exported from one or more files. Its subfolders are named
// as in Hive:
//
//	TABLE/run=RUN/head=L10H7/RUN.parquet   a table of facts about heads
//	TABLE/run=RUN/RUN.parquet              any other table of a run; for model and component, the rows of the run
//	TABLE/EXPORT.parquet                   meta and saved_query, which are about a file
//	ducklens/EXPORT.json                   the manifest of one export, which lists its files
//
// RUN is the key of a run. EXPORT is the key of an export, which is made from the keys of its runs, so the
// names of exports in one folder never collide. run and head appear only in paths; run_id, head_id and the
// other ids are in the files. Ids are unique only within a run, so joins on an id must also join on run.
const (
	ManifestFolder = "ducklens"
	manifestFormat = 2
	oldManifest    = "ducklens.json" // of format 1
	maxManifest    = 64 << 20        // bytes; a file takes about 200 of them
	maxManifests   = 100_000         // in a folder
	runPart        = "run="
	headPart       = "head="
)

// RowGroupRows is the number of rows in a row group of a Parquet file. Rows are sorted, so a query about one
// pair of bases reads only the row groups of that pair.
const RowGroupRows = 30_000

// Manifest describes one export of a data set.
type Manifest struct {
	Format        int             `json:"ducklens_parquet"` // manifestFormat
	SchemaVersion int             `json:"schema_version"`
	About         string          `json:"about"`
	Key           string          `json:"key"`
	Runs          []ExportedRun   `json:"runs"` // by run_id
	Tables        []ExportedTable `json:"tables"`
	Texts         []string        `json:"texts"` // paths of further files, such as SQL for other engines

	byName map[string][]int // indices into Tables
}

// ExportedRun is a run in a manifest.
type ExportedRun struct {
	Key      string   `json:"key"`
	RunID    int      `json:"run_id"` // in the files
	ModelKey string   `json:"model_key"`
	Examples int64    `json:"n_examples"`
	Heads    []string `json:"heads"` // labels, in the order of the run

	// The following fields describe a shard: which one it is, and the settings that all shards of the run
	// share. Rows that all shards share (in the tables run, model, component, run_component, head, basis and
	// mover) are only in the files of shard 0, so that each row appears once in the data set.
	Shard    string    `json:"shard,omitempty"`
	Prompts  int       `json:"n_prompts,omitempty"` // of the whole run
	Created  string    `json:"created_at,omitempty"`
	Closure  float64   `json:"max_closure_residual,omitempty"`
	Settings []Setting `json:"settings,omitempty"`

	heads []int // their head_ids
}

// ExportedTable is a table in a manifest. Comment and Columns are for readers of the folder; an import
// ignores them.
type ExportedTable struct {
	Name    string           `json:"name"`
	Comment string           `json:"comment"`
	Columns []ExportedColumn `json:"columns"`
	Files   []ExportedFile   `json:"files"` // by run and head
}

// ExportedColumn is a column in a manifest.
type ExportedColumn struct {
	Name    string `json:"name"`
	Type    string `json:"type"` // DuckDB's name; an ENUM is text in Parquet
	Comment string `json:"comment"`
}

// ExportedFile is a Parquet file in a manifest.
type ExportedFile struct {
	Path   string `json:"path"` // relative to the folder, with slashes
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Exported is the amount that an export or import has copied.
type Exported struct {
	Tables, Files int
	Rows, Bytes   int64 // bytes of the Parquet files
}

// Count adds up the tables, files, rows and bytes of a manifest.
func (m *Manifest) Count() (e Exported) {
	for _, t := range m.Tables {
		e.Tables++
		for _, f := range t.Files {
			e.Files, e.Rows, e.Bytes = e.Files+1, e.Rows+f.Rows, e.Bytes+f.Bytes
		}
	}
	return e
}

// holds lists the files and folders of an export, relative to its folder. The value is true for folders.
func (m *Manifest) holds() map[string]bool {
	own := map[string]bool{".": true}
	add := func(name string) {
		own[name] = false
		for folder := path.Dir(name); folder != "." && folder != "/"; folder = path.Dir(folder) {
			own[folder] = true
		}
	}
	add(m.path())
	for _, t := range m.Tables {
		for _, f := range t.Files {
			add(f.Path)
		}
	}
	for _, name := range m.Texts {
		add(name)
	}
	return own
}

// path returns the path of the manifest in its data set.
func (m *Manifest) path() string { return path.Join(ManifestFolder, m.Key+".json") }

// exportKey returns the key of an export: the key of its run or, of several runs, a digest of their keys.
func exportKey(runs []ExportedRun) string {
	if len(runs) == 1 {
		return runs[0].name()
	}
	h := sha256.New()
	for _, r := range runs {
		io.WriteString(h, r.name()+"\n")
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

var (
	keyForm = regexp.MustCompile(`^[0-9a-f]{32}$`)
	// exportForm matches the key of an export. Shards of a run have the key of the run.
	exportForm = regexp.MustCompile(`^[0-9a-f]{32}(\.[0-9]+of[0-9]+)?$`)
)

// name returns the name of the run's files: its key, followed by the shard if it is one.
func (r *ExportedRun) name() string {
	if s, err := schema.ParseShard(r.Shard); err == nil && !s.Whole() {
		return fmt.Sprintf("%s.%dof%d", r.Key, s.Index, s.Of)
	}
	return r.Key
}

// part reports whether the run is a shard other than the first, which leaves out the rows that all shards
// share.
func (r *ExportedRun) part() bool {
	s, err := schema.ParseShard(r.Shard)
	return err == nil && s.Index > 0
}

// check returns an error unless the key and the heads can be used in paths.
func (r *ExportedRun) check() error {
	if !keyForm.MatchString(r.Key) {
		return fmt.Errorf("run %d has the key %q, want 32 hexadecimal digits", r.RunID, r.Key)
	}
	if _, err := schema.ParseShard(r.Shard); err != nil {
		return fmt.Errorf("run %d: %w", r.RunID, err)
	}
	for _, label := range r.Heads {
		if h, err := schema.ParseHead(label); err != nil || h.TLName() != label {
			return fmt.Errorf("run %d has a head with the label %q, want one such as L10H7", r.RunID, label)
		}
	}
	return nil
}

// division says how a table is divided into folders.
type division int

const (
	byFile division = iota
	byRun
	byHead
)

// layout is a table of a data set.
type layout struct {
	dbfile.Table
	division
}

// layouts returns the tables of a file.
func layouts() (list []layout, err error) {
	tables, err := dbfile.Tables()
	for _, t := range tables {
		l := layout{Table: t}
		switch {
		case t.Column("run_id") >= 0 && t.Column("head_id") >= 0 && !t.Keyed:
			l.division = byHead
		case t.Column("run_id") >= 0 || l.shared():
			l.division = byRun
		}
		list = append(list, l)
	}
	return list, err
}

// shared reports whether runs of one model share the rows of the table, as in model and component.
func (t *layout) shared() bool { return t.Column("run_id") < 0 && t.Column("model_id") >= 0 }

// rowsOf returns the condition for the rows of a run.
func (t *layout) rowsOf(runSource string, run int) string {
	if t.shared() {
		return fmt.Sprintf("t.model_id = (SELECT r.model_id FROM %s AS r WHERE r.run_id = %d)",
			runSource, run)
	}
	return fmt.Sprintf("t.run_id = %d", run)
}

// paths lists the paths that the table's files may have: one for each head of a run, one for the run, or one
// for the export.
func (t *layout) paths(key string, run *ExportedRun) (list []string) {
	switch t.division {
	case byFile:
		return []string{path.Join(t.Name, key+".parquet")}
	case byRun:
		return []string{path.Join(t.Name, runPart+run.Key, run.name()+".parquet")}
	}
	for _, label := range run.Heads {
		list = append(list, path.Join(t.Name, runPart+run.Key, headPart+label, run.name()+".parquet"))
	}
	return list
}

// stored lists the columns of the table's files, including generated ones.
func (t *layout) stored() []dbfile.Column { return slices.Concat(t.Columns, t.Generated) }

// names lists the quoted columns that an import reads from the table's files.
func (t *layout) names() (list []string) {
	for _, c := range t.Columns {
		list = append(list, dbfile.QuoteName(c.Name))
	}
	return list
}

// Columns by which rows are sorted. In Parquet, the columns that queries filter by come first; in a file, the
// prompt does. A column of one of these names may be a list in another table, such as vector; rows are not
// sorted by lists.
var (
	parquetOrder = []string{"run_id", "side", "query_basis_id", "key_basis_id", "basis_id", "measure",
		"vector", "token", "method", "place", "layer", "component_id", "query_component_id",
		"key_component_id", "other_component_id", "axis", "pair", "example_id", "prompt_id",
		"query_pos", "pos"}
	fileOrder = []string{"run_id", "example_id", "prompt_id", "query_pos", "ordinal", "head_id", "layer",
		"pos", "side", "query_basis_id", "key_basis_id", "basis_id", "measure", "vector", "token",
		"method", "place", "component_id", "query_component_id", "key_component_id", "other_component_id",
		"axis", "pair"}
)

// sortedBy returns an ORDER BY for the table: its columns in the given order, followed by the rest.
func (t *layout) sortedBy(order []string) string {
	var by []string
	for _, name := range order {
		if i := t.Column(name); i >= 0 && !strings.HasSuffix(t.Columns[i].Type, "]") {
			column := dbfile.QuoteName(name)
			if strings.HasPrefix(t.Columns[i].Type, "ENUM(") { // text in Parquet
				column += "::" + t.Columns[i].Type
			}
			by = append(by, column)
		}
	}
	for _, c := range t.Columns {
		if !slices.Contains(order, c.Name) && !strings.HasSuffix(c.Type, "]") &&
			(c.Type == "VARCHAR" || c.Type == "INTEGER") && c.Required {
			by = append(by, dbfile.QuoteName(c.Name))
		}
	}
	if len(by) == 0 {
		return ""
	}
	return " ORDER BY " + strings.Join(by, ", ")
}

// parquetType returns the type that DuckDB reads from a Parquet file that it wrote from a column of this
// type.
func parquetType(c dbfile.Column) string {
	switch {
	case strings.HasPrefix(c.Type, "ENUM("):
		return "VARCHAR"
	case c.Type == "TIMESTAMP":
		return "TIMESTAMP WITH TIME ZONE"
	}
	if i := strings.LastIndex(c.Type, "["); i > 0 {
		return c.Type[:i] + "[]" // FLOAT[64] becomes a list
	}
	return c.Type
}

// exportExpression returns the expression that exports a column. Times in a file are UTC without a time zone;
// in Parquet they have one.
func exportExpression(c dbfile.Column) string {
	name := dbfile.QuoteName(c.Name)
	switch {
	case c.Expression != "":
		return c.Expression + " AS " + name
	case c.Type == "TIMESTAMP":
		return "make_timestamptz(epoch_us(" + name + ")) AS " + name
	}
	return name
}

// importExpression is the inverse of exportExpression.
func importExpression(c dbfile.Column) string {
	name := dbfile.QuoteName(c.Name)
	if c.Type == "TIMESTAMP" {
		return "make_timestamp(epoch_us(" + name + "))"
	}
	return name
}

// digest returns the length and the SHA-256 of the content of r.
func digest(ctx context.Context, r io.Reader) (n int64, sum string, err error) {
	const step = 16 << 20
	h := sha256.New()
	for {
		k, err := io.CopyN(h, r, step)
		n += k
		if errors.Is(err, io.EOF) {
			return n, hex.EncodeToString(h.Sum(nil)), nil
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return 0, "", err
		}
	}
}

// ReadManifests reads the manifests of a data set, at least one, in the order of their keys. It does not look
// at the files that they list.
func ReadManifests(folder string) ([]*Manifest, error) {
	list, err := manifestsIn(folder)
	if err == nil && len(list) == 0 {
		err = &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "it has no manifest " +
			ManifestFolder + "/KEY.json"}
	}
	return list, err
}

// manifestsIn reads the manifests in a folder.
func manifestsIn(folder string) (list []*Manifest, err error) {
	info, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotFound, Err: err,
			Advice: "check the path; ducklens export --parquet makes such a folder"}
	}
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "it is not a folder"}
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	names, err := manifestNames(root)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		m, err := readManifest(root, name)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, nil
}

// manifestNames lists the paths of the manifests in a data set.
func manifestNames(root *os.Root) (list []string, err error) {
	if _, err := root.Lstat(oldManifest); err == nil {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: "its " + oldManifest +
			" has format 1, which this release does not read",
			Advice: "import it with the release of ducklens that made it, and export the file again"}
	}
	wrong := func(what any) error {
		return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: fmt.Sprintf("%s: %v", ManifestFolder, what)}
	}
	f, err := root.Open(ManifestFolder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, wrong(err)
	}
	defer f.Close()
	entries, err := f.ReadDir(maxManifests + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, wrong(err)
	}
	if len(entries) > maxManifests {
		return nil, wrong(fmt.Sprintf("it has more than %d files", maxManifests))
	}
	for _, e := range entries {
		if key, ok := strings.CutSuffix(e.Name(), ".json"); ok && exportForm.MatchString(key) {
			list = append(list, path.Join(ManifestFolder, e.Name()))
		}
	}
	slices.Sort(list)
	return list, nil
}

// readManifest reads a manifest and checks everything except its tables.
func readManifest(root *os.Root, name string) (*Manifest, error) {
	wrong := func(format string, args ...any) error {
		return &dbfile.Error{Kind: dbfile.ErrNotExport, Detail: name + ": " + fmt.Sprintf(format, args...)}
	}
	f, size, err := openRegular(root, name)
	if err != nil {
		return nil, wrong("%v", err)
	}
	defer f.Close()
	if size > maxManifest {
		return nil, wrong("it has %d bytes, want at most %d", size, maxManifest)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, err
	}
	m := &Manifest{byName: map[string][]int{}}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, wrong("%v", err)
	}
	if m.Format != manifestFormat {
		return nil, wrong("ducklens_parquet is %d, want %d", m.Format, manifestFormat)
	}
	seen := map[string]bool{}
	for _, r := range m.Runs {
		if err := r.check(); err != nil {
			return nil, wrong("%v", err)
		}
		if seen[r.name()] {
			return nil, wrong("it lists run %s twice", r.name())
		}
		seen[r.name()] = true
	}
	if want := exportKey(m.Runs); m.Key != want || name != m.path() {
		return nil, wrong("its key is %q, want %s, which follows from its runs", m.Key, want)
	}
	for i, t := range m.Tables {
		m.byName[t.Name] = append(m.byName[t.Name], i)
	}
	return m, nil
}

// openRegular opens a regular file below root. It follows no link out of root.
func openRegular(root *os.Root, name string) (_ *os.File, size int64, err error) {
	info, err := root.Stat(name) // opening a pipe would wait for its other end
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a regular file")
	}
	f, err := root.Open(name)
	return f, info.Size(), err
}

// chosen returns the manifest of whole runs whose key begins with key, or the only one.
func chosen(list []*Manifest, key string) (*Manifest, error) {
	var found, whole, shards []*Manifest
	for _, m := range list {
		if slices.ContainsFunc(m.Runs, func(r ExportedRun) bool { return r.Shard != "" }) {
			shards = append(shards, m)
			continue
		}
		if whole = append(whole, m); strings.HasPrefix(m.Key, key) {
			found = append(found, m)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(whole) == 0 || len(found) == 0 && slices.ContainsFunc(shards,
		func(m *Manifest) bool { return strings.HasPrefix(m.Key, key) }) {
		return nil, &dbfile.Error{Kind: dbfile.ErrNotExport,
			Detail: "it holds shards of a run, want a whole run",
			Advice: "ducklens gather DIR -o FILE makes a file that queries all shards together"}
	}
	keys := make([]string, len(whole))
	for i, m := range whole {
		keys[i] = m.Key
	}
	const most = 4
	if len(keys) > most {
		keys = append(keys[:most], "...")
	}
	detail := fmt.Sprintf("it has %d exports, want one", len(whole))
	if key != "" {
		detail = fmt.Sprintf("%d of its %d exports have a key that begins with %q, want one", len(found),
			len(whole), key)
	}
	return nil, &dbfile.Error{Kind: dbfile.ErrWhichExport, Detail: detail, Advice: "name one with --export: " +
		strings.Join(keys, ", ")}
}

// joined returns the system's path of a file of a data set.
func joined(folder, name string) string { return filepath.Join(folder, filepath.FromSlash(name)) }
