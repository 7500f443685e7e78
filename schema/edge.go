package schema

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrEdgeRule is wrapped by the error for an unknown or malformed rule.
var ErrEdgeRule = errors.New("wrong edge rule")

// EdgeRule chooses edges of a prompt, which are pairs of a query position and a key position. Each chosen
// edge becomes an example. Rules about attention look at every target head; an edge that one head chooses is
// an example for all of them.
type EdgeRule struct {
	Name   string  // one of EdgeRules
	Count  int     // for top and sample
	Enough float64 // for above: the probability that a key must exceed
}

// Names of edge rules.
const (
	EdgeGiven     = "given"     // the edge that came with the prompt
	EdgeTop       = "top"       // the Count keys with the most attention, for each query
	EdgeAbove     = "above"     // keys with more than the probability Enough
	EdgePrevious  = "previous"  // the token before the query
	EdgeFirst     = "first"     // the first token
	EdgeSelf      = "self"      // the query itself
	EdgeDuplicate = "duplicate" // earlier occurrences of the query's token
	EdgeInduction = "induction" // tokens after earlier occurrences of the query's token
	EdgeSample    = "sample"    // Count edges, spread over deciles of attention
)

// EdgeRules lists the rules in the syntax of [ParseEdgeRule].
const EdgeRules = "given, top:K, above:P, previous, first, self, duplicate, induction, sample:N"

// ParseEdgeRule parses a rule such as previous, top:3 or above:0.2. Its error wraps [ErrEdgeRule] and lists
// the rules.
func ParseEdgeRule(s string) (EdgeRule, error) {
	name, number, counted := strings.Cut(s, ":")
	r := EdgeRule{Name: name}
	var err error
	switch name {
	case EdgeTop, EdgeSample:
		r.Count, err = strconv.Atoi(number)
		if err != nil || r.Count < 1 {
			return EdgeRule{}, fmt.Errorf("%w %q, want a count of at least 1, such as %s:3",
				ErrEdgeRule, s, name)
		}
		return r, nil
	case EdgeAbove:
		r.Enough, err = strconv.ParseFloat(number, 64)
		if err != nil || !(0 <= r.Enough && r.Enough < 1) {
			return EdgeRule{}, fmt.Errorf("%w %q, want a probability from 0 to below 1, such as above:0.2",
				ErrEdgeRule, s)
		}
		return r, nil
	case EdgeGiven, EdgePrevious, EdgeFirst, EdgeSelf, EdgeDuplicate, EdgeInduction:
		if !counted {
			return r, nil
		}
	}
	return EdgeRule{}, fmt.Errorf("%w %q, want one of %s", ErrEdgeRule, s, EdgeRules)
}

// String returns the rule in the syntax of [ParseEdgeRule].
func (r EdgeRule) String() string {
	switch r.Name {
	case EdgeTop, EdgeSample:
		return r.Name + ":" + strconv.Itoa(r.Count)
	case EdgeAbove:
		return r.Name + ":" + strconv.FormatFloat(r.Enough, 'g', -1, 64)
	}
	return r.Name
}

// Keys says which keys of a query are explained: those of the examples, or all keys that it sees. All keys
// are explained unsplit and, if bases are named, split by that pair of bases.
type Keys struct {
	All                  bool
	QueryBasis, KeyBasis string // both empty or both named
}

// ErrKeys is wrapped by the error for text that [ParseKeys] cannot parse.
var ErrKeys = errors.New("unknown keys")

// The first words of [Keys.String].
const (
	keysOfEdges = "edge"
	keysAll     = "all"
)

// ParseKeys parses edge, all, or all with a query basis and a key basis, such as all:unembed,mlp0.
func ParseKeys(s string) (Keys, error) {
	word, bases, split := strings.Cut(s, ":")
	k := Keys{All: word == keysAll}
	if split {
		var two bool
		if k.QueryBasis, k.KeyBasis, two = strings.Cut(bases, ","); !two || k.QueryBasis == "" ||
			k.KeyBasis == "" || strings.Contains(k.KeyBasis, ",") {
			return Keys{}, fmt.Errorf("%w %q, want one query basis and one key basis, "+
				"such as all:unembed,mlp0", ErrKeys, s)
		}
	}
	if word != keysAll && s != keysOfEdges {
		return Keys{}, fmt.Errorf("%w %q, want edge, all, or all with a pair of bases, "+
			"such as all:unembed,mlp0", ErrKeys, s)
	}
	return k, nil
}

// String returns the keys in the syntax of [ParseKeys].
func (k Keys) String() string {
	switch {
	case !k.All:
		return keysOfEdges
	case k.QueryBasis == "":
		return keysAll
	}
	return keysAll + ":" + k.QueryBasis + "," + k.KeyBasis
}

// BaselineKind is what the key of an example is compared with. Its values are those of the column
// edge.baseline_kind.
type BaselineKind string

// The kinds of baselines.
const (
	BaselineNone      BaselineKind = "none"
	BaselineToken     BaselineKind = "token"     // the key at one other position
	BaselineMean      BaselineKind = "mean"      // the mean of all other keys that the query sees
	BaselineAttention BaselineKind = "attention" // the mean of these keys, weighted by their attention
)
