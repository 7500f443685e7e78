package session

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"
)

// admit lets one reading statement through. It must be a single statement; a SELECT in one of its forms (also
// VALUES, FROM, DESCRIBE, SUMMARIZE, SHOW, WITH) or an EXPLAIN of one; and its plan may call only the table functions in
// [allowed]. The plan has views, macros and query() resolved, so nothing hides in the file.
func (s *Session) admit(ctx context.Context, statement string, args []any) error {
	kind, err := s.kind(ctx, statement)
	if err != nil {
		return err
	}
	switch kind {
	case duckdb.STATEMENT_TYPE_SELECT:
		return s.admitPlan(ctx, statement, args)
	case duckdb.STATEMENT_TYPE_EXPLAIN:
		inner, ok := explained(statement)
		if !ok {
			return &RefusedError{What: "EXPLAIN with options", Why: "EXPLAIN ANALYZE runs the statement", Advice: "use EXPLAIN or EXPLAIN (FORMAT json), with no comment inside"}
		}
		if kind, err = s.kind(ctx, inner); err != nil {
			return err
		}
		if kind == duckdb.STATEMENT_TYPE_SELECT {
			return s.admitPlan(ctx, inner, args)
		}
	}
	return &RefusedError{What: "a statement that is not a SELECT", Why: "the file is open for reading only",
		Advice: "ask with SELECT, FROM, DESCRIBE, SUMMARIZE or SHOW; change a copy of the file with DuckDB's own shell"}
}

// kind prepares a single statement and tells its kind. Preparing binds names and reads nothing.
func (s *Session) kind(ctx context.Context, statement string) (kind duckdb.StmtType, err error) {
	if strings.TrimSpace(statement) == "" {
		return kind, errEmpty
	}
	if strings.ContainsRune(statement, 0) {
		return kind, errZero // DuckDB would leave out what follows
	}
	err = s.conn.Raw(func(c any) (err error) {
		conn, ok := c.(*duckdb.Conn)
		if !ok {
			return fmt.Errorf("connection of type %T, want *duckdb.Conn", c)
		}
		// Prepare refuses more than one statement; PrepareContext would run all but the last.
		stmt, err := conn.Prepare(statement)
		if err != nil {
			return noBadConn(err)
		}
		defer func() { err = errors.Join(err, stmt.Close()) }()
		typed, ok := stmt.(*duckdb.Stmt)
		if !ok {
			return fmt.Errorf("statement of type %T, want *duckdb.Stmt", stmt)
		}
		kind, err = typed.StatementType()
		return err
	})
	if err != nil && strings.Contains(err.Error(), "multi-statement") {
		err = &RefusedError{What: "more than one statement", Why: "a query is one", Advice: "send them one after the other; give PIVOT its values with IN (...)"}
	}
	return kind, err
}

// noBadConn keeps database/sql from taking an error for a broken connection and trying again on another.
func noBadConn(err error) error {
	if errors.Is(err, driver.ErrBadConn) {
		return fmt.Errorf("prepare: %s", err.Error())
	}
	return err
}

// planNode is what EXPLAIN (FORMAT json) says of one operator.
type planNode struct {
	Name     string         `json:"name"`
	Children []planNode     `json:"children"`
	Extra    map[string]any `json:"extra_info"`
}

// admitPlan looks at the functions in the plan of a SELECT.
func (s *Session) admitPlan(ctx context.Context, statement string, args []any) error {
	const explain = "EXPLAIN (FORMAT json)\n"
	rows, err := s.conn.QueryContext(ctx, explain+statement, args...)
	if err != nil {
		return &shiftedError{err, 1}
	}
	defer rows.Close()
	for rows.Next() {
		var key, text string
		if err := rows.Scan(&key, &text); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		var roots []planNode
		if err := json.Unmarshal([]byte(text), &roots); err != nil {
			return fmt.Errorf("plan: %w", err)
		}
		for _, root := range roots {
			if err := root.admit(); err != nil {
				return err
			}
		}
	}
	return rows.Err()
}

func (n planNode) admit() error {
	if name, ok := n.Extra["Function"]; ok {
		name := strings.ToLower(fmt.Sprint(name))
		if !allowed[name] {
			return &RefusedError{What: "function " + name, Why: "it is not one that only reads this file"}
		}
	}
	for _, child := range n.Children {
		if err := child.admit(); err != nil {
			return err
		}
	}
	return nil
}

// allowed lists the table functions of DuckDB 1.5 that read nothing but this file or make rows out of their
// arguments. Any other is refused, also one that a later DuckDB adds. Not here, for example: read_csv and its like, enable_logging,
// enable_profiling, checkpoint, json_execute_serialized_sql (the plan does not show what it runs), arrow_scan (it takes addresses).
var allowed = map[string]bool{
	"duckdb_columns": true, "duckdb_constraints": true, "duckdb_databases": true, "duckdb_dependencies": true,
	"duckdb_extensions": true, "duckdb_functions": true, "duckdb_indexes": true, "duckdb_keywords": true,
	"duckdb_memory": true, "duckdb_schemas": true, "duckdb_sequences": true, "duckdb_settings": true,
	"duckdb_tables": true, "duckdb_types": true, "duckdb_views": true,
	"generate_series": true, "json_each": true, "json_tree": true,
	"pragma_collations": true, "pragma_database_size": true, "pragma_metadata_info": true, "pragma_platform": true,
	"pragma_show": true, "pragma_storage_info": true, "pragma_table_info": true, "pragma_version": true,
	"range": true, "repeat": true, "repeat_row": true, "seq_scan": true, "summary": true, "unnest": true,
}

// explainedForms are the forms of EXPLAIN that only plan. What follows them must be a SELECT by itself, so that no option can
// hide in it: behind a comment or a quote that this pattern would read otherwise than DuckDB does.
var explainedForms = regexp.MustCompile(`(?is)^EXPLAIN(?:\s*\(\s*FORMAT\s+'?[a-z_]+'?\s*\)|\s+|\s*(\())(.*)$`)

// explained gives the statement inside an EXPLAIN that does not run it.
func explained(statement string) (inner string, ok bool) {
	// The word may stand anywhere: that is not worth a second reader of DuckDB's grammar.
	if strings.Contains(strings.ToLower(statement), "analy") {
		return "", false
	}
	form := explainedForms.FindStringSubmatch(afterBlanks(statement))
	if form == nil {
		return "", false
	}
	return form[1] + form[2], true
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
