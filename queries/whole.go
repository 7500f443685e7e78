package queries

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Whole is what the shares of an answer are shares of: 100 %.
type Whole struct {
	Of    string  // the value of the parameter that has several, as the panel's name says it; else ""
	Is    string  // such as mean score difference
	Value float64 // not NULL, but 0 if the shares are NULL
	Error float64 // standard error of Value; NaN if unknown
}

// Wholes reads the columns denominator, denominator_is and denominator_se of a result. It returns nil for a
// column that has no shares: those of shares have names that begin with pct.
func (r *Result) Wholes(column string) []Whole {
	value, is, se := r.Index("denominator"), r.Index("denominator_is"), r.Index("denominator_se")
	if value < 0 || is < 0 || !strings.HasPrefix(column, "pct") {
		return nil
	}
	side := r.Index(sideColumn)
	var list []Whole
	for _, row := range r.Rows {
		w := Whole{Is: String(row[is]), Error: math.NaN()}
		if side >= 0 {
			w.Of = String(row[side])
		}
		x, ok := Number(row[value])
		if !ok || slices.ContainsFunc(list, func(known Whole) bool { return known.Of == w.Of }) {
			continue
		}
		w.Value = x
		if se >= 0 {
			if x, ok := Number(row[se]); ok {
				w.Error = x
			}
		}
		list = append(list, w)
	}
	return list
}

// Number returns the value of the whole with three digits.
func (w Whole) Number() string { return threeDigits(w.Value) }

// Doubt says that the whole is so close to 0 that its shares mean little, or returns "".
func (w Whole) Doubt() string {
	if !(math.Abs(w.Value) <= 2*w.Error) {
		return ""
	}
	of := ""
	if w.Of != "" {
		of = w.Of + ": "
	}
	return fmt.Sprintf("%sthe %s, %s ± %s, is within two standard errors of 0, so that shares of it mean little",
		of, w.Is, w.Number(), threeDigits(w.Error))
}

// Doubts lists what [Whole.Doubt] says of several wholes.
func Doubts(wholes []Whole) []string {
	var list []string
	for _, w := range wholes {
		if text := w.Doubt(); text != "" {
			list = append(list, text)
		}
	}
	return list
}

// threeDigits formats a number with a true minus sign.
func threeDigits(x float64) string {
	return strings.Replace(strconv.FormatFloat(x, 'g', 3, 64), "-", "−", 1)
}
