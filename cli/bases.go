package cli

import (
	"errors"
	"fmt"
	"strings"

	"ducklens/engine"
	"ducklens/schema"
)

// baseFlags are the values of --query-basis and --key-basis: names, and bases of the user's own as NAME=FILE.npy.
type baseFlags struct{ query, key []string }

// perExample follows the file of a basis that has a subspace for each example.
const perExample = ":per-example"

// split divides the values into names and bases of the user's own, whose files are read.
func (b baseFlags) split() (queryNames, keyNames []string, own []engine.UserBasis, err error) {
	for _, side := range []struct {
		side   schema.Side
		values []string
		names  *[]string
	}{{schema.Query, b.query, &queryNames}, {schema.Key, b.key, &keyNames}} {
		flag := "--" + side.side.String() + "-basis"
		for _, v := range side.values {
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
			path, each := strings.CutSuffix(file, perExample)
			basis, err := engine.ReadUserBasis(side.side, name, path, each)
			if err != nil {
				return nil, nil, nil, atFlag(err, flag, each)
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
	case errors.Is(err, engine.ErrArray), errors.Is(err, engine.ErrBasis):
		line = "--query-basis and --key-basis choose bases"
		for _, side := range []string{"query", "key"} {
			if strings.Contains(err.Error(), side+" basis") {
				line = "--" + side + "-basis chooses bases"
			}
		}
	default:
		return err
	}
	if hint := advice(err); hint != "" {
		line = hint + "\n" + line
	}
	return &hinted{err, line}
}
