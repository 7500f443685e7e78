package schema

import (
	"strconv"
	"strings"
)

// Side is the end of the attention score that is split over components: the query vector or the key vector.
type Side uint8

// The sides, named as in the side enumeration.
const (
	Query Side = iota
	Key
)

var sides = [...]string{"query", "key"}

// String returns the word of the side enumeration.
func (s Side) String() string { return sides[s] }

// ParseSide is the inverse of [Side.String].
func ParseSide(s string) (Side, error) { return parseEnum[Side]("side", sides[:], s) }

// Quadrant is the product of a query part and a key part of a contribution. Each part is parallel or
// perpendicular to the basis of its side.
type Quadrant uint8

// The quadrants. The first word is the query's part.
const (
	ParPar Quadrant = iota
	ParPerp
	PerpPar
	PerpPerp
)

var quadrants = [...]string{"par_par", "par_perp", "perp_par", "perp_perp"}

// String returns the word of the quadrant enumeration, which is also the suffix of the wide columns.
func (q Quadrant) String() string { return quadrants[q] }

// ParseQuadrant is the inverse of [Quadrant.String].
func ParseQuadrant(s string) (Quadrant, error) {
	return parseEnum[Quadrant]("quadrant", quadrants[:], s)
}

// Quadrants lists the quadrants in the order of their columns.
func Quadrants() []Quadrant { return []Quadrant{ParPar, ParPerp, PerpPar, PerpPerp} }

// Convention is the arithmetic of a run.
type Convention uint8

// The conventions. In Exact, contributions add up to the model's score. Notebook imitates the published
// research code, including its quirks, and contributions do not add up.
const (
	Exact Convention = iota
	Notebook
)

var conventions = [...]string{"exact", "notebook"}

// String returns the word of the convention enumeration.
func (c Convention) String() string { return conventions[c] }

// ParseConvention is the inverse of [Convention.String].
func ParseConvention(s string) (Convention, error) {
	return parseEnum[Convention]("convention", conventions[:], s)
}

// Processing is the form of the weights that a run used.
type Processing uint8

// The processings. Processed weights have LayerNorm folded, writing weights and unembedding centred, and
// value biases folded into b_O, like TransformerLens's defaults. Raw weights are as stored. Scores are the
// same.
const (
	Processed Processing = iota
	Raw
)

var processings = [...]string{"processed", "raw"}

// String returns the word of the processing enumeration.
func (p Processing) String() string { return processings[p] }

// ParseProcessing is the inverse of [Processing.String].
func ParseProcessing(s string) (Processing, error) {
	return parseEnum[Processing]("weight processing", processings[:], s)
}

// BasisKind says how a [Basis] treats the vector of its side.
type BasisKind uint8

// The kinds of bases. Whole leaves the vector unsplit, with a zero parallel part. Subspace projects it.
// Replacement replaces it by another vector, on the side that is held fixed.
const (
	Whole BasisKind = iota
	Subspace
	Replacement
)

var basisKinds = [...]string{"whole", "subspace", "replacement"}

// String returns the word of the basis_kind enumeration.
func (k BasisKind) String() string { return basisKinds[k] }

// ParseBasisKind is the inverse of [BasisKind.String].
func ParseBasisKind(s string) (BasisKind, error) {
	return parseEnum[BasisKind]("basis kind", basisKinds[:], s)
}

// Measure says whether the baseline is subtracted from a number.
type Measure uint8

// The measures. AtKey is about the score at the key position; LessBaseline is the same minus that at the
// baseline position.
const (
	AtKey Measure = iota
	LessBaseline
)

var measures = [...]string{"score", "diff"}

// String returns the word of the measure enumeration.
func (m Measure) String() string { return measures[m] }

// ParseMeasure is the inverse of [Measure.String].
func ParseMeasure(s string) (Measure, error) { return parseEnum[Measure]("measure", measures[:], s) }

// Basis is a way to split the vectors of one side into parallel and perpendicular parts.
type Basis struct {
	Side        Side
	Kind        BasisKind
	Name        string // none, unembed, unembed+baseline, mlp0, ...; see [NullBasis]
	Dimension   int    // of the subspace; 0 for none
	Description string
}

// NullBasis returns the name of random direction i, from 0, of a side. The directions of the same number on
// both sides are paired only with each other: they show how much a meaningless basis explains. No other basis
// may have such a name.
func NullBasis(i int) string { return nullPrefix + strconv.Itoa(i) }

const nullPrefix = "random"

// NullNumber returns the number of a random direction, and whether the basis is one.
func (b Basis) NullNumber() (int, bool) {
	digits, ok := strings.CutPrefix(b.Name, nullPrefix)
	if !ok {
		return 0, false
	}
	i, err := strconv.Atoi(digits)
	return i, err == nil && i >= 0 && NullBasis(i) == b.Name
}
