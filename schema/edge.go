package schema

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrEdgeRule is returned for a rule of edges that there is not.
var ErrEdgeRule = errors.New("unknown edge rule")

// EdgeRule says which edges of a prompt, pairs of a query position and a key position, become examples. A
// rule that looks at attention looks at that of every target head; an edge that any of them chooses is an
// example for all.
type EdgeRule struct {
	Name   string  // one of EdgeRules
	Count  int     // of top and sample
	Enough float64 // of above: the least probability
}

// Names of edge rules.
const (
	EdgeGiven     = "given"     // the edge that came with the prompt
	EdgeTop       = "top"       // the Count keys of each query that get most attention
	EdgeAbove     = "above"     // keys that get more than the probability Enough
	EdgePrevious  = "previous"  // the token before the query
	EdgeFirst     = "first"     // the first token
	EdgeSelf      = "self"      // the query itself
	EdgeDuplicate = "duplicate" // earlier occurrences of the query's token
	EdgeInduction = "induction" // tokens after earlier occurrences of the query's token
	EdgeSample    = "sample"    // Count edges, spread over deciles of attention
)

// EdgeRules lists the rules as people write them.
const EdgeRules = "given, top:K, above:P, previous, first, self, duplicate, induction, sample:N"

// ParseEdgeRule reads a rule such as previous, top:3 or above:0.2. The error, [ErrEdgeRule], says what there is.
func ParseEdgeRule(s string) (EdgeRule, error) {
	name, number, counted := strings.Cut(s, ":")
	r := EdgeRule{Name: name}
	var err error
	switch name {
	case EdgeTop, EdgeSample:
		r.Count, err = strconv.Atoi(number)
		if err != nil || r.Count < 1 {
			return EdgeRule{}, fmt.Errorf("%w %q: want a count of at least 1, such as %s:3", ErrEdgeRule, s, name)
		}
		return r, nil
	case EdgeAbove:
		r.Enough, err = strconv.ParseFloat(number, 64)
		if err != nil || !(0 <= r.Enough && r.Enough < 1) {
			return EdgeRule{}, fmt.Errorf("%w %q: want a probability from 0 to below 1, such as above:0.2", ErrEdgeRule, s)
		}
		return r, nil
	case EdgeGiven, EdgePrevious, EdgeFirst, EdgeSelf, EdgeDuplicate, EdgeInduction:
		if !counted {
			return r, nil
		}
	}
	return EdgeRule{}, fmt.Errorf("%w %q, want one of %s", ErrEdgeRule, s, EdgeRules)
}

// String spells the rule as [ParseEdgeRule] reads it.
func (r EdgeRule) String() string {
	switch r.Name {
	case EdgeTop, EdgeSample:
		return r.Name + ":" + strconv.Itoa(r.Count)
	case EdgeAbove:
		return r.Name + ":" + strconv.FormatFloat(r.Enough, 'g', -1, 64)
	}
	return r.Name
}

// Keys says which keys of a query are explained: those of the examples, or all that it sees, unsplit, and split by
// one pair of bases if it has names.
type Keys struct {
	All                  bool
	QueryBasis, KeyBasis string // empty, or both named
}

// ErrKeys is returned for words that do not say which keys.
var ErrKeys = errors.New("unknown keys")

// Words of keys.
const (
	keysOfEdges = "edge"
	keysAll     = "all"
)

// ParseKeys reads edge, all, or all with a query basis and a key basis, such as all:unembed,mlp0.
func ParseKeys(s string) (Keys, error) {
	word, bases, split := strings.Cut(s, ":")
	k := Keys{All: word == keysAll}
	if split {
		var two bool
		if k.QueryBasis, k.KeyBasis, two = strings.Cut(bases, ","); !two || k.QueryBasis == "" || k.KeyBasis == "" || strings.Contains(k.KeyBasis, ",") {
			return Keys{}, fmt.Errorf("%w %q, want one query basis and one key basis, such as all:unembed,mlp0", ErrKeys, s)
		}
	}
	if word != keysAll && s != keysOfEdges {
		return Keys{}, fmt.Errorf("%w %q, want edge, all, or all with a pair of bases, such as all:unembed,mlp0", ErrKeys, s)
	}
	return k, nil
}

// String writes what [ParseKeys] reads.
func (k Keys) String() string {
	switch {
	case !k.All:
		return keysOfEdges
	case k.QueryBasis == "":
		return keysAll
	}
	return keysAll + ":" + k.QueryBasis + "," + k.KeyBasis
}

// BaselineKind says what the key of an example is compared with: a word of the column edge.baseline_kind.
type BaselineKind string

// Words of baseline kinds.
const (
	BaselineNone      BaselineKind = "none"
	BaselineToken     BaselineKind = "token"     // the key at one other position
	BaselineMean      BaselineKind = "mean"      // the mean of all other keys that the query sees
	BaselineAttention BaselineKind = "attention" // their mean, weighted by the attention they get
)
