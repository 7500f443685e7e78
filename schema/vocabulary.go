package schema

import (
	"strconv"
	"strings"
)

// Side says which end of the attention score is split over components: the query vector or the key vector.
type Side uint8

// The sides, in the words of the side enumeration.
const (
	Query Side = iota
	Key
)

var sides = [...]string{"query", "key"}

// String gives the word of the side enumeration.
func (s Side) String() string { return sides[s] }

// ParseSide is the inverse of [Side.String].
func ParseSide(s string) (Side, error) { return parseEnum[Side]("side", sides[:], s) }

// Quadrant is (query part) x (key part) of a contribution, each part parallel or perpendicular to
// the basis of its side.
type Quadrant uint8

// The quadrants; the first word is the query's part.
const (
	ParPar Quadrant = iota
	ParPerp
	PerpPar
	PerpPerp
)

var quadrants = [...]string{"par_par", "par_perp", "perp_par", "perp_perp"}

// String gives the word of the quadrant enumeration and the suffix of the wide columns.
func (q Quadrant) String() string { return quadrants[q] }

// ParseQuadrant is the inverse of [Quadrant.String].
func ParseQuadrant(s string) (Quadrant, error) {
	return parseEnum[Quadrant]("quadrant", quadrants[:], s)
}

// Quadrants lists the four in the order of their columns.
func Quadrants() []Quadrant { return []Quadrant{ParPar, ParPerp, PerpPar, PerpPerp} }

// Convention is the arithmetic of a run.
type Convention uint8

// Exact follows the design, and its parts add up to the model's score. Notebook imitates the
// published research code, quirks included, and its parts do not.
const (
	Exact Convention = iota
	Notebook
)

var conventions = [...]string{"exact", "notebook"}

// String gives the word of the convention enumeration.
func (c Convention) String() string { return conventions[c] }

// ParseConvention is the inverse of [Convention.String].
func ParseConvention(s string) (Convention, error) {
	return parseEnum[Convention]("convention", conventions[:], s)
}

// Processing is the form of the weights that a run used.
type Processing uint8

// Processed weights have LayerNorm folded, writing weights and unembedding centred and value biases
// folded into b_O, as TransformerLens does by default; Raw weights are as stored. Scores are the same.
const (
	Processed Processing = iota
	Raw
)

var processings = [...]string{"processed", "raw"}

// String gives the word of the processing enumeration.
func (p Processing) String() string { return processings[p] }

// ParseProcessing is the inverse of [Processing.String].
func ParseProcessing(s string) (Processing, error) {
	return parseEnum[Processing]("weight processing", processings[:], s)
}

// BasisKind says how a [Basis] treats the vector of its side.
type BasisKind uint8

// Whole leaves the vector unsplit: its parallel part is zero. Subspace projects it. Replacement
// puts another vector in its place, on the side that is held fixed.
const (
	Whole BasisKind = iota
	Subspace
	Replacement
)

var basisKinds = [...]string{"whole", "subspace", "replacement"}

// String gives the word of the basis_kind enumeration.
func (k BasisKind) String() string { return basisKinds[k] }

// ParseBasisKind is the inverse of [BasisKind.String].
func ParseBasisKind(s string) (BasisKind, error) {
	return parseEnum[BasisKind]("basis kind", basisKinds[:], s)
}

// Measure says of a number whether the baseline is subtracted in it.
type Measure uint8

// AtKey belongs to the score at the key position; LessBaseline is that minus the same at the baseline position.
const (
	AtKey Measure = iota
	LessBaseline
)

var measures = [...]string{"score", "diff"}

// String gives the word of the measure enumeration.
func (m Measure) String() string { return measures[m] }

// ParseMeasure is the inverse of [Measure.String].
func ParseMeasure(s string) (Measure, error) { return parseEnum[Measure]("measure", measures[:], s) }

// Basis describes one way to split the vectors of one side into parallel and perpendicular parts.
type Basis struct {
	Side        Side
	Kind        BasisKind
	Name        string // none, unembed, unembed+baseline, mlp0, ...; see [NullBasis]
	Dimension   int    // of the subspace; 0 for none
	Description string
}

// NullBasis names the random direction number i, from 0, of a side. The directions of one number, one on each side, are paired
// with each other alone: one draw of what a basis without meaning explains. No other basis may have such a name.
func NullBasis(i int) string { return nullPrefix + strconv.Itoa(i) }

const nullPrefix = "random"

// NullNumber gives the number of a random direction, and whether the basis is one.
func (b Basis) NullNumber() (int, bool) {
	digits, ok := strings.CutPrefix(b.Name, nullPrefix)
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(digits)
	return i, err == nil && i >= 0 && NullBasis(i) == b.Name
}
