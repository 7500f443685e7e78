package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"ducklens/queries"
)

// admit allows one reading statement: a SELECT in any form (also VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW,
// WITH), or an EXPLAIN of one. DuckDB's parser parses it, and the tree is checked before anything is bound,
// because binding can have effects. The caller must run the returned statement. It uses exactly the tables
// and functions that were checked, because functions that run text as SQL, such as query() and query_table(),
// are refused.
func (s *Session) admit(ctx context.Context, statement string) (*tree, error) {
	if strings.TrimSpace(statement) == "" {
		return nil, errEmpty
	}
	if strings.ContainsRune(statement, 0) {
		if encoding := queries.Encoding(statement); encoding != "" {
			return nil, fmt.Errorf("the query is %s, want UTF-8", encoding)
		}
		return nil, errZero // DuckDB would ignore the rest
	}
	if !utf8.ValidString(statement) {
		return nil, errNotUTF8
	}
	t, err := s.parse(ctx, statement)
	if errors.Is(err, errNoSelect) {
		if t, err = s.parseExplain(ctx, statement); errors.Is(err, errNoSelect) {
			return nil, &RefusedError{What: "a statement that is not a SELECT",
				Why: "the file is open for reading only",
				Advice: "ask with SELECT, FROM, DESCRIBE, SUMMARIZE or SHOW; change a copy of the file with " +
					"DuckDB's own shell"}
		}
	}
	if err != nil {
		return nil, err
	}
	return t, t.look()
}

// errNoSelect is the error for a statement of another kind.
var errNoSelect = errors.New("no SELECT")

// parse returns the tree of a SELECT.
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
		// DuckDB's own error has the line and the caret. Preparing fails at the same place.
		return nil, s.conn.Raw(func(c any) error { return prepareOnce(c, statement) })
	case parsed.Error:
		return nil, errNoSelect
	case len(parsed.Statements) == 0:
		return nil, errEmpty
	case len(parsed.Statements) > 1:
		return nil, &RefusedError{What: "more than one statement", Why: "a query is one",
			Advice: "send them one after the other; give PIVOT its values with IN (...)"}
	}
	return &tree{statement: statement, root: parsed.Statements[0], known: s.names}, nil
}

// prepareOnce prepares a statement with a syntax error, to get DuckDB's message.
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

// explainedForms matches the forms of EXPLAIN that only plan. The rest must be a SELECT by itself. Otherwise
// an option could hide in it, behind a comment or a quote that this pattern reads differently than DuckDB.
var explainedForms = regexp.MustCompile(
	`(?is)^EXPLAIN(?:\s*\(\s*FORMAT\s+'?([a-z_]+)'?\s*\)|\s+|\s*(\())(.*)$`)

// parseExplain returns the tree of the SELECT in an EXPLAIN. It builds the statement anew, so that nothing
// but a known form of EXPLAIN precedes the SELECT.
func (s *Session) parseExplain(ctx context.Context, statement string) (*tree, error) {
	bare := queries.AfterBlanks(statement)
	if len(bare) < len("EXPLAIN") || !strings.EqualFold(bare[:len("EXPLAIN")], "EXPLAIN") {
		return nil, errNoSelect
	}
	refused := &RefusedError{What: "EXPLAIN with options", Why: "EXPLAIN ANALYZE runs the statement",
		Advice: "use EXPLAIN or EXPLAIN (FORMAT json), with no comment inside"}
	form := explainedForms.FindStringSubmatch(bare)
	// Refuse ANALYZE anywhere in the statement, because finding its place would need a second parser of
	// DuckDB's grammar.
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
	// Keep the number of lines before the SELECT, so that errors name the right line.
	lines := strings.Count(statement[:len(statement)-len(inner)], "\n")
	t.statement = strings.Repeat("\n", lines) + explain + inner
	t.offset = len(t.statement) - len(inner)
	return t, nil
}

// tree is a statement as DuckDB's parser returns it, before names are resolved.
type tree struct {
	statement string // the statement to run
	root      map[string]any
	offset    int             // offset of the parsed text in the statement
	known     map[string]bool // names of the views and macros that the session has or can create

	names   []string // of tables and functions, in lower case
	all     bool     // the statement lists what exists, so all views must exist
	catalog bool     // the statement reads comments, so they must exist too
}

// look walks through the tree and refuses everything that does more than read this file, and every reference
// to a table in an unknown form.
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

// enter checks one node.
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

// word returns the text of a field in lower case, because DuckDB compares names this way.
func word(node map[string]any, field string) string {
	text, _ := node[field].(string)
	return strings.ToLower(text)
}

// showable are the words after SHOW that are not tables.
var showable = map[string]bool{"tables": true, "databases": true, "variables": true, "schemas": true,
	"__show_tables_expanded": true}

// table checks the name of a table, which must be in the session's database or be a list of what exists.
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
		return &RefusedError{What: "table " + name,
			Why:    "a query sees the tables and views of its file alone",
			Advice: "ducklens schema FILE lists them"}
	}
	// A table of WITH, or an unknown one, for which DuckDB suggests similar names.
	t.names = append(t.names, name)
	return nil
}

// elsewhere refuses a function qualified with a database or schema other than DuckDB's own or the session's,
// because the file's macros are in others.
func elsewhere(node map[string]any) error {
	catalog, schema := word(node, "catalog"), word(node, "schema")
	if catalog == "" && (schema == "data" || schema == "system") {
		catalog, schema = schema, ""
	}
	if (catalog == "" || catalog == "data" || catalog == "system") &&
		(schema == "" || schema == "main" || schema == "pg_catalog") {
		return nil
	}
	return &RefusedError{What: fmt.Sprintf("function %s.%s", strings.Trim(catalog+"."+schema, "."),
		word(node, "function_name")),
		Why: "a query calls the functions of DuckDB and of ducklens alone"}
}

// function checks a scalar or aggregate function.
func (t *tree) function(node map[string]any) error {
	if err := elsewhere(node); err != nil {
		return err
	}
	name := word(node, "function_name")
	// A query can also build such a state from bytes, so it is not enough to exclude tables with states.
	const why = "the state of an aggregate holds addresses of memory, and DuckDB follows them"
	switch {
	case node["export_state"] == true:
		return &RefusedError{What: "EXPORT_STATE", Why: why}
	case stateFunctions[name]:
		return &RefusedError{What: "function " + name, Why: why}
	}
	// histogram is also an aggregate.
	if allowed, table := tableFunctions[name]; actingFunctions[name] || table && !allowed &&
		name != "histogram" {
		return &RefusedError{What: "function " + name, Why: "it is not one that only reads this file"}
	}
	t.names = append(t.names, name)
	return nil
}

// tableFunction checks a table function.
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
		return &RefusedError{What: "function " + name,
			Why:    "it makes SQL out of text, and what it runs cannot be looked at before",
			Advice: "write the SQL itself"}
	default:
		// DuckDB reports functions that do not exist.
		if allowed, exists := tableFunctions[name]; exists && !allowed {
			return &RefusedError{What: "function " + name, Why: "it is not one that only reads this file"}
		}
	}
	return nil
}
