package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/schema"
)

func TestExampleFindsPositions(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	withBOS := open(t, dir, engine.Options{})
	without := open(t, dir, engine.Options{BOS: engine.BOSOff, QueryBases: []string{"none", "unembed"}})
	// With BOS: 0 <|endoftext|>, 1 Then, 2 " Ada", 3 " and", 4 " Bo", 5 " spoke", 6 ".", 7 " Ada", 8 " gave",
	// 9 " the", 10 " key", 11 " to", 12 " Bo".
	const text = "Then Ada and Bo spoke. Ada gave the key to Bo"
	for name, c := range map[string]struct {
		e                    *engine.Engine
		query, key, baseline schema.Position
		want                 [3]int
	}{
		"words":            {withBOS, schema.AtWord("to"), schema.AtWord("Bo"), schema.AtWord("Ada"), [3]int{11, 4, 2}},
		"leading space":    {withBOS, schema.AtWord(" to"), schema.AtWord(" Bo"), schema.AtWord(" Ada"), [3]int{11, 4, 2}},
		"last query":       {withBOS, schema.AtWord("Ada"), schema.AtWord("Ada"), schema.AtWord("Bo"), [3]int{7, 2, 4}},
		"first occurrence": {withBOS, schema.AtOccurrence("Ada", 1), schema.AtOccurrence("Ada", 1), schema.AtOccurrence("Then", 1), [3]int{2, 2, 1}},
		"occurrences":      {withBOS, schema.AtOccurrence("Bo", 2), schema.AtOccurrence("Ada", 2), schema.ParseWord("Bo#1"), [3]int{12, 7, 4}},
		"indices":          {withBOS, schema.AtIndex(-2), schema.AtIndex(4), schema.AtIndex(0), [3]int{11, 4, 0}},
		"key at the query": {withBOS, schema.AtIndex(5), schema.AtIndex(5), schema.AtIndex(5), [3]int{5, 5, 5}},
		"first word":       {withBOS, schema.AtIndex(-1), schema.AtWord("Then"), schema.AtWord("."), [3]int{12, 1, 6}},
		"end of text":      {withBOS, schema.AtIndex(3), schema.AtWord("<|endoftext|>"), schema.AtIndex(2), [3]int{3, 0, 2}},
		"no BOS":           {without, schema.AtWord("to"), schema.AtWord("Bo"), schema.AtWord("Ada"), [3]int{10, 3, 1}},
		"no baseline":      {without, schema.AtWord("to"), schema.AtWord("Bo"), schema.Position{}, [3]int{10, 3, schema.NoPosition}},
	} {
		prompt := schema.Prompt{Text: text, Query: c.query, Key: c.key, Baseline: c.baseline, Template: "t", Order: "ABBA"}
		x, err := c.e.Example(prompt)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := [3]int{x.Query, x.Key, x.Baseline}; got != c.want {
			t.Errorf("%s: positions %v, want %v", name, got, c.want)
		}
		var spelt strings.Builder
		for _, token := range x.Tokens {
			spelt.WriteString(token.Text)
		}
		if got := strings.TrimPrefix(spelt.String(), "<|endoftext|>"); got != text || !reflect.DeepEqual(x.Prompt, prompt) {
			t.Errorf("%s: tokens spell %q", name, got)
		}
	}
}

// A word of several tokens is found by its first or its last.
func TestExampleFindsPieces(t *testing.T) {
	t.Parallel()
	e := open(t, modelFolder(t), engine.Options{})
	// 0 <|endoftext|>, 1 Zed: 1 "Z", 2 "e", 3 "d", 4 " and", 5 " ", 6 "Z", 7 "e", 8 "d", 9 " spoke", 10 ".",
	// 11 " ", 12 "Z", 13 "e", 14 "d"
	const text = "Zed and Zed spoke. Zed"
	for name, c := range map[string]struct {
		query, key, baseline schema.Position
		want                 [3]int
	}{
		"first and last": {schema.ParseWord("last of Zed"), schema.ParseWord("first of Zed"), schema.ParseWord("last of Zed"), [3]int{14, 1, 3}},
		"occurrences":    {schema.ParseWord("first of Zed#3"), schema.ParseWord("last of Zed#2"), schema.ParseWord("first of Zed#2"), [3]int{12, 8, 6}},
		"one token":      {schema.ParseWord("last of spoke"), schema.ParseWord("first of and"), schema.ParseWord("last of and#1"), [3]int{9, 4, 4}},
		"a phrase":       {schema.ParseWord("last of Zed spoke"), schema.ParseWord("first of Zed and Zed"), schema.ParseWord("first of and Zed"), [3]int{9, 1, 4}},
		"the answer":     {schema.AtPart("Zed", 0, schema.FirstToken).Before(), schema.ParseWord("last of Zed"), schema.ParseWord("spoke").Before(), [3]int{11, 3, 8}},
		"space":          {schema.AtIndex(-1), schema.AtWord(" "), schema.AtOccurrence(" ", 2), [3]int{14, 5, 11}},
	} {
		x, err := e.Example(schema.Prompt{Text: text, Query: c.query, Key: c.key, Baseline: c.baseline})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := [3]int{x.Query, x.Key, x.Baseline}; got != c.want {
			t.Errorf("%s: positions %v, want %v", name, got, c.want)
		}
	}
}

// TestOccurrencesAreThoseOfTheText holds that a word that the text has in several tokens, or within one,
// counts as an occurrence, and that a part of a longer word does not.
func TestOccurrencesAreThoseOfTheText(t *testing.T) {
	t.Parallel()
	const several, within = -2, -3 // refused, because the word is several tokens, or within some
	for _, c := range []struct {
		tokens, word string // the tokens are separated by bars
		want         int
	}{
		{"Sus|an| met| Susan", "Susan", several},
		{"Sus|an| met| Susan", "Susan#1", several},
		{"Sus|an| met| Susan", "Susan#2", 3},
		{"Sus|an| met| Susan", "first of Susan", 0},
		{"Sus|an| met| Susan", "last of Susan#2", 3},
		{"Sus|an|'s| dog| met| Susan", "Susan", several},
		{"(Sus|an|)| met| Susan", "Susan", within},
		{"(Sus|an|)| met| Susan", "Susan#2", 4},
		{"(Sus|an|)| met| Susan", "last of Susan", within},
		{"'Susan|'| met| Susan", "Susan", within},
		{"我|在|北|京|见| 北京", "北京", several},
		{"T|h|e| cat| and| he", "he", 5},
		{"T|h|e| cat| and| he", "first of he", 5},
		{"T|h|e| cat| and| h|e", "he", several},
		{"T|h|e| cat| and| h|e", "first of he", 5},
		{"T|h|e| cat", "last of he", 2},
		{"Jo|an| met| Jo", "Jo", 0},
		{"Jo|an| met| Jo", "Jo#2", 3},
		{" Jo|an| met| J|o", "Jo#2", several},
		{"it|'s| an| s", "s", 3},
		{"<s>|an| s", "s", 2},
		{"Susan| met| Susan", " Susan", 2},
		{"wait|...| here|.", ".", 3},
		{" |Sus|an| met| Susan", "Susan", several},
	} {
		var tokens []schema.Token
		for _, text := range strings.Split(c.tokens, "|") {
			tokens = append(tokens, schema.Token{Text: text})
		}
		_, key, _, err := engine.Locate(schema.Prompt{Query: schema.AtIndex(-1), Key: schema.ParseWord(c.word)}, tokens)
		switch {
		case err == nil:
		case strings.Contains(err.Error(), "want a single one"):
			key = several
		case strings.Contains(err.Error(), "want whole tokens"):
			key = within
		default:
			t.Errorf("%s in %s: %v", c.word, c.tokens, err)
			continue
		}
		if key != c.want {
			t.Errorf("%s in %s: %d, want %d; error %v", c.word, c.tokens, key, c.want, err)
		}
	}
}

// TestDoubtfulPositions holds that positions that coincide are noted, also where a word is ambiguous.
func TestDoubtfulPositions(t *testing.T) {
	t.Parallel()
	e := open(t, modelFolder(t), engine.Options{BOS: engine.BOSOff})
	const same, self = "the baseline is the key itself", "the key is the query itself"
	for _, c := range []struct {
		query, key, baseline string
		want                 []string
	}{
		{"to", "Ada", "Ada", []string{"there more than once", same}},
		{"spoke", "spoke", "Then", []string{self}},
		{"spoke", "spoke", "spoke", []string{same, self}},
		{"spoke", "Then", "and", nil},
	} {
		x, err := e.Example(schema.Prompt{Text: "Then Ada and Bo spoke. Ada gave the key to Bo",
			Query: schema.AtWord(c.query), Key: schema.AtWord(c.key), Baseline: schema.AtWord(c.baseline)})
		if err != nil {
			t.Fatal(err)
		}
		ok := len(x.Notices) == len(c.want)
		for i := 0; ok && i < len(c.want); i++ {
			ok = strings.Contains(x.Notices[i], c.want[i])
		}
		if !ok {
			t.Errorf("query %s, key %s, baseline %s: notices %q, want %q", c.query, c.key, c.baseline, x.Notices, c.want)
		}
	}
}

func TestExampleRefuses(t *testing.T) {
	t.Parallel()
	e := open(t, modelFolder(t), engine.Options{QueryBases: []string{"unembed", "unembed+baseline"}})
	const text = "Then Ada and Bo spoke"
	const tokens = `0 "<|endoftext|>", 1 "Then", 2 " Ada", 3 " and", 4 " Bo", 5 " spoke"`
	query, key, baseline := schema.AtWord("spoke"), schema.AtWord("Bo"), schema.AtWord("Ada")
	for name, c := range map[string]struct {
		prompt     schema.Prompt
		is         error
		want, hint string
	}{
		"missing word": {schema.Prompt{Text: text, Query: query, Key: schema.AtWord("the"), Baseline: baseline}, engine.ErrPrompt,
			`key "the" is not among the tokens: ` + tokens, "or give an index"},
		"word in pieces": {schema.Prompt{Text: "Then Zed spoke", Query: query, Key: schema.AtWord("Zed"), Baseline: schema.AtIndex(1)}, engine.ErrPrompt,
			`key "Zed" is 3 tokens, "Z" "e" "d", want a single one; tokens: 0 "<|endoftext|>", 1 "Then", 2 " "`, `say which one: "first of Zed" or "last of Zed"; or give its index`},
		"pieces not in the text": {schema.Prompt{Text: text, Query: query, Key: schema.ParseWord("last of Zed"), Baseline: baseline}, engine.ErrPrompt,
			`key "Zed" is not among the tokens: ` + tokens, "or give an index"},
		"no such occurrence": {schema.Prompt{Text: text, Query: query, Key: schema.ParseWord("first of Ada#2"), Baseline: baseline}, engine.ErrPrompt,
			`key "first of Ada#2", and "Ada" is there once`, "#1 is the last one"},
		"before the first token": {schema.Prompt{Text: text, Query: schema.AtIndex(0).Before(), Key: key, Baseline: baseline}, engine.ErrPrompt,
			"query before 0: there is no token before the first one", "name a later query"},
		"key after query": {schema.Prompt{Text: text, Query: schema.AtWord("Ada"), Key: key, Baseline: baseline}, engine.ErrPrompt,
			`key "Bo" is token 4, after query "Ada" at token 2; tokens: ` + tokens, "move the query to 4 or later, or name an earlier key"},
		"baseline after query": {schema.Prompt{Text: text, Query: schema.AtIndex(3), Key: schema.AtIndex(1), Baseline: key}, engine.ErrPrompt,
			`baseline "Bo" is token 4, after query 3 at token 3`, "name an earlier baseline"},
		"index too large": {schema.Prompt{Text: text, Query: schema.AtIndex(6), Key: key, Baseline: baseline}, engine.ErrPrompt,
			"query index 6, and there are 6 tokens: " + tokens, "from -1 backwards"},
		"index too small": {schema.Prompt{Text: text, Query: query, Key: schema.AtIndex(-7), Baseline: baseline}, engine.ErrPrompt, "key index -7", "count from 0"},
		"no key":          {schema.Prompt{Text: text, Query: query, Baseline: baseline}, engine.ErrPrompt, "no key position; tokens: " + tokens, "as a token index or as a word"},
		"empty word":      {schema.Prompt{Text: text, Query: schema.AtWord(""), Key: key, Baseline: baseline}, engine.ErrPrompt, "no query position", "as a token index or as a word"},
		"no baseline": {schema.Prompt{Text: text, Query: query, Key: key}, engine.ErrBasis,
			`query basis unembed+baseline is made from the baseline token, and the prompt has none: "` + text + `"`, "leave out query basis unembed+baseline"},
		"too long": {schema.Prompt{Text: strings.Repeat(" Ada", 48), Query: schema.AtIndex(1), Key: schema.AtIndex(0), Baseline: schema.AtIndex(0)}, engine.ErrPrompt,
			"49 tokens, and the model reads at most 48", "cut the text after the query, which is token 1"},
		"too long, the query at its end": {schema.Prompt{Text: strings.Repeat(" Ada", 48), Query: schema.AtIndex(-1), Key: schema.AtIndex(0)}, engine.ErrPrompt,
			"49 tokens, and the model reads at most 48", "shorten the text before the query, or give it as a text without positions (ingest --text)"},
		"a number in quotes": {schema.Prompt{Text: text, Query: schema.ParseWord("-1"), Key: key, Baseline: baseline}, engine.ErrPrompt,
			`query "-1" is not among the tokens: ` + tokens, `an index is a number without quotes: "query": -1`},
		"first in pieces, as a key": {schema.Prompt{Text: "Bo. Bo and Ada", Query: schema.AtIndex(-1), Key: schema.AtWord("Bo")}, engine.ErrPrompt,
			`key "Bo" is 2 tokens where it first occurs, "B" "o", want a single one; tokens: 0 "<|endoftext|>", 1 "B", 2 "o", 3 ".", 4 " Bo"`,
			`say which one: "first of Bo" or "last of Bo"; or write "Bo#2", which is one token; or give an index; or reword the text`},
		"second in pieces": {schema.Prompt{Text: "Then Bo.Bo and Bo", Query: schema.AtIndex(-1), Key: schema.ParseWord("Bo#2")}, engine.ErrPrompt,
			`key "Bo#2" is 2 tokens, "B" "o"`, `"first of Bo#2" or "last of Bo#2"; or write "Bo#1", which is one token`},
		"last in pieces, as a query": {schema.Prompt{Text: "Then Bo.Bo", Query: schema.AtWord("Bo"), Key: schema.AtIndex(1)}, engine.ErrPrompt,
			`query "Bo" is 2 tokens where it last occurs, "B" "o"`, `or write "Bo#1", which is one token`},
		"in pieces in a name of several tokens": {schema.Prompt{Text: "Ada. Ada", Query: schema.AtIndex(-1), Key: schema.AtWord("Ada")}, engine.ErrPrompt,
			`key "Ada" is 3 tokens where it first occurs`, `or write "Ada#2"`},
		"empty text": {schema.Prompt{Query: query, Key: key, Baseline: baseline}, engine.ErrPrompt, `query "spoke" is not among the tokens: 0 "<|endoftext|>"`, ""},
	} {
		_, err := e.Example(c.prompt)
		if !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.want) || hint(err) == "" || !strings.Contains(hint(err), c.hint) {
			t.Errorf("%s: error %v\nhint %q\nwant %q\nhint %q", name, err, hint(err), c.want, c.hint)
		}
	}
}

// A head of the random test model, asked why it attends from "to" to "Bo" rather than to "Ada".
func Example() {
	dir, err := os.MkdirTemp("", "model")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if err := testModel(dir, filepath.Join("..", "testdata", "m2", "model")); err != nil {
		fmt.Println(err)
		return
	}

	e, err := engine.Open(dir, engine.Options{Heads: []schema.Head{{Layer: 2, Index: 1}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	example, err := e.Example(schema.Prompt{
		Text:  "Then Ada and Bo spoke. Ada gave the key to Bo",
		Query: schema.AtWord("to"), Key: schema.AtWord("Bo"), Baseline: schema.AtWord("Ada"),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	results, err := e.Analyze(context.Background(), []schema.Example{example})
	if err != nil {
		fmt.Println(err)
		return
	}
	head := results[0].Heads[0]
	fmt.Printf("head %s: score %.3f to the key, %.3f to the baseline\n", head.Head, head.Score.Score, head.Score.Baseline)
	components := e.Components()
	sum := float32(0)
	for _, c := range head.Contributions {
		if c.Side != schema.Key || e.Bases()[c.QueryBasis].Name != "none" || e.Bases()[c.KeyBasis].Name != "mlp0" {
			continue
		}
		if components[c.Component].Kind == schema.MLP {
			fmt.Printf("%s along MLP0: %.3f\n", components[c.Component].Label(), c.Score[schema.PerpPar])
		}
		sum += c.Score[schema.PerpPar] + c.Score[schema.PerpPerp]
	}
	fmt.Printf("all components: %.3f\n", sum)
	// Output:
	// head 2.1: score -2.814 to the key, -1.382 to the baseline
	// MLP0 along MLP0: -0.570
	// MLP1 along MLP0: -0.040
	// all components: -2.814
}
