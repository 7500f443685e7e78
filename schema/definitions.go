package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"text/template"
)

// The tables, and the views and macros over them. See [Tables] and [Views].
//
//go:embed tables/*.sql views/*.sql views/columns.txt
var definitionFiles embed.FS

// Version is the schema version that this program reads and writes. It is the version of the tables; views
// and macros are created again whenever a file is created or migrated.
const Version = 7

// ClosureTolerance bounds the closure residual of an exact run, divided by [ClosureScale]. Contributions are
// stored as float32, with a relative error of 6e-8 each. A large model has about 1300 of them, some of them
// much larger than their sum.
const ClosureTolerance = 1e-4

// ClosureScale returns the divisor of closure residuals before they are compared with [ClosureTolerance]: the
// largest magnitude of the scores, but at least 1. It is NaN if a score is NaN.
func ClosureScale(scores ...float64) float64 {
	scale := 1.0
	for _, s := range scores {
		scale = max(scale, math.Abs(s))
	}
	return scale
}

// closureScale returns ClosureScale as SQL. Scores after the first may be NULL, which counts as 0.
func closureScale(score string, more ...string) string {
	text := "greatest(1, abs(" + score + ")"
	for _, s := range more {
		text += ", abs(coalesce(" + s + ", 0))"
	}
	return text + ")"
}

// Tables returns the statements that create the types and tables of an empty file, with their comments.
func Tables() ([]string, error) { return known(readTables) }

// Views returns the statements that create the views and macros, with their comments. For the comments of the
// views' columns, see [ViewComments].
func Views() ([]string, error) { return known(readViews) }

// The definitions are read once: every file that is opened needs them.
var (
	readTables = sync.OnceValues(func() ([]string, error) { return definitions("tables") })
	readViews  = sync.OnceValues(func() ([]string, error) { return definitions("views") })
)

// known returns a copy of what read gives, for a caller who may change it.
func known(read func() ([]string, error)) ([]string, error) {
	list, err := read()
	return slices.Clone(list), err
}

// definitions reads the files of a folder in the order of their names.
func definitions(folder string) (list []string, err error) {
	names, err := fs.Glob(definitionFiles, folder+"/*.sql")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := definitionFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		statements, err := readDefinitions(name, string(text))
		if err != nil {
			return nil, err
		}
		list = append(list, statements...)
	}
	return list, nil
}

// readDefinitions returns the statements of a file, which is a template (see [Expand]). As in Go, a comment
// directly above a statement, or above a column of a table, documents it: readDefinitions returns a COMMENT
// ON statement for it. A statement ends with a semicolon at the end of a line.
func readDefinitions(name, text string) (list []string, err error) {
	if text, err = Expand(name, text); err != nil {
		return nil, err
	}
	var comment, statement, comments []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		words, isComment := strings.CutPrefix(strings.TrimSpace(line), "--")
		switch {
		case isComment:
			comment = append(comment, strings.TrimSpace(words))
			continue
		case line == "":
			if len(statement) == 0 {
				comment = nil // the comment was about the file, not about a statement
			}
			continue
		}
		if what := commented(line, statement); what != "" {
			if len(comment) == 0 {
				return nil, fmt.Errorf("%s: no comment above %q", name, line)
			}
			comments = append(comments, "COMMENT ON "+what+" IS '"+
				strings.ReplaceAll(strings.Join(comment, " "), "'", "''")+"'")
		}
		comment = nil
		body, last := strings.CutSuffix(line, ";")
		statement = append(statement, body)
		if last {
			list = append(append(list, strings.Join(statement, "\n")), comments...)
			statement, comments = nil, nil
		}
	}
	if len(statement) > 0 {
		return nil, fmt.Errorf("%s: no semicolon ends %q", name, statement[0])
	}
	return list, nil
}

// Expand executes a SQL text as a template. Its functions are quadrants, which lists the four quadrants;
// list, sum and wide, which take a prefix and return the four columns separated by commas, added up, and
// added up as DOUBLE; and tolerance and closureScale, which are [ClosureTolerance] and [ClosureScale]. more
// adds functions.
func Expand(name, text string, more ...template.FuncMap) (string, error) {
	t := template.New(name).Funcs(templateFunctions)
	for _, functions := range more {
		t = t.Funcs(functions)
	}
	t, err := t.Parse(text)
	if err != nil {
		return "", err
	}
	var made strings.Builder
	err = t.Execute(&made, nil)
	return made.String(), err
}

var (
	createLine = regexp.MustCompile(`^CREATE (TYPE|TABLE|VIEW|MACRO) (\w+)(.*)$`)
	columnLine = regexp.MustCompile(`^  ([a-z]\w*) `)
)

// commented returns the object that a line defines, in the syntax of COMMENT ON. statement holds the lines
// above it.
func commented(line string, statement []string) string {
	if len(statement) == 0 {
		m := createLine.FindStringSubmatch(line)
		switch {
		case m == nil:
			return ""
		case m[1] == "MACRO" && strings.HasSuffix(m[3], " AS TABLE"):
			return "MACRO TABLE " + m[2]
		}
		return m[1] + " " + m[2]
	}
	table, found := strings.CutPrefix(statement[0], "CREATE TABLE ")
	m := columnLine.FindStringSubmatch(line)
	if !found || m == nil {
		return ""
	}
	return "COLUMN " + strings.TrimSuffix(table, " (") + "." + m[1]
}

// templateFunctions are the functions of the templates of definitions.
var templateFunctions = template.FuncMap{
	"quadrants": func() (list []corner) {
		for _, q := range Quadrants() {
			list = append(list, corner{q})
		}
		return list
	},
	// The columns of the four quadrants: listed, added up, added up as DOUBLE.
	"list": func(prefix string) string { return joined(prefix, "", ", ") },
	"sum":  func(prefix string) string { return joined(prefix, "", " + ") },
	"wide": func(prefix string) string { return joined(prefix, "::DOUBLE", " + ") },
	// The bound of closure residuals.
	"tolerance":    func() string { return fmt.Sprint(ClosureTolerance) },
	"closureScale": closureScale,
}

// joined joins the columns of the four quadrants, the first with a cast.
func joined(prefix, cast, by string) string {
	var columns []string
	for _, q := range Quadrants() {
		columns = append(columns, prefix+q.String())
	}
	columns[0] += cast
	return strings.Join(columns, by)
}

// corner is a quadrant in a template.
type corner struct{ Quadrant }

// Words describes the quadrant.
func (c corner) Words() string {
	return [...]string{"both parts parallel", "query part parallel, key part perpendicular",
		"query part perpendicular, key part parallel", "both parts perpendicular"}[c.Quadrant]
}

// WhereSplit returns conditions that exclude whole bases if they have nothing in the quadrant.
func (c corner) WhereSplit(queryKind, keyKind string) (conditions string) {
	if c.Quadrant == ParPar || c.Quadrant == ParPerp {
		conditions += " AND " + queryKind + " <> 'whole'"
	}
	if c.Quadrant == ParPar || c.Quadrant == PerpPar {
		conditions += " AND " + keyKind + " <> 'whole'"
	}
	return conditions
}

// ViewComments returns the comments of the columns of views: by column, and by view.column for exceptions.
func ViewComments() (map[string]string, error) {
	const name = "views/columns.txt"
	file, err := definitionFiles.ReadFile(name)
	if err != nil {
		return nil, err
	}
	text, err := Expand(name, string(file))
	if err != nil {
		return nil, err
	}
	list := map[string]string{}
	last := ""
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		switch name, words, ok := strings.Cut(line, ": "); {
		case line == "" || line[0] == '#':
		case line[0] == ' ':
			list[last] += " " + strings.TrimSpace(line)
		case !ok || list[name] != "":
			return nil, fmt.Errorf("%s: %q, want the name of a column that is not there yet, "+
				"a colon and words", name, line)
		default:
			last, list[name] = name, words
		}
	}
	return list, nil
}

// Statements splits a SQL text at the semicolons that end a line, and drops lines that are comments.
func Statements(text string) (list []string) {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" || strings.HasPrefix(strings.TrimSpace(line), "--") {
			continue
		}
		body, last := strings.CutSuffix(line, ";")
		if lines = append(lines, body); last {
			list, lines = append(list, strings.Join(lines, "\n")), nil
		}
	}
	return list
}
