package moment

import "math"

// Shares are the shares of the stored quantiles.
var Shares = [...]float64{0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1}

// Row is a row of table contribution_moment without its keys: the moments of scores and, for examples with a
// baseline, of baselines and differences.
type Row struct {
	Score, Baseline, Diff Moments
}

// NewRow returns a row of no examples. With quantiles, it stores those of scores and differences.
func NewRow(quantiles bool) Row {
	if !quantiles {
		return Row{}
	}
	return Row{Score: WithQuantiles(), Diff: WithQuantiles()}
}

// Add adds the numbers of an example. baseline and diff are NaN if it has no baseline.
func (r *Row) Add(score, baseline, diff float64) error {
	err := r.Score.Add(score)
	if err == nil && !math.IsNaN(baseline) {
		if err = r.Baseline.Add(baseline); err == nil {
			err = r.Diff.Add(diff)
		}
	}
	return err
}

// Merge adds the examples of o.
func (r *Row) Merge(o *Row) {
	r.Score.Merge(&o.Score)
	r.Baseline.Merge(&o.Baseline)
	r.Diff.Merge(&o.Diff)
}

// State returns the value of the column state.
func (r *Row) State() []byte { return r.Diff.AppendTo(r.Baseline.AppendTo(r.Score.AppendTo(nil))) }

// ParseRow is the inverse of [Row.State].
func ParseRow(state []byte) (r Row, err error) {
	for _, m := range []*Moments{&r.Score, &r.Baseline, &r.Diff} {
		if state, err = m.Parse(state); err != nil {
			return Row{}, err
		}
	}
	if len(state) > 0 || r.Baseline.n != r.Diff.n || r.Diff.n > r.Score.n {
		return Row{}, errState
	}
	return r, nil
}

// Table receives the values of a row one after the other, like an appender of package dbfile.
type Table interface {
	PutInt32(...int32)
	PutFloat64(float64)
	PutFloats([]float32)
	PutBytes([]byte)
	PutNull()
}

// Put puts the columns of a row of contribution_moment that follow the keys, from n on.
func (r *Row) Put(table Table) {
	number := func(x float64) {
		if math.IsNaN(x) {
			table.PutNull()
		} else {
			table.PutFloat64(x)
		}
	}
	quantiles := func(m *Moments) {
		if m.n == 0 || m.counts == nil {
			table.PutNull()
			return
		}
		list := make([]float32, len(Shares))
		for i, share := range Shares {
			list[i] = m.Quantile(share)
		}
		table.PutFloats(list)
	}
	table.PutInt32(int32(r.Score.n))
	number(r.Score.Mean())
	number(r.Score.Variance())
	quantiles(&r.Score)
	table.PutInt32(int32(r.Baseline.n))
	number(r.Baseline.Mean())
	number(r.Baseline.Variance())
	number(r.Diff.Mean())
	number(r.Diff.Variance())
	quantiles(&r.Diff)
	table.PutBytes(r.State())
}
