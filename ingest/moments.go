package ingest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ducklens/schema"
	"ducklens/schema/moment"
)

// Bounds of the moments: values of a field named by [Options.By], and bytes of memory.
const (
	maxGroups      = 64
	maxMomentBytes = 1_500_000_000
	momentBytes    = 400  // of a row
	quantileBytes  = 1200 // of the counts of a row with quantiles
)

const (
	everyPrompt = "all" // the group of all prompts
	corners     = 5     // the quadrants and their sum
)

// momentKey identifies moments, except for the component.
type momentKey struct {
	prompts              string
	head                 int // index into the run's heads
	side                 schema.Side
	queryBasis, keyBasis int
}

// momentRows holds the moments of all components of one key.
type momentRows struct {
	components []int
	rows       [][corners]moment.Row // the last one is the sum of the quadrants
	at         map[int]int           // index of each component
	quantiles  bool
}

// row returns the moments of a component. Most components have the same index i in every example, which saves
// a look-up; features of a dictionary do not.
func (m *momentRows) row(i, component int) *[corners]moment.Row {
	if i < len(m.rows) && m.components[i] == component {
		return &m.rows[i]
	}
	if place, ok := m.at[component]; ok {
		return &m.rows[place]
	}
	var rows [corners]moment.Row
	for corner := range rows {
		rows[corner] = moment.NewRow(m.quantiles)
	}
	m.at[component] = len(m.rows)
	m.components, m.rows = append(m.components, component), append(m.rows, rows)
	return &m.rows[len(m.rows)-1]
}

// moments accumulates the moments of a run that stores only means. The result does not depend on the order of
// the examples.
type moments struct {
	run    *schema.Run
	by     []string
	of     map[momentKey]*momentRows
	groups []string // groups of the current prompt
	prompt int      // number of the current prompt
}

func newMoments(run *schema.Run, by []string) *moments {
	return &moments{run: run, by: by, of: map[momentKey]*momentRows{}, prompt: -1}
}

// addAll adds all examples of some prompts.
func (m *moments) addAll(results []schema.PromptResult) error {
	for i := range results {
		for j := range results[i].Examples {
			r := &results[i].Examples[j]
			if err := m.add(r); err != nil {
				return fmt.Errorf("example %d: %w", r.Example.Index, err)
			}
		}
	}
	return nil
}

// add adds one example.
func (m *moments) add(r *schema.Result) error {
	if e := &r.Example; e.PromptIndex != m.prompt {
		m.prompt, m.groups = e.PromptIndex, append([]string{everyPrompt}, promptGroups(&e.Prompt, m.by)...)
	}
	for i := range r.Heads {
		for _, s := range segments(nil, r.Example.Index, &r.Heads[i]) {
			for _, group := range m.groups {
				c := &s.rows[0]
				if err := m.rowsOf(momentKey{group, i, c.Side, c.QueryBasis,
					c.KeyBasis}).add(s.rows); err != nil {
					return fmt.Errorf("head %s: %w", s.head, err)
				}
			}
		}
	}
	return nil
}

// rowsOf returns the moments of a key, and creates them the first time.
func (m *moments) rowsOf(k momentKey) *momentRows {
	if m.of[k] == nil {
		_, random := m.run.Bases[k.queryBasis].NullNumber()
		m.of[k] = &momentRows{at: map[int]int{}, quantiles: k.prompts == everyPrompt && !random}
	}
	return m.of[k]
}

// add adds the contributions of one example.
func (m *momentRows) add(list []schema.Contribution) error {
	for i := range list {
		c := &list[i]
		rows := m.row(i, c.Component)
		var score, baseline, diff float64
		for q := range c.Score {
			// The difference is rounded to float32, as in the stored column.
			s, b, d := float64(c.Score[q]), float64(c.Baseline[q]), float64(c.Score[q]-c.Baseline[q])
			if err := rows[q].Add(s, b, d); err != nil {
				return err
			}
			score, baseline, diff = score+s, baseline+b, diff+d
		}
		if err := rows[len(c.Score)].Add(score, baseline, diff); err != nil {
			return err
		}
	}
	return nil
}

// appendMoments appends the moments of a run after its last example.
func (w *writer) appendMoments(tables *appenders) error {
	keys := slices.SortedFunc(maps.Keys(w.moments.of), func(a, b momentKey) int {
		return cmp.Or(strings.Compare(a.prompts, b.prompts), a.head-b.head, cmp.Compare(a.side, b.side),
			a.queryBasis-b.queryBasis, a.keyBasis-b.keyBasis)
	})
	for _, k := range keys {
		rows := w.moments.of[k]
		for _, component := range slices.Sorted(slices.Values(rows.components)) {
			i := rows.at[component]
			for j := range rows.rows[i] {
				if !hasCorner(j, w.run.Bases[k.queryBasis], w.run.Bases[k.keyBasis]) {
					continue
				}
				if err := w.appendMoment(tables, k, component, j, &rows.rows[i][j]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// hasCorner reports whether contributions under a pair of bases have a quadrant. A whole vector has no
// parallel part.
func hasCorner(corner int, query, key schema.Basis) bool {
	switch schema.Quadrant(corner) {
	case schema.ParPar:
		return query.Kind != schema.Whole && key.Kind != schema.Whole
	case schema.ParPerp:
		return query.Kind != schema.Whole
	case schema.PerpPar:
		return key.Kind != schema.Whole
	}
	return true
}

func (w *writer) appendMoment(tables *appenders, k momentKey, component, corner int, r *moment.Row) error {
	table, err := tables.table(tableMoment)
	if err != nil {
		return err
	}
	table.PutInt32(w.runID())
	table.PutText(k.prompts)
	table.PutInt32(w.headID(w.run.Heads[k.head].Head))
	table.PutText(k.side.String())
	table.PutInt32(w.componentID(component), int32(k.queryBasis), int32(k.keyBasis))
	if quadrants := schema.Quadrants(); corner < len(quadrants) {
		table.PutText(quadrants[corner].String())
	} else {
		table.PutNull()
	}
	r.Put(table)
	return table.EndRow()
}

// promptGroups lists the groups of a prompt other than "all", each as FIELD=VALUE, which is the form of the
// parameter "only" of saved queries.
func promptGroups(p *schema.Prompt, by []string) (list []string) {
	for _, field := range by {
		if value := fieldOf(p, field); value != "" {
			list = append(list, field+"="+value)
		}
	}
	return list
}

// fieldOf returns the value of a prompt's field as text, or "" if it has none.
func fieldOf(p *schema.Prompt, field string) string {
	switch field {
	case "template":
		return text(p.Template).(string)
	case "prompt_order":
		return text(p.Order).(string)
	}
	for _, f := range p.Fields {
		if f.Name != field {
			continue
		}
		var value any
		if err := json.Unmarshal([]byte(f.Value), &value); err != nil || value == nil {
			return ""
		}
		if s, ok := value.(string); ok {
			return text(s).(string)
		}
		return strings.TrimSpace(f.Value)
	}
	return ""
}

// GroupsError is the error for a run that stores means by a field that no prompt has, or that has too many
// values.
type GroupsError struct {
	Field  string
	Values int
}

func (e *GroupsError) Error() string {
	if e.Values == 0 {
		return fmt.Sprintf("means by %s: no prompt has it", e.Field)
	}
	return fmt.Sprintf("means by %s: it has more than %d values", e.Field, maxGroups)
}

// Hint says which fields can be used.
func (e *GroupsError) Hint() string {
	return "a field is template, prompt_order, or a column of the prompt file, with few values"
}

// checkGroups refuses unusable fields and moments that would take too much memory. values counts the groups
// of all prompts.
func (o *Options) checkGroups(values map[string]int, run *schema.Run) error {
	groups := 0
	for _, field := range o.By {
		n := values[field]
		if n > maxGroups || n == 0 && field != "template" {
			return &GroupsError{field, n}
		}
		groups += n
	}
	rows := 0
	for _, h := range run.Heads {
		rows += 2 * sideRows(run, h.Head) * countPairs(run.Bases) * corners
	}
	if bytes := rows * (momentBytes*(1+groups) + quantileBytes); bytes > maxMomentBytes {
		return fmt.Errorf("%w: the means of %d rows for each of %d groups of prompts take %s of memory, "+
			"want at most %s: fewer heads, bases or groups", ErrOptions, rows, 1+groups, Bytes(int64(bytes)),
			Bytes(maxMomentBytes))
	}
	return nil
}
