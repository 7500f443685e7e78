package tokenizer

// Nodes may make a text longer: a byte becomes two in GPT-2's printable characters, and a blank the three bytes of
// U+2581. A hostile file could make terabytes of a word. So what a node makes of one text is at most maxGrowth times
// as long, and growthSpare, which is for short texts of characters that NFKC makes eleven times as long. The tokens
// of a vocabulary grow by growthSpare at most, altogether: decoders shorten them.
const (
	maxGrowth   = 4
	growthSpare = 1 << 20
)

// step is a rewriter with the type of its node.
type step struct {
	name    string
	rewrite rewriter
}

// limit counts the bytes that each of several nodes makes.
type limit struct {
	of, most int // bytes of the text, and what a node may make of them
	made     []int
}

// newLimit is for a text of so many bytes.
func newLimit(bytes, nodes int) *limit {
	return &limit{of: bytes, most: maxGrowth*bytes + growthSpare, made: make([]int, nodes)}
}

// take counts bytes for node i, the one with index at among its kind.
func (l *limit) take(i, bytes int, kind string, at int, name string) error {
	if l.made[i] += bytes; l.made[i] > l.most {
		return fault("%s %d, %s, makes more than %d bytes of %d", kind, at, name, l.most, l.of)
	}
	return nil
}

// rewrite sends a text through steps, the first nodes of the limit.
func rewrite(kind string, steps []step, text string, l *limit) (string, error) {
	for i, s := range steps {
		text = s.rewrite(text, l.most-l.made[i])
		if err := l.take(i, len(text), kind, i, s.name); err != nil {
			return "", err
		}
	}
	return text, nil
}
