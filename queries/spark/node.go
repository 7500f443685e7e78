package spark

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	_ "github.com/duckdb/duckdb-go/v2" // its parser
)

// node is a part of a parse tree, in the form of DuckDB's json_serialize_sql.
type node map[string]any

// text returns a text field of a node, or "".
func (n node) text(key string) string {
	s, _ := n[key].(string)
	return s
}

// is returns a boolean field of a node.
func (n node) is(key string) bool {
	b, _ := n[key].(bool)
	return b
}

// child returns a child of a node, or nil.
func (n node) child(key string) node {
	m, _ := n[key].(map[string]any)
	return m
}

// list returns a list of children of a node.
func (n node) list(key string) (list []node) {
	all, _ := n[key].([]any)
	for _, one := range all {
		m, _ := one.(map[string]any)
		list = append(list, m)
	}
	return list
}

// words returns a list of texts of a node.
func (n node) words(key string) (list []string) {
	all, _ := n[key].([]any)
	for _, one := range all {
		if s, ok := one.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// call returns the name of the function that a node calls, or "".
func (n node) call() string {
	if n.text("class") != "FUNCTION" {
		return ""
	}
	return n.text("function_name")
}

// constant returns the text of a text constant.
func (n node) constant() (string, bool) {
	value := n.child("value")
	if n.text("class") != "CONSTANT" || value.is("is_null") || value.child("type").text("id") != "VARCHAR" {
		return "", false
	}
	return value.text("value"), true
}

// column returns the name of an unqualified column, or "".
func (n node) column() string {
	if names := n.words("column_names"); n.text("class") == "COLUMN_REF" && len(names) == 1 {
		return names[0]
	}
	return ""
}

// has reports whether a node or one of its parts meets a condition.
func (n node) has(meets func(node) bool) bool {
	found := false
	visit(map[string]any(n), func(one node) { found = found || meets(one) })
	return found
}

// visit calls f for every node of a tree.
func visit(tree any, f func(node)) {
	switch tree := tree.(type) {
	case map[string]any:
		f(tree)
		for _, part := range tree {
			visit(part, f)
		}
	case []any:
		for _, part := range tree {
			visit(part, f)
		}
	}
}

// replaced returns a copy of a tree in which nodes are replaced by the results of f that are not nil.
func replaced(tree any, f func(node) node) any {
	switch tree := tree.(type) {
	case map[string]any:
		if other := f(tree); other != nil {
			return map[string]any(other)
		}
		made := map[string]any{}
		for key, part := range tree {
			made[key] = replaced(part, f)
		}
		return made
	case []any:
		made := make([]any, len(tree))
		for i, part := range tree {
			made[i] = replaced(part, f)
		}
		return made
	}
	return tree
}

// parser parses SELECT statements.
type parser struct{ db *sql.DB }

func newParser() (*parser, error) {
	db, err := sql.Open("duckdb", "")
	return &parser{db}, err
}

func (p *parser) close() error { return p.db.Close() }

// parse returns the query node of a SELECT.
func (p *parser) parse(ctx context.Context, text string) (node, error) {
	var tree string
	if err := p.db.QueryRowContext(ctx, "SELECT json_serialize_sql($1::VARCHAR)::VARCHAR", text).
		Scan(&tree); err != nil {
		return nil, err
	}
	var found node
	decoder := json.NewDecoder(strings.NewReader(tree))
	decoder.UseNumber()
	if err := decoder.Decode(&found); err != nil {
		return nil, err
	}
	if found.is("error") {
		return nil, errors.New(found.text("error_message"))
	}
	statements := found.list("statements")
	if len(statements) != 1 {
		return nil, fmt.Errorf("%d statements, want one", len(statements))
	}
	return statements[0].child("node"), nil
}
