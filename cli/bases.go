package cli

import (
	"errors"
	"fmt"
	"strings"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/schema"
)

// baseFlags are the values of --query-basis and --key-basis: names, and bases of the user's own as NAME=FILE.npy.
type baseFlags struct{ query, key []string }

// What may follow the file of a basis: it has a subspace for each example; its vector is put in place of the model's; it has
// other directions at the baseline.
const (
	perExample = ":per-example"
	replace    = ":replace"
	atBaseline = ":baseline="
)

// ownBasis reads what stands behind the name of a basis of the user's own.
func ownBasis(side schema.Side, name, file string) (engine.UserBasis, error) {
	b := engine.UserBasis{Side: side, Name: name}
	path, rest, found := strings.Cut(file, ".npy:")
	if b.Source = file; found {
		b.Source, rest = path+".npy", ":"+rest
	}
	for rest != "" {
		switch {
		case strings.HasPrefix(rest, perExample):
			b.PerExample, rest = true, rest[len(perExample):]
		case strings.HasPrefix(rest, replace):
			b.Replacement, rest = true, rest[len(replace):]
		case strings.HasPrefix(rest, atBaseline) && side == schema.Key:
			b.BaselineSource, rest, found = strings.Cut(rest[len(atBaseline):], ":")
			if found {
				rest = ":" + rest
			}
		default:
			words := []string{perExample, replace}
			if side == schema.Key {
				words = append(words, atBaseline+"FILE.npy")
			}
			return b, fmt.Errorf("%q, want %s", rest, strings.Join(words, ", "))
		}
	}
	return b, nil
}

// split divides the values into names and bases of the user's own, whose files are read.
func (b baseFlags) split() (queryNames, keyNames []string, own []engine.UserBasis, err error) {
	for _, side := range []struct {
		side   schema.Side
		values []string
		names  *[]string
	}{{schema.Query, b.query, &queryNames}, {schema.Key, b.key, &keyNames}} {
		flag := "--" + side.side.String() + "-basis"
		for _, v := range side.values {
			v = strings.TrimSpace(v)
			name, file, isOwn := strings.Cut(v, "=")
			switch {
			case !isOwn && strings.HasSuffix(strings.TrimSuffix(v, perExample), ".npy"):
				return nil, nil, nil, &usageError{err: fmt.Errorf("%s %s: a file of directions needs a name", flag, v), hint: fmt.Sprintf("%s mine=%s", flag, v)}
			case !isOwn:
				*side.names = append(*side.names, v)
				continue
			case name == "" || file == "":
				return nil, nil, nil, usagef("%s %s, want NAME=FILE.npy", flag, v)
			}
			basis, err := ownBasis(side.side, name, file)
			if err != nil {
				return nil, nil, nil, usagef("%s %s: %w", flag, v, err)
			}
			if basis, err = engine.ReadUserBasis(basis); err != nil {
				return nil, nil, nil, atFlag(err, flag, basis.PerExample)
			}
			own = append(own, basis)
		}
	}
	return queryNames, keyNames, own, nil
}

// atFlag names the flag in an error about a file of directions, and says how it takes one subspace for each example.
func atFlag(err error, flag string, each bool) error {
	hint := advice(err)
	if !each && errors.Is(err, engine.ErrArray) && strings.Contains(hint, "one subspace for each example") {
		hint = "for one subspace for each example: NAME=FILE.npy" + perExample
	}
	return &hinted{fmt.Errorf("%s: %w", flag, err), hint}
}

// advice gives the hint of an error, or "".
func advice(err error) string {
	var advised interface{ Hint() string }
	if errors.As(err, &advised) {
		return advised.Hint()
	}
	return ""
}

// withFlags adds to the advice of an error of the engine which flag it is about.
func withFlags(err error) error {
	var line string
	switch {
	case errors.Is(err, engine.ErrMover):
		line = "--mover names mover heads, --head the heads that are split"
	case errors.Is(err, engine.ErrSource):
		line = "--sources names the heads whose writing is split, --head the heads that read it"
	case errors.Is(err, engine.ErrArray), errors.Is(err, engine.ErrBasis):
		line = "--query-basis and --key-basis choose bases"
		for _, side := range []string{"query", "key"} {
			if strings.Contains(err.Error(), side+" basis") {
				line = "--" + side + "-basis chooses bases"
			}
		}
	case errors.As(err, new(*ingest.TooLargeError)):
		line = "-n, --max-edges, --head and the bases make it smaller, --dry-run says how large it is, --large lets it become so"
	default:
		return err
	}
	if hint := advice(err); hint != "" {
		line = hint + "\n" + line
	}
	return &hinted{err, line}
}
