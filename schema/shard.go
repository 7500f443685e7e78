package schema

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// ErrShard is wrapped by errors about invalid shards.
var ErrShard = errors.New("no such shard")

// Shard is a part of a run that is computed by itself, a range of consecutive prompts: number Index, from 0
// like in array jobs, of Of. The zero Shard is the whole run.
type Shard struct{ Index, Of int }

// MaxShards bounds the number of shards of a run.
const MaxShards = 1 << 20

// String returns the shard in the syntax of its flag, such as 3/64, or "" for a whole run.
func (s Shard) String() string {
	if s.Whole() {
		return ""
	}
	return fmt.Sprintf("%d/%d", s.Index, s.Of)
}

// ParseShard is the inverse of [Shard.String].
func ParseShard(text string) (Shard, error) {
	if text == "" {
		return Shard{}, nil
	}
	index, of, cut := strings.Cut(text, "/")
	var s Shard
	var errs [2]error
	s.Index, errs[0] = strconv.Atoi(index)
	s.Of, errs[1] = strconv.Atoi(of)
	switch {
	case !cut || errs[0] != nil || errs[1] != nil:
		return Shard{}, fmt.Errorf("%q: %w: want a number and how many there are, such as 3/64",
			text, ErrShard)
	case s.Of < 1 || s.Of > MaxShards:
		return Shard{}, fmt.Errorf("%q: %w: want 1 to %d shards", text, ErrShard, MaxShards)
	case s.Index < 0 || s.Index >= s.Of:
		return Shard{}, fmt.Errorf("%q: %w: %d shards have the numbers 0 to %d", text, ErrShard, s.Of, s.Of-1)
	}
	return s, nil
}

// Whole reports whether this is the whole run.
func (s Shard) Whole() bool { return s.Of == 0 }

// Prompts returns the range of the shard's prompts, from first to before end. The sizes of shards differ by
// at most one, and the range depends only on the shard and the total.
func (s Shard) Prompts(total int) (first, end int) {
	if s.Whole() {
		return 0, total
	}
	return s.Index * total / s.Of, (s.Index + 1) * total / s.Of
}

// FirstExample returns the id of the shard's first example. If every prompt has only the edge that it came
// with, examples are numbered like prompts, with the ids of the whole run. If rules choose edges, a shard
// cannot know the number of examples in earlier shards. Its ids then begin at Index * [Shard.Room], so that
// no two shards share an id and ids follow the order of prompts. Uniting the shards closes the gaps.
func (s Shard) FirstExample(total int, chosen bool) int {
	if chosen {
		return s.Index * s.Room()
	}
	first, _ := s.Prompts(total)
	return first
}

// Room returns the number of example ids reserved for a shard if rules choose edges.
func (s Shard) Room() int { return math.MaxInt32 / max(1, s.Of) }

// storedShard matches the result of [Shard.Into].
var storedShard = regexp.MustCompile(`^\{"shard":"(\d{1,7}/\d{1,7})"(?:,(.*)|\})$`)

// Into adds the shard to the options of a run, which are a JSON object or "".
func (s Shard) Into(options string) string {
	if s.Whole() {
		return options
	}
	text := fmt.Sprintf(`{"shard":"%s"`, s)
	if rest := strings.TrimPrefix(options, "{"); rest != "" && rest != "}" {
		return text + "," + rest
	}
	return text + "}"
}

// CutShard is the inverse of [Shard.Into]. It returns the shard and the options of the whole run.
func CutShard(options string) (Shard, string, error) {
	found := storedShard.FindStringSubmatch(options)
	if found == nil {
		return Shard{}, options, nil
	}
	s, err := ParseShard(found[1])
	if found[2] == "" {
		return s, "", err
	}
	return s, "{" + found[2], err
}
