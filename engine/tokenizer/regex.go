package tokenizer

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The regular expressions of a tokenizer.json are Oniguruma's. Go's package regexp has no lookahead, and its
// \s is ASCII. regexp2 has lookahead, but .NET's classes, and runs as long as a hostile pattern wants. So
// this package parses the part that tokenizers use, and returns an error that names what it does not know. It
// supports classes, groups, alternatives, greedy, lazy and possessive repetition, (?i:...), lookahead, atomic
// groups, and the anchors ^ $ \A \z \b.

// opcode is what an instruction does. If it fails, the matcher returns to the last choice.
type opcode uint8

const (
	opChar   opcode = iota // one character of the set
	opStar                 // any number of characters of the set, as many as possible
	opSplit                // x, and if that fails y
	opJump                 // x
	opLook                 // the program up to opMatch matches here, or does not (negative); then x
	opAtomic               // the program up to opMatch, without going back into it; then x
	opMatch                // the end of the program, or of a lookahead or atomic group
	opLineStart
	opLineEnd
	opTextStart
	opTextEnd
	opWordBoundary
)

type inst struct {
	op         opcode
	set        *set
	x, y       int
	negative   bool
	possessive bool
}

// pattern is a compiled regular expression. It is immutable and safe for concurrent use.
type pattern struct{ code []inst }

// Limits of an expression: its length, its nesting depth, and its instructions (repetitions are written out).
const (
	maxPattern      = 1 << 14
	maxDepth        = 32
	maxInstructions = 1 << 14
	maxRepeat       = 1 << 10
)

func compile(expression string) (*pattern, error) {
	if len(expression) > maxPattern || !utf8.ValidString(expression) {
		return nil, fault("pattern %.80q, want UTF-8 of at most %d bytes", expression, maxPattern)
	}
	p := &parser{rest: expression}
	tree, err := p.alternatives(0)
	if err == nil && p.rest != "" {
		err = fault("a %q without its \"(\"", p.rest[:1])
	}
	c := &compiler{}
	if err == nil {
		err = c.emit(tree)
	}
	if err != nil {
		return nil, fault("pattern %.200q: %w", expression, err)
	}
	c.add(inst{op: opMatch})
	return &pattern{c.code}, nil
}

// nodeKind is a kind of node in the tree of an expression.
type nodeKind uint8

const (
	nodeSet nodeKind = iota
	nodeSequence
	nodeChoice
	nodeRepeat
	nodeLook
	nodeAtomic
	nodeAnchor
)

type node struct {
	kind       nodeKind
	set        *set
	parts      []*node
	min, max   int // of nodeRepeat; max < 0: no end
	lazy       bool
	possessive bool
	negative   bool
	anchor     opcode
}

// empty reports whether the node can match no character at all.
func (n *node) empty() bool {
	switch n.kind {
	case nodeSet:
		return false
	case nodeSequence:
		return !slices.ContainsFunc(n.parts, func(p *node) bool { return !p.empty() })
	case nodeChoice:
		return slices.ContainsFunc(n.parts, (*node).empty)
	case nodeRepeat:
		return n.min == 0 || n.parts[0].empty()
	case nodeAtomic:
		return n.parts[0].empty()
	}
	return true
}

// parser reads an expression by recursive descent.
type parser struct {
	rest string
	fold bool // (?i)
}

func (p *parser) eat(prefix string) bool {
	rest, ok := strings.CutPrefix(p.rest, prefix)
	p.rest = rest
	return ok
}

func (p *parser) alternatives(depth int) (*node, error) {
	if depth > maxDepth {
		return nil, fault("groups %d deep, want at most %d", depth, maxDepth)
	}
	choice := &node{kind: nodeChoice}
	for {
		part, err := p.sequence(depth)
		if err != nil {
			return nil, err
		}
		choice.parts = append(choice.parts, part)
		if !p.eat("|") {
			break
		}
	}
	if len(choice.parts) == 1 {
		return choice.parts[0], nil
	}
	return choice, nil
}

func (p *parser) sequence(depth int) (*node, error) {
	sequence := &node{kind: nodeSequence}
	for p.rest != "" && p.rest[0] != '|' && p.rest[0] != ')' {
		atom, err := p.atom(depth)
		if err != nil {
			return nil, err
		}
		if atom, err = p.repeated(atom); err != nil {
			return nil, err
		}
		sequence.parts = append(sequence.parts, atom)
	}
	return sequence, nil
}

// repeated reads the quantifiers after an atom.
func (p *parser) repeated(atom *node) (*node, error) {
	for {
		min, max, interval := 0, -1, false
		switch {
		case p.eat("*"):
		case p.eat("+"):
			min = 1
		case p.eat("?"):
			max = 1
		default:
			if min, max, interval = p.interval(); !interval {
				return atom, nil
			}
		}
		if atom.kind == nodeAnchor || atom.kind == nodeLook {
			return nil, fault("a repeated anchor or lookahead")
		}
		atom = &node{kind: nodeRepeat, parts: []*node{atom}, min: min, max: max}
		if interval {
			if p.rest != "" && p.rest[0] == '?' && min == max {
				return nil, fault("\"{%d}?\", which reads in two ways", min)
			}
			atom.lazy = p.eat("?")
			continue // in Oniguruma, "+" after an interval repeats it
		}
		atom.lazy = p.eat("?")
		atom.possessive = !atom.lazy && p.eat("+")
	}
}

// interval reads {n}, {n,}, {,m} or {n,m}; other braces are literal characters.
func (p *parser) interval() (min, max int, ok bool) {
	inside, ok := strings.CutPrefix(p.rest, "{")
	if !ok {
		return 0, 0, false
	}
	inside, after, ok := strings.Cut(inside, "}")
	low, high, two := strings.Cut(inside, ",")
	if !ok || low == "" && high == "" {
		return 0, 0, false
	}
	number := func(text string, absent int) int {
		if text == "" {
			return absent
		}
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			ok = false
		}
		return int(n)
	}
	min = number(low, 0)
	if max = min; two {
		max = number(high, -1)
	}
	if ok {
		p.rest = after
	}
	return min, max, ok
}

func (p *parser) atom(depth int) (*node, error) {
	switch {
	case p.rest[0] == '(':
		return p.group(depth)
	case p.rest[0] == '[':
		holds, err := p.class(depth)
		if err != nil {
			return nil, err
		}
		return &node{set: newSet(holds)}, nil
	case p.eat("."):
		return &node{set: newSet(func(r rune) bool { return r != '\n' })}, nil
	case p.eat("^"):
		return &node{kind: nodeAnchor, anchor: opLineStart}, nil
	case p.eat("$"):
		return &node{kind: nodeAnchor, anchor: opLineEnd}, nil
	case p.eat(`\A`):
		return &node{kind: nodeAnchor, anchor: opTextStart}, nil
	case p.eat(`\z`):
		return &node{kind: nodeAnchor, anchor: opTextEnd}, nil
	case p.eat(`\b`):
		return &node{kind: nodeAnchor, anchor: opWordBoundary}, nil
	case p.eat(`\B`):
		return &node{kind: nodeAnchor, anchor: opWordBoundary, negative: true}, nil
	case p.rest[0] == '\\':
		r, holds, err := p.escape()
		if err != nil {
			return nil, err
		}
		if holds == nil {
			holds = p.char(r)
		}
		return &node{set: newSet(holds)}, nil
	case strings.IndexByte("*+?", p.rest[0]) >= 0:
		return nil, fault("%q repeats nothing", p.rest[:1])
	}
	if _, _, ok := p.interval(); ok {
		return nil, fault("an interval repeats nothing")
	}
	r, width := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[width:]
	return &node{set: newSet(p.char(r))}, nil
}

// char matches one character and, under (?i), those that differ from it only in case: for k also the Kelvin
// sign, for s also U+017F.
func (p *parser) char(r rune) func(rune) bool {
	return p.folded(func(c rune) bool { return c == r })
}

func (p *parser) folded(holds func(rune) bool) func(rune) bool {
	if !p.fold {
		return holds
	}
	return func(r rune) bool {
		if holds(r) {
			return true
		}
		for other := unicode.SimpleFold(r); other != r; other = unicode.SimpleFold(other) {
			if holds(other) {
				return true
			}
		}
		return false
	}
}

func (p *parser) group(depth int) (*node, error) {
	n := &node{kind: nodeSequence}
	outside := p.fold
	switch {
	case p.eat("(?:"):
	case p.eat("(?i:"):
		p.fold = true
	case p.eat("(?-i:"):
		p.fold = false
	case p.eat("(?="):
		n.kind = nodeLook
	case p.eat("(?!"):
		n.kind, n.negative = nodeLook, true
	case p.eat("(?>"):
		n.kind = nodeAtomic
	case strings.HasPrefix(p.rest, "(?"):
		return nil,
			fault("the group %.6q, want (...), (?:...), (?i:...), (?=...), (?!...) or (?>...)", p.rest)
	default:
		p.eat("(")
	}
	inside, err := p.alternatives(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.eat(")") {
		return nil, fault("a \"(\" without its \")\"")
	}
	p.fold = outside
	n.parts = []*node{inside}
	return n, nil
}

// escape reads a backslash and what follows: a character, or a class of characters.
func (p *parser) escape() (rune, func(rune) bool, error) {
	p.eat(`\`)
	if p.rest == "" {
		return 0, nil, fault("a \"\\\\\" at the end")
	}
	r, width := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[width:]
	switch r {
	case 'n':
		return '\n', nil, nil
	case 'r':
		return '\r', nil, nil
	case 't':
		return '\t', nil, nil
	case 'f':
		return '\f', nil, nil
	case 'v':
		return '\v', nil, nil
	case 'a':
		return '\a', nil, nil
	case 'e':
		return 0x1b, nil, nil
	case 'x', 'u':
		c, err := p.hex(r)
		return c, nil, err
	case 's':
		return 0, isSpace, nil
	case 'S':
		return 0, not(isSpace), nil
	case 'd':
		return 0, isDigit, nil
	case 'D':
		return 0, not(isDigit), nil
	case 'w':
		return 0, isWord, nil
	case 'W':
		return 0, not(isWord), nil
	case 'p', 'P':
		holds, err := p.property(r == 'P')
		return 0, holds, err
	}
	if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
		return 0, nil, fault("the escape \"\\%c\"", r)
	}
	return r, nil, nil
}

// hex reads the digits of \xHH, \x{H...} or \uHHHH.
func (p *parser) hex(kind rune) (rune, error) {
	digits, after := "", ""
	if inside, ok := strings.CutPrefix(p.rest, "{"); ok && kind == 'x' {
		digits, after, _ = strings.Cut(inside, "}")
	} else if n := map[rune]int{'x': 2, 'u': 4}[kind]; len(p.rest) >= n {
		digits, after = p.rest[:n], p.rest[n:]
	}
	n, err := strconv.ParseUint(digits, 16, 31)
	if err != nil || n > unicode.MaxRune || kind == 'x' && len(digits) == 2 && n >= utf8.RuneSelf {
		return 0, fault("the escape \"\\%c%.12s\", want a character in hexadecimal digits", kind, p.rest)
	}
	p.rest = after
	return rune(n), nil
}

func (p *parser) property(negative bool) (func(rune) bool, error) {
	inside, ok := strings.CutPrefix(p.rest, "{")
	name, after, end := strings.Cut(inside, "}")
	if !ok || !end {
		return nil, fault("\\p%.20q, want \\p{NAME}", p.rest)
	}
	p.rest = after
	if rest, ok := strings.CutPrefix(name, "^"); ok {
		name, negative = rest, !negative
	}
	holds, ok := property(name)
	if !ok {
		return nil, fault("\\p{%.40s}, which is no general category and no script", name)
	}
	if negative {
		return not(holds), nil
	}
	return holds, nil
}

// class reads [...]: characters, ranges, escapes, nested classes, and && for intersections.
func (p *parser) class(depth int) (func(rune) bool, error) {
	if depth > maxDepth {
		return nil, fault("classes %d deep, want at most %d", depth, maxDepth)
	}
	p.eat("[")
	negative := p.eat("^")
	var all, items []func(rune) bool
	union := func() func(rune) bool {
		list := items
		return func(r rune) bool {
			for _, holds := range list {
				if holds(r) {
					return true
				}
			}
			return false
		}
	}
	for first := true; !p.eat("]"); first = false {
		switch {
		case p.rest == "":
			return nil, fault("a \"[\" without its \"]\"")
		case strings.HasPrefix(p.rest, "[:"):
			return nil, fault("the class %.12q, want \\p{...}", p.rest)
		case p.rest[0] == '[':
			holds, err := p.class(depth + 1)
			if err != nil {
				return nil, err
			}
			items = append(items, holds)
			continue
		case p.eat("&&"):
			all, items = append(all, union()), nil
			continue
		}
		low, holds, err := p.member()
		if err != nil {
			return nil, err
		}
		if holds != nil {
			items = append(items, holds)
			continue
		}
		high := low
		if len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] != ']' && !(low == '-' && first) {
			p.eat("-")
			if high, holds, err = p.member(); err != nil {
				return nil, err
			}
			if holds != nil || high < low || p.rest != "" && high == '[' {
				return nil, fault("the range from %q, want one to a later character", low)
			}
		}
		items = append(items, p.folded(func(r rune) bool { return low <= r && r <= high }))
	}
	all = append(all, union())
	holds := func(r rune) bool {
		for _, part := range all {
			if !part(r) {
				return false
			}
		}
		return true
	}
	if negative {
		return not(holds), nil
	}
	return holds, nil
}

// member reads a character or an escape inside [...].
func (p *parser) member() (rune, func(rune) bool, error) {
	if p.rest == "" {
		return 0, nil, fault("a \"[\" without its \"]\"")
	}
	if p.rest[0] == '\\' {
		if strings.HasPrefix(p.rest, `\b`) {
			return 0, nil, fault("the escape \"\\b\" in a class")
		}
		switch {
		case p.eat(`\w`):
			return 0, isClassWord, nil
		case p.eat(`\W`):
			return 0, not(isClassWord), nil
		}
		return p.escape()
	}
	r, width := utf8.DecodeRuneInString(p.rest)
	p.rest = p.rest[width:]
	return r, nil, nil
}
