package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"ducklens/queries"
)

// A Finding is something that the run shows. Findings follow the order of a reader's questions: where the
// head looks, what makes it look there, and how.
type Finding struct {
	Text  string
	Parts []Part
}

// Part is a part of a mean score or score difference. Unknown numbers are NaN.
type Part struct {
	Name              string
	Mean, Error       float64 // score units
	Percent           float64 // of the whole
	Low, High         float64 // interval of Percent
	NullLow, NullHigh float64 // for random directions
}

// mostParts is the maximum number of parts that a finding lists.
const mostParts = 3

// findings says what the report's answers show. A report of other queries has none.
func (c *collector) findings() {
	for _, find := range []func() (Finding, bool){
		c.attention,
		func() (Finding, bool) {
			return c.components("key", "Key side, the query held fixed: what each component wrote at the key",
				"Key side, the query held fixed: what each component wrote at the key rather than at the baseline")
		},
		func() (Finding, bool) {
			return c.components("query", "Query side, the key held fixed: what each component wrote at the query",
				"Query side, the key and the baseline held fixed: what each component wrote at the query")
		},
		c.pairs, c.directions,
	} {
		if f, ok := find(); ok {
			c.in.Findings = append(c.in.Findings, f)
		}
	}
}

// answer returns the answer to a query of the report, if it has rows.
func (c *collector) answer(name string) (*queries.Result, bool) {
	r, ok := c.answers[name]
	return r, ok && len(r.Rows) > 0
}

// attention says where the head looks.
func (c *collector) attention() (Finding, bool) {
	r, ok := c.answer("top_heads")
	if !ok {
		return Finding{}, false
	}
	for i := range r.Rows {
		row := cell{r, i}
		if row.text("name") != c.options.Head {
			continue
		}
		text := fmt.Sprintf("Head %s attends from the query to the key with probability %s (n = %d)", c.options.Head,
			withError(row, "mean_prob", "se_prob"), row.whole("n_score"))
		if n := row.whole("n_baseline"); n > 0 {
			text += fmt.Sprintf(", to the baseline with %s. Its score of the key is %s above that of the baseline (n = %d)",
				number(rounded(row.number("mean_baseline_prob"), 3)), withError(row, "mean_diff", "se_diff"), n)
		} else {
			text += fmt.Sprintf(". Its score is %s", withError(row, "mean_score", "se_score"))
		}
		return Finding{Text: text + "."}, true
	}
	return Finding{}, false
}

// components lists what contributes most to the score difference, or to the score if there is none. less is
// the text for the difference.
func (c *collector) components(side, text, less string) (Finding, bool) {
	r, ok := c.answer(side + "_components")
	if !ok {
		return Finding{}, false
	}
	panel, sum := cell{r, 0}.text("panel"), 0.0
	f := Finding{Text: text}
	if panel == subtracted {
		f.Text = less
	}
	for i := range r.Rows {
		row := cell{r, i}
		if row.text("panel") != panel {
			continue
		}
		p := newPart(row.text("component"))
		p.Mean, p.Error = row.number("mean"), row.number("se")
		sum += p.Mean
		f.Parts = append(f.Parts, p)
	}
	for i := range f.Parts {
		if sum != 0 {
			f.Parts[i].Percent = 100 * f.Parts[i].Mean / sum
		}
	}
	f.Parts = largestParts(f.Parts, func(p Part) float64 { return p.Mean })
	return f, true
}

// pairs lists the largest pairs of components.
func (c *collector) pairs() (Finding, bool) {
	r, ok := c.answer("top_pairs")
	if !ok {
		return Finding{}, false
	}
	f := Finding{Text: "Both at once: a component of the query meets one of the key" + ofWhole(r)}
	if bases, err := r.Expand("; ∥ is the part along {query_basis} at the query, along {key_basis} at the key, and ⊥ the rest"); err == nil {
		f.Text += queries.Printable(bases) // a query of one's own may split nothing
	}
	for i := range r.Rows {
		row := cell{r, i}
		p := newPart(row.text("pair"))
		p.Mean, p.Percent, p.Error = row.number("mean"), row.number("pct"), row.number("se")*math.Abs(row.number("denominator"))/100
		f.Parts = append(f.Parts, p)
	}
	f.Parts = largestParts(f.Parts, func(p Part) float64 { return p.Mean })
	return f, true
}

// directions lists the bases along which most of the score lies.
func (c *collector) directions() (Finding, bool) {
	r, ok := c.answer("basis_shares")
	if !ok {
		return Finding{}, false
	}
	f := Finding{Text: "Along which directions: shares of the parts of vectors along a basis, with 95 % intervals" + ofWhole(r)}
	for i := range r.Rows {
		row := cell{r, i}
		p := newPart(row.text("part"))
		p.Percent, p.Low, p.High = row.number("pct"), row.number("low"), row.number("high")
		p.NullLow, p.NullHigh = row.number("null_low"), row.number("null_high")
		f.Parts = append(f.Parts, p)
	}
	f.Parts = largestParts(f.Parts, func(p Part) float64 { return p.Percent })
	return f, true
}

// ofWhole says what the shares of an answer are shares of, and whether that is too close to 0.
func ofWhole(r *queries.Result) string {
	text := ""
	for _, w := range r.Wholes("pct") { // one
		text = fmt.Sprintf("; 100 %% is the %s, %s", queries.Printable(w.Is), w.Number())
		if doubt := w.Doubt(); doubt != "" {
			text = "; " + queries.Printable(doubt)
		}
	}
	return text
}

// newPart returns a part whose numbers are all unknown.
func newPart(name string) Part {
	nan := math.NaN()
	return Part{name, nan, nan, nan, nan, nan, nan, nan}
}

// largestParts returns the parts with the largest known sizes.
func largestParts(parts []Part, size func(Part) float64) []Part {
	parts = slices.DeleteFunc(parts, func(p Part) bool { return !known(size(p)) })
	slices.SortStableFunc(parts, func(a, b Part) int {
		switch x, y := math.Abs(size(a)), math.Abs(size(b)); {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return 0
	})
	return parts[:min(len(parts), mostParts)]
}

// String returns the numbers of a part.
func (p Part) String() string {
	var texts []string
	if known(p.Mean) {
		texts = append(texts, plusMinus(p.Mean, p.Error))
	}
	if known(p.Percent) {
		texts = append(texts, percent(p.Percent)+" %")
	}
	if known(p.Low) && known(p.High) {
		texts = append(texts, "["+percent(p.Low)+", "+percent(p.High)+"]")
	}
	if known(p.NullLow) && known(p.NullHigh) {
		texts = append(texts, "random directions: "+percent(p.NullLow)+" to "+percent(p.NullHigh)+" %")
	}
	return strings.Join(texts, ", ")
}

// withError returns a mean and its standard error from two columns.
func withError(row cell, mean, se string) string { return plusMinus(row.number(mean), row.number(se)) }

func plusMinus(mean, se float64) string {
	decimals := 3
	if math.Abs(mean) >= 1 {
		decimals = 2
	}
	if !known(se) {
		return number(rounded(mean, decimals))
	}
	return fmt.Sprintf("%s ± %s", strings.Replace(fmt.Sprintf("%.*f", decimals, mean), "-", "−", 1), fmt.Sprintf("%.*f", decimals, se))
}

// rounded rounds to decimals; + 0 makes -0 a 0.
func rounded(x float64, decimals int) float64 {
	unit := math.Pow10(decimals)
	return math.Round(x*unit)/unit + 0
}
