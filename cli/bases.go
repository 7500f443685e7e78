package cli

import (
	"errors"
	"fmt"
	"strings"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/internal/advice"
	"ducklens/schema"
)

// baseFlags are the values of --query-basis and --key-basis: names of bases, and the user's own as
// NAME=FILE.npy.
type baseFlags struct{ query, key []string }

// Options that may follow the file of a basis: it has a subspace for each example; its vector replaces the
// model's; it has other directions at the baseline.
const (
	perExample = ":per-example"
	replace    = ":replace"
	atBaseline = ":baseline="
)

// ownBasis parses the value of a user's own basis, which follows the name.
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

// split separates names from the user's own bases, whose files it reads.
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
				return nil, nil, nil,
					&usageError{err: fmt.Errorf("%s %s: a file of directions needs a name", flag, v),
						hint: fmt.Sprintf("%s mine=%s", flag, v)}
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

// atFlag adds the flag to an error about a file of directions, and a hint if the file looks like one subspace
// for each example.
func atFlag(err error, flag string, each bool) error {
	hint := advice.Of(err)
	if !each && errors.Is(err, engine.ErrArray) && strings.Contains(hint, "one subspace for each example") {
		hint = "for one subspace for each example: NAME=FILE.npy" + perExample
	}
	return advice.Add(fmt.Errorf("%s: %w", flag, err), hint)
}

// withFlags adds to the hint of an engine error which flags it is about.
func withFlags(err error) error {
	var line string
	switch {
	case errors.Is(err, engine.ErrMover):
		line = "--mover names mover heads, --head the target heads"
	case errors.Is(err, engine.ErrSource):
		line = "--sources names the heads whose output is split, --head the target heads"
	case errors.Is(err, engine.ErrArray), errors.Is(err, engine.ErrBasis):
		line = "--query-basis and --key-basis choose bases"
		for _, side := range []string{"query", "key"} {
			if strings.Contains(err.Error(), side+" basis") {
				line = "--" + side + "-basis chooses bases"
			}
		}
	case errors.As(err, new(*ingest.TooLargeError)):
		line = "make it smaller with -n, --max-edges, --head and the bases, or allow it with --large; " +
			"--dry-run estimates the size"
	default:
		return err
	}
	if hint := advice.Of(err); hint != "" {
		line = hint + "\n" + line
	}
	return advice.Add(err, line)
}
