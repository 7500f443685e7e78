package schema_test

import (
	"errors"
	"testing"

	"ducklens/schema"

	"pgregory.net/rapid"
)

func TestParseShard(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]schema.Shard{"": {}, "0/1": {0, 1}, "3/64": {3, 64}, "63/64": {63, 64}} {
		got, err := schema.ParseShard(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%q is %v (%v), want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"3", "/", "3/", "/64", "64/64", "-1/64", "0/0", "1/0", "a/b", "1/2/3", "0/9999999999", " 1/2"} {
		if got, err := schema.ParseShard(text); !errors.Is(err, schema.ErrShard) {
			t.Errorf("%q is %v (%v), want an error", text, got, err)
		}
	}
}

// TestShardPrompts checks that shards have each prompt once, in order, and that their sizes differ by at most
// one.
func TestShardPrompts(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		of, total := rapid.IntRange(1, 200).Draw(t, "of"), rapid.IntRange(0, 1000).Draw(t, "total")
		next := 0
		for i := range of {
			s := schema.Shard{Index: i, Of: of}
			first, end := s.Prompts(total)
			if first != next || end-first < total/of || end-first > total/of+1 {
				t.Fatalf("shard %s of %d prompts has %d to %d, the one before ends at %d", s, total, first, end, next)
			}
			if got := s.FirstExample(total, false); got != first {
				t.Fatalf("the first example is %d, want %d", got, first)
			}
			if got := s.FirstExample(total, true); got != i*s.Room() || got+s.Room() < got || int(int32(got+s.Room()-1)) != got+s.Room()-1 {
				t.Fatalf("shard %s: examples from %d, room %d", s, got, s.Room())
			}
			next = end
		}
		if next != total {
			t.Fatalf("the last shard ends at %d, want %d", next, total)
		}
	})
}

func TestShardInto(t *testing.T) {
	t.Parallel()
	for _, options := range []string{"", "{}", `{"a":1}`, `{"edges":["top:1"],"keys":"all"}`} {
		for _, s := range []schema.Shard{{}, {3, 64}, {0, 1}} {
			got, rest, err := schema.CutShard(s.Into(options))
			want := options
			if want == "{}" && !s.Whole() {
				want = ""
			}
			if err != nil || got != s || rest != want {
				t.Errorf("%q with %v: %v, %q, %v", options, s, got, rest, err)
			}
		}
	}
	if _, _, err := schema.CutShard(`{"shard":"64/64"}`); !errors.Is(err, schema.ErrShard) {
		t.Errorf("%v, want an error", err)
	}
}
