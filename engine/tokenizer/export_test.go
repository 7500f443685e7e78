package tokenizer

// MergeBothWays merges the bytes of a piece of at most 64 bytes in both ways.
func (t *Tokenizer) MergeBothWays(piece string) (short, long []uint32) {
	short = t.model.bytes(nil, piece)
	long = append(long, short...)
	return short[:t.model.pairs.mergeShort(short)], long[:t.model.pairs.mergeLong(long)]
}

// Pieces splits text by GPT-2's pattern.
func Pieces(text string) []string {
	var list []string
	for len(text) > 0 {
		n := pieceLen(text)
		list = append(list, text[:n])
		text = text[n:]
	}
	return list
}

// Matches lists the matches of an expression in text.
func Matches(expression, text string) ([][2]int, error) {
	p, err := compile(expression)
	if err != nil {
		return nil, err
	}
	var list [][2]int
	p.all(text, func(start, end int) { list = append(list, [2]int{start, end}) })
	return list, nil
}
