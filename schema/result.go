package schema

// PromptResult is what the engine found for one prompt: one result for each of its edges, in the order of query
// position and key position, and what its target heads do on it.
type PromptResult struct {
	Prompt   Example // as it was given
	Measures []HeadMeasure
	Examples []Result
	Rows     []Row // where the run asks for all keys: of each head and each query position of the examples, once
}

// Row splits what the attention row of a head from one query position is made of: contributions to the score of
// every position that it sees.
type Row struct {
	Head            Head
	Query, FirstKey int        // the positions that it sees are FirstKey to Query
	Tables          []RowTable // of whole vectors first
}

// RowTable is one side of a row under one pair of bases.
type RowTable struct {
	Side                 Side
	QueryBasis, KeyBasis int   // index into the run's bases
	Components           []int // number of the component of each row; the bias of the side, if there is one, is last

	// Score [component, position], row-major, indexed by Quadrant; nil where a quadrant has nothing: of whole
	// vectors, all but PerpPerp.
	Score [4][]float32
}

// HeadMeasure is what a head does on a prompt, averaged over query positions; see the table head_measure.
type HeadMeasure struct {
	Head    Head
	Measure string  // such as previous, first, entropy
	N       int     // query positions that have a value
	Value   float64 // their mean
}

// Result is what the engine found for one example: the rows that ingest writes.
type Result struct {
	Example     Example
	Heads       []HeadResult // in the order of the run's heads
	LayerScales []LayerScale // empty for a model without post-norms

	// Empty unless the run asked for norms.
	Norms   []NormSquares   // by layer of target heads and position, each once; empty for a model without a norm before attention
	QKNorms []QKNormSquares // by target head, side and position; empty for a model without QK-norm
	Logits  *Logits         // nil unless the run asked for logits
}

// Logits holds the model's own logits of the key's and the baseline's token at the query position, and what adds up to
// them once the scale of the last norm is held: the effects of the components, and the bias. Baseline numbers are NaN where the
// example has no baseline.
type Logits struct {
	Key, Baseline         float32 // before any cap
	KeyBias, BaselineBias float32 // shift of the last norm seen through the unembedding, and the unembedding's own bias
	Scale                 float32 // scale of the last norm at the query position
	Cap                   float64 // a logit l becomes cap tanh(l / cap) at last; 0: it does not
	Effects               []LogitEffect
	Closure               float64 // largest |logit - sum of effects - bias| of both tokens
}

// LogitEffect is what one component adds to the logits of the two tokens: its vector at the query position, through the last norm
// with its scale held, times the token's column of W_U.
type LogitEffect struct {
	Component     int
	Key, Baseline float32
}

// LayerScale holds the frozen scales of the norms after attention and after the MLP of one layer at one kept position:
// what the outputs of the layer were divided by before they were added to the stream.
type LayerScale struct {
	Layer, Pos        int
	PostAttn, PostMLP float32
}

// NormSquares holds what the scale of the norm before a layer needs to be made again without some components, at one kept position.
// The stream is centred where the norm centres; all numbers are divided by d_model.
type NormSquares struct {
	Layer, Pos    int
	Whole         float64     // square of the scale: mean square of the stream, plus epsilon
	With, Squared []float64   // by component below the layer: its inner product with the stream, and with itself
	Gram          [][]float64 // inner products of the run's [Run.Gram] components below the layer
}

// QKNormSquares is the same for QK-norm, in the numbers of one head, or of all, that it looks at together, before its gain. All numbers
// are divided by how many these are.
type QKNormSquares struct {
	Head          Head
	Side          Side
	Pos           int
	Whole         float64   // mean square of the sum of all components, the bias apart
	WholeBias     float64   // inner product of that sum and the bias
	Constant      float64   // mean square of the bias, plus epsilon
	With, Squared []float64 // by component: its inner product with the sum, and with itself
	WithBias      []float64 // by component: its inner product with the bias
	Gram          [][]float64
}

// HeadResult is what one target head did on one example.
type HeadResult struct {
	Head          Head
	Score         Score
	Attention     []Attention // by key position, FirstKey..Example.Query
	FirstKey      int         // first position inside the attention window of the layer; 0 without a window
	Contributions []Contribution

	// Empty unless the run asked for them.
	Factors       []Factors // query, key, and baseline where there is one
	Pairs         []PairTable
	Substitutions []Substitution
	Projections   []Projection
	Cosines       []VectorCosine
	Sources       []SourceSplit
	Bands         []Band
}

// Score holds one head's attention from the query position to the key and the baseline position.
// Scores are raw: before softmax and before any soft cap, and already multiplied by the head's score scale. Baseline
// numbers are NaN where the example has no baseline.
type Score struct {
	Score, Baseline      float32 // pre-softmax score
	Prob, BaselineProb   float32 // attention probability, 0..1, of the capped scores
	SinkProb             float32 // probability of the attention sink; NaN where the model has none
	QueryScale, KeyScale float32 // scale sigma of the norm before the head's layer; 1 where there is no such norm
	BaselineScale        float32

	// Scales that QK-norm divides the query vector and the key vectors by; NaN where the model has none.
	QueryNormScale, KeyNormScale, BaselineNormScale float32

	Closure float64 // largest |score - sum of contributions| over sides, bases and both positions
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

// Factors are what the components add to the query or the key vector of a head at one position, whole, and what splits
// them along the bases of that side.
//
// Row i of Vectors is (x_i / sigma) W, turned to the position: the rows add up to the model's own q or k. Along the axes
// of a basis component i has the coordinates a_i, so its parallel part is the sum over axes of a_i Image, and its
// perpendicular part is the rest of its vector.
type Factors struct {
	Side        Side
	AtBaseline  bool      // on the key side: the key at the baseline position, not at the key position
	Components  []int     // number of the component of each row; the bias, if there is one, is last
	DHead       int       // numbers of a row
	Vectors     []float32 // [component, d_head], row-major
	Axes        []Axis    // of every basis of the side that splits factors, by basis and axis
	Coordinates []float32 // [component, axis], row-major; axis . x_i / sigma. 0 for the bias
}

// Axis is one axis of an orthonormal basis, seen through the map of the head.
type Axis struct {
	Basis  int       // index into the run's bases
	Number int       // of the axis in its basis, from 0
	Image  []float32 // [d_head] axis W, turned to the position
}

// PairTable splits a score over pairs of a query component and a key component, under one pair of bases.
// Entry [i, j] of a table is the inner product of two factors times the head's score scale, in four quadrants.
type PairTable struct {
	QueryBasis, KeyBasis int
	QueryComponents      []int        // component of each row; b_Q last
	KeyComponents        []int        // component of each column; b_K last
	Score, Baseline      [][4]float32 // row-major [query component, key component], indexed by Quadrant; Baseline nil if none
}

// Substitution is the score that results when a named vector, normalised by LayerNorm, takes the place of the
// whole query-side or key-side vector, the other side held fixed. Numbers that do not exist are NaN.
type Substitution struct {
	Side            Side
	Vector          string  // such as W_U[key], 9.9, W_EE, unpatched
	Score, Baseline float32 // pre-softmax score to the key and to the baseline position
	Prob            float32 // softmax of the row with only the key's score replaced by Score
	DiffProb        float32 // notebook convention: the same with Score - Baseline put in its place; else NaN
}

// Projection says how much of a named vector, at unit length, lies in a basis, and how each part is turned
// towards the linear map that takes vectors of its side to the score.
type Projection struct {
	Side              Side
	Vector            string // such as 9.9 (the head's output at the query position) or resid_pre
	Basis             int
	Diff              bool    // baseline subtracted: in the map on the query side, in the vector's parts on the key side
	ParNorm, PerpNorm float32 // of the unit vector's parts
	ParCos, PerpCos   float32 // cosine of each part with the map; NaN where a part is zero
}

// VectorCosine compares the parts of two named vectors along one basis.
type VectorCosine struct {
	Side             Side
	VectorA, VectorB string
	Basis            int
	ParCos, PerpCos  float32 // NaN where a part is zero
}

// SourceSplit is the contribution of a head's output to one side of a score, split by the position that the head
// read. Baseline is nil where the example has no baseline at one position.
type SourceSplit struct {
	Side            Side
	Component       int // the head that read and wrote
	First           int // position of the first numbers
	Score, Baseline []float32
}

// Band is what a pair of dimensions that rotary embedding turns together gives to a score, and what it would give
// if query and key stood at one position. Baseline numbers are NaN where the example has no baseline at one
// position.
type Band struct {
	Pair                      int     // from 0; -1: all dimensions that do not turn
	Wavelength                float64 // tokens in which the pair turns once; NaN where it does not turn
	Score, Content            float32
	Baseline, BaselineContent float32
}

// Ablated is what one target head did on one example when a component was replaced as it reached the stream and the model run on,
// and the logits at the query position then. Numbers that do not exist are NaN.
type Ablated struct {
	Example, Component            int
	Head                          Head
	Score, Baseline               float32 // before any cap and before softmax
	Prob, BaselineProb            float32
	KeyLogit, BaselineLogit       float32 // of the tokens at the key and the baseline position, before any cap
	OwnKeyLogit, OwnBaselineLogit float32 // with nothing replaced
}
