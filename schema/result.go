package schema

// Result is what the engine found for one example: the rows that ingest writes.
type Result struct {
	Example Example
	Heads   []HeadResult // in the order of the run's heads
}

// HeadResult is what one target head did on one example.
type HeadResult struct {
	Head          Head
	Score         Score
	Attention     []Attention // by key position, 0..Example.Query
	Contributions []Contribution
}

// Score holds one head's attention from the query position to the key and the baseline position.
// Scores are before softmax and already divided by sqrt(d_head). Baseline numbers are NaN where the
// example has no baseline.
type Score struct {
	Score, Baseline      float32 // pre-softmax score
	Prob, BaselineProb   float32 // attention probability, 0..1
	QueryScale, KeyScale float32 // LayerNorm scale sigma before the head's layer
	BaselineScale        float32
	Closure              float64 // largest |score - sum of contributions| over sides, bases and both positions
}

// Attention is one entry of the attention row at the query position.
type Attention struct {
	Score, Prob float32
}

// Contribution is the share of one component in one score, by quadrant: a wide row of the file.
// Component indexes [Components]; QueryBasis and KeyBasis index the run's bases. Baseline is the share in the
// score to the baseline position, NaN where the example has none.
type Contribution struct {
	Side                 Side
	Component            int
	QueryBasis, KeyBasis int
	Score, Baseline      [4]float32 // indexed by Quadrant; pre-softmax, divided by sqrt(d_head)
}
