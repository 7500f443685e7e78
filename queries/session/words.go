package session

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"ducklens/queries"
	"ducklens/schema"
)

// wording is a column, an enumeration or a macro parameter that is compared with words. If a column of an
// enumeration or of names is compared with an impossible word, DuckDB returns no rows instead of an error.
type wording struct {
	column string
	macro  bool // a macro parameter, which accepts an enumeration or both forms of a head's name
	at     int  // byte offset in the statement, or -1
	words  []string
	number string // the value, if it is a number
}

// checkWords refuses comparisons with impossible words, and lists the possible ones.
func (s *Session) checkWords(ctx context.Context, t *tree, values map[string]any) error {
	f := wordFinder{values: values, defined: map[string]bool{}}
	f.walk(t.root)
	for _, w := range f.found {
		if f.defined[w.column] && !w.macro ||
			slices.ContainsFunc(s.db.Further(),
				func(name string) bool { return slices.Contains(t.names, strings.ToLower(name)) }) {
			continue
		}
		known, err := s.wordsOf(ctx, w.column, t.names)
		if err != nil {
			return err
		}
		if len(known) == 0 {
			continue
		}
		if err := w.check(known, t); err != nil {
			return err
		}
	}
	return nil
}

// check compares the words with the known ones.
func (w wording) check(known []string, t *tree) error {
	isHead := w.column == "head" || w.column == "worst_head"
	e := &SQLError{Kind: "Conversion"}
	unknown := w.unknown(known, isHead)
	if isToken := w.column == "key_token" || w.column == "baseline_token"; isToken &&
		!slices.Contains(known, " "+unknown) {
		return nil // any token is possible; only a missing leading space is surely a mistake
	} else if isToken && unknown != "" {
		known = []string{strconv.Quote(" " + unknown)}
	}
	switch {
	case w.number != "" && isHead:
		e.Message = fmt.Sprintf("%s is compared with the number %s, want text: as a number, 11.10 is 11.1",
			w.column, w.number)
	case w.number != "":
		e.Message = fmt.Sprintf("%s is compared with the number %s, want text", w.column, w.number)
	case unknown == "":
		return nil
	default:
		e.Message = fmt.Sprintf("%s has no %q", w.column, unknown)
		if h, err := schema.ParseHead(unknown); err == nil && isHead && slices.Contains(known, h.TLName()) {
			e.Message += fmt.Sprintf(": write %q, or head_label('%s')", h.TLName(), unknown)
			known = nil
		} else if near := queries.Nearest(unknown, known); len(known) > 30 && len(near) > 0 {
			known = near
		}
	}
	const most = 30
	if len(known) > most {
		known = append(slices.Clone(known[:most]), "...")
	}
	e.Candidates = known
	if at := w.at + t.offset; w.at >= 0 && at <= len(t.statement) {
		before := t.statement[:at]
		start := strings.LastIndexByte(before, '\n') + 1
		line, _, _ := strings.Cut(t.statement[start:], "\n")
		e.Line, e.Column = 1+strings.Count(before, "\n"), 1+utf8.RuneCountInString(t.statement[start:at])
		e.Excerpt = excerpt(line, at-start)
	}
	return e
}

// unknown returns the first unknown word.
func (w wording) unknown(known []string, isHead bool) string {
	for _, word := range w.words {
		if w.macro && isHead {
			if h, err := schema.ParseHead(word); err == nil && slices.Contains(known, h.TLName()) {
				continue
			}
		}
		if !slices.Contains(known, word) {
			return word
		}
	}
	return ""
}

// wordFinder walks through the tree of a statement.
type wordFinder struct {
	values  map[string]any // values of the parameters
	found   []wording
	defined map[string]bool // names that the statement defines, so they are not columns of a table
}

func (f *wordFinder) walk(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			f.walk(child)
		}
	case map[string]any:
		f.enter(node)
		for _, child := range node {
			f.walk(child)
		}
	}
}

func (f *wordFinder) enter(node map[string]any) {
	for _, list := range []string{"column_name_alias", "aliases", "unpivot_names"} {
		names, _ := node[list].([]any)
		for _, name := range names {
			f.defined[strings.ToLower(fmt.Sprint(name))] = true
		}
	}
	if alias := word(node, "alias"); alias != "" && node["class"] != nil && columnOf(node) != alias {
		f.defined[alias] = true
	}
	children, _ := node["children"].([]any)
	switch word(node, "type") {
	case "compare_equal", "compare_notequal", "compare_distinct_from", "compare_not_distinct_from":
		f.compare(node["left"], node["right"])
		f.compare(node["right"], node["left"])
	case "compare_in", "compare_not_in":
		if len(children) > 1 {
			f.compare(children[0], children[1:]...)
		}
	case "operator_cast":
		kind, _ := node["cast_type"].(map[string]any)
		info, _ := kind["type_info"].(map[string]any)
		if name := word(info, "name"); node["try_cast"] == false && enumerations()[name] != nil {
			child, _ := node["child"].(map[string]any)
			f.add(wording{column: name, macro: true, at: placeOf(child)}, child)
		}
	case "table_function":
		function, _ := node["function"].(map[string]any)
		if name := word(function, "function_name"); name != "heatmap" && name != "pct_explained" {
			return
		}
		arguments, _ := function["children"].([]any)
		for _, a := range arguments {
			argument, _ := a.(map[string]any)
			f.add(wording{column: word(argument, "alias"), macro: true, at: placeOf(argument)}, a)
		}
	}
}

// columnOf returns the name of a column, if the expression is one.
func columnOf(node map[string]any) string {
	names, _ := node["column_names"].([]any)
	if len(names) == 0 {
		return ""
	}
	return strings.ToLower(fmt.Sprint(names[len(names)-1]))
}

// compare records a comparison of a column with constants or parameters.
func (f *wordFinder) compare(left any, right ...any) {
	node, _ := left.(map[string]any)
	if column := columnOf(node); column != "" {
		f.add(wording{column: column, at: placeOf(node)}, right...)
	}
}

// add records a comparison if its values are known before the statement runs.
func (f *wordFinder) add(w wording, with ...any) {
	if w.column == "" {
		return
	}
	for _, c := range with {
		node, _ := c.(map[string]any)
		switch word(node, "class") {
		case "constant":
			value, _ := node["value"].(map[string]any)
			kind, _ := value["type"].(map[string]any)
			switch text, isText := value["value"].(string); {
			case value["is_null"] == true:
			case isText && kind["id"] == "VARCHAR":
				w.words = append(w.words, text)
			default:
				w.number = decimalText(value["value"], kind)
			}
		case "parameter":
			switch value := f.values[word(node, "identifier")].(type) {
			case string:
				w.words = append(w.words, value)
			}
		default:
			return
		}
	}
	f.found = append(f.found, w)
}

// decimalText formats a number as in the statement. DECIMAL constants are stored as integers with a scale.
func decimalText(value any, kind map[string]any) string {
	text := fmt.Sprint(value)
	info, _ := kind["type_info"].(map[string]any)
	scale := 0
	if n, ok := info["scale"].(json.Number); ok {
		fmt.Sscan(n.String(), &scale)
	}
	if scale > 0 && len(text) > scale {
		text = text[:len(text)-scale] + "." + text[len(text)-scale:]
	}
	return text
}

// placeOf returns the byte offset of an expression in the statement, or -1.
func placeOf(node map[string]any) int {
	var at int
	if n, ok := node["query_location"].(json.Number); ok {
		if _, err := fmt.Sscan(n.String(), &at); err == nil {
			return at
		}
	}
	return -1
}

// enumerations returns the enumerations of this program, with their words.
var enumerations = sync.OnceValue(func() map[string][]string {
	list := map[string][]string{}
	statements, err := schema.Tables()
	if err != nil {
		panic("session: " + err.Error()) // the statements are part of the program
	}
	create, quoted := regexp.MustCompile(`^CREATE TYPE (\w+) AS ENUM`), regexp.MustCompile(`'([^']*)'`)
	for _, s := range statements {
		if found := create.FindStringSubmatch(s); found != nil {
			for _, w := range quoted.FindAllStringSubmatch(s, -1) {
				list[found[1]] = append(list[found[1]], w[1])
			}
		}
	}
	return list
})

// These queries list the words of columns of names: those in the file.
const (
	headWordsSQL      = `SELECT DISTINCT h.label FROM head AS h ORDER BY h.label`
	componentWordsSQL = `SELECT c.label FROM component AS c GROUP BY c.label ORDER BY min(c.component_id)`
	measureWordsSQL   = `SELECT DISTINCT m.measure FROM head_measure AS m ORDER BY m.measure`
	vectorWordsSQL    = `SELECT s.vector FROM substitution AS s GROUP BY s.vector ORDER BY min(s.side), s.vector`
	basisWordsSQL     = `SELECT b.name FROM basis AS b WHERE $side IS NULL OR b.side::VARCHAR = $side GROUP BY b.name ORDER BY min(b.basis_id)`
)

// wordsOf lists the possible words of a column in a statement that uses the named tables, views and macros.
// It returns none if any word is possible.
func (s *Session) wordsOf(ctx context.Context, column string, names []string) ([]string, error) {
	uses := func(list ...string) bool {
		return slices.ContainsFunc(list, func(name string) bool { return slices.Contains(names, name) })
	}
	params := map[string]any{}
	sql := ""
	switch column {
	case "measure":
		ofHeads := uses("head_measure", "head_measure_mean", "prompt_measure")
		switch ofVectors := uses("projection", "head_projection"); {
		case ofHeads && ofVectors:
			return nil, nil
		case !ofHeads:
			return enumerations()[column], nil
		}
		sql = measureWordsSQL
	case "side", "quadrant", "convention", "processing", "status":
		if column == "status" {
			column = "run_status"
		}
		return enumerations()[column], nil
	case "component_kind", "basis_kind", "run_status":
		return enumerations()[column], nil
	case "kind":
		if uses("basis") {
			return nil, nil
		}
		return enumerations()["component_kind"], nil
	case "head", "worst_head":
		if uses("head", "component", "mover", "run_component") {
			return nil, nil // a number in these tables
		}
		sql = headWordsSQL
	case "component", "query_component", "key_component":
		sql = componentWordsSQL
	case "vector":
		if !uses("substitution", "head_substitution") || uses("projection", "head_projection") {
			return nil, nil
		}
		sql = vectorWordsSQL
	case "key_token", "baseline_token":
		sql = "SELECT DISTINCT e." + column + " FROM edge AS e WHERE e." + column + " IS NOT NULL"
	case "query_basis", "key_basis", "basis":
		sql = basisWordsSQL
		params["side"] = nil
		if side, _, found := strings.Cut(column, "_"); found {
			params["side"] = side
		}
	default:
		return nil, nil
	}
	result, err := s.lookup(ctx, sql, params)
	if err != nil {
		return nil, err
	}
	var words []string
	for _, row := range result.Rows {
		words = append(words, queries.String(row[0]))
	}
	return words, nil
}
