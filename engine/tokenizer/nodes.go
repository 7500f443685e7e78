package tokenizer

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"ducklens/engine/internal/jsonfault"
)

// fields is a node of tokenizer.json: an object with a type. Reading a field removes it, so what is left at
// the end is unknown.
type fields struct {
	kind string
	left map[string]json.RawMessage
	err  error // the first error
}

// absent reports whether a node is missing or null.
func absent(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

func fieldsOf(raw json.RawMessage) *fields {
	f := &fields{}
	if err := json.Unmarshal(raw, &f.left); err != nil {
		f.err = fault("%.80s is no object: %w", raw, jsonfault.Explain(err))
		return f
	}
	f.kind = f.text("type")
	return f
}

// take reads a field into value, which stays as it is if the field is missing or null.
func (f *fields) take(name string, value any) {
	raw := f.left[name]
	delete(f.left, name)
	if f.err != nil || absent(raw) {
		return
	}
	if err := json.Unmarshal(raw, value); err != nil {
		f.err = fault("%s is %.80s: %w", name, raw, jsonfault.Explain(err))
	}
}

func (f *fields) text(name string) (value string) {
	f.take(name, &value)
	return value
}

func (f *fields) flag(name string, otherwise bool) bool {
	f.take(name, &otherwise)
	return otherwise
}

func (f *fields) list(name string) (value []json.RawMessage) {
	f.take(name, &value)
	return value
}

// pattern reads {"String": ...}, whose text it also returns, or {"Regex": ...}.
func (f *fields) pattern(name string) (matches func(string, func(start, end int)), text string) {
	var p map[string]string
	f.take(name, &p)
	if f.err != nil {
		return nil, ""
	}
	if text, ok := p["String"]; ok && len(p) == 1 {
		return literal(text), text
	}
	expression, ok := p["Regex"]
	if !ok || len(p) != 1 {
		f.err = fault("%s is %.80v, want a String or a Regex", name, p)
		return nil, ""
	}
	var compiled *pattern
	if compiled, f.err = compile(expression); f.err != nil {
		return nil, ""
	}
	return compiled.all, ""
}

// done returns the first error of the node. An unknown field is an error.
func (f *fields) done() error {
	if f.err == nil && len(f.left) > 0 {
		names := make([]string, 0, len(f.left))
		for name := range f.left {
			names = append(names, name)
		}
		slices.Sort(names)
		f.err = fault("unknown field %q", names[0])
	}
	if f.err != nil && f.kind != "" {
		return fault("%s: %w", f.kind, f.err)
	}
	return f.err
}

// Limits of nodes. Published files have at most ten nodes of a kind, in a few kilobytes, and put three tokens
// around a text.
const (
	maxNodeBytes = 1 << 20
	maxNodes     = 64
	maxAround    = 256
)

// sequence reads the nodes of a Sequence, or the node itself, and calls each in order.
func sequence(raw json.RawMessage, name string, each func(*fields) error) error {
	if len(raw) > maxNodeBytes {
		return fault("%d bytes, want at most %d", len(raw), maxNodeBytes)
	}
	nodes := 0
	return nested(raw, name, 0, &nodes, each)
}

func nested(raw json.RawMessage, name string, depth int, nodes *int, each func(*fields) error) error {
	if absent(raw) {
		return nil
	}
	if depth > maxDepth {
		return fault("sequences %d deep, want at most %d", depth, maxDepth)
	}
	if *nodes++; *nodes > maxNodes {
		return fault("more than %d nodes", maxNodes)
	}
	f := fieldsOf(raw)
	if f.kind != "Sequence" {
		if f.err != nil {
			return f.err
		}
		return each(f)
	}
	list := f.list(name)
	if err := f.done(); err != nil {
		return err
	}
	for _, raw := range list {
		if err := nested(raw, name, depth+1, nodes, each); err != nil {
			return err
		}
	}
	return nil
}

// parts is what the nodes of tokenizer.json say, apart from the vocabulary.
type parts struct {
	normalizers []step
	cutters     []stage
	byteLevel   bool // a node spells bytes as printable characters
	blank       string
	spelling    []step // turns a token of the vocabulary into the bytes that it stands for
	before      []int
	after       []int
}

func (p *parts) readNormalizer(raw json.RawMessage) error {
	return sequence(raw, "normalizers", func(f *fields) error {
		var n rewriter
		switch f.kind {
		case "NFC":
			n = always(nfc.normalize)
		case "NFD":
			n = always(nfd.normalize)
		case "NFKC":
			n = always(nfkc.normalize)
		case "NFKD":
			n = always(nfkd.normalize)
		case "Lowercase":
			n = always(lowercase)
		case "Strip":
			n = strip(f.flag("strip_left", true), f.flag("strip_right", true))
		case "Prepend":
			n = prepend(f.text("prepend"))
		case "Replace":
			matches, text := f.pattern("pattern")
			content := f.text("content")
			if text == " " {
				p.blank = content // for the decoder, if there is none
			}
			n = replace(matches, content)
		case "ByteLevel":
			n = always(Printable)
			p.byteLevel = true
		default:
			return unknownNode("normalizer", f)
		}
		if err := f.done(); err != nil {
			return err
		}
		p.normalizers = append(p.normalizers, step{f.kind, n})
		return nil
	})
}

func unknownNode(what string, f *fields) error {
	if f.kind == "" {
		return fault("%s without a type", what)
	}
	return fault("unknown %s %q", what, f.kind)
}

func (p *parts) readPreTokenizer(raw json.RawMessage) error {
	return sequence(raw, "pretokenizers", func(f *fields) error {
		var c cutter
		switch f.kind {
		case "ByteLevel":
			f.flag("trim_offsets", true)
			space, regex := f.flag("add_prefix_space", true), f.flag("use_regex", true)
			c = &byteLevelCutter{prefixSpace: space, regex: regex, spell: true}
			p.byteLevel = true
		case "Split":
			matches, _ := f.pattern("pattern")
			c = &splitCutter{matches, f.behavior(noBehavior), f.flag("invert", false)}
		case "Digits":
			b := contiguous
			if f.flag("individual_digits", false) {
				b = isolated
			}
			c = &splitCutter{matches: each(newSet(isNumeric)), behavior: b}
		case "Punctuation":
			c = &splitCutter{matches: each(newSet(isPunctuation)), behavior: f.behavior(isolated)}
		case "WhitespaceSplit":
			c = &splitCutter{matches: each(newSet(isSpace)), behavior: removed}
		case "Whitespace":
			c = &splitCutter{matches: words, behavior: removed, invert: true}
		case "Metaspace":
			c = f.metaspace()
			p.blank = c.(*metaspaceCutter).replacement
		default:
			return unknownNode("pre_tokenizer", f)
		}
		if err := f.done(); err != nil {
			return err
		}
		p.cutters = append(p.cutters, stage{f.kind, c})
		return nil
	})
}

const noBehavior behavior = 255

func (f *fields) behavior(otherwise behavior) behavior {
	name := f.text("behavior")
	b, ok := behaviors[name]
	switch {
	case name == "" && otherwise != noBehavior:
		return otherwise
	case !ok && f.err == nil:
		f.err = fault("unknown behavior %q", name)
	}
	return b
}

func (f *fields) metaspace() cutter {
	c := &metaspaceCutter{replacement: f.text("replacement"), split: f.flag("split", true)}
	f.text("str_rep")
	scheme := "always"
	f.take("prepend_scheme", &scheme)
	if !f.flag("add_prefix_space", true) && scheme != "never" {
		if scheme != "always" {
			f.err = fault("add_prefix_space is false and prepend_scheme %q", scheme)
		}
		scheme = "never"
	}
	switch scheme {
	case "always":
		c.always = true
	case "first":
		c.first = true
	case "never":
	default:
		f.err = fault("unknown prepend_scheme %q", scheme)
	}
	if utf8.RuneCountInString(c.replacement) != 1 && f.err == nil {
		f.err = fault("replacement %.20q, want one character", c.replacement)
	}
	return c
}

// words matches \w+|[^\w\s]+ as in Rust.
func words(text string, found func(start, end int)) {
	kind := func(r rune) int {
		switch {
		case isRustWord(r):
			return 1
		case isSpace(r):
			return 2
		}
		return 3
	}
	start, current := 0, 2
	for at, r := range text {
		if k := kind(r); k != current {
			if current != 2 {
				found(start, at)
			}
			start, current = at, k
		}
	}
	if current != 2 && start < len(text) {
		found(start, len(text))
	}
}

// readPostProcessor reads the tokens that are put around a single text.
func (p *parts) readPostProcessor(raw json.RawMessage) error {
	return sequence(raw, "processors", func(f *fields) error {
		var before, after []int
		switch f.kind {
		case "ByteLevel": // changes only offsets
			return nil
		case "TemplateProcessing":
			before, after = f.template()
		case "RobertaProcessing", "BertProcessing":
			before, after = []int{f.pairID("cls")}, []int{f.pairID("sep")}
			f.left = nil
		default:
			return unknownNode("post_processor", f)
		}
		p.before, p.after = slices.Concat(before, p.before), slices.Concat(p.after, after)
		if n := len(p.before) + len(p.after); n > maxAround && f.err == nil {
			f.err = tooMany(n)
		}
		return f.done()
	})
}

func tooMany(ids int) error {
	return fault("puts %d tokens around a text, want at most %d", ids, maxAround)
}

// pairID reads the id of ["text", id].
func (f *fields) pairID(name string) (id int) {
	var text string
	pair := []any{&text, &id}
	f.take(name, &pair)
	return id
}

// template returns the ids before and after sequence A in the template for a single text.
func (f *fields) template() (before, after []int) {
	var single []map[string]struct {
		ID string `json:"id"`
	}
	var special map[string]struct {
		IDs []int `json:"ids"`
	}
	f.take("single", &single)
	f.take("special_tokens", &special)
	delete(f.left, "pair")
	seen := false
	for _, piece := range single {
		if sequence, ok := piece["Sequence"]; ok && sequence.ID == "A" && !seen {
			seen = true
			continue
		}
		token, ok := piece["SpecialToken"]
		ids := special[token.ID].IDs
		if (!ok || len(ids) == 0) && f.err == nil {
			f.err = fault("single has %.80v, want sequence A once, and tokens that special_tokens lists",
				piece)
		}
		if seen {
			after = append(after, ids...)
		} else {
			before = append(before, ids...)
		}
		if n := len(before) + len(after); n > maxAround && f.err == nil {
			f.err = tooMany(n)
		}
		if f.err != nil {
			return nil, nil
		}
	}
	if !seen && f.err == nil {
		f.err = fault("single is without sequence A")
	}
	return before, after
}

// readDecoder reads the nodes that say which bytes a token stands for.
func (p *parts) readDecoder(raw json.RawMessage) error {
	if absent(raw) {
		if p.byteLevel {
			p.spelling = append(p.spelling, step{"ByteLevel", always(unprintable)})
		} else if p.blank != "" {
			p.spelling = append(p.spelling, step{"Metaspace", replace(literal(p.blank), " ")})
		}
		return nil
	}
	return sequence(raw, "decoders", func(f *fields) error {
		var r rewriter
		switch f.kind {
		case "ByteLevel":
			r = always(unprintable)
		case "ByteFallback":
			r = always(unfallback)
		case "Metaspace":
			r = replace(literal(f.text("replacement")), " ")
		case "Replace":
			matches, _ := f.pattern("pattern")
			r = replace(matches, f.text("content"))
		case "Fuse", "Strip": // apply to a whole text, not to a token
			return f.err
		default:
			return unknownNode("decoder", f)
		}
		p.spelling = append(p.spelling, step{f.kind, r})
		return f.err
	})
}

// unfallback reads <0xE2> as that byte.
func unfallback(token string) string {
	if b, ok := fallbackByte(token); ok {
		return string([]byte{b})
	}
	return token
}

func fallbackByte(token string) (byte, bool) {
	if len(token) != 6 || !strings.HasPrefix(token, "<0x") || token[5] != '>' {
		return 0, false
	}
	b, err := strconv.ParseUint(token[3:5], 16, 8)
	return byte(b), err == nil
}
