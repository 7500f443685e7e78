package session

import (
	"context"
	"strings"
)

// Reading lists what a statement reads, by name in lower case. Names are as in the statement: a macro is
// listed as itself, not as the tables that it reads.
type Reading struct {
	Tables    []string        // tables and views without duplicates, in no order, without those of WITH
	Columns   map[string]bool // columns that are named, except only to join two tables
	Functions map[string]bool
}

// Reads parses a statement. It refuses the statements that [Session.Run] refuses.
func (s *Session) Reads(ctx context.Context, statement string) (Reading, error) {
	t, err := s.admit(ctx, statement)
	if err != nil {
		return Reading{}, err
	}
	r := reader{Reading: Reading{Columns: map[string]bool{}, Functions: map[string]bool{}},
		tables: map[string]bool{}, made: map[string]bool{}}
	r.walk(t.root)
	for name := range r.tables {
		if !r.made[name] {
			r.Tables = append(r.Tables, name)
		}
	}
	return r.Reading, nil
}

// reader collects names.
type reader struct {
	Reading
	tables map[string]bool
	made   map[string]bool // defined by WITH
}

func (r *reader) walk(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			r.walk(child)
		}
	case map[string]any:
		if joins(node) {
			return
		}
		r.enter(node)
		for _, child := range node {
			r.walk(child)
		}
	}
}

func (r *reader) enter(node map[string]any) {
	if made, ok := node["cte_map"].(map[string]any); ok {
		list, _ := made["map"].([]any)
		for _, entry := range list {
			if entry, ok := entry.(map[string]any); ok {
				r.made[word(entry, "key")] = true
			}
		}
	}
	switch node["type"] {
	case "BASE_TABLE":
		r.tables[word(node, "table_name")] = true
	case "COLUMN_REF":
		r.Columns[column(node)] = true
	case "FUNCTION", "TABLE_FUNCTION", "WINDOW_AGGREGATE":
		r.Functions[word(node, "function_name")] = true
	}
}

// joins reports whether a node equates columns of the same name of two tables.
func joins(node map[string]any) bool {
	left, _ := node["left"].(map[string]any)
	right, _ := node["right"].(map[string]any)
	qualified := func(n map[string]any) bool {
		names, _ := n["column_names"].([]any)
		return n["type"] == "COLUMN_REF" && len(names) > 1
	}
	return node["type"] == "COMPARE_EQUAL" && qualified(left) && qualified(right) &&
		column(left) == column(right)
}

// column returns the last part of the name of a column.
func column(node map[string]any) string {
	names, _ := node["column_names"].([]any)
	if len(names) == 0 {
		return ""
	}
	last, _ := names[len(names)-1].(string)
	return strings.ToLower(last)
}
