package queries_test

import (
	"slices"
	"testing"

	"ducklens/queries"
)

// shares is an answer of two heads with a percentage each.
func shares(rows ...[]any) *queries.Result {
	r := &queries.Result{Rows: rows}
	for _, name := range []string{"asked_for", "pct", "denominator", "denominator_se", "denominator_is"} {
		r.Columns = append(r.Columns, queries.Column{Name: name})
	}
	return r
}

func TestWholes(t *testing.T) {
	t.Parallel()
	r := shares([]any{"head 1.0", 20.0, -0.333, 0.1, "mean score"}, []any{"head 1.0", 30.0, -0.333, 0.1, "mean score"},
		[]any{"head 2.0", 171.6, 0.52, 0.97, "mean score"}, []any{"head 3.0", 1.0, 0.5, nil, "mean score"})
	wholes := r.Wholes("pct")
	var numbers []string
	for _, w := range wholes {
		numbers = append(numbers, w.Of+" "+w.Number())
	}
	if want := []string{"head 1.0 −0.333", "head 2.0 0.52", "head 3.0 0.5"}; !slices.Equal(numbers, want) {
		t.Errorf("wholes %q, want %q", numbers, want)
	}
	want := []string{"head 2.0: the mean score, 0.52 ± 0.97, is within two standard errors of 0, so that shares of it mean little"}
	if got := queries.Doubts(wholes); !slices.Equal(got, want) {
		t.Errorf("doubts %q, want %q", got, want)
	}
	if got := r.Wholes("denominator_se"); got != nil {
		t.Errorf("a column without shares has the wholes %v", got)
	}
}
