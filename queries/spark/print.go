package spark

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// printer prints parse trees as Spark's SQL.
type printer struct {
	macros map[string]*macro
	params map[string]string   // Spark's types of the parameters
	enums  map[string][]string // words of enumerations
	depth  int                 // nesting of macros
}

// refusal is the error for a node without a rule. [printer.refuse] throws it, and [printer.query] catches it.
type refusal struct{ error }

func (p *printer) refuse(format string, args ...any) string {
	panic(refusal{fmt.Errorf(format, args...)})
}

// query prints a query.
func (p *printer) query(n node) (text string, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			r, ours := caught.(refusal)
			if !ours {
				panic(caught)
			}
			err = r.error
		}
	}()
	return p.select_(n), nil
}

// quoted returns a quoted name.
func quoted(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// literal returns a text literal. In Spark a backslash escapes, and two adjacent quotes end one text and
// begin the next.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`, "\n", `\n`).Replace(s) + "'"
}

// select_ prints a query node with its modifiers.
func (p *printer) select_(n node) string {
	var b strings.Builder
	for i, cte := range n.child("cte_map").list("map") {
		b.WriteString([]string{", ", "WITH "}[btoi(i == 0)])
		value := cte.child("value")
		fmt.Fprintf(&b, "%s%s AS (\n%s\n)", quoted(cte.text("key")), aliases(value.words("aliases")),
			p.select_(value.child("query").child("node")))
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	switch n.text("type") {
	case "SELECT_NODE":
		b.WriteString(p.plain(n))
	case "SET_OPERATION_NODE":
		if n.text("setop_type") != "UNION" || !n.is("setop_all") {
			p.refuse("a %s that is not UNION ALL", n.text("setop_type"))
		}
		sides := n.list("children")
		if len(sides) == 0 {
			sides = []node{n.child("left"), n.child("right")}
		}
		for i, side := range sides {
			if i > 0 {
				b.WriteString("\nUNION ALL\n")
			}
			b.WriteString(p.select_(side))
		}
	default:
		p.refuse("a query of the kind %s", n.text("type"))
	}
	for _, m := range n.list("modifiers") {
		switch m.text("type") {
		case "ORDER_MODIFIER":
			b.WriteString("\nORDER BY " + p.orders(m.list("orders")))
		case "LIMIT_MODIFIER":
			if m.child("offset") != nil {
				p.refuse("an OFFSET")
			}
			b.WriteString("\nLIMIT " + p.expr(m.child("limit")))
		case "DISTINCT_MODIFIER": // printed after SELECT
		default:
			p.refuse("a clause of the kind %s", m.text("type"))
		}
	}
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// aliases prints names of columns after the name of a table.
func aliases(names []string) string {
	if len(names) == 0 {
		return ""
	}
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = quoted(name)
	}
	return "(" + strings.Join(list, ", ") + ")"
}

// plain prints a SELECT.
func (p *printer) plain(n node) string {
	var items []string
	for _, item := range n.list("select_list") {
		text := p.expr(item)
		if alias := item.text("alias"); alias != "" {
			text += " AS " + quoted(alias)
		}
		items = append(items, text)
	}
	if n.child("qualify") != nil || n.child("sample") != nil {
		p.refuse("a QUALIFY or a SAMPLE")
	}
	distinct := slices.ContainsFunc(n.list("modifiers"),
		func(m node) bool { return m.text("type") == "DISTINCT_MODIFIER" })
	text := "SELECT " + []string{"", "DISTINCT "}[btoi(distinct)] + strings.Join(items, ",\n  ")
	if from := n.child("from_table"); from.text("type") != "EMPTY" {
		text += "\nFROM " + p.from(from)
	}
	if where := n.child("where_clause"); where != nil {
		text += "\nWHERE " + p.expr(where)
	}
	groups := n.list("group_expressions")
	if len(groups) > 0 && slices.ContainsFunc(n.list("select_list"), func(item node) bool {
		return item.has(func(part node) bool { return part.text("class") == "SUBQUERY" })
	}) {
		p.refuse("a subquery among the columns of a GROUP BY")
	}
	switch {
	case n.text("aggregate_handling") == "FORCE_AGGREGATES":
		text += "\nGROUP BY ALL"
	case len(groups) > 0:
		if sets, _ := n["group_sets"].([]any); len(sets) > 1 {
			p.refuse("grouping sets")
		}
		text += "\nGROUP BY " + p.all(groups)
	}
	if having := n.child("having"); having != nil {
		text += "\nHAVING " + p.expr(having)
	}
	return text
}

// from prints a FROM clause.
func (p *printer) from(n node) string {
	named := func(text string) string {
		if alias := n.text("alias"); alias != "" {
			return text + " AS " + quoted(alias) + aliases(n.words("column_name_alias"))
		}
		return text
	}
	switch n.text("type") {
	case "BASE_TABLE":
		return named(quoted(n.text("table_name")))
	case "SUBQUERY":
		return named("(" + p.select_(n.child("subquery").child("node")) + ")")
	case "EXPRESSION_LIST":
		rows, _ := n["values"].([]any)
		var list []string
		for _, row := range rows {
			list = append(list, "("+p.all(node{"row": row}.list("row"))+")")
		}
		return "VALUES " + strings.Join(list, ", ")
	case "TABLE_FUNCTION":
		call := n.child("function")
		if m := p.macros[call.call()]; m != nil && m.table {
			return named("(" + p.inside(m, call, p.select_) + ")")
		}
		if arguments := call.list("children"); call.call() == "range" && len(arguments) == 1 {
			return named("(SELECT id AS `range` FROM range(" + p.expr(arguments[0]) + "))")
		}
		return p.refuse("the table function %s", call.call())
	case "JOIN":
		return p.join(n)
	}
	return p.refuse("a table of the kind %s", n.text("type"))
}

// join prints a join. Our nested joins are left-deep.
func (p *printer) join(n node) string {
	left, right := p.from(n.child("left")), p.from(n.child("right"))
	if n.child("right").text("type") == "JOIN" {
		right = "(" + right + ")"
	}
	kind := map[string]string{"INNER": "JOIN", "LEFT": "LEFT JOIN"}[n.text("join_type")]
	if n.text("ref_type") == "CROSS" {
		return left + "\nCROSS JOIN " + right
	}
	if kind == "" || n.text("ref_type") != "REGULAR" {
		p.refuse("a join of the kind %s %s", n.text("join_type"), n.text("ref_type"))
	}
	if using := n.words("using_columns"); len(using) > 0 {
		return left + "\n" + kind + " " + right + " USING " + aliases(using)
	}
	return left + "\n" + kind + " " + right + " ON " + p.expr(n.child("condition"))
}

// inside prints the body of a macro in place of a call.
func (p *printer) inside(m *macro, call node, write func(node) string) string {
	const deepest = 20
	body, err := m.expand(call)
	if err != nil {
		p.refuse("%v", err)
	}
	if p.depth++; p.depth > deepest {
		p.refuse("macros that call each other")
	}
	defer func() { p.depth-- }()
	return write(body)
}

// all prints expressions separated by commas.
func (p *printer) all(list []node) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = p.expr(one)
	}
	return strings.Join(texts, ", ")
}

// orders prints sort keys. The engines place NULLs differently. An ENUM sorts in the order of its words, text
// alphabetically.
func (p *printer) orders(list []node) string {
	var texts []string
	for _, o := range list {
		key := o.child("expression")
		direction := []string{"", " DESC"}[btoi(o.text("type") == "DESCENDING")]
		direction += map[string]string{"NULLS FIRST": " NULLS FIRST"}[o.text("null_order")]
		if !strings.HasSuffix(direction, "FIRST") {
			direction += " NULLS LAST"
		}
		if names := key.words("column_names"); key.text("class") == "COLUMN_REF" &&
			p.enums[names[len(names)-1]] != nil {
			texts = append(texts, "array_position("+words(p.enums[names[len(names)-1]])+", CAST("+p.expr(key)+
				" AS STRING))"+direction)
		}
		texts = append(texts, p.expr(key)+direction)
	}
	return strings.Join(texts, ", ")
}

// words prints an array of texts.
func words(list []string) string {
	texts := make([]string, len(list))
	for i, word := range list {
		texts[i] = literal(word)
	}
	return "array(" + strings.Join(texts, ", ") + ")"
}

var comparisons = map[string]string{"COMPARE_EQUAL": "=", "COMPARE_NOTEQUAL": "<>", "COMPARE_LESSTHAN": "<",
	"COMPARE_GREATERTHAN":       ">",
	"COMPARE_LESSTHANOREQUALTO": "<=", "COMPARE_GREATERTHANOREQUALTO": ">=",
	"COMPARE_NOT_DISTINCT_FROM": "<=>"}

// expr prints an expression.
func (p *printer) expr(n node) string {
	kind := n.text("type")
	switch n.text("class") {
	case "COLUMN_REF":
		names := n.words("column_names")
		for i, name := range names {
			names[i] = quoted(name)
		}
		return strings.Join(names, ".")
	case "CONSTANT":
		return p.value(n.child("value"))
	case "PARAMETER":
		name := n.text("identifier")
		if p.params[name] == "" {
			return p.refuse("a parameter %s, which the header does not have", name)
		}
		return "CAST(:" + name + " AS " + p.params[name] + ")" // a NULL has no type
	case "COMPARISON":
		if comparisons[kind] == "" {
			return p.refuse("the comparison %s", kind)
		}
		return "(" + p.expr(n.child("left")) + " " + comparisons[kind] + " " + p.expr(n.child("right")) + ")"
	case "BETWEEN":
		return "(" + p.expr(n.child("input")) + " BETWEEN " + p.expr(n.child("lower")) + " AND " +
			p.expr(n.child("upper")) + ")"
	case "CONJUNCTION":
		var parts []string
		for _, part := range n.list("children") {
			parts = append(parts, p.expr(part))
		}
		return "(" +
			strings.Join(parts,
				map[string]string{"CONJUNCTION_AND": "\n  AND ", "CONJUNCTION_OR": " OR "}[kind]) + ")"
	case "OPERATOR":
		return p.operator(kind, n.list("children"))
	case "CASE":
		text := "CASE"
		for _, check := range n.list("case_checks") {
			text += " WHEN " + p.expr(check.child("when_expr")) + " THEN " + p.expr(check.child("then_expr"))
		}
		return text + " ELSE " + p.expr(n.child("else_expr")) + " END"
	case "CAST":
		return p.cast(n)
	case "STAR":
		text := "*"
		if of := n.text("relation_name"); of != "" {
			text = quoted(of) + ".*"
		}
		if out := n.words("exclude_list"); len(out) > 0 {
			text += " EXCEPT " + aliases(out)
		}
		return text
	case "SUBQUERY":
		return p.subquery(n)
	case "WINDOW":
		return p.window(n)
	case "LAMBDA":
		name := n.child("lhs").column()
		if name == "" {
			return p.refuse("a lambda of several parameters")
		}
		return quoted(name) + " -> " + p.expr(n.child("expr"))
	case "FUNCTION":
		return p.function(n)
	}
	return p.refuse("an expression of the kind %s", n.text("class"))
}

// value prints a constant.
func (p *printer) value(v node) string {
	if v.is("is_null") {
		return "NULL"
	}
	kind := v.child("type")
	switch id := kind.text("id"); id {
	case "VARCHAR":
		return literal(v.text("value"))
	case "INTEGER", "BIGINT":
		return fmt.Sprint(v["value"])
	case "DOUBLE":
		return fmt.Sprint(v["value"]) + "D"
	case "BOOLEAN":
		return fmt.Sprint(v["value"])
	case "DECIMAL":
		digits, scale := fmt.Sprint(v["value"]), 0
		if n, ok := kind.child("type_info")["scale"].(json.Number); ok {
			at, err := n.Int64()
			if err != nil {
				p.refuse("%v", err)
			}
			scale = int(at)
		}
		for len(digits) <= scale {
			digits = "0" + digits
		}
		if scale == 0 {
			return digits
		}
		return digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	default:
		return p.refuse("a constant of the type %s", id)
	}
}

// operator prints an operator that is not a function.
func (p *printer) operator(kind string, parts []node) string {
	switch kind {
	case "OPERATOR_NOT":
		return "(NOT " + p.expr(parts[0]) + ")"
	case "OPERATOR_IS_NULL":
		return "(" + p.expr(parts[0]) + " IS NULL)"
	case "OPERATOR_IS_NOT_NULL":
		return "(" + p.expr(parts[0]) + " IS NOT NULL)"
	case "OPERATOR_COALESCE":
		return "coalesce(" + p.all(parts) + ")"
	case "COMPARE_IN":
		return "(" + p.expr(parts[0]) + " IN (" + p.all(parts[1:]) + "))"
	case "COMPARE_NOT_IN":
		return "(" + p.expr(parts[0]) + " NOT IN (" + p.all(parts[1:]) + "))"
	case "ARRAY_EXTRACT": // from 1 in DuckDB, and NULL beyond; Spark's x[i] counts from 0
		return "try_element_at(" + p.expr(parts[0]) + ", CAST(" + p.expr(parts[1]) + " AS INT))"
	}
	return p.refuse("the operator %s", kind)
}

// types maps types. Words of an enumeration are text.
var types = map[string]string{"VARCHAR": "STRING", "INTEGER": "INT", "BIGINT": "BIGINT", "FLOAT": "FLOAT",
	"DOUBLE": "DOUBLE", "BOOLEAN": "BOOLEAN"}

// cast prints a cast.
func (p *printer) cast(n node) string {
	kind, child := n.child("cast_type"), n.child("child")
	info := kind.child("type_info")
	id := kind.text("id")
	if text, ok := child.constant(); ok && id == "BOOLEAN" && (text == "t" || text == "f") {
		return map[string]string{"t": "true", "f": "false"}[text]
	}
	switch {
	case id == "UNBOUND" && p.enums[info.text("name")] != nil:
		if _, ok := child.constant(); ok {
			return p.expr(child)
		}
		return "CAST(" + p.expr(child) + " AS STRING)"
	case id == "LIST" && types[info.child("child_type").text("id")] != "":
		return "CAST(" + p.expr(child) + " AS ARRAY<" + types[info.child("child_type").text("id")] + ">)"
	case types[id] != "":
		return "CAST(" + p.expr(child) + " AS " + types[id] + ")"
	}
	return p.refuse("a cast to %s %s", id, info.text("name"))
}

// subquery prints a query in an expression.
func (p *printer) subquery(n node) string {
	text := "(" + p.select_(n.child("subquery").child("node")) + ")"
	switch n.text("subquery_type") {
	case "SCALAR":
		return text
	case "EXISTS":
		return "EXISTS " + text
	case "ANY":
		if n.text("comparison_type") == "COMPARE_EQUAL" {
			return "(" + p.expr(n.child("child")) + " IN " + text + ")"
		}
	}
	return p.refuse("a subquery of the kind %s %s", n.text("subquery_type"), n.text("comparison_type"))
}

// window prints a window function. Ours have only the default frame.
func (p *printer) window(n node) string {
	if n.text("start") != "UNBOUNDED_PRECEDING" || n.text("end") != "CURRENT_ROW_RANGE" ||
		n.child("filter_expr") != nil {
		p.refuse("a window with a frame or a filter")
	}
	arguments := p.all(n.list("children"))
	name := n.text("function_name")
	if name == "count_star" || name == "count" && arguments == "" {
		name, arguments = "count", "*"
	}
	var over []string
	if list := n.list("partitions"); len(list) > 0 {
		over = append(over, "PARTITION BY "+p.all(list))
	}
	if list := n.list("orders"); len(list) > 0 {
		over = append(over, "ORDER BY "+p.orders(list))
	}
	return name + "(" + arguments + ") OVER (" + strings.Join(over, " ") + ")"
}
