package queries

import "regexp"

// headLabel matches TransformerLens's label of a head, which run files use.
var headLabel = regexp.MustCompile(`^L([0-9]+)H([0-9]+)$`)

// HeadName returns a text as figures show it: the head L10H7 becomes 10.7, and any other text is unchanged.
func HeadName(s string) string {
	if len(s) < 4 || s[0] != 'L' {
		return s
	}
	return headLabel.ReplaceAllString(s, "$1.$2")
}
