package engine

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

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
		example.Notices = append(example.Notices,
			fmt.Sprintf("the text begins with %s, and another one is put in front of it",
				example.Tokens[0].Text))
	}
	if notice := ambiguous(prompt, example.Tokens); notice != "" {
		example.Notices = append(example.Notices, notice)
	}
	open := e.chooses() && prompt.Query.IsNone() && prompt.Key.IsNone() && prompt.Baseline.IsNone()
	if len(example.Tokens) > e.description.NCtx {
		return schema.Example{}, advise(e.shorten(prompt, example.Tokens, open),
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
	example.Notices = append(example.Notices, doubtful(example)...)
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

// shorten says how a text of more tokens than the model reads can be used. Tokens after the query are not
// used, so cutting them helps if the query itself is within the model's reach.
func (e *Engine) shorten(prompt schema.Prompt, tokens []schema.Token, open bool) string {
	if open {
		return "cut the text into parts"
	}
	if query, err := resolve("query", prompt.Query, tokens); err == nil && query < e.description.NCtx {
		return fmt.Sprintf("cut the text after the query, which is token %d: later tokens are not used", query)
	}
	return "shorten the text before the query, or give it as a text without positions (ingest --text), " +
		"which is cut into windows"
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

// doubtful says what of an example's positions is possible but rarely meant.
func doubtful(x schema.Example) (notices []string) {
	if x.Baseline == x.Key {
		notices = append(notices, "the baseline is the key itself, so every difference is 0")
	}
	if x.Key == x.Query {
		notices = append(notices, "the key is the query itself")
	}
	last := len(x.Tokens) - 1
	// A folder of activations may have tokens without texts.
	if text := x.Tokens[x.Query].Text; x.Query == last && text != "" && strings.Trim(text, " ") == "" {
		notices = append(notices, "the text ends with a space, which is the query")
	}
	return notices
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
	found := occurrences(word, tokens)
	n, where := p.Occurrence(), ""
	switch {
	case len(found) == 0:
		hint := "spell the word as the tokens have it, or give an index; upper and lower case differ"
		if i, err := strconv.Atoi(strings.TrimSpace(word)); err == nil && p.Part() == schema.OnlyToken && n == 0 {
			hint = fmt.Sprintf("an index is a number without quotes: \"%s\": %d; in quotes it is a word of the text",
				role, i)
		}
		return 0, advise(hint, "%w: %s %q is not among the tokens: %s", ErrPrompt, role, word, list(tokens))
	case n > len(found):
		times := "once"
		if len(found) > 1 {
			times = fmt.Sprintf("%d times", len(found))
		}
		return 0, advise(fmt.Sprintf("count occurrences from 1; #%d is the last one", len(found)),
			"%w: %s %s, and %q is there %s; tokens: %s", ErrPrompt, role, p, word, times, list(tokens))
	case n > 0:
	case role == "query":
		if n = len(found); n > 1 {
			where = " where it last occurs"
		}
	default:
		if n = 1; len(found) > 1 {
			where = " where it first occurs"
		}
	}
	at := found[n-1]
	if at.oneToken() || !at.within && p.Part() != schema.OnlyToken {
		return at.token(p.Part()), nil
	}
	var pieces []string
	for _, t := range tokens[at.first : at.last+1] {
		pieces = append(pieces, fmt.Sprintf("%q", t.Text))
	}
	is := fmt.Sprintf("%d tokens%s, %s, want a single one", len(pieces), where, strings.Join(pieces, " "))
	if at.within {
		is = fmt.Sprintf("within %s%s, want whole tokens", strings.Join(pieces, " "), where)
	}
	return 0, advise(choices(word, p, n, found),
		"%w: %s %q is %s; tokens: %s", ErrPrompt, role, named(word, p), is, list(tokens))
}

// named returns a word with the occurrence that a position gives, if it gives one.
func named(word string, p schema.Position) string {
	if p.Occurrence() == 0 {
		return word
	}
	return fmt.Sprintf("%s#%d", word, p.Occurrence())
}

// choices says what may be written in place of a word whose occurrence n, from 1, is not one token.
func choices(word string, p schema.Position, n int, found []span) string {
	var may []string
	if !found[n-1].within {
		word := named(word, p)
		may = append(may, fmt.Sprintf("say which one: %q or %q", "first of "+word, "last of "+word))
		if len(found) == 1 {
			return may[0] + "; or give its index"
		}
	}
	for i, s := range found {
		if s.oneToken() {
			may = append(may, fmt.Sprintf("write %q, which is one token", fmt.Sprintf("%s#%d", word, i+1)))
			break
		}
	}
	return strings.Join(append(may, "give an index", "reword the text"), "; or ")
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
			len(occurrences(word, tokens)) > 1 {
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

// span is a word in a list of tokens, from its first to its last token.
type span struct {
	first, last int
	within      bool // the tokens spell more than the word, so no token begins or ends with it
}

// oneToken reports whether one token spells the word.
func (s span) oneToken() bool { return !s.within && s.first == s.last }

// token returns the token of the word that part means.
func (s span) token(part schema.Part) int {
	if part == schema.LastToken {
		return s.last
	}
	return s.first
}

// occurrences returns where a word is, in order. It is where a single token spells it, also as a part of a
// longer word, because tokens may be named by what they spell. And it is where the text has it as a whole
// word, in whatever tokens: otherwise a later occurrence would pass for the first. If there is neither, it is
// where several tokens spell it as a part of a longer word.
func occurrences(word string, tokens []schema.Token) []span {
	all := spans(word, tokens)
	text := newSpelling(tokens)
	found := slices.DeleteFunc(slices.Clone(all), func(s span) bool {
		return s.first != s.last && !text.whole(text.begins[s.first], text.begins[s.last+1])
	})
	found = append(found, text.within(word, all)...)
	if len(found) == 0 {
		return all
	}
	slices.SortFunc(found, func(a, b span) int { return a.first - b.first })
	return found
}

// spelling is the text that tokens spell.
type spelling struct {
	text   string
	begins []int // offset of each token, and of the end
}

func newSpelling(tokens []schema.Token) spelling {
	s := spelling{begins: make([]int, 0, len(tokens)+1)}
	var text strings.Builder
	for _, t := range tokens {
		s.begins = append(s.begins, text.Len())
		text.WriteString(t.Text)
	}
	return spelling{text.String(), append(s.begins, text.Len())}
}

// whole reports whether the text from begin to end is not a part of a longer word.
func (s spelling) whole(begin, end int) bool {
	return !joined(s.text, begin) && !joined(s.text, end)
}

// joined reports whether the characters on both sides of an offset belong to one word. Scripts that write no
// spaces between words have a word's end anywhere.
func joined(text string, at int) bool {
	before, _ := utf8.DecodeLastRuneInString(text[:at])
	after, _ := utf8.DecodeRuneInString(text[at:])
	return inWord(before) && inWord(after) && !unicode.In(before, unspaced...) && !unicode.In(after, unspaced...)
}

func inWord(r rune) bool { return r == '_' || unicode.In(r, unicode.L, unicode.M, unicode.N) }

// unspaced are the scripts that write no spaces between words.
var unspaced = []*unicode.RangeTable{unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai, unicode.Lao,
	unicode.Khmer, unicode.Myanmar}

// within returns where the text has a word that begins or ends within a token, as Susan does in the token
// "(Susan". Only words that begin and end with a letter or a digit are looked for: a punctuation mark within
// a token is rarely meant. Special tokens, such as <s>, are no text.
func (s spelling) within(word string, aligned []span) (found []span) {
	bare := strings.TrimLeft(word, " ")
	first, _ := utf8.DecodeRuneInString(bare)
	last, _ := utf8.DecodeLastRuneInString(bare)
	if !inWord(first) || !inWord(last) ||
		strings.ContainsFunc(bare, func(r rune) bool { return unicode.In(r, unspaced...) }) {
		return nil
	}
	for from := 0; ; {
		at := strings.Index(s.text[from:], word)
		if at < 0 {
			return found
		}
		begin, end := from+at, from+at+len(word)
		from = end
		if letterBeside(s.text, end-len(bare), end) {
			continue
		}
		first := sort.Search(len(s.begins), func(i int) bool { return s.begins[i] > begin }) - 1
		last := sort.SearchInts(s.begins, end) - 1
		spelt := s.text[s.begins[first]:s.begins[last+1]]
		known := slices.ContainsFunc(aligned, func(a span) bool { return a.first <= first && last <= a.last })
		if !known && !special(spelt) {
			found = append(found, span{first: first, last: last, within: true})
		}
	}
}

// letterBeside reports whether the text from begin to end has a letter or a digit beside it, also behind an
// apostrophe, as t has in "don't".
func letterBeside(text string, begin, end int) bool {
	before, n := utf8.DecodeLastRuneInString(text[:begin])
	if isApostrophe(before) {
		before, _ = utf8.DecodeLastRuneInString(text[:begin-n])
	}
	after, n := utf8.DecodeRuneInString(text[end:])
	if isApostrophe(after) {
		after, _ = utf8.DecodeRuneInString(text[end+n:])
	}
	return inWord(before) || inWord(after)
}

func isApostrophe(r rune) bool { return r == '\'' || r == '\u2019' }

// special reports whether a token looks like a special one: <s>, <|endoftext|>, [BOS].
func special(token string) bool {
	return strings.HasPrefix(token, "<") && strings.HasSuffix(token, ">") ||
		strings.HasPrefix(token, "[") && strings.HasSuffix(token, "]")
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
				found = append(found, span{first: first, last: last})
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
