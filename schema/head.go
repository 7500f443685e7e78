package schema

import (
	"fmt"
	"strconv"
	"strings"
)

// Head identifies an attention head by its layer and its index in that layer, both from 0.
type Head struct {
	Layer, Index int
}

// String returns the label in figures and tables, such as 10.7.
func (h Head) String() string { return fmt.Sprintf("%d.%d", h.Layer, h.Index) }

// TLName returns TransformerLens's label, such as L10H7.
func (h Head) TLName() string { return fmt.Sprintf("L%dH%d", h.Layer, h.Index) }

// ParseHead parses 10.7 or L10H7. It is the inverse of [Head.String] and [Head.TLName], and refuses signs,
// spaces and leading zeros.
func ParseHead(s string) (Head, error) {
	layer, index, ok := strings.Cut(s, ".")
	if !ok {
		if rest, found := strings.CutPrefix(s, "L"); found {
			layer, index, ok = strings.Cut(rest, "H")
		}
	}
	if ok {
		l, lerr := parseIndex(layer)
		i, ierr := parseIndex(index)
		if lerr == nil && ierr == nil {
			return Head{Layer: l, Index: i}, nil
		}
	}
	return Head{}, fmt.Errorf("head %q, want LAYER.HEAD such as 10.7, or L10H7", s)
}

// parseIndex parses a non-negative decimal number of at most four digits without leading zeros.
func parseIndex(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || strconv.Itoa(n) != s || n < 0 || n > 9999 {
		return 0, fmt.Errorf("%q is not an index", s)
	}
	return n, nil
}
