package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"
	"text/template"
)

// The tables, and the views and macros over them. See [Tables] and [Views].
//
//go:embed tables/*.sql views/*.sql views/columns.txt
var definitionFiles embed.FS

// Version is the schema version that this program reads and writes: that of the tables. Views and macros have none; they
// are made anew whenever a file is made or migrated.
const Version = 5

// ClosureTolerance bounds the closure residual of an exact run: |score - sum of contributions| may be
// at most this times max(1, |score|, |baseline|). Contributions are stored as float32 (relative error
// 6e-8 each) and a large model has about 1300 of them, some much larger than their sum.
const ClosureTolerance = 1e-4

// Tables lists the statements that make the types and tables of an empty file, with their comments.
func Tables() ([]string, error) { return definitions("tables") }

// Views lists the statements that make the views and macros over the tables, with their comments but for those of the views'
// columns, for which see [ViewComments].
func Views() ([]string, error) { return definitions("views") }

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

// readDefinitions makes statements of a file. Its text is a template, in which quadrants is the list of them; what it makes is
// SQL in which the lines of a comment directly above a statement, or above a column of a table, are the comment that the file
// keeps of it, as in Go. A statement ends with a semicolon at the end of a line.
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
				comment = nil // of the file, not of a statement
			}
			continue
		}
		if what := commented(line, statement); what != "" {
			if len(comment) == 0 {
				return nil, fmt.Errorf("%s: no comment above %q", name, line)
			}
			comments = append(comments, "COMMENT ON "+what+" IS '"+strings.ReplaceAll(strings.Join(comment, " "), "'", "''")+"'")
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

// Expand executes the template in a text of SQL: quadrants is the list of the four, and list, sum and wide of a prefix are
// their columns with commas, added up, and added up as DOUBLE; more are further functions.
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

// commented tells what a line defines, in the words of COMMENT ON; statement is what is above it.
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

// templateFunctions are for the files of definitions.
var templateFunctions = template.FuncMap{
	"quadrants": func() (list []corner) {
		for _, q := range Quadrants() {
			list = append(list, corner{q})
		}
		return list
	},
	// the columns of the four quadrants: listed, added up, added up as DOUBLE
	"list":      func(prefix string) string { return joined(prefix, "", ", ") },
	"sum":       func(prefix string) string { return joined(prefix, "", " + ") },
	"wide":      func(prefix string) string { return joined(prefix, "::DOUBLE", " + ") },
	"tolerance": func() string { return fmt.Sprint(ClosureTolerance) },
}

// joined joins the columns of the four quadrants, the first of them in another type.
func joined(prefix, cast, by string) string {
	var columns []string
	for _, q := range Quadrants() {
		columns = append(columns, prefix+q.String())
	}
	columns[0] += cast
	return strings.Join(columns, by)
}

// corner is a quadrant as the templates see it.
type corner struct{ Quadrant }

// Words says which parts are in the quadrant.
func (c corner) Words() string {
	return [...]string{"both parts parallel", "query part parallel, key part perpendicular", "query part perpendicular, key part parallel",
		"both parts perpendicular"}[c.Quadrant]
}

// WhereSplit leaves out rows whose bases are whole and have nothing in the quadrant.
func (c corner) WhereSplit(queryKind, keyKind string) (conditions string) {
	if c.Quadrant == ParPar || c.Quadrant == ParPerp {
		conditions += " AND " + queryKind + " <> 'whole'"
	}
	if c.Quadrant == ParPar || c.Quadrant == PerpPar {
		conditions += " AND " + keyKind + " <> 'whole'"
	}
	return conditions
}

// ViewComments say what the columns of views mean: by column, and by view.column where that differs.
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
			return nil, fmt.Errorf("%s: %q, want the name of a column that is not there yet, a colon and words", name, line)
		default:
			last, list[name] = name, words
		}
	}
	return list, nil
}

// Statements cuts a text of SQL at the semicolons that end a line, and drops lines that are comments.
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
