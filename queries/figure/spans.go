package figure

import "iter"

// Spans cuts a label into pieces of text, each with whether it is a subscript: W_U[IO] gives W, then U as a subscript,
// then [IO]. Every writer of figures uses it, so that a label reads the same in every format.
func Spans(label string) iter.Seq2[string, bool] {
	return func(yield func(text string, sub bool) bool) {
		for _, s := range spans(label) {
			if !yield(s.text, s.sub) {
				return
			}
		}
	}
}
