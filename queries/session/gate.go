package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// admit lets one reading statement through: a SELECT in one of its forms (also VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW, WITH), or an
// EXPLAIN of one. DuckDB's own parser takes it apart, and nothing is bound before the tree was looked at, because binding can act. The
// statement that comes back is the one to run; its tables and functions are those that were looked at, because nothing in it makes
// SQL out of text: not query(), not query_table().
func (s *Session) admit(ctx context.Context, statement string) (*tree, error) {
	if strings.TrimSpace(statement) == "" {
		return nil, errEmpty
	}
	if strings.ContainsRune(statement, 0) {
		return nil, errZero // DuckDB would leave out what follows
	}
	t, err := s.parse(ctx, statement)
	if errors.Is(err, errNoSelect) {
		if t, err = s.parseExplain(ctx, statement); errors.Is(err, errNoSelect) {
			return nil, &RefusedError{What: "a statement that is not a SELECT", Why: "the file is open for reading only",
				Advice: "ask with SELECT, FROM, DESCRIBE, SUMMARIZE or SHOW; change a copy of the file with DuckDB's own shell"}
		}
	}
	if err != nil {
		return nil, err
	}
	return t, t.look()
}

// errNoSelect says that a statement is of another kind.
var errNoSelect = errors.New("no SELECT")

// parse gives the tree of a SELECT.
func (s *Session) parse(ctx context.Context, statement string) (*tree, error) {
	var text string
	const serialize = "SELECT system.main.json_serialize_sql($1::VARCHAR)::VARCHAR"
	if err := s.conn.QueryRowContext(ctx, serialize, statement).Scan(&text); err != nil {
		return nil, err
	}
	var parsed struct {
		Error      bool             `json:"error"`
		Type       string           `json:"error_type"`
		Message    string           `json:"error_message"`
		Position   json.Number      `json:"position"`
		Statements []map[string]any `json:"statements"`
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&parsed); err != nil {
		return nil, fmt.Errorf("tree of the statement: %w", err)
	}
	switch {
	case parsed.Error && parsed.Type == "parser":
		// DuckDB's own error has the line and the caret. Preparing does not get beyond the fault.
		return nil, s.conn.Raw(func(c any) error { return prepareOnce(c, statement) })
	case parsed.Error:
		return nil, errNoSelect
	case len(parsed.Statements) == 0:
		return nil, errEmpty
	case len(parsed.Statements) > 1:
		return nil, &RefusedError{What: "more than one statement", Why: "a query is one", Advice: "send them one after the other; give PIVOT its values with IN (...)"}
	}
	return &tree{statement: statement, root: parsed.Statements[0], known: s.names}, nil
}

// prepareOnce prepares a statement in which the parser has found a fault, for DuckDB's account of it.
func prepareOnce(c any, statement string) error {
	conn, ok := c.(*duckdb.Conn)
	if !ok {
		return fmt.Errorf("connection of type %T, want *duckdb.Conn", c)
	}
	stmt, err := conn.Prepare(statement)
	if err != nil {
		return noBadConn(err)
	}
	return errors.Join(errNoSelect, stmt.Close())
}

// explainedForms are the forms of EXPLAIN that only plan. What follows them must be a SELECT by itself, so that no option can
// hide in it: behind a comment or a quote that this pattern would read otherwise than DuckDB does.
var explainedForms = regexp.MustCompile(`(?is)^EXPLAIN(?:\s*\(\s*FORMAT\s+'?([a-z_]+)'?\s*\)|\s+|\s*(\())(.*)$`)

// parseExplain gives the tree of the SELECT that an EXPLAIN is about. The statement to run is put together anew, so that it has
// nothing in front of the SELECT but what this function knows.
func (s *Session) parseExplain(ctx context.Context, statement string) (*tree, error) {
	bare := afterBlanks(statement)
	if len(bare) < len("EXPLAIN") || !strings.EqualFold(bare[:len("EXPLAIN")], "EXPLAIN") {
		return nil, errNoSelect
	}
	refused := &RefusedError{What: "EXPLAIN with options", Why: "EXPLAIN ANALYZE runs the statement", Advice: "use EXPLAIN or EXPLAIN (FORMAT json), with no comment inside"}
	form := explainedForms.FindStringSubmatch(bare)
	// The word may stand anywhere: that is not worth a second reader of DuckDB's grammar.
	if form == nil || strings.Contains(strings.ToLower(statement), "analy") {
		return nil, refused
	}
	inner := form[2] + form[3]
	t, err := s.parse(ctx, inner)
	if err != nil {
		return nil, err
	}
	explain := "EXPLAIN "
	if form[1] != "" {
		explain = "EXPLAIN (FORMAT " + form[1] + ") "
	}
	// As many lines in front as there were, for the places of faults.
	lines := strings.Count(statement[:len(statement)-len(inner)], "\n")
	t.statement = strings.Repeat("\n", lines) + explain + inner
	t.offset = len(t.statement) - len(inner)
	return t, nil
}

// afterBlanks cuts blanks and comments off the start of SQL.
func afterBlanks(s string) string {
	for {
		s = strings.TrimLeft(s, " \t\r\n\f\v")
		switch {
		case strings.HasPrefix(s, "--"):
			s = s[len(s)-len(strings.TrimLeftFunc(s, func(r rune) bool { return r != '\n' && r != '\r' })):]
		case strings.HasPrefix(s, "/*"):
			depth, i := 0, 0
			for i+1 < len(s) {
				if s[i:i+2] == "/*" {
					depth, i = depth+1, i+2
				} else if s[i:i+2] == "*/" {
					depth, i = depth-1, i+2
					if depth == 0 {
						break
					}
				} else {
					i++
				}
			}
			s = s[i:]
		default:
			return s
		}
	}
}

// A tree is a statement as DuckDB's parser takes it apart, before any name in it means anything.
type tree struct {
	statement string // what to run
	root      map[string]any
	offset    int             // of what was parsed, in the statement
	known     map[string]bool // names of views and macros that the session has or can make

	names   []string // of tables and functions, in lower case
	all     bool     // it lists what there is: all views have to be there
	catalog bool     // it asks what that means: their comments have to be there too
}

// look walks through the tree and refuses what does more than read this file. Anything that it does not know as a reference to
// a table is refused too.
func (t *tree) look() error { return t.walk(t.root) }

func (t *tree) walk(node any) error {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			if err := t.walk(child); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if err := t.enter(node); err != nil {
			return err
		}
		for _, child := range node {
			if err := t.walk(child); err != nil {
				return err
			}
		}
	}
	return nil
}

// enter looks at one node.
func (t *tree) enter(node map[string]any) error {
	kind, _ := node["type"].(string)
	if class, ok := node["class"].(string); ok {
		if class == "FUNCTION" || class == "WINDOW" {
			return t.function(node)
		}
		return nil
	}
	switch kind {
	case "BASE_TABLE":
		return t.table(word(node, "catalog_name"), word(node, "schema_name"), word(node, "table_name"))
	case "TABLE_FUNCTION":
		function, _ := node["function"].(map[string]any)
		return t.tableFunction(function)
	case "SHOW_REF":
		switch name := strings.Trim(word(node, "table_name"), `"`); {
		case node["query"] != nil:
		case showable[name]:
			t.all = true
		default:
			return t.table(word(node, "catalog_name"), word(node, "schema_name"), name)
		}
		return nil
	case "JOIN", "SUBQUERY", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SELECT_NODE":
		return nil
	}
	if _, sampled := node["sample"]; sampled {
		return &RefusedError{What: "a table of the kind " + kind, Why: "it is not one that ducklens knows"}
	}
	return nil
}

// word gives the text of a field in lower case, which is how DuckDB compares names.
func word(node map[string]any, field string) string {
	text, _ := node[field].(string)
	return strings.ToLower(text)
}

// showable are the words behind SHOW that are no tables.
var showable = map[string]bool{"tables": true, "databases": true, "variables": true, "schemas": true, "__show_tables_expanded": true}

// table looks at the name of a table: it must be one of the session's own database, or a list of what there is.
func (t *tree) table(catalog, schema, name string) error {
	if catalog == "" && (schema == "data" || schema == "system") {
		catalog, schema = schema, ""
	}
	own := (catalog == "" || catalog == "data") && (schema == "" || schema == "main")
	switch {
	case own && t.known[name]:
		t.names = append(t.names, name)
		return nil
	case systemViews[name]:
		t.catalog = true
		return nil
	case otherSystemViews[name] || !own:
		if schema != "" {
			name = schema + "." + name
		}
		if catalog != "" {
			name = catalog + "." + name
		}
		return &RefusedError{What: "table " + name, Why: "a query sees the tables and views of its file alone", Advice: "ducklens schema FILE lists them"}
	}
	t.names = append(t.names, name) // a table of WITH, or none: DuckDB says what is near
	return nil
}

// elsewhere refuses a function that is named with a database or schema of other than DuckDB's own or the
// session's: the file's macros lie there.
func elsewhere(node map[string]any) error {
	catalog, schema := word(node, "catalog"), word(node, "schema")
	if catalog == "" && (schema == "data" || schema == "system") {
		catalog, schema = schema, ""
	}
	if (catalog == "" || catalog == "data" || catalog == "system") && (schema == "" || schema == "main" || schema == "pg_catalog") {
		return nil
	}
	return &RefusedError{What: fmt.Sprintf("function %s.%s", strings.Trim(catalog+"."+schema, "."), word(node, "function_name")),
		Why: "a query calls the functions of DuckDB and of ducklens alone"}
}

// function looks at a function that stands where a value does.
func (t *tree) function(node map[string]any) error {
	if err := elsewhere(node); err != nil {
		return err
	}
	name := word(node, "function_name")
	// A query can also make such a state out of bytes of its own, so it is not enough to leave tables out.
	const why = "the state of an aggregate holds addresses of memory, and DuckDB follows them"
	switch {
	case node["export_state"] == true:
		return &RefusedError{What: "EXPORT_STATE", Why: why}
	case stateFunctions[name]:
		return &RefusedError{What: "function " + name, Why: why}
	}
	if allowed, table := tableFunctions[name]; actingFunctions[name] || table && !allowed && name != "histogram" { // there is an aggregate of this name
		return &RefusedError{What: "function " + name, Why: "it is not one that only reads this file"}
	}
	t.names = append(t.names, name)
	return nil
}

// tableFunction looks at a function that stands where a table does.
func (t *tree) tableFunction(node map[string]any) error {
	if err := elsewhere(node); err != nil {
		return err
	}
	name := word(node, "function_name")
	switch {
	case t.known[name]:
		t.names = append(t.names, name)
	case strings.HasPrefix(name, "duckdb_") && tableFunctions[name]:
		t.catalog = true
	case name == "query" || name == "query_table":
		return &RefusedError{What: "function " + name, Why: "it makes SQL out of text, and what it runs cannot be looked at before", Advice: "write the SQL itself"}
	default:
		// One that does not exist is for DuckDB to tell.
		if allowed, exists := tableFunctions[name]; exists && !allowed {
			return &RefusedError{What: "function " + name, Why: "it is not one that only reads this file"}
		}
	}
	return nil
}
