// Package spark translates the views, macros and saved queries of ducklens into the SQL of Spark 4, over the
// data set that ducklens export makes.
//
// Nothing is written twice: DuckDB's parser parses our own SQL, and the tree is printed with a rule for each
// kind of node and each function. A node without a rule is refused by name. Macros are replaced by their
// bodies, as in DuckDB; those that Spark supports as functions are created too.
//
// Only the views of tables handle several files. In Spark, run_id is the key of the run, and a component_id
// is the run with the number, so that our joins work over all exports in a folder.
package spark

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"ducklens/queries"
	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// PathSetting is the setting of a Spark session with the path of the data set.
const PathSetting = "ducklens.path"

// latestRun replaces the macro, because keys do not grow with time.
const latestRun = "CREATE MACRO latest_run() AS (SELECT arg_max(r.run_id, {'at': r.created_at, 'run': " +
	"r.run_id}) FROM run AS r WHERE r.status = 'complete')"

// Dialect translates SQL to Spark.
type Dialect struct {
	parser *parser
	printer
	views   []statement // in an order in which they can be created
	scalars []*macro
	tables  []*macro // table macros
}

// statement is one of our views or macros.
type statement struct{ name, text, comment string }

var (
	enumText  = regexp.MustCompile(`(?s)^CREATE TYPE (\w+) AS ENUM \((.*)\)$`)
	enumWords = regexp.MustCompile(`'([^']*)'`)
	created   = regexp.MustCompile(`(?s)^CREATE (VIEW|MACRO) (\w+)(.*)$`)
)

// New reads the definitions of this program. The caller must call Close.
func New(ctx context.Context) (*Dialect, error) {
	p, err := newParser()
	if err != nil {
		return nil, err
	}
	d := &Dialect{parser: p, printer: printer{macros: map[string]*macro{}, enums: map[string][]string{}}}
	if err := d.read(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return d, nil
}

// Close closes the parser.
func (d *Dialect) Close() error { return d.parser.close() }

func (d *Dialect) read(ctx context.Context) error {
	tables, err := schema.Tables()
	if err != nil {
		return err
	}
	for _, s := range tables {
		if m := enumText.FindStringSubmatch(s); m != nil {
			for _, word := range enumWords.FindAllStringSubmatch(m[2], -1) {
				d.enums[m[1]] = append(d.enums[m[1]], word[1])
			}
		}
	}
	// Columns with an enumeration of another name.
	d.enums["corner"], d.enums["kind"] = d.enums["quadrant"], d.enums["component_kind"]
	d.enums["query_kind"], d.enums["key_kind"] = d.enums["component_kind"], d.enums["component_kind"]
	views, err := schema.Views()
	if err != nil {
		return err
	}
	for _, s := range views {
		m := created.FindStringSubmatch(s)
		switch {
		case m == nil: // a comment
			if _, words, ok := strings.Cut(s, " IS "); ok && strings.HasPrefix(s, "COMMENT ON VIEW ") {
				d.views[len(d.views)-1].comment = strings.ReplaceAll(strings.Trim(words, "'"), "''", "'")
			}
		case m[1] == "VIEW":
			d.views = append(d.views, statement{name: m[2], text: strings.TrimPrefix(m[3], " AS")})
		default:
			if m[2] == "latest_run" {
				s = latestRun
			}
			made, err := readMacro(ctx, d.parser, s)
			if err != nil {
				return err
			}
			d.macros[made.name] = made
			if made.table {
				d.tables = append(d.tables, made)
			} else {
				d.scalars = append(d.scalars, made)
			}
		}
	}
	return nil
}

// Views returns statements that create temporary views over the data set, for tables and for the views of
// ducklens, and functions for macros where Spark allows them.
func (d *Dialect) Views(ctx context.Context) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `-- Temporary views over a data set of ducklens, for Spark 4: the tables, the views over them, and functions.
-- First say where the data set lies, a folder or a bucket:
--   SET %s = /data/runs
-- run_id is the key of the run, and a component_id the run with a number: they are unique over all exports of the folder.
`, PathSetting)
	tables, err := dbfile.Tables()
	if err != nil {
		return "", err
	}
	for _, t := range tables {
		text, err := tableView(t)
		if err != nil {
			return "", err
		}
		b.WriteString("\n" + text + ";\n")
	}
	for _, v := range d.views {
		tree, err := d.parser.parse(ctx, v.text)
		if err != nil {
			return "", fmt.Errorf("view %s: %w", v.name, err)
		}
		text, err := d.query(tree)
		if err != nil {
			return "", fmt.Errorf("view %s: Spark: no rule for %w", v.name, err)
		}
		fmt.Fprintf(&b, "\nCREATE OR REPLACE TEMPORARY VIEW %s COMMENT %s AS\n%s;\n", quoted(v.name),
			literal(v.comment), text)
	}
	for _, m := range d.scalars {
		text, err := d.scalar(m)
		if err != nil {
			return "", fmt.Errorf("macro %s: Spark: no rule for %w", m.name, err)
		}
		b.WriteString("\n" + text + ";\n")
	}
	for _, m := range d.tables {
		text, err := d.tableFunction(m)
		if err != nil {
			return "", err
		}
		b.WriteString("\n" + text)
	}
	return b.String(), nil
}

// tableView returns the view of a table, and one of its files below it. The columns are declared, so that
// Spark does not read the files to find them, and does not take a key of digits for a number.
func tableView(t dbfile.Table) (string, error) {
	var names, columns, stored []string
	runs := t.Column("run_id") >= 0 || t.Column("model_id") >= 0
	for _, c := range append(t.Columns, t.Generated...) {
		kind := columnType(c.Type)
		if kind == "" {
			return "", fmt.Errorf("column %s of table %s: Spark: no rule for the type %s", c.Name,
				t.Name, c.Type)
		}
		comment, value := c.Comment, quoted(c.Name)
		stored = append(stored, quoted(c.Name)+" "+kind)
		switch {
		case !runs:
		case c.Name == "run_id":
			comment, value = "Key of the run.", "`run`"
		case c.Name == "model_id":
			comment, value = "Key of a run of the model: each has a copy.", "`run`"
		case strings.HasSuffix(c.Name, "component_id"):
			value = "named_struct('run', `run`, 'number', " + value + ")"
		}
		names = append(names, quoted(c.Name)+" COMMENT "+literal(comment))
		columns = append(columns, value)
	}
	if runs {
		stored = append(stored, "`run` STRING")
	}
	if t.Column("head_id") >= 0 && !t.Keyed {
		stored = append(stored, "`head` STRING")
	}
	files := "parquet_" + t.Name
	return fmt.Sprintf("CREATE OR REPLACE TEMPORARY VIEW %s (%s)\nUSING parquet OPTIONS (path "+
		"'${%s}/%s');\n\nCREATE OR REPLACE TEMPORARY VIEW %s (\n  %s\n) COMMENT %s AS\nSELECT %s\nFROM %s",
		quoted(files), strings.Join(stored, ", "), PathSetting, t.Name, quoted(t.Name),
		strings.Join(names, ",\n  "), literal(t.Comment), strings.Join(columns, ", "), quoted(files)), nil
}

// columnType returns the type of a column of a table's files.
func columnType(kind string) string {
	if element, list := strings.CutSuffix(kind, "[]"); list && types[element] != "" {
		return "ARRAY<" + types[element] + ">"
	}
	switch {
	case strings.HasPrefix(kind, "ENUM("):
		return "STRING"
	case kind == "TIMESTAMP":
		return "TIMESTAMP"
	case kind == "BLOB":
		return "BINARY"
	}
	return types[kind]
}

// parameterTypes are the types of parameters of macros, and of the values of macros. Names that are not
// listed are text.
var (
	parameterTypes = map[string]string{"list": "ARRAY<DOUBLE>", "prob": "DOUBLE", "change": "DOUBLE",
		"number": "INT", "example": "INT", "subtract": "BOOLEAN"}
	resultTypes = map[string]string{"bootstrap_ci": "STRUCT<low: DOUBLE, high: DOUBLE>",
		"what_if": "DOUBLE", "known_example": "INT",
		"component_names": "ARRAY<STRING>", "known_components": "ARRAY<STRING>"}
)

func typeIn(types map[string]string, name string) string {
	if kind := types[name]; kind != "" {
		return kind
	}
	return "STRING"
}

// scalar returns a function for a macro that returns a value.
func (d *Dialect) scalar(m *macro) (string, error) {
	given, parameters := m.ownParameters()
	body, err := d.query(node{"type": "SELECT_NODE", "select_list": []any{map[string]any(m.with(given))},
		"from_table": map[string]any{"type": "EMPTY"}})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("CREATE OR REPLACE TEMPORARY FUNCTION %s(%s) RETURNS %s RETURN\n%s", quoted(m.name), parameters,
		typeIn(resultTypes, m.name), strings.TrimPrefix(body, "SELECT ")), nil
}

// asStatement lists the table macros that cannot be functions of Spark, because it knows the parameters of a
// table function in the query itself and not in its subqueries. They are statements with named parameters.
var asStatement = map[string]bool{"heatmap": true, "moments": true, "pct_explained": true}

// tooLarge lists the table macros that are left out. Spark replaces every reference to a part of a WITH
// clause by that part, and these macros have parts within parts: Spark 4.3 had not planned one of them after
// 80 s of processor time and with 5.5 GB of memory.
var tooLarge = map[string]bool{"prob_without": true, "score_without": true}

// tableFunction returns a function for a table macro, or a comment that says why there is none.
func (d *Dialect) tableFunction(m *macro) (string, error) {
	if tooLarge[m.name] {
		return fmt.Sprintf("-- The macro %s is left out: Spark needs many minutes and gigabytes to plan it.\n",
			m.name), nil
	}
	if asStatement[m.name] {
		return fmt.Sprintf(`-- The macro %[1]s is no function here: it uses its parameters in subqueries, where Spark does not know them.
-- ducklens export writes it as a statement with named parameters, macros/%[1]s.sql.
`, m.name), nil
	}
	given, parameters := m.ownParameters()
	body, err := d.query(m.with(given))
	if err != nil {
		return "", fmt.Errorf("macro %s: Spark: no rule for %w", m.name, err)
	}
	return fmt.Sprintf("CREATE OR REPLACE TEMPORARY FUNCTION %s(%s) RETURNS TABLE RETURN\n%s;\n", quoted(m.name),
		parameters, body), nil
}

// ownParameters returns the nodes that replace the parameters in the body of a function, and their list. The
// names of parameters include that of the function, because a column of the same name would win.
func (m *macro) ownParameters() (given map[string]node, list string) {
	given = map[string]node{}
	var parameters []string
	for _, name := range m.names {
		given[name] = node{"class": "COLUMN_REF", "type": "COLUMN_REF", "column_names": []any{m.name, name},
			"parameter": true}
		parameters = append(parameters, quoted(name)+" "+typeIn(parameterTypes, name))
	}
	return given, strings.Join(parameters, ", ")
}

// paramTypes maps the types of parameters of saved queries.
var paramTypes = map[queries.ParamType]string{queries.TextParam: "STRING", queries.IntegerParam: "INT",
	queries.DoubleParam: "DOUBLE", queries.BooleanParam: "BOOLEAN"}

// Question translates a saved query. Its parameters become named parameters of Spark, all of which must be
// given; the header has their defaults.
func (d *Dialect) Question(ctx context.Context, q queries.Query) (string, error) {
	tree, err := d.parser.parse(ctx, q.SQL)
	if err != nil {
		return "", fmt.Errorf("%s: %w", q.Name, err)
	}
	d.params = map[string]string{}
	q.Params = append([]queries.Param(nil), q.Params...)
	for i := range q.Params {
		if q.Params[i].Name == "run" {
			q.Params[i].Type, q.Params[i].Doc = queries.TextParam, "key of the run; "+
				"NULL is the last complete one"
		}
		d.params[q.Params[i].Name] = paramTypes[q.Params[i].Type]
	}
	if q.SQL, err = d.query(tree); err != nil {
		return "", fmt.Errorf("%s: Spark: no rule for %w", q.Name, err)
	}
	return q.String(), nil
}

// Macro translates a table macro into a query with the macro's parameters.
func (d *Dialect) Macro(m string) (string, error) {
	for _, one := range d.tables {
		if one.name == m {
			return d.table(one)
		}
	}
	return "", fmt.Errorf("no macro %s gives a table", m)
}

// table translates a table macro.
func (d *Dialect) table(m *macro) (string, error) {
	given := map[string]node{}
	d.params = map[string]string{}
	text := "-- Parameters: "
	for i, name := range m.names {
		given[name] = node{"class": "PARAMETER", "type": "VALUE_PARAMETER", "identifier": name}
		d.params[name] = typeIn(parameterTypes, name)
		value := "none"
		if m.defaults[name] != nil {
			value = d.expr(m.defaults[name])
		}
		text += []string{", ", ""}[btoi(i == 0)] + fmt.Sprintf("%s %s = %s", name, d.params[name], value)
	}
	body, err := d.query(m.with(given))
	if err != nil {
		return "", fmt.Errorf("macro %s: Spark: no rule for %w", m.name, err)
	}
	return text + "\n" + body, nil
}

// Texts returns the files of SQL beside a data set: views.sql, a file for each table macro that Spark can
// plan, and one for each saved query.
func (d *Dialect) Texts(ctx context.Context, list []queries.Query) (map[string]string, error) {
	made := map[string]string{}
	add := func(name, text string, err error) error {
		made["spark/"+name+".sql"] = text
		return err
	}
	text, err := d.Views(ctx)
	if err := add("views", text, err); err != nil {
		return nil, err
	}
	for _, m := range d.tables {
		if tooLarge[m.name] {
			continue
		}
		text, err := d.table(m)
		if err := add("macros/"+m.name, text+"\n", err); err != nil {
			return nil, err
		}
	}
	for _, q := range list {
		text, err := d.Question(ctx, q)
		if err := add("questions/"+q.Name, text, err); err != nil {
			return nil, err
		}
	}
	return made, nil
}
