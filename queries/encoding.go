package queries

import "strings"

// Encoding names the encoding of a text whose first bytes show that it is not UTF-8: UTF-16 or UTF-32, which
// editors of Windows write. Otherwise it returns "".
func Encoding(text string) string {
	for _, e := range []struct{ begins, name string }{
		{"\xff\xfe\x00\x00", "UTF-32"}, {"\x00\x00\xfe\xff", "UTF-32"}, {"\xff\xfe", "UTF-16"}, {"\xfe\xff", "UTF-16"},
	} {
		if strings.HasPrefix(text, e.begins) {
			return e.name
		}
	}
	// Without a mark, every second byte of an English text is zero.
	if len(text) >= 4 && (text[0] == 0) != (text[1] == 0) && text[0] == 0 == (text[2] == 0) &&
		text[1] == 0 == (text[3] == 0) {
		return "UTF-16"
	}
	return ""
}
