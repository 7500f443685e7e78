package tokenizer

import "unicode/utf8"

// matcher runs a pattern over one text. On failure it returns to the last choice.
type matcher struct {
	code []inst
	text string
	// choices not yet tried, the last one first. A choice with back < at stands for all positions from at
	// down to back.
	choices []choice
	steps   int

	// After many steps, failed remembers every state (instruction and position) that has failed. What a state
	// leads to does not depend on where the match began, so it would fail again. The time for a text then
	// grows as its length times that of the program, apart from what lookaheads and atomic groups match
	// repeatedly. trying has the states that may still succeed.
	failed []uint64
	trying []trial
}

type choice struct{ pc, at, back int }

type trial struct{ pc, at, depth int }

// plainSteps is the number of steps per byte that a match may take before failures are remembered; published
// patterns take 20. maxStates bounds the memory for them, in bits.
const (
	plainSteps = 64
	maxStates  = 1 << 31
)

// all calls found with the start and end of every match in text, from left to right. A match may be empty,
// but not at the end of the match before it. This is how the reference iterates over Oniguruma's matches.
func (p *pattern) all(text string, found func(start, end int)) {
	m := matcher{code: p.code, text: text}
	last := -1
	for at := 0; at <= len(text); {
		end := m.run(0, at)
		if end < 0 || end == at && at == last {
			_, width := utf8.DecodeRuneInString(text[at:])
			at += max(width, 1)
			continue
		}
		found(at, end)
		at, last = end, end
	}
}

// run returns the end of the match of the program at pc that begins at a position, or -1.
func (m *matcher) run(pc, at int) int {
	bottom, trials := len(m.choices), len(m.trying)
	for {
		m.steps++
		if m.failed == nil && m.steps > plainSteps*(len(m.text)+64) {
			m.remember()
		}
		ok := true
		switch i := &m.code[pc]; i.op {
		case opChar:
			width := i.set.first(m.text[at:])
			at, pc, ok = at+width, pc+1, width > 0
		case opStar:
			at, pc, ok = m.star(i, pc, at)
		case opSplit:
			if ok = m.try(pc, at); ok {
				m.choices = append(m.choices, choice{i.y, at, at})
				pc = i.x
			}
		case opJump:
			pc = i.x
		case opLook:
			ok = (m.run(pc+1, at) >= 0) != i.negative
			pc = i.x
		case opAtomic:
			end := m.run(pc+1, at)
			at, pc, ok = end, i.x, end >= 0
		case opMatch:
			m.choices, m.trying = m.choices[:bottom], m.trying[:trials]
			return at
		default:
			ok = m.anchored(i.op, at) != i.negative
			pc++
		}
		if ok {
			continue
		}
		if pc, at, ok = m.back(bottom, trials); !ok {
			return -1
		}
	}
}

// remember allocates the memory for failures, unless it would be too much.
func (m *matcher) remember() {
	if states := len(m.code) * (len(m.text) + 1); states < maxStates {
		m.failed = make([]uint64, (states+63)/64)
	}
}

// star consumes characters of the set: all at once or, if failures are remembered, one by one, because every
// position is a state.
func (m *matcher) star(i *inst, pc, at int) (end, next int, ok bool) {
	start := at
	for {
		if m.failed != nil {
			if !m.try(pc, at) {
				return at, pc, false
			}
			if !i.possessive {
				m.choices = append(m.choices, choice{pc + 1, at, at})
			}
		}
		width := i.set.first(m.text[at:])
		if width == 0 {
			break
		}
		at += width
		m.steps++
	}
	if m.failed == nil && !i.possessive && at > start {
		m.choices = append(m.choices, choice{pc + 1, before(m.text, at), start})
	}
	if m.failed != nil && !i.possessive {
		m.choices = m.choices[:len(m.choices)-1] // it is being tried now
	}
	return at, pc + 1, true
}

// before returns the start of the character that ends at a position.
func before(text string, at int) int {
	_, width := utf8.DecodeLastRuneInString(text[:at])
	return at - width
}

// back takes the last choice above bottom. The states of m.trying from index trials on that have no other
// choice left have failed.
func (m *matcher) back(bottom, trials int) (pc, at int, ok bool) {
	n := len(m.choices)
	for k := len(m.trying); k > trials && m.trying[k-1].depth >= n; k-- {
		t := m.trying[k-1]
		bit := t.pc*(len(m.text)+1) + t.at
		m.failed[bit/64] |= 1 << (bit % 64)
		m.trying = m.trying[:k-1]
	}
	if n == bottom {
		return 0, 0, false
	}
	c := &m.choices[n-1]
	pc, at = c.pc, c.at
	if c.at > c.back {
		c.at = before(m.text, c.at)
	} else {
		m.choices = m.choices[:n-1]
	}
	return pc, at, true
}

// try enters a state, unless it has failed before.
func (m *matcher) try(pc, at int) bool {
	if m.failed == nil {
		return true
	}
	if bit := pc*(len(m.text)+1) + at; m.failed[bit/64]&(1<<(bit%64)) != 0 {
		return false
	}
	m.trying = append(m.trying, trial{pc, at, len(m.choices)})
	return true
}

func (m *matcher) anchored(op opcode, at int) bool {
	switch op {
	case opTextStart:
		return at == 0
	case opTextEnd:
		return at == len(m.text)
	case opLineStart:
		return at == 0 || m.text[at-1] == '\n' && at < len(m.text)
	case opLineEnd:
		return at == len(m.text) || m.text[at] == '\n'
	}
	word := func(r rune, width int) bool { return width > 0 && isWord(r) }
	return word(utf8.DecodeLastRuneInString(m.text[:at])) != word(utf8.DecodeRuneInString(m.text[at:]))
}
