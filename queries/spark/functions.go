package spark

import (
	"regexp"
	"strconv"
	"strings"
)

// same lists functions with the same name and meaning in both engines.
var same = named(`abs avg ceil chr coalesce count covar_samp exp floor greatest least ln max median min nullif power replace sqrt split_part
	stddev_samp substr sum tanh upper lower var_samp round`)

func named(text string) map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(text) {
		set[word] = true
	}
	return set
}

// renamed lists functions with another name in Spark.
var renamed = map[string]string{"arg_max": "max_by", "arg_min": "min_by", "array_to_string": "array_join", "error": "raise_error", "json_keys": "json_object_keys",
	"list": "collect_list", "list_apply": "transform", "list_contains": "array_contains", "list_filter": "filter", "list_sort": "array_sort",
	"list_value": "array", "quantile_cont": "percentile", "starts_with": "startswith", "unnest": "explode", "len": "size"}

// infix lists operators.
var infix = map[string]string{"+": "+", "-": "-", "*": "*", "/": "/", "//": "div", "&": "&", "||": "||", "xor": "^", "~~": "LIKE"}

// rewritten lists functions that become an expression. a has the arguments as Spark's SQL, n the original
// nodes.
var rewritten = map[string]func(p *printer, n []node, a []string) string{
	"**":         func(_ *printer, _ []node, a []string) string { return "power(" + a[0] + ", " + a[1] + ")" },
	">>":         func(_ *printer, _ []node, a []string) string { return "shiftright(" + a[0] + ", " + a[1] + ")" },
	"any_value":  func(_ *printer, _ []node, a []string) string { return "any_value(" + a[0] + ", true)" }, // the first value that is not NULL
	"count_star": func(*printer, []node, []string) string { return "count(*)" },
	"enum_range": func(p *printer, n []node, _ []string) string {
		return words(p.enums[n[0].child("cast_type").child("type_info").text("name")])
	},
	"like_escape": func(_ *printer, _ []node, a []string) string {
		return "(" + a[0] + " LIKE " + a[1] + " ESCAPE " + a[2] + ")"
	},
	"list_avg": func(_ *printer, _ []node, a []string) string { return "(" + summed(a[0]) + " / size(" + a[0] + "))" },
	"list_concat": func(_ *printer, _ []node, a []string) string { // NULL is an empty list
		return "concat(coalesce(" + a[0] + ", array()), coalesce(" + a[1] + ", array()))"
	},
	"list_has_all": func(_ *printer, _ []node, a []string) string {
		return "(size(array_except(" + a[1] + ", " + a[0] + ")) = 0)"
	},
	"list_inner_product": func(_ *printer, _ []node, a []string) string {
		return "aggregate(zip_with(" + a[0] + ", " + a[1] + ", (x, y) -> CAST(x AS DOUBLE) * CAST(y AS DOUBLE)), CAST(0 AS DOUBLE), (s, v) -> s + v)"
	},
	"list_resize": func(_ *printer, _ []node, a []string) string {
		return "slice(concat(" + a[0] + ", array_repeat(" + a[2] + ", CAST(" + a[1] + " AS INT))), 1, CAST(" + a[1] + " AS INT))"
	},
	"list_sum": func(_ *printer, _ []node, a []string) string { return summed(a[0]) },
	"position": func(_ *printer, _ []node, a []string) string { return "locate(" + a[1] + ", " + a[0] + ")" },
	"range": func(_ *printer, _ []node, a []string) string {
		return "slice(sequence(CAST(0 AS BIGINT), CAST(" + a[0] + " AS BIGINT)), 1, CAST(" + a[0] + " AS INT))"
	},
	"regexp_extract_all": func(_ *printer, _ []node, a []string) string {
		return "regexp_extract_all(" + a[0] + ", " + a[1] + ", 0)"
	},
	"regexp_full_match": func(_ *printer, _ []node, a []string) string {
		return "(" + a[0] + " RLIKE concat('^(?:', " + a[1] + ", ')$'))"
	},
	"regexp_matches": func(_ *printer, _ []node, a []string) string { return "(" + a[0] + " RLIKE " + a[1] + ")" },
	"regexp_replace": func(p *printer, n []node, a []string) string { // ours match the whole text, so the first match is all
		with, ok := n[2].constant()
		pattern, anchored := n[1].constant()
		if !ok || !anchored || !strings.HasPrefix(pattern, "^") {
			return p.refuse("regexp_replace of something but a whole text")
		}
		return "regexp_replace(" + a[0] + ", " + a[1] + ", " + literal(regexp.MustCompile(`\\(\d)`).ReplaceAllString(with, `$$$1`)) + ")"
	},
	"string_split": func(p *printer, n []node, a []string) string { // Spark splits by a pattern
		by, ok := n[1].constant()
		if !ok {
			return p.refuse("string_split by something but a text")
		}
		return "split(" + a[0] + ", " + literal(regexp.QuoteMeta(by)) + ")"
	},
	"struct_extract": func(p *printer, n []node, a []string) string {
		name, ok := n[1].constant()
		if !ok {
			return p.refuse("struct_extract of something but a name")
		}
		return a[0] + "." + quoted(name)
	},
	"struct_pack": func(_ *printer, n []node, a []string) string {
		var parts []string
		for i := range a {
			parts = append(parts, literal(n[i].text("alias"))+", "+a[i])
		}
		return "named_struct(" + strings.Join(parts, ", ") + ")"
	},
	"trim": func(_ *printer, _ []node, a []string) string { // trim(characters, text) in Spark
		if len(a) == 1 {
			return "trim(" + a[0] + ")"
		}
		return "trim(BOTH " + a[1] + " FROM " + a[0] + ")"
	},
	"typeof": func(_ *printer, _ []node, a []string) string {
		return "replace(typeof(" + a[0] + "), 'string', 'VARCHAR')"
	},
}

// summed returns the sum of a list without its NULLs.
func summed(list string) string {
	return "aggregate(filter(" + list + ", v -> v IS NOT NULL), CAST(NULL AS DOUBLE), (s, v) -> coalesce(s, 0D) + v)"
}

// pointed returns NAME of '/' || replace(replace(NAME, '~', '~0'), '/', '~1').
func pointed(n node) node {
	inner := func(n node, name string, arguments ...string) node {
		children := n.list("children")
		if n.call() != name || len(children) != len(arguments)+1 {
			return nil
		}
		for i, want := range arguments {
			if got, ok := children[i+1].constant(); !ok || got != want {
				return nil
			}
		}
		return children[0]
	}
	children := n.list("children")
	if n.call() != "||" || len(children) != 2 {
		return nil
	}
	if slash, ok := children[0].constant(); !ok || slash != "/" {
		return nil
	}
	return inner(inner(children[1], "replace", "/", "~1"), "replace", "~", "~0")
}

// function prints a call.
func (p *printer) function(n node) string {
	name, children := n.call(), n.list("children")
	if m := p.macros[name]; m != nil && !m.table {
		return "(" + p.inside(m, n, p.expr) + ")"
	}
	filter := ""
	if f := n.child("filter"); f != nil {
		filter = " FILTER (WHERE " + p.expr(f) + ")"
	}
	orders := n.child("order_bys").list("orders")
	arguments := make([]string, len(children))
	for i, child := range children {
		arguments[i] = p.expr(child)
	}
	if name == "string_agg" {
		if n.is("distinct") || len(orders) == 0 || len(arguments) != 2 {
			return p.refuse("string_agg without an order")
		}
		return "listagg(" + arguments[0] + ", " + arguments[1] + ") WITHIN GROUP (ORDER BY " + p.orders(orders) + ")" + filter
	}
	if len(orders) > 0 {
		return p.refuse("an order within %s", name)
	}
	if name == "arg_min" && len(arguments) == 3 { // the first few, by a number that is not NULL
		pairs := "collect_list(CASE WHEN " + arguments[1] + " IS NOT NULL THEN struct(" + arguments[1] + " AS y, " + arguments[0] + " AS x) END)" + filter
		return "transform(slice(array_sort(nullif(" + pairs + ", array())), 1, CAST(" + arguments[2] + " AS INT)), e -> e.x)"
	}
	if name == "json_extract_string" { // with a pointer /NAME, like all of ours
		field := pointed(children[1])
		if field == nil {
			return p.refuse("json_extract_string with a path that is no pointer to a name")
		}
		return "try_element_at(from_json(" + arguments[0] + ", 'MAP<STRING, STRING>'), " + p.expr(field) + ")"
	}
	if n.is("distinct") {
		arguments[0] = "DISTINCT " + arguments[0]
	}
	list := strings.Join(arguments, ", ")
	switch {
	case infix[name] != "" && len(arguments) == 2:
		return "(" + arguments[0] + " " + infix[name] + " " + arguments[1] + ")"
	case name == "-" && len(arguments) == 1:
		return "(- " + arguments[0] + ")"
	case rewritten[name] != nil:
		return rewritten[name](p, children, arguments) + filter
	case renamed[name] != "":
		return renamed[name] + "(" + list + ")" + filter
	case same[name]:
		return name + "(" + list + ")" + filter
	}
	return p.refuse("the function %s of %s arguments", name, strconv.Itoa(len(arguments)))
}
