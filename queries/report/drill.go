package report

import (
	"context"
	"strconv"
	"strings"

	"ducklens/queries"
	"ducklens/queries/figure"
)

// selection says which contributions the cells of a panel are means of.
type selection struct {
	side, queryBasis, keyBasis, quadrant string
	subtract                             bool
}

// The words that shipped heatmaps use for their panels and frames.
const (
	subtracted    = "baseline subtracted"
	notSubtracted = "baseline not subtracted"
	bothTokens    = "along both unembeddings"
	ownQuery      = "own query"
)

// selected returns what the cells of a panel of a shipped heatmap are; ok is false for other figures, whose
// cells the report knows nothing about.
func selected(query, frame, panel string, source Source) (s selection, ok bool) {
	parameter := func(name string) string {
		for _, p := range source.Parameters {
			if p.Name == name {
				return p.Value
			}
		}
		return ""
	}
	side, rest, _ := strings.Cut(query, "_")
	if side != "key" && side != "query" {
		return s, false
	}
	s = selection{side: side, queryBasis: "none", keyBasis: "none"}
	baseline := panel
	switch rest {
	case "components":
	case "components_unembed_query":
		if !strings.HasSuffix(panel, ownQuery) {
			s.queryBasis = parameter("query_basis")
		}
	case "quadrants":
		baseline = frame
		s.queryBasis, s.keyBasis = parameter("query_basis"), parameter("key_basis")
		if strings.HasSuffix(frame, bothTokens) {
			s.queryBasis = "unembed+baseline"
		}
		// The name of a panel is query ∥, key ⊥ or similar.
		queryPart, keyPart, found := strings.Cut(panel, ", ")
		if !found {
			return s, false
		}
		for _, part := range []string{queryPart, keyPart} {
			switch {
			case strings.HasSuffix(part, "∥"):
				s.quadrant += "_par"
			case strings.HasSuffix(part, "⊥"):
				s.quadrant += "_perp"
			default:
				return s, false
			}
		}
		s.quadrant = strings.TrimPrefix(s.quadrant, "_")
	default:
		return s, false
	}
	switch {
	case strings.HasPrefix(baseline, subtracted):
		s.subtract = true
	case !strings.HasPrefix(baseline, notSubtracted):
		return s, false
	}
	return s, true
}

// drill returns the prompts behind the cells of a shipped heatmap; nil for other figures.
func (c *collector) drill(ctx context.Context, query string, f *figure.Figure, source Source) ([][]*Drill, error) {
	if f.Mark != queries.Heatmap {
		return nil, nil
	}
	found := false
	drills := make([][]*Drill, len(f.Frames))
	for i, frame := range f.Frames {
		drills[i] = make([]*Drill, len(frame.Panels))
		for j, panel := range frame.Panels {
			s, ok := selected(query, frame.Name, panel.Name, source)
			if !ok {
				continue
			}
			d, err := c.drivers(ctx, s)
			if err != nil {
				return nil, err
			}
			drills[i][j], found = d, true
		}
	}
	if !found {
		return nil, nil
	}
	return drills, nil
}

// drivers returns the prompts behind the cells of one panel.
func (c *collector) drivers(ctx context.Context, s selection) (*Drill, error) {
	q, err := queries.Parse(driversText)
	if err != nil {
		return nil, err
	}
	set := map[string]string{
		"side": s.side, "query_basis": s.queryBasis, "key_basis": s.keyBasis,
		"subtract": strconv.FormatBool(s.subtract), "most": strconv.Itoa(c.options.Drivers),
	}
	if s.quadrant != "" {
		set["quadrant"] = s.quadrant
	}
	result, _, err := c.ask(ctx, q, set)
	if err != nil {
		return nil, err
	}
	d := &Drill{Cells: make(map[string][]Driver)}
	for i := range result.Rows {
		row := cell{result, i}
		label := queries.String(result.Rows[i][result.Index("component")])
		d.Cells[label] = append(d.Cells[label], Driver{Prompt: row.whole("example_id"), Value: row.number("value"), Share: row.number("pct")})
	}
	return d, nil
}
