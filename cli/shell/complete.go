package shell

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"
	"unicode"

	"ducklens/queries"
)

// names are the names that can be completed.
type names struct {
	relations []string            // tables and views
	macros    []string            // followed by an opening bracket
	columns   map[string][]string // by relation, in order
	saved     []queries.Query
	values    map[string][]string // by parameter
}

// namesSQL lists the names of a file.
const namesSQL = `SELECT 'column' AS kind, table_name AS name, column_name AS part FROM duckdb_columns()
  WHERE NOT internal
UNION ALL SELECT 'macro', function_name, NULL FROM duckdb_functions() WHERE NOT internal
  GROUP BY function_name
UNION ALL SELECT DISTINCT 'head', label, NULL FROM head
UNION ALL SELECT DISTINCT side || '_basis', name, NULL FROM basis WHERE null_number IS NULL
UNION ALL SELECT DISTINCT 'component', label, NULL FROM component
UNION ALL SELECT 'run', run_id::VARCHAR, NULL FROM run WHERE status = 'complete'`

// load reads the names once. Names that cannot be read are not completed.
func (sh *shell) load(ctx context.Context) *names {
	if sh.names != nil {
		return sh.names
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(sh.Patience, 2*time.Second))
	defer cancel()
	n := &names{columns: map[string][]string{}, values: map[string][]string{}}
	q, err := queries.AdHoc(namesSQL)
	if err != nil {
		return n
	}
	result, err := sh.session.Run(ctx, q, nil)
	if err != nil {
		return n
	}
	for _, row := range result.Rows {
		kind, name, part := queries.String(row[0]), queries.String(row[1]), queries.String(row[2])
		if queries.Printable(name+part) != name+part {
			continue // control characters must not reach the terminal
		}
		switch kind {
		case "column":
			n.columns[name] = append(n.columns[name], quoted(part))
		case "macro":
			n.macros = append(n.macros, quoted(name)+"(")
		default:
			n.values[kind] = append(n.values[kind], name)
		}
	}
	for name := range n.columns {
		n.relations = append(n.relations, quoted(name))
	}
	for _, list := range n.values {
		slices.Sort(list)
	}
	for _, q := range sh.Saved(ctx, sh.session) {
		if queries.Printable(q.Name) == q.Name {
			n.saved = append(n.saved, q)
		}
	}
	sh.names = n
	return n
}

// quoted quotes a name for SQL if necessary.
func quoted(name string) string {
	for i, r := range name {
		if r != '_' && !(r >= 'a' && r <= 'z') && !(i > 0 && r >= '0' && r <= '9') {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	return name
}

// keywords returns the keywords that are completed in SQL, in the case of the typed letters.
func keywords() []string {
	return strings.Fields(
		`all and as asc between by case coalesce count cross desc describe distinct else end except exists
		  explain filter from full group
		having in inner intersect interval is join lateral left like limit not null nulls offset on or order
		outer over partition pivot
		qualify right rows select show summarize then union unnest unpivot using values when where window with
		abs avg max min quantile_cont round stddev_samp sum`)
}

// complete is the [Completer] of a shell.
func (sh *shell) complete(ctx context.Context, line string) (head string, words []string) {
	n := sh.load(ctx)
	if trimmed := strings.TrimLeft(line, " \t"); blank(sh.pending) && strings.HasPrefix(trimmed, ".") {
		return n.completeCommand(line, trimmed)
	}
	return n.completeSQL(sh.pending, line)
}

// completeCommand completes a line that begins with a dot. trimmed is the line without leading blanks.
func (n *names) completeCommand(line, trimmed string) (head string, words []string) {
	at := strings.LastIndexAny(line, " \t") + 1
	head, word := line[:at], line[at:]
	typed := strings.Fields(trimmed[:len(trimmed)-len(word)])
	var choices []string
	switch {
	case len(typed) == 0:
		for _, c := range commands() {
			name := c.name
			if c.takes != "" {
				name += " "
			}
			choices = append(choices, name)
		}
	case typed[0] == ".schema" && len(typed) == 1:
		choices = slices.Concat(n.relations, n.macros)
		for i := range choices {
			choices[i] = strings.TrimSuffix(choices[i], "(")
		}
	case typed[0] == ".mode" && len(typed) == 1:
		for _, m := range modes() {
			choices = append(choices, m.String())
		}
	case typed[0] != ".run" && typed[0] != ".plot":
	case len(typed) == 1:
		for _, q := range n.saved {
			if drawn := q.Chart.Mark != queries.Table && q.Chart.Mark != queries.Scalar; drawn ||
				typed[0] == ".run" {
				choices = append(choices, q.Name+" ")
			}
		}
	default:
		choices = n.parameters(typed[1], word)
	}
	return head, matching(choices, word)
}

// parameters returns the parameters of a saved query, or the values of a parameter after its name and =.
func (n *names) parameters(query, word string) (choices []string) {
	q, err := queries.Find(n.saved, query)
	if err != nil {
		return nil
	}
	name, _, chosen := strings.Cut(word, "=")
	for _, p := range q.Params {
		switch {
		case !chosen:
			choices = append(choices, p.Name+"=")
		case p.Name == name && p.Type == queries.BooleanParam:
			choices = append(choices, name+"=false ", name+"=true ")
		case p.Name == name:
			for _, v := range n.values[name] {
				if !strings.ContainsAny(v, " \t'\"") {
					choices = append(choices, name+"="+v+" ")
				}
			}
		}
	}
	return choices
}

// completeSQL completes SQL: tables after FROM and the like, columns of the tables in the statement, or all
// columns if it names no table yet.
func (n *names) completeSQL(before, line string) (head string, words []string) {
	at := len(line)
	for at > 0 && wordByte(line[at-1]) {
		at--
	}
	head, word := line[:at], line[at:]
	text := before + head
	if inQuote(text) {
		return head, nil
	}
	used := strings.FieldsFunc(strings.ToLower(text+" "),
		func(r rune) bool { return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if strings.HasSuffix(head, ".") {
		return head, matching(n.columnsOf(used), word)
	}
	last := ""
	if len(used) > 0 && (head == "" || head[len(head)-1] == ' ' || head[len(head)-1] == '\t') {
		last = used[len(used)-1]
	}
	tables := slices.Concat(n.relations, n.macros)
	switch last {
	case "from", "join", "describe", "summarize":
		return head, matching(tables, word)
	}
	choices := slices.Concat(n.columnsOf(used), tables)
	for _, k := range keywords() {
		if word != "" && word == strings.ToUpper(word) {
			k = strings.ToUpper(k)
		}
		choices = append(choices, k)
	}
	return head, matching(choices, word)
}

// columnsOf returns the columns of the relations among words, or all columns if there are none.
func (n *names) columnsOf(words []string) (columns []string) {
	for _, all := range []bool{false, true} {
		for relation, list := range n.columns {
			if all || slices.Contains(words, strings.ToLower(relation)) {
				columns = append(columns, list...)
			}
		}
		if len(columns) > 0 {
			break
		}
	}
	return columns
}

// matching returns the choices that begin with a word, sorted and without duplicates.
func matching(choices []string, word string) (words []string) {
	for _, c := range choices {
		if len(c) >= len(word) && strings.EqualFold(c[:len(word)], word) {
			words = append(words, c)
		}
	}
	slices.SortFunc(words,
		func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	return slices.Compact(words)
}

// wordByte reports whether a byte belongs to a name.
func wordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// inQuote reports whether SQL ends inside a quote or a comment.
func inQuote(sql string) bool {
	_, rest, _ := queries.Statements(sql + "\n;")
	return strings.TrimSpace(rest) != ""
}
