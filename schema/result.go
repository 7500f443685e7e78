package schema

// PromptResult is the engine's result for one prompt: one result for each of its edges, sorted by query
// position and key position, and the measures of the target heads.
type PromptResult struct {
	Prompt   Example // the argument
	Measures []HeadMeasure
	Examples []Result
	Rows     []Row // if the run explains all keys: one for each head and each query position of the examples
}

// Row splits the attention row of a head at one query position: contributions to the score of every position
// that it sees.
type Row struct {
	Head            Head
	Query, FirstKey int        // it sees the positions FirstKey to Query
	Tables          []RowTable // whole vectors first
}

// RowTable is one side of a row under one pair of bases.
type RowTable struct {
	Side                 Side
	QueryBasis, KeyBasis int   // indices into the run's bases
	Components           []int // component of each row; the bias of the side, if there is one, is last

	// Score [component, position] is row-major and indexed by Quadrant. It is nil for quadrants without
	// numbers; whole vectors have only PerpPerp.
	Score [4][]float32
}

// HeadMeasure is a measure of a head's attention on a prompt, averaged over query positions; see table
// head_measure.
type HeadMeasure struct {
	Head    Head
	Measure string  // such as previous, first, entropy
	N       int     // query positions with a value
	Value   float64 // mean of these values
}

// Result is the engine's result for one example, which ingest writes.
type Result struct {
	Example     Example
	Heads       []HeadResult // in the order of the run's heads
	LayerScales []LayerScale // empty for a model without post-norms

	// The next two are empty unless the run stores norms.
	// Norms are by layer of target heads and position, without duplicates; empty for a model without a norm
	// before attention.
	Norms   []NormSquares
	QKNorms []QKNormSquares // by target head, side and position; empty for a model without QK-norm
	Logits  *Logits         // nil unless the run stores logits
}

// Logits holds the model's logits of the key's and the baseline's token at the query position, and the terms
// that add up to them if the scale of the last norm is held fixed: the effects of the components, and the
// bias. Baseline numbers are NaN if the example has no baseline.
type Logits struct {
	Key, Baseline float32 // before any cap
	// The biases are the shift of the last norm through the unembedding, plus the unembedding's own bias.
	KeyBias, BaselineBias float32
	Scale                 float32 // scale of the last norm at the query position
	Cap                   float64 // a logit l finally becomes cap tanh(l / cap); 0: no cap
	Effects               []LogitEffect
	Closure               float64 // largest |logit - sum of effects - bias| of both tokens
}

// LogitEffect is the contribution of one component to the logits of the two tokens: its vector at the query
// position, through the last norm with the scale held fixed, times the token's column of W_U.
type LogitEffect struct {
	Component     int
	Key, Baseline float32
}

// LayerScale holds the fixed scales of the norms after attention and after the MLP of one layer at one
// position. The outputs of the layer were divided by them before they were added to the stream.
type LayerScale struct {
	Layer, Pos        int
	PostAttn, PostMLP float32
}

// NormSquares holds the numbers from which the scale of the norm before a layer can be recomputed without
// some components, at one position. The stream is centred if the norm centres; all numbers are divided by
// d_model.
type NormSquares struct {
	Layer, Pos int
	Whole      float64 // square of the scale: mean square of the stream, plus epsilon
	// With and Squared have, for each component below the layer, its inner product with the stream and with
	// itself.
	With, Squared []float64
	Gram          [][]float64 // inner products of the components in [Run.Gram] below the layer
}

// QKNormSquares holds the same numbers for QK-norm, before its gain, over the dimensions that the norm treats
// together: those of one head or of all heads. All numbers are divided by the number of these dimensions.
type QKNormSquares struct {
	Head          Head
	Side          Side
	Pos           int
	Whole         float64   // mean square of the sum of all components without the bias
	WholeBias     float64   // inner product of that sum and the bias
	Constant      float64   // mean square of the bias, plus epsilon
	With, Squared []float64 // by component: its inner product with the sum, and with itself
	WithBias      []float64 // by component: its inner product with the bias
	Gram          [][]float64
}

// HeadResult is the result for one target head on one example.
type HeadResult struct {
	Head          Head
	Score         Score
	Attention     []Attention // by key position, FirstKey..Example.Query
	FirstKey      int         // first position inside the attention window of the layer; 0 without a window
	Contributions []Contribution

	// The following are empty unless the run computes them.
	Factors       []Factors // query, key and, if there is one, baseline
	Pairs         []PairTable
	Substitutions []Substitution
	Projections   []Projection
	Cosines       []VectorCosine
	Sources       []SourceSplit
	Bands         []Band
	Nearest       []NearestToken // by side and vector, then by rank
}

// Score holds one head's attention from the query position to the key and the baseline position. Scores are
// raw: before softmax and before any soft cap, but multiplied by the head's score scale. Baseline numbers are
// NaN if the example has no baseline.
type Score struct {
	Score, Baseline      float32 // pre-softmax score
	Prob, BaselineProb   float32 // attention probability, 0..1, of the capped scores
	SinkProb             float32 // probability of the attention sink; NaN if the model has none
	QueryScale, KeyScale float32 // scale sigma of the norm before the head's layer; 1 if there is none
	BaselineScale        float32

	// The scales by which QK-norm divides the query vector and the key vectors; NaN if the model has none.
	QueryNormScale, KeyNormScale, BaselineNormScale float32

	Closure float64 // largest |score - sum of contributions| over sides, bases and both positions
}

// Attention is one entry of the attention row at the query position.
type Attention struct {
	Score, Prob float32
}

// Contribution is the contribution of one component to one score, by quadrant: a wide row of the file.
// Component is an index into [Components]; QueryBasis and KeyBasis are indices into the run's bases. Baseline
// is the contribution to the score at the baseline position, or NaN if the example has none.
type Contribution struct {
	Side                 Side
	Component            int
	QueryBasis, KeyBasis int
	Score, Baseline      [4]float32 // indexed by Quadrant; pre-softmax, divided by sqrt(d_head)
}

// Factors holds the contributions of the components to the query or the key vector of a head at one position,
// and their coordinates in the bases of that side.
//
// Row i of Vectors is (x_i / sigma) W, rotated to the position; the rows add up to the model's own q or k. In
// a basis, component i has the coordinates a_i: its parallel part is the sum of a_i Image over the axes, and
// its perpendicular part is the rest of its vector.
type Factors struct {
	Side        Side
	AtBaseline  bool      // on the key side: at the baseline position instead of the key position
	Components  []int     // component of each row; the bias, if there is one, is last
	DHead       int       // length of a row
	Vectors     []float32 // [component, d_head], row-major
	Axes        []Axis    // of all bases of the side that split factors, by basis and axis
	Coordinates []float32 // [component, axis], row-major; axis . x_i / sigma; 0 for the bias
}

// Axis is one axis of an orthonormal basis, and its image under the map of the head.
type Axis struct {
	Basis  int       // index into the run's bases
	Number int       // index of the axis in its basis
	Image  []float32 // [d_head] axis W, rotated to the position
}

// PairTable splits a score over pairs of a query component and a key component, under one pair of bases.
// Entry [i, j] of a table is the inner product of two factors times the head's score scale, in four
// quadrants.
type PairTable struct {
	QueryBasis, KeyBasis int
	QueryComponents      []int // component of each row; b_Q last
	KeyComponents        []int // component of each column; b_K last
	// Score and Baseline are row-major [query component, key component], indexed by Quadrant; Baseline nil if
	// none.
	Score, Baseline [][4]float32
}

// Substitution is the score that results if a named vector, normalised by LayerNorm, replaces the whole
// query-side or key-side vector while the other side is held fixed. Missing numbers are NaN.
type Substitution struct {
	Side            Side
	Vector          string  // such as W_U[key], 9.9, W_EE, unpatched
	Score, Baseline float32 // pre-softmax score to the key and to the baseline position
	Prob            float32 // softmax of the row with the key's score replaced by Score
	DiffProb        float32 // notebook convention: the same with Score - Baseline; else NaN
}

// Projection is the length of the parts of a named vector, at unit length, in a basis, and the cosine of each
// part with the linear map from vectors of its side to the score.
type Projection struct {
	Side   Side
	Vector string // such as 9.9 (the head's output at the query position) or resid_pre
	Basis  int
	// Diff subtracts the baseline: in the map on the query side, in the vector's parts on the key side.
	Diff              bool
	ParNorm, PerpNorm float32 // lengths of the unit vector's parts
	ParCos, PerpCos   float32 // cosine of each part with the map; NaN if the part is zero
}

// NearestToken is a token whose unembedding lies near to a vector, or the token at the key or baseline.
type NearestToken struct {
	Side   Side
	Vector string // such as map, 9.9 (the head's output at the query position), random
	Rank   int    // 1 is the nearest of all tokens
	Token  Token
	Cosine float32 // of the vector and the token's unembedding
}

// VectorCosine compares the parts of two named vectors along one basis.
type VectorCosine struct {
	Side             Side
	VectorA, VectorB string
	Basis            int
	ParCos, PerpCos  float32 // NaN if a part is zero
}

// SourceSplit is the contribution of a head's output to one side of a score, split by the position that the
// head read. Baseline is nil if the example has no baseline at one position.
type SourceSplit struct {
	Side            Side
	Component       int // the head that read and wrote
	First           int // position of the first numbers
	Score, Baseline []float32
}

// Band is the contribution to a score of a pair of dimensions that rotary embedding rotates together, and the
// contribution that it would have with query and key at the same position. Baseline numbers are NaN if the
// example has no baseline at one position.
type Band struct {
	Pair                      int     // from 0; -1: all dimensions that are not rotated
	Wavelength                float64 // tokens per rotation of the pair; NaN if it is not rotated
	Score, Content            float32
	Baseline, BaselineContent float32
}

// Ablated is the result for one target head on one example when the model runs on after a component's output
// to the stream is replaced, with the logits at the query position. Missing numbers are NaN.
type Ablated struct {
	Example, Component int
	Head               Head
	Score, Baseline    float32 // before any cap and before softmax
	Prob, BaselineProb float32
	// The logits are those of the tokens at the key and the baseline position, before any cap.
	KeyLogit, BaselineLogit       float32
	OwnKeyLogit, OwnBaselineLogit float32 // without the replacement
}
