package tokenizer

// Nodes may make a text longer: a byte becomes two bytes in GPT-2's printable characters, and a blank the
// three bytes of U+2581. A hostile file could turn a word into terabytes. So a node's result may be at most
// maxGrowth times as long as the text, plus growthSpare, which allows for short texts of characters that NFKC
// makes eleven times as long. The tokens of a vocabulary may grow by growthSpare in total, because decoders
// shorten them.
const (
	maxGrowth   = 4
	growthSpare = 1 << 20
)

// step is a rewriter and the type of its node.
type step struct {
	name    string
	rewrite rewriter
}

// limit counts the bytes that each of several nodes produces.
type limit struct {
	of, most int // bytes of the text, and the maximum for one node
	made     []int
}

// newLimit returns the limit for a text of bytes bytes.
func newLimit(bytes, nodes int) *limit {
	return &limit{of: bytes, most: maxGrowth*bytes + growthSpare, made: make([]int, nodes)}
}

// take adds bytes to the count of node i, which has index at among nodes of its kind.
func (l *limit) take(i, bytes int, kind string, at int, name string) error {
	if l.made[i] += bytes; l.made[i] > l.most {
		return fault("%s %d, %s, makes more than %d bytes of %d", kind, at, name, l.most, l.of)
	}
	return nil
}

// rewrite passes a text through steps, which are the first nodes of the limit.
func rewrite(kind string, steps []step, text string, l *limit) (string, error) {
	for i, s := range steps {
		text = s.rewrite(text, l.most-l.made[i])
		if err := l.take(i, len(text), kind, i, s.name); err != nil {
			return "", err
		}
	}
	return text, nil
}
