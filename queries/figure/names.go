package figure

import (
	"regexp"
	"slices"
	"strconv"

	"gonum.org/v1/plot/vg"
)

// lastNumber is the number at the end of a name such as 12 or H12.
var lastNumber = regexp.MustCompile(`^[A-Za-z]?([0-9]{1,6})$`)

// spread chooses which names along an axis are printed, for names at a distance of pitch and with at least
// gap between two: all if they have room, otherwise words such as MLP and, of numbers, the multiples of a
// round step, such as H0, H4, H8.
func spread(names []string, pitch, gap vg.Length) []int {
	for _, step := range []int{1, 2, 4, 5, 8, 10, 16, 20, 50, 100, 200, 500, 1000} {
		if vg.Length(step)*pitch >= gap {
			return multiples(names, step, pitch, gap)
		}
	}
	return nil
}

// multiples chooses the words, and those numbers that are multiples of a step and have room between the
// words.
func multiples(names []string, step int, pitch, gap vg.Length) []int {
	var words, numbers []int
	for i, name := range names {
		m := lastNumber.FindStringSubmatch(name)
		switch {
		case name == "":
		case m == nil:
			words = append(words, i)
		default:
			if n, err := strconv.Atoi(m[1]); err == nil && n%step == 0 {
				numbers = append(numbers, i)
			}
		}
	}
	place := func(i int) (mid, length vg.Length) { return vg.Length(i) * pitch, 0 }
	kept := spaced(append(words, numbers...), gap, place)
	slices.Sort(kept)
	return kept
}
