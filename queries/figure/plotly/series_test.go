package plotly

import "testing"

// No two of the styles that a legend may have look the same.
func TestPatterns(t *testing.T) {
	t.Parallel()
	seen := map[[2]string]int{}
	for i := range 24 {
		look := [2]string{cycled(colors, i), pattern(i)}
		if other, ok := seen[look]; ok {
			t.Errorf("styles %d and %d are both %v", other, i, look)
		}
		seen[look] = i
	}
}
