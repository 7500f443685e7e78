package report

import (
	"math"
	"strconv"
	"strings"
)

// A stripChart draws a headline's number on a line: the value, its interval, and the band of random
// directions. Positions are those in a picture that is stripWidth wide.
type stripChart struct {
	Zero, Value          float64
	Low, Width           float64 // of the interval; Width 0: none
	NullLow, NullWidth   float64
	Ticks                []stripTick
	HasInterval, HasNull bool
}

type stripTick struct {
	At   float64
	Text string
}

// stripWidth is the width of the picture; stripEdge is the margin at its ends.
const (
	stripWidth = 320.0
	stripEdge  = 16.0
)

// strip arranges the line of a headline. If it is readable, all lines of a report have the same scale: from
// the smaller of 0 and the values to the larger of 100 % and the values.
func strip(h Headline) stripChart {
	low, high := math.Min(0, h.Percent), math.Max(100, h.Percent)
	for _, x := range []float64{h.Low, h.High, h.NullLow, h.NullHigh} {
		if known(x) {
			low, high = math.Min(low, x), math.Max(high, x)
		}
	}
	at := func(x float64) float64 {
		return math.Round(10*(stripEdge+(stripWidth-2*stripEdge)*(x-low)/(high-low))) / 10
	}
	s := stripChart{Zero: at(0), Value: at(h.Percent)}
	if known(h.Low) && known(h.High) {
		s.HasInterval, s.Low, s.Width = true, at(h.Low), math.Max(1, at(h.High)-at(h.Low))
	}
	if known(h.NullLow) && known(h.NullHigh) {
		s.HasNull, s.NullLow, s.NullWidth = true, at(h.NullLow), math.Max(1, at(h.NullHigh)-at(h.NullLow))
	}
	step := 50.0
	for (high-low)/step > 6 {
		step *= 2
	}
	for x := math.Ceil(low/step)*step + 0; x <= high; x += step { // + 0 turns -0 into 0
		s.Ticks = append(s.Ticks, stripTick{at(x), strings.Replace(strconv.FormatFloat(x, 'f', -1, 64), "-", "−", 1) + " %"})
	}
	return s
}
