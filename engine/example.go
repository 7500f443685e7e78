package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ducklens/schema"
)

// Example prepares a prompt for the model: it returns the prompt's tokens, with BOS in front if the options
// say so, and its positions as token indices. If [Options.Edges] has a rule that chooses edges, a prompt may
// come without positions. The caller sets the example's numbers and its random tokens. Errors are [ErrPrompt]
// or [ErrBasis] and have a Hint; if a position is at fault, they list the tokens.
func (e *Engine) Example(prompt schema.Prompt) (schema.Example, error) {
	if e.folder != nil {
		return e.given(prompt)
	}
	example := schema.Example{Prompt: prompt, Baseline: schema.NoPosition, RandomName: schema.NoToken,
		RandomToken: schema.NoToken}
	ids, err := e.tokenizer.EncodeBOS(prompt.Text, e.bos)
	if err != nil {
		return schema.Example{}, fmt.Errorf("%s: %w", excerpt(prompt.Text), err)
	}
	for _, id := range ids {
		example.Tokens = append(example.Tokens, e.token(id))
	}
	if e.BOS() && e.tokenizer.BeginsWithBOS(prompt.Text) {
		example.Notice = fmt.Sprintf("the text begins with %s, and another one is put in front of it",
			example.Tokens[0].Text)
	} else {
		example.Notice = ambiguous(prompt, example.Tokens)
	}
	open := e.chooses() && prompt.Query.IsNone() && prompt.Key.IsNone() && prompt.Baseline.IsNone()
	if len(example.Tokens) > e.description.NCtx {
		hint := "cut the text after the query position: later tokens are not used"
		if open {
			hint = "cut the text into parts"
		}
		return schema.Example{}, advise(hint,
			"%w: %d tokens, and the model reads at most %d: %s", ErrPrompt, len(example.Tokens),
			e.description.NCtx, excerpt(prompt.Text))
	}
	if open {
		example.Query, example.Key = schema.NoPosition, schema.NoPosition
		if len(example.Tokens) == 0 {
			return schema.Example{},
				advise("leave it out", "%w: there is no token in %s", ErrPrompt, excerpt(prompt.Text))
		}
		return example, nil
	}
	if example.Query, example.Key, example.Baseline, err = Locate(prompt, example.Tokens); err != nil {
		return schema.Example{}, err
	}
	if example.Notice == "" {
		example.Notice = doubtful(example)
	}
	if e.everyHead {
		e.seeFar(&example)
	} else if err := e.inWindows(example); err != nil {
		return schema.Example{}, err
	}
	if example.Baseline == schema.NoPosition {
		for _, d := range e.queryBases {
			if d.NeedsBaseline && !d.byDefault {
				return schema.Example{},
					advise(fmt.Sprintf("give the prompt a baseline, or leave out query basis %s", d.Name),
						"%w: query basis %s is made from the baseline token, and the prompt has none: %s",
						ErrBasis, d.Name, excerpt(prompt.Text))
			}
		}
	}
	return example, nil
}

// Locate returns the indices of the tokens that the positions of a prompt name; baseline is
// [schema.NoPosition] if the prompt has none. A query attends to itself and to earlier tokens only, so a
// later key or baseline is an error. Errors are [ErrPrompt], have a Hint, and list the tokens.
func Locate(prompt schema.Prompt, tokens []schema.Token) (query, key, baseline int, err error) {
	baseline = schema.NoPosition
	if query, err = resolve("query", prompt.Query, tokens); err != nil {
		return
	}
	if key, err = resolve("key", prompt.Key, tokens); err != nil {
		return
	}
	if !prompt.Baseline.IsNone() {
		if baseline, err = resolve("baseline", prompt.Baseline, tokens); err != nil {
			return
		}
	}
	for _, p := range []struct {
		role  string
		given schema.Position
		at    int
	}{{"key", prompt.Key, key}, {"baseline", prompt.Baseline, baseline}} {
		if p.at > query {
			return 0, 0, 0,
				advise(fmt.Sprintf(
					"a query attends to itself and to earlier tokens only: move the query to %d or later, "+
						"or name an earlier %s", p.at, p.role),
					"%w: %s %s is token %d, after query %s at token %d; tokens: %s", ErrPrompt, p.role,
					p.given, p.at, prompt.Query, query, list(tokens))
		}
	}
	return query, key, baseline, nil
}

// doubtful says what of an example's positions is possible but rarely meant. It returns "" if there is
// nothing.
func doubtful(x schema.Example) string {
	if x.Baseline == x.Key {
		return "the baseline is the key itself, so every difference is 0"
	}
	last := len(x.Tokens) - 1
	// A folder of activations may have tokens without texts.
	if text := x.Tokens[x.Query].Text; x.Query == last && text != "" && strings.Trim(text, " ") == "" {
		return "the text ends with a space, which is the query"
	}
	return ""
}

// inWindows returns an error for a key or a baseline that a target head does not see from the query, as it
// has no score.
func (e *Engine) inWindows(x schema.Example) error {
	for _, h := range e.heads {
		first := e.firstKey(h.Layer, x.Query)
		for _, p := range []struct {
			role  string
			given schema.Position
			at    int
		}{{"key", x.Prompt.Key, x.Key}, {"baseline", x.Prompt.Baseline, x.Baseline}} {
			if p.at == schema.NoPosition || p.at >= first {
				continue
			}
			return advise(
				fmt.Sprintf(
					"name a %s from token %d on, an earlier query, or heads of layers that see further",
					p.role, first),
				"%w: %s %s is token %d, and head %s has an attention window of %d: "+
					"from query token %d it sees tokens %d to %d",
				ErrPrompt, p.role, p.given, p.at, h, e.spec.WindowOf(h.Layer), x.Query, first, x.Query)
		}
	}
	return nil
}

// seeFar records how many positions a head must see to reach the example's key and baseline.
func (e *Engine) seeFar(x *schema.Example) {
	first := int64(x.Key)
	if x.Baseline != schema.NoPosition {
		first = min(first, int64(x.Baseline))
	}
	for need := int64(x.Query) - first + 1; ; {
		if known := e.farthest.Load(); need <= known || e.farthest.CompareAndSwap(known, need) {
			return
		}
	}
}

// leaveOutBlind leaves out heads, if the options name none, whose window is shorter than the examples need,
// and says so in a notice.
func (e *Engine) leaveOutBlind() error {
	e.everyHead = false
	need := int(e.farthest.Load())
	blind := func(layer int) bool { w := e.spec.WindowOf(layer); return 0 < w && w < need }
	var layers, windows []string
	for l := range e.spec.Layers {
		if blind(l) && slices.ContainsFunc(e.heads, func(h schema.Head) bool { return h.Layer == l }) {
			layers = append(layers, strconv.Itoa(l))
			if w := strconv.Itoa(e.spec.WindowOf(l)); !slices.Contains(windows, w) {
				windows = append(windows, w)
			}
		}
	}
	if len(layers) == 0 {
		return nil
	}
	e.heads = slices.DeleteFunc(e.heads, func(h schema.Head) bool { return blind(h.Layer) })
	e.targets = nil
	e.describeTargets()
	why := fmt.Sprintf(
		"a key or a baseline lies up to %d tokens before its query, and these layers have an attention "+
			"window of %s tokens",
		need-1, strings.Join(windows, " or "))
	if len(e.heads) == 0 {
		return advise("name keys and baselines that are nearer to the query",
			"%w: no head sees all of them: %s", ErrPrompt, why)
	}
	what := "layer"
	if len(layers) > 1 {
		what = "layers"
	}
	e.notices = append(e.notices,
		fmt.Sprintf("heads of %s %s are left out: %s", what, strings.Join(layers, ", "), why))
	return nil
}

// firstKey returns the first position that heads of a layer see from a query position.
func (e *Engine) firstKey(layer, query int) int {
	if w := e.spec.WindowOf(layer); w > 0 {
		return max(0, query-w+1)
	}
	return 0
}

func (e *Engine) token(id int) schema.Token {
	return schema.Token{ID: id, Text: e.tokenizer.Token(id)}
}

// resolve returns the index of the token that a position names.
func resolve(role string, p schema.Position, tokens []schema.Token) (int, error) {
	at, err := find(role, p, tokens)
	if err != nil || !p.IsBefore() {
		return at, err
	}
	if at == 0 {
		return 0,
			advise(fmt.Sprintf("name a later %s", role),
				"%w: %s %s: there is no token before the first one; tokens: %s", ErrPrompt, role, p,
				list(tokens))
	}
	return at - 1, nil
}

// find is resolve without a position's offset to an earlier token. Of the tokens that spell its word it
// returns the occurrence that is asked for; by default the last one for a query and the first one otherwise.
func find(role string, p schema.Position, tokens []schema.Token) (int, error) {
	if i, ok := p.Index(); ok {
		at := i
		if i < 0 {
			at = len(tokens) + i
		}
		if at < 0 || at >= len(tokens) {
			return 0, advise("token indices count from 0, BOS included, or from -1 backwards",
				"%w: %s index %d, and there are %d tokens: %s", ErrPrompt, role, i, len(tokens), list(tokens))
		}
		return at, nil
	}
	word, ok := p.Word()
	if !ok || word == "" {
		return 0, advise(fmt.Sprintf("give the %s as a token index or as a word of the text", role),
			"%w: no %s position; tokens: %s", ErrPrompt, role, list(tokens))
	}
	found := occurrences(p, word, tokens)
	switch n := p.Occurrence(); {
	case n > len(found) && len(found) > 0:
		return 0, advise(fmt.Sprintf("count occurrences from 1; #%d is the last one", len(found)),
			"%w: %s %s, and %q is there %d times; tokens: %s", ErrPrompt, role, p, word, len(found),
			list(tokens))
	case len(found) == 0:
	case n > 0:
		return found[n-1].token(p.Part()), nil
	case role == "query":
		return found[len(found)-1].token(p.Part()), nil
	default:
		return found[0].token(p.Part()), nil
	}
	// Say why: either the word is in the text but in several tokens, or it is not in it.
	if several := spans(word, tokens); len(several) > 0 {
		var pieces []string
		for _, t := range tokens[several[0].first : several[0].last+1] {
			pieces = append(pieces, fmt.Sprintf("%q", t.Text))
		}
		return 0,
			advise(fmt.Sprintf("say which one: %q or %q; or give its index", "first of "+word,
				"last of "+word),
				"%w: %s %q is %d tokens, %s, want a single one; tokens: %s", ErrPrompt, role, word,
				len(pieces),
				strings.Join(pieces, " "), list(tokens))
	}
	return 0, advise("spell the word as the tokens have it, or give an index; upper and lower case differ",
		"%w: %s %q is not among the tokens: %s", ErrPrompt, role, word, list(tokens))
}

// ambiguous says which words of a prompt occur more than once, and which occurrence is taken. It returns ""
// if there are none.
func ambiguous(prompt schema.Prompt, tokens []schema.Token) string {
	var roles []string
	for _, p := range []struct {
		role  string
		given schema.Position
	}{{"query", prompt.Query}, {"key", prompt.Key}, {"baseline", prompt.Baseline}} {
		if word, ok := p.given.Word(); ok && p.given.Occurrence() == 0 && !p.given.IsBefore() &&
			len(occurrences(p.given, word, tokens)) > 1 {
			roles = append(roles, p.role)
		}
	}
	if len(roles) == 0 {
		return ""
	}
	return fmt.Sprintf(
		"the word of the %s is there more than once: of a query the last one is taken, "+
			"of a key or baseline the first; "+
			"word#2 is the second", strings.Join(roles, " and of the "))
}

// occurrences returns the words that a position can mean.
func occurrences(p schema.Position, word string, tokens []schema.Token) []span {
	found := spans(word, tokens)
	if p.Part() == schema.OnlyToken {
		found = slices.DeleteFunc(found, func(s span) bool { return s.first != s.last })
	}
	return found
}

// span is a word in a list of tokens, from its first to its last token.
type span struct{ first, last int }

// token returns the token of the word that part means.
func (s span) token(part schema.Part) int {
	if part == schema.LastToken {
		return s.last
	}
	return s.first
}

// spans returns where one token, or several in a row, spell a word, with or without the space in front of it.
// If that space is a token of its own, it is not part of the word.
func spans(word string, tokens []schema.Token) []span {
	spaced := " " + word
	var found []span
	for first := 0; first < len(tokens); first++ {
		text := ""
		for last := first; last < len(tokens) && len(text) < len(spaced); last++ {
			text += tokens[last].Text
			if (text == word || text == spaced) && (tokens[first].Text != " " || word == " ") {
				found = append(found, span{first, last})
				first = last
				break
			}
			if !strings.HasPrefix(spaced, text) && !strings.HasPrefix(word, text) {
				break
			}
		}
	}
	return found
}

// maxListed is the maximum number of tokens that an error message lists.
const maxListed = 64

// list spells tokens with their indices, for error messages: 0 "<|endoftext|>", 1 "When", ...
func list(tokens []schema.Token) string {
	var b strings.Builder
	for i, t := range tokens[:min(len(tokens), maxListed)] {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d %q", i, t.Text)
	}
	if rest := len(tokens) - maxListed; rest > 0 {
		fmt.Fprintf(&b, " and %d more", rest)
	}
	if len(tokens) == 0 {
		return "none"
	}
	return b.String()
}

// excerpt quotes the beginning of a text.
func excerpt(text string) string {
	const most = 80
	runes := []rune(text)
	if len(runes) <= most {
		return fmt.Sprintf("%q", text)
	}
	return fmt.Sprintf("%q and so on", string(runes[:most]))
}
