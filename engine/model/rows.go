package model

// Rows numbers the rows of a pass, one for each distinct beginning of its sequences. What a model computes at
// a token depends only on it and the tokens before it, so it is the same in every sequence that begins with
// them. The zero value is ready for use.
type Rows struct {
	N     int // rows so far
	known map[beginning]int
}

// beginning is the part of a sequence up to a token: the row of what comes before the token, negative if
// nothing does, and the token.
type beginning struct{ before, token int }

// Add returns the row of each token of a sequence. The first shared of them are rows of earlier sequences;
// the others are new and consecutive.
func (r *Rows) Add(tokens []int) (rows []int, shared int) { return r.add(tokens, 0) }

// add is Add for sequences that share rows only with those of their class.
func (r *Rows) add(tokens []int, class int) (rows []int, shared int) {
	if r.known == nil {
		r.known = map[beginning]int{}
	}
	rows = make([]int, len(tokens))
	before := -1 - class
	for i, t := range tokens {
		row, ok := r.known[beginning{before, t}]
		if ok {
			shared++
		} else {
			row = r.N
			r.known[beginning{before, t}] = row
			r.N++
		}
		rows[i], before = row, row
	}
	return rows, shared
}
