package conformance

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"text/tabwriter"
)

// Print writes the report as a table, with failures marked, and the number of checks that pass.
func (r Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "%s\n\n", r.Source)
	w := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	fmt.Fprintf(w, "what\t%s\tmeasured\tdifference\tallowed\t\n", r.Column)
	kind := Scalar
	for _, c := range r.Checks {
		if c.Kind != kind {
			kind = c.Kind
			fmt.Fprintln(w, "\t\t\t\t\t")
		}
		verdict := "pass"
		if !c.Pass() {
			verdict = "FAIL"
		}
		name := c.Name
		if c.Where != "" {
			name += " (" + c.Where + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", name, digits(c.Reference), digits(c.Measured),
			signed(c.Difference()), strconv.FormatFloat(c.Allowed, 'g', 2, 64), verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Without) > 0 {
		fmt.Fprintln(out, "\nMeasured, with nothing to compare with:")
		for _, line := range r.Without {
			fmt.Fprintf(out, "  %s\n", line)
		}
	}
	if len(r.Left) > 0 {
		fmt.Fprintln(out, "\nNot measured by ducklens:")
		for i, l := range r.Left {
			if i == 0 || l.Why != r.Left[i-1].Why {
				fmt.Fprintf(out, "  %s:\n", l.Why)
			}
			fmt.Fprintf(out, "    %s\n", l.Name)
		}
	}
	_, err := fmt.Fprintf(out, "\n%d of %d checks pass\n", len(r.Checks)-r.Failed(), len(r.Checks))
	return err
}

// digits formats a number with six decimals, or seven significant digits from 1 on.
func digits(x float64) string {
	if math.Abs(x) < 1 {
		return strconv.FormatFloat(x, 'f', 6, 64)
	}
	return strconv.FormatFloat(x, 'g', 7, 64)
}

// signed formats a difference.
func signed(x float64) string {
	if x == 0 {
		return "0"
	}
	return fmt.Sprintf("%+.1e", x)
}
