package queries

import "regexp"

// headLabel is how TransformerLens writes a head, and how head labels stand in a run file.
var headLabel = regexp.MustCompile(`^L([0-9]+)H([0-9]+)$`)

// HeadName is a text as figures show it: a head such as L10H7 is 10.7 there, anything else stays as it is.
func HeadName(s string) string {
	if len(s) < 4 || s[0] != 'L' {
		return s
	}
	return headLabel.ReplaceAllString(s, "$1.$2")
}
