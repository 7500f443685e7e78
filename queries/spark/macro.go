package spark

import (
	"context"
	"fmt"
	"strings"
)

// macro is one of our macros. Calls are replaced by its body, as in DuckDB. Spark's functions cannot be used
// instead: Spark refuses a table function that uses its parameters in a subquery.
type macro struct {
	name     string
	names    []string        // of parameters
	defaults map[string]node // of the parameters that have one
	table    bool
	body     node // a query, or an expression
}

// readMacro parses a CREATE MACRO.
func readMacro(ctx context.Context, p *parser, statement string) (*macro, error) {
	head, body, ok := strings.Cut(statement, ") AS ")
	name, parameters, parted := strings.Cut(strings.TrimPrefix(head, "CREATE MACRO "), "(")
	if !ok || !parted {
		return nil, fmt.Errorf("no macro: %s", statement)
	}
	m := &macro{name: name, defaults: map[string]node{}}
	call, err := p.parse(ctx, "SELECT f("+parameters+")")
	if err != nil {
		return nil, fmt.Errorf("macro %s: %w", name, err)
	}
	for _, one := range call.list("select_list")[0].list("children") {
		if alias := one.text("alias"); alias != "" {
			m.names, m.defaults[alias] = append(m.names, alias), one
		} else {
			m.names = append(m.names, one.column())
		}
	}
	if rest, table := strings.CutPrefix(body, "TABLE"); table {
		m.table = true
		m.body, err = p.parse(ctx, rest)
	} else if m.body, err = p.parse(ctx, "SELECT "+body); err == nil {
		m.body = m.body.list("select_list")[0]
	}
	if err != nil {
		return nil, fmt.Errorf("macro %s: %w", name, err)
	}
	return m, nil
}

// arguments maps the parameters to the arguments of a call.
func (m *macro) arguments(call node) (map[string]node, error) {
	given := map[string]node{}
	for i, one := range call.list("children") {
		name := one.text("alias")
		if name == "" {
			if i >= len(m.names) {
				return nil, fmt.Errorf("%s has %d parameters", m.name, len(m.names))
			}
			name = m.names[i]
		}
		given[name] = one
	}
	for _, name := range m.names {
		if given[name] == nil {
			if given[name] = m.defaults[name]; given[name] == nil {
				return nil, fmt.Errorf("%s has no argument %s", m.name, name)
			}
		}
	}
	return given, nil
}

// expand returns the replacement of a call.
func (m *macro) expand(call node) (node, error) {
	given, err := m.arguments(call)
	if err != nil {
		return nil, err
	}
	if m.table || m.body.has(func(n node) bool { return n.text("class") == "SUBQUERY" }) {
		for name, one := range given {
			if one.has(func(n node) bool { return n.text("class") == "COLUMN_REF" && !n.is("parameter") }) {
				return nil, fmt.Errorf("the argument %s of %s is a column, "+
					"which could be taken for one of the tables that the macro reads", name, m.name)
			}
		}
	}
	return m.with(given), nil
}

// with returns the body with its parameters replaced by arguments.
func (m *macro) with(given map[string]node) node {
	return replaced(map[string]any(m.body), func(n node) node {
		argument := given[n.column()]
		if argument == nil {
			return nil
		}
		made := node{}
		for key, part := range argument {
			made[key] = part
		}
		made["alias"] = n.text("alias")
		return made
	}).(map[string]any)
}
