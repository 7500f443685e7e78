package cli

import (
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ducklens/queries"
)

// chartFlags are the flags that say how to draw an answer, by flag.
type chartFlags struct {
	values map[string]string
}

// chartFlag is a flag that sets a key of the header.
type chartFlag struct {
	flag, key, usage string
}

// chartFlagList lists the flags. The key of --color depends on the mark.
func chartFlagList() []chartFlag {
	return []chartFlag{
		{"chart", "chart", "how to draw your own SQL: " + strings.Join(drawnMarks(), "|")},
		{"title", "title", "`text` above the figure"},
		{"subtitle", "subtitle", "`text` below the title"},
		{"x", "x", "`column` across"},
		{"y", "y", "`column` up or down"},
		{"color", "", "`column` shown by colour: series, kinds of bars, values of cells"},
		{"label", "label", "`column` with texts of cells, bars or points"},
		{"facet", "facet", "`column` with a panel for each value"},
		{"frame", "frame", "`column` with a frame for each value"},
		{"error", "error", "`column` with standard errors; of points, those of y"},
		{"x-error", "x_error", "`column` with standard errors of x, of points"},
		{"order", "order", "`column` to sort by first"},
		{"x-title", "x_title", "`text` at the x axis"},
		{"y-title", "y_title", "`text` at the y axis"},
		{"color-title", "", "`text` at the colour bar or legend"},
		{"scale", "scale", "what a colour scale fits: " + strings.Join(queries.Scales(), "|")},
		{"zmax", "zmax", "`number` at which a colour scale ends"},
		{"hide", "hide",
			"comma-separated `names` of components, series or bars not to draw, such as b_K,b_Q"},
		{"fit", "fit", "fit to the points of a scatter chart: " + strings.Join(queries.Fits(), "|")},
		{"diagonal", "diagonal", "line between points: " + strings.Join(queries.Diagonals(), "|")},
		{"name-points", "labels", "maximum `number` of points to name; those that stand out most are named"},
		{"bins", "bins", "approximate number of bins of a histogram"},
		{"largest", "largest",
			"maximum `number` of rows and columns of a matrix; those that carry most are shown"},
		{"columns", "facet_columns", "`number` of panels side by side"},
	}
}

// addTo adds the flags, or only some of them.
func (c *chartFlags) addTo(flags *pflag.FlagSet, some ...string) {
	c.values = make(map[string]string)
	for _, f := range chartFlagList() {
		if len(some) > 0 && !slices.Contains(some, f.flag) {
			continue
		}
		flags.Var(&mapValue{c.values, f.flag, "text"}, f.flag, f.usage)
	}
}

// mapValue is a flag that stores its value in a map.
type mapValue struct {
	values map[string]string
	name   string
	what   string
}

var _ pflag.Value = (*mapValue)(nil)

func (m *mapValue) String() string {
	if m.values == nil {
		return ""
	}
	return m.values[m.name]
}

func (m *mapValue) Set(s string) error { m.values[m.name] = s; return nil }
func (m *mapValue) Type() string       { return m.what }

// drawnMarks lists the values of --chart.
func drawnMarks() []string {
	var names []string
	for _, m := range []queries.Mark{queries.Scatter, queries.Histogram, queries.Bar, queries.Line,
		queries.Heatmap, queries.Matrix} {
		names = append(names, m.String())
	}
	return names
}

// apply changes the header of a query by the flags. given reports whether a flag is on the command line.
func (c *chartFlags) apply(q *queries.Query, given func(string) bool) error {
	if given("zmax") && !given("scale") {
		q.Chart.Scale = ""
	}
	if given("scale") && !given("zmax") {
		q.Chart.ZMax = 0
	}
	if given("scale") && given("zmax") {
		return usagef("--zmax fixes the colour scale and --scale fits it to the values: give one")
	}
	for _, f := range chartFlagList() {
		if !given(f.flag) {
			continue
		}
		if err := c.set(q, f); err != nil {
			return err
		}
	}
	return nil
}

// set applies one flag.
func (c *chartFlags) set(q *queries.Query, f chartFlag) (err error) {
	value := c.values[f.flag]
	switch f.flag {
	case "chart":
		q.Chart.Mark, err = parseDrawn(value)
		return err
	case "title":
		q.Title = value
		return nil
	case "subtitle":
		q.Subtitle = value
		return nil
	case "color":
		f.key = colorKey(q.Chart.Mark)
	case "color-title":
		f.key = "legend_title"
		if q.Chart.Mark.Reads("fill_title") {
			f.key = "fill_title"
		}
	}
	if !q.Chart.Mark.Reads(f.key) {
		return usagef("--%s has no effect on a %s chart", f.flag, q.Chart.Mark)
	}
	if err := q.Chart.Set(f.key, value); err != nil {
		return usagef("--%s: %s", f.flag, strings.TrimPrefix(err.Error(), f.key+" "))
	}
	return nil
}

// parseDrawn parses a value of --chart.
func parseDrawn(s string) (queries.Mark, error) {
	if s == "hist" {
		return queries.Histogram, nil
	}
	for _, name := range drawnMarks() {
		if name == s {
			return queries.ParseMark(s)
		}
	}
	return 0, usagef("--chart %s, want one of %s", s, strings.Join(drawnMarks(), ", "))
}

// colorKey returns the key of the header that a mark shows as colour.
func colorKey(m queries.Mark) string {
	for _, key := range []string{"fill", "category", "series"} {
		if m.Reads(key) {
			return key
		}
	}
	return ""
}
