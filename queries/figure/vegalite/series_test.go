package vegalite

import "testing"

// No two of the styles that a legend may have look the same.
func TestStyled(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for i := range 24 {
		if other, ok := seen[styled(i)]; ok {
			t.Errorf("styles %d and %d are both %s", other, i, styled(i))
		}
		seen[styled(i)] = i
	}
}
