package tokenizer

// MergeBothWays merges the bytes of a piece of at most 64 bytes in both ways.
func (t *Tokenizer) MergeBothWays(piece string) (short, long []uint32) {
	for i := range len(piece) {
		short = append(short, t.ofByte[piece[i]])
	}
	long = append(long, short...)
	return short[:t.pairs.mergeShort(short)], long[:t.pairs.mergeLong(long)]
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
