package figure

import (
	"cmp"
	"math"
	"slices"

	"ducklens/queries"
)

// distributions sets the frames, the legend and the bins of a histogram from the rows.
func (f *Figure) distributions(t *table, c queries.Chart) error {
	if t.hide(f, c.Hide, c.Series); len(t.rows) == 0 {
		return t.nothingLeft()
	}
	values, err := t.numbers(c.X)
	if err != nil {
		return err
	}
	series, err := t.entries(c.Series)
	if err != nil {
		return err
	}
	series = byMean(series, values)
	n := c.Bins
	if n == 0 {
		n = usualBins(series, values)
	}
	f.Bins = bins(slices.Min(values), slices.Max(values), n)
	g, err := f.grid(t, c, Axis{Title: orElse(c.XTitle, c.X), Low: f.Bins.Low, High: f.Bins.Edge(f.Bins.N)}, Axis{})
	if err != nil {
		return err
	}
	f.Legend = legend(c, c.Series, series, t.whole().categories(c.Series))
	type at struct {
		panel  *Panel
		series int
	}
	lists := make(map[at][]float64)
	for i, x := range values {
		key := at{g.panel(i), series.of[i]}
		lists[key] = append(lists[key], x)
	}
	most := 0
	for panel := range f.panels() {
		for k := range series.names {
			if list := lists[at{panel, k}]; list != nil {
				d := f.Bins.distribution(k, list)
				most = max(most, slices.Max(d.Counts))
				panel.Distributions = append(panel.Distributions, d)
			}
		}
	}
	for panel := range f.panels() {
		panel.Y = Axis{Title: orElse(c.YTitle, "count"), High: float64(most)}
	}
	return nil
}

// byMean sorts series by descending mean; equal ones stay in order.
func byMean(p places, values []float64) places {
	mean, n := make([]float64, len(p.names)), make([]float64, len(p.names))
	for i, k := range p.of {
		n[k]++
		mean[k] += (values[i] - mean[k]) / n[k]
	}
	order := make([]int, len(p.names))
	for k := range order {
		order[k] = k
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(mean[b], mean[a]) })
	sorted := places{names: make([]string, len(p.names)), of: make([]int, len(p.of))}
	place := make([]int, len(order))
	for to, from := range order {
		sorted.names[to], place[from] = p.names[from], to
	}
	for i, k := range p.of {
		sorted.of[i] = place[k]
	}
	return sorted
}

// usualBins returns a suitable number of bins for values. The width follows Freedman and Diaconis (1981):
// twice the interquartile range divided by the cube root of the number of values, for the median series. The
// number is limited.
func usualBins(p places, values []float64) int {
	lists := make([][]float64, len(p.names))
	for i, k := range p.of {
		lists[k] = append(lists[k], values[i])
	}
	var widths []float64
	for _, list := range lists {
		slices.Sort(list)
		b := box(list)
		widths = append(widths, 2*(b.Q3-b.Q1)/math.Cbrt(float64(len(list))))
	}
	slices.Sort(widths)
	spread := slices.Max(values) - slices.Min(values)
	n := spread / widths[len(widths)/2] // NaN or infinite if a width is zero
	if !(n < mostBins) {
		return mostBins
	}
	return max(leastBins, int(n))
}

// Limits of the number of bins if the header does not set it.
const (
	leastBins = 10
	mostBins  = 80
)

// bins covers low to high with about n bins with round edges: multiples of 1, 2 or 5 times a power of ten.
func bins(low, high float64, n int) Bins {
	spread := high - low
	if spread < 1e-9*max(math.Abs(low), math.Abs(high), minLimit) {
		spread = max(math.Abs(low), math.Abs(high)) // one value: one bin, with some margin
		if spread < minLimit {
			spread = 1
		}
		width := spread / 10
		return Bins{Low: (low+high)/2 - width/2, Width: width, N: 1}
	}
	width := roundStep(spread / float64(n))
	first := math.Floor(low/width + 1e-9)
	count := int(math.Ceil(high/width-1e-9) - first)
	return Bins{Low: first * width, Width: width, N: max(count, 1)}
}

// roundStep returns the step of 1, 2 or 5 times a power of ten that is nearest to x by ratio.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	best := power
	for _, m := range []float64{2, 5, 10} {
		if math.Abs(math.Log(m*power/x)) < math.Abs(math.Log(best/x)) {
			best = m * power
		}
	}
	return best
}

// index returns the bin of x.
func (b Bins) index(x float64) int {
	return min(max(int(math.Floor((x-b.Low)/b.Width+1e-9)), 0), b.N-1)
}

// distribution counts and summarises values, which must not be empty.
func (b Bins) distribution(series int, values []float64) Distribution {
	d := Distribution{Series: series, Values: values, Counts: make([]int, b.N), Error: math.NaN()}
	squares := 0.0 // about the mean (Welford 1962)
	for i, x := range values {
		d.Counts[b.index(x)]++
		delta := x - d.Mean
		d.Mean += delta / float64(i+1)
		squares += delta * (x - d.Mean)
	}
	if n := float64(len(values)); n > 1 {
		d.Error = math.Sqrt(squares / (n - 1) / n)
	}
	sorted := slices.Sorted(slices.Values(values))
	d.Box = box(sorted)
	return d
}

// box summarises values in ascending order.
func box(sorted []float64) Box {
	quantile := func(p float64) float64 {
		at := p * float64(len(sorted)-1)
		i := int(at)
		if i+1 == len(sorted) {
			return sorted[i]
		}
		return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
	}
	b := Box{Q1: quantile(0.25), Median: quantile(0.5), Q3: quantile(0.75)}
	fence := 1.5 * (b.Q3 - b.Q1)
	from, _ := slices.BinarySearch(sorted, b.Q1-fence)
	to := from
	for to < len(sorted) && sorted[to] <= b.Q3+fence {
		to++
	}
	b.Low, b.High = min(sorted[from], b.Q1), max(sorted[to-1], b.Q3)
	b.Outliers = slices.Concat(sorted[:from], sorted[to:])
	return b
}
