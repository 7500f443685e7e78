package tokenizer

import "strings"

// GPT-2's files spell every byte as a printable character (openai/gpt-2:src/encoder.py, bytes_to_unicode):
// the printable characters of Latin-1 stand for themselves, and the other bytes are, in order, U+0100 and up.
var printable, ofRune = printableTables()

// printableTables returns the character of every byte, and the byte of every character or -1.
func printableTables() (spelt [256]rune, bytes [0x100 + 68]int16) {
	for r := range bytes {
		bytes[r] = -1
	}
	hidden := rune(0x100)
	for b := range spelt {
		r := rune(b)
		if !('!' <= r && r <= '~' || 0xa1 <= r && r <= 0xac || 0xae <= r && r <= 0xff) {
			r = hidden
			hidden++
		}
		spelt[b], bytes[r] = r, int16(b)
	}
	return spelt, bytes
}

// fromPrintable returns the bytes that s spells, if each of its characters spells one.
func fromPrintable(s string) (string, bool) {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if int(r) >= len(ofRune) || ofRune[r] < 0 {
			return "", false
		}
		b = append(b, byte(ofRune[r]))
	}
	return string(b), true
}

// unprintable reads printable characters as bytes. A token with other characters stands for itself.
func unprintable(token string) string {
	if bytes, ok := fromPrintable(token); ok {
		return bytes
	}
	return token
}

// Printable spells the bytes of a token as vocab.json and merges.txt do: " Mary" is "ĠMary".
func Printable(token string) string {
	var b strings.Builder
	for i := range len(token) {
		b.WriteRune(printable[token[i]])
	}
	return b.String()
}
