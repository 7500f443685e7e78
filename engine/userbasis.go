package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ducklens/engine/decompose"
	"ducklens/engine/internal/npy"
	"ducklens/internal/regular"
	"ducklens/schema"
)

// UserBasis is a basis of the user's own: directions in the residual stream before the target head, of any
// length. If the model's norm subtracts the mean, their mean is subtracted too.
type UserBasis struct {
	Side   schema.Side
	Name   string // letters, digits, _ . + -, beginning with a letter; unique among the bases of the side
	Source string // where it came from, for the description; may be empty

	// Subspaces holds the directions [subspace, direction, d_model]: one subspace for all examples, or, if
	// PerExample is set, one for each in the order of [schema.Example.Index]. On the key side, the key and
	// the baseline position share it, unless AtBaseline is set.
	Subspaces  [][][]float64
	PerExample bool

	// AtBaseline are the subspaces at the baseline position, if they differ: as many as Subspaces, and on the
	// key side only.
	AtBaseline     [][][]float64
	BaselineSource string // where AtBaseline came from

	// Replacement replaces the vector by the direction, normalised as the model does it, instead of
	// projecting on it. It is also one of the vectors of [schema.Substitution], under the basis's name.
	Replacement bool
}

// maxUserBytes bounds a user's array: a hundred thousand directions of GPT-2 small in float64 are 600 MB.
const maxUserBytes = 1 << 30

// ErrArray is returned for a file that holds no usable directions.
var ErrArray = errors.New("unusable array of directions")

// ReadUserBasis reads the directions of a basis from the NumPy .npy files Source and, if set, BaselineSource.
// [d_model] is one direction and [r, d_model] a subspace, for all examples; with PerExample, [n, d_model] is
// one direction and [n, r, d_model] one subspace for each of n examples. Numbers may be float32 or float64.
// Every direction is checked; [Open] compares d_model with the model's.
func ReadUserBasis(b UserBasis) (UserBasis, error) {
	var err error
	if b.Subspaces, err = b.read(b.Source); err == nil && b.BaselineSource != "" {
		b.AtBaseline, err = b.read(b.BaselineSource)
	}
	if err != nil {
		return UserBasis{}, fmt.Errorf("%s basis %s: %w", b.Side, b.Name, err)
	}
	return b, nil
}

// read reads subspaces from a file.
func (b *UserBasis) read(path string) (subspaces [][][]float64, err error) {
	const forms = "numpy.save writes one: [d_model] or [r, d_model], with one more dimension in front for " +
		"one subspace each example"
	f, err := regular.Open(path)
	if err != nil {
		if at := new(fs.PathError); errors.As(err, &at) {
			err = fmt.Errorf("%s: %w", path, at.Err)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, advise("give the path of a .npy file", "%w: %w", ErrArray, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrArray, err)
	}
	defer f.Close()
	array, err := npy.Read(f, maxUserBytes)
	if errors.Is(err, npy.ErrType) {
		return nil, advise("save it as float32 or float64: numpy.save(path, a.astype('<f8'))", "%w: %s: %w",
			ErrArray, path, err)
	}
	if err != nil {
		return nil, advise(forms, "%w: %s: %w", ErrArray, path, err)
	}
	numbers, err := array.Float64s()
	if err != nil {
		return nil, advise("save it as float32 or float64", "%w: %s: %w", ErrArray, path, err)
	}
	shape := array.Shape
	want := "[d_model] or [r, d_model]"
	if b.PerExample {
		want = "[n, d_model] or [n, r, d_model]"
	}
	full := shape // [subspace, direction, d_model]
	if !b.PerExample {
		full = append([]int{1}, full...)
	}
	if len(full) == 2 {
		full = []int{full[0], 1, full[1]}
	}
	if len(full) != 3 {
		hint := forms
		if !b.PerExample && len(shape) == 3 {
			hint = "say that it has one subspace for each example"
		}
		return nil, advise(hint, "%w: %s has shape %v, want %s", ErrArray, path, shape, want)
	}
	for i, n := range full {
		if n == 0 || i == 2 && n < 2 {
			return nil,
				advise(forms, "%w: %s has shape %v, want %s, none of them zero and d_model at least 2",
					ErrArray, path, shape, want)
		}
	}
	for ; len(numbers) > 0; numbers = numbers[full[1]*full[2]:] {
		subspace := make([][]float64, full[1])
		for i := range subspace {
			subspace[i] = numbers[i*full[2] : (i+1)*full[2] : (i+1)*full[2]]
		}
		subspaces = append(subspaces, subspace)
	}
	_, err = b.bases(noNorm, path, subspaces)
	return subspaces, err
}

var (
	userName       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.+-]{0,62}$`)
	userNameOfNull = regexp.MustCompile(`^` + randomName + `[0-9]+$`)
)

// check returns what is wrong with the basis, apart from what needs a model.
func (b UserBasis) check() error {
	if b.Side != schema.Query && b.Side != schema.Key {
		return fmt.Errorf("basis %q of side number %d, want %d for %s or %d for %s", b.Name, b.Side,
			schema.Query, schema.Query, schema.Key, schema.Key)
	}
	if !userName.MatchString(b.Name) {
		return fmt.Errorf("%s basis name %q, want a letter, then letters, digits, _ . + -, 63 at most",
			b.Side, b.Name)
	}
	if _, err := decompose.LookUp(b.Side, b.Name); err == nil || userNameOfNull.MatchString(b.Name) {
		return fmt.Errorf("%s basis name %s is taken, want another for the directions from %s", b.Side, b.Name, b.source())
	}
	if len(b.Subspaces) == 0 || !b.PerExample && len(b.Subspaces) > 1 {
		return fmt.Errorf(
			"%s basis %s has %d subspaces, want one, or one for each example and PerExample set", b.Side,
			b.Name, len(b.Subspaces))
	}
	if len(b.AtBaseline) > 0 && (b.Side != schema.Key || len(b.AtBaseline) != len(b.Subspaces)) {
		return fmt.Errorf("%s basis %s has %d subspaces for the baseline, want %d, on the key side", b.Side,
			b.Name, len(b.AtBaseline), len(b.Subspaces))
	}
	for _, subspaces := range [][][][]float64{b.Subspaces, b.AtBaseline} {
		if _, err := b.bases(noNorm, b.source(), subspaces); err != nil {
			return fmt.Errorf("%s basis %s: %w", b.Side, b.Name, err)
		}
	}
	if len(b.AtBaseline) > 0 && len(b.AtBaseline[0][0]) != b.dModel() {
		return fmt.Errorf("%s basis %s: directions of %d entries for the baseline, want %d as for the key",
			b.Side, b.Name, len(b.AtBaseline[0][0]), b.dModel())
	}
	return nil
}

// noNorm is used while the model's norm is not known: it finds directions that no model can use.
var noNorm = decompose.Norm{Kind: decompose.NoNorm}

// bases makes the projections, or the replacements, for a model with that norm.
func (b UserBasis) bases(
	norm decompose.Norm, source string, subspaces [][][]float64,
) ([]decompose.Basis, error) {
	list := make([]decompose.Basis, len(subspaces))
	for i, subspace := range subspaces {
		var err error
		switch {
		case !b.Replacement:
			list[i], err = decompose.Span(norm, subspace...)
		case len(subspace) != 1:
			err = fmt.Errorf("%d directions, want one vector to put in", len(subspace))
		default:
			list[i], err = decompose.Replace(norm, subspace[0])
		}
		if err == nil && len(subspace[0]) != len(subspaces[0][0]) {
			err = fmt.Errorf("%d entries, want %d as in the first", len(subspace[0]), len(subspaces[0][0]))
		}
		if err != nil {
			where := ""
			if b.PerExample {
				where = fmt.Sprintf(", example %d", i)
			}
			hint := "take out directions that are zero or not finite"
			if norm.Kind == decompose.LN {
				hint = "take out directions that are zero, constant or not finite"
			}
			return nil, advise(hint, "%w: %s%s: %w", ErrArray, source, where, err)
		}
	}
	return list, nil
}

// dModel returns the length of the directions.
func (b UserBasis) dModel() int {
	if len(b.Subspaces) == 0 || len(b.Subspaces[0]) == 0 {
		return 0
	}
	return len(b.Subspaces[0][0])
}

func (b UserBasis) source() string {
	if b.Source == "" {
		return "UserBasis.Subspaces"
	}
	return b.Source
}

// describe returns the basis's row of the basis table.
func (b UserBasis) describe(made []decompose.Basis) schema.Basis {
	dimension := 0
	for _, m := range made {
		dimension = max(dimension, m.Dim())
	}
	text := []string{"directions of the user"}
	if b.Source != "" {
		text[0] += ", from " + b.Source
	}
	if len(b.AtBaseline) > 0 {
		text = append(text, "others at the baseline, from "+b.BaselineSource)
	}
	kind := schema.Subspace
	if b.Replacement {
		kind, dimension = schema.Replacement, 0
		text = append(text, "put in place of the vector, normalised anew")
	}
	if b.PerExample {
		text = append(text, "one subspace for each of "+strconv.Itoa(len(made))+" examples")
	}
	text = append(text, "SHA-256 "+b.fingerprint())
	return schema.Basis{Side: b.Side, Kind: kind, Name: b.Name, Dimension: dimension,
		Description: strings.Join(text, "; ")}
}

// fingerprint returns the first 16 hexadecimal digits of the SHA-256 of the directions, to tell arrays apart.
func (b UserBasis) fingerprint() string {
	h := sha256.New()
	var number [8]byte
	for _, subspace := range slices.Concat(b.Subspaces, b.AtBaseline) {
		fmt.Fprintf(h, "subspace of %d\n", len(subspace))
		for _, direction := range subspace {
			for _, x := range direction {
				binary.LittleEndian.PutUint64(number[:], math.Float64bits(x))
				h.Write(number[:])
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
