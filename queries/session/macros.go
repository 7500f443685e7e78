package session

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"ducklens/schema"
)

// objects are the tables and views of a file, and the macros with their documentation.
type objects struct {
	relations []string
	macros    map[string]macro
}

// macro is what a comment says of a macro: how it is called, and what it gives.
type macro struct {
	table   bool   // it is used in FROM
	call    string // such as head_label(name), or an example: FROM heatmap(run := 1)
	means   string // the first sentence
	example string // "" if the call is one
}

// knownObjects returns the objects that schema defines.
var knownObjects = sync.OnceValues(func() (o objects, err error) {
	tables, err := schema.Tables()
	if err != nil {
		return o, err
	}
	views, err := schema.Views()
	if err != nil {
		return o, err
	}
	o.macros = map[string]macro{}
	for _, statement := range append(tables, views...) {
		if m := createdRelation.FindStringSubmatch(statement); m != nil {
			o.relations = append(o.relations, m[1])
		}
		if m := macroComment.FindStringSubmatch(statement); m != nil {
			text := strings.ReplaceAll(m[3], "''", "'")
			call, means, _ := strings.Cut(text, "): ")
			_, example, _ := strings.Cut(means, "For example: ")
			means, _, _ = strings.Cut(means, ". ")
			if example != "" {
				means, _, _ = strings.Cut(means, ": ")
			}
			o.macros[m[2]] = macro{table: m[1] != "", call: call + ")", means: strings.TrimSuffix(means, "."),
				example: strings.TrimSuffix(example, ".")}
		}
	}
	return o, nil
})

var (
	createdRelation = regexp.MustCompile(`^CREATE (?:TABLE|VIEW) (\w+)`)
	macroComment    = regexp.MustCompile(`(?s)^COMMENT ON MACRO (TABLE )?(\w+) IS '(.*)'`)
)

// These match DuckDB's messages about a name that is not what the query takes it for.
var (
	noSuchName  = regexp.MustCompile(`^(Table Function|Scalar Function|Table) with name (\w+) does not exist$`)
	wrongCall   = regexp.MustCompile(`^Macro (\w+)\(\) does not support the supplied arguments`)
	tableMacro  = regexp.MustCompile(`^Function "(\w+)" is a table function but`)
	notAList    = regexp.MustCompile(`-> DOUBLE\[\]\)(?:.* from source column (\w+))?$`)
	equalsSign  = regexp.MustCompile(`(?is)\b(\w+)\s*\((?:[^()=]*,)?\s*(\w+)\s*=[^>]`)
	columnFault = regexp.MustCompile(`(?i)\bcolumn\b`)
)

// explainCall says how a table, view or macro of the file is used, if the error is that it was used
// otherwise.
func (e *SQLError) explainCall(sql string) {
	known, err := knownObjects()
	if err != nil {
		return
	}
	lower := strings.ToLower(sql)
	if m := noSuchName.FindStringSubmatch(e.Message); m != nil {
		name := strings.ToLower(m[2])
		macro, isMacro := known.macros[name]
		switch {
		case isMacro && macro.table:
			e.Message = name + " is a macro, want parentheses behind its name, even if they are empty"
		case isMacro:
			e.Message = fmt.Sprintf("%s gives a value, not a table: want it in SELECT, not in FROM", name)
		case slices.Contains(known.relations, name):
			e.Message = fmt.Sprintf("%s is a table or view, not a function", name)
			e.Candidates, e.Advice = nil, "write FROM "+name
			return
		default:
			return
		}
		e.advise(macro)
		return
	}
	if m := wrongCall.FindStringSubmatch(e.Message); m != nil {
		if macro, ok := known.macros[m[1]]; ok {
			e.Message = m[1] + " does not take these arguments"
			e.advise(macro)
		}
		return
	}
	if m := tableMacro.FindStringSubmatch(e.Message); m != nil {
		if macro, ok := known.macros[m[1]]; ok {
			e.Message = m[1] + " gives a table: want it in FROM, not in SELECT"
			e.advise(macro)
		}
		return
	}
	if m := notAList.FindStringSubmatch(e.Message); m != nil && strings.Contains(lower, "bootstrap_ci") {
		e.Message = "bootstrap_ci takes a list"
		if m[1] != "" {
			e.Message += fmt.Sprintf(", such as list(%s)", m[1])
		}
		e.advise(known.macros["bootstrap_ci"])
		return
	}
	if m := equalsSign.FindStringSubmatch(sql); m != nil && columnFault.MatchString(e.Message) {
		if macro, ok := known.macros[strings.ToLower(m[1])]; ok && macro.table &&
			strings.Contains(macro.call, strings.ToLower(m[2])+" := ") {
			e.Message = fmt.Sprintf("%s = in the call of %s is a comparison, want an argument", m[2], m[1])
			e.Candidates, e.Advice = nil, fmt.Sprintf("write %s := ...", m[2])
		}
	}
}

// advise says how a macro is called.
func (e *SQLError) advise(m macro) {
	e.Candidates, e.Advice = nil, m.call+": "+m.means
	if m.example != "" {
		e.Advice += "; for example " + m.example
	}
}
