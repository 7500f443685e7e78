package schematest

import (
	"fmt"
	"math"
	"strings"

	"ducklens/schema"
)

// component returns the component_id in the file.
func (w *writer) component(c int) int { return w.components[c] }

// factorsOf returns the factors of a side of a head, and those at the baseline.
func factorsOf(h *schema.HeadResult, side schema.Side) (own, baseline *schema.Factors) {
	for i := range h.Factors {
		switch f := &h.Factors[i]; {
		case f.Side != side:
		case f.AtBaseline:
			baseline = f
		default:
			own = f
		}
	}
	return own, baseline
}

func (w *writer) queryFactors(r schema.Result, add func(...any) error) error {
	for i := range r.Heads {
		f, _ := factorsOf(&r.Heads[i], schema.Query)
		if f == nil {
			continue
		}
		for c, component := range f.Components {
			if err := add(r.Example.Index, w.headID(r.Heads[i].Head), w.component(component),
				row(f, c)); err != nil {
				return err
			}
		}
	}
	return nil
}

func row(f *schema.Factors, i int) []float32 { return f.Vectors[i*f.DHead : (i+1)*f.DHead] }

func (w *writer) keyFactors(r schema.Result, add func(...any) error) error {
	for i := range r.Heads {
		f, b := factorsOf(&r.Heads[i], schema.Key)
		if f == nil {
			continue
		}
		for c, component := range f.Components {
			var baseline any
			if b != nil {
				baseline = row(b, c)
			}
			if err := add(r.Example.Index, w.headID(r.Heads[i].Head), w.component(component), row(f, c),
				baseline); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) queryAxes(r schema.Result, add func(...any) error) error {
	for i := range r.Heads {
		f, _ := factorsOf(&r.Heads[i], schema.Query)
		if f == nil {
			continue
		}
		for _, a := range f.Axes {
			if err := add(r.Example.Index, w.headID(r.Heads[i].Head), a.Basis, a.Number,
				a.Image); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) keyAxes(r schema.Result, add func(...any) error) error {
	for i := range r.Heads {
		f, b := factorsOf(&r.Heads[i], schema.Key)
		if f == nil {
			continue
		}
		for n, a := range f.Axes {
			var baseline any
			if b != nil {
				baseline = b.Axes[n].Image
			}
			if err := add(r.Example.Index, w.headID(r.Heads[i].Head), a.Basis, a.Number, a.Image,
				baseline); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) queryCoordinates(r schema.Result, add func(...any) error) error {
	return w.coordinates(r, schema.Query, func(h *schema.HeadResult, c int, a schema.Axis, own, _ float32) error {
		return add(r.Example.Index, w.headID(h.Head), w.component(c), a.Basis, a.Number, own)
	})
}

func (w *writer) keyCoordinates(r schema.Result, add func(...any) error) error {
	return w.coordinates(r, schema.Key, func(h *schema.HeadResult, c int, a schema.Axis, own, baseline float32) error {
		return add(r.Example.Index, w.headID(h.Head), w.component(c), a.Basis, a.Number, own, baseline)
	})
}

// coordinates goes over the coordinates of a side, axis by axis; baseline is NaN if there is none.
func (w *writer) coordinates(r schema.Result, side schema.Side,
	each func(h *schema.HeadResult, component int, a schema.Axis, own, baseline float32) error) error {
	for i := range r.Heads {
		f, b := factorsOf(&r.Heads[i], side)
		if f == nil {
			continue
		}
		for n, a := range f.Axes {
			for c, component := range f.Components {
				baseline := float32(math.NaN())
				if b != nil {
					baseline = b.Coordinates[c*len(f.Axes)+n]
				}
				if err := each(&r.Heads[i], component, a, f.Coordinates[c*len(f.Axes)+n],
					baseline); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *writer) logits(r schema.Result, add func(...any) error) error {
	l := r.Logits
	if l == nil {
		return nil
	}
	if err := add(r.Example.Index, "key", r.Example.Tokens[r.Example.Key].ID, l.Key, l.KeyBias, float32(1),
		l.Closure); err != nil || r.Example.Baseline == schema.NoPosition {
		return err
	}
	return add(r.Example.Index, "baseline", r.Example.Tokens[r.Example.Baseline].ID, l.Baseline,
		l.BaselineBias, float32(1), l.Closure)
}

func (w *writer) logitEffects(r schema.Result, add func(...any) error) error {
	if r.Logits == nil {
		return nil
	}
	for _, e := range r.Logits.Effects {
		if err := add(r.Example.Index, w.component(e.Component), "key", e.Key); err != nil {
			return err
		}
		if r.Example.Baseline == schema.NoPosition {
			continue
		}
		if err := add(r.Example.Index, w.component(e.Component), "baseline", e.Baseline); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) pairs(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, t := range h.Pairs {
			for i, s := range t.Score {
				row := []any{r.Example.Index, w.headID(h.Head),
					w.component(t.QueryComponents[i/len(t.KeyComponents)]),
					w.component(t.KeyComponents[i%len(t.KeyComponents)]), t.QueryBasis, t.KeyBasis, s[0],
					s[1], s[2], s[3], nil, nil, nil, nil}
				if t.Baseline != nil {
					for q, x := range t.Baseline[i] {
						row[10+q] = x
					}
				}
				if err := add(row...); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (w *writer) substitutions(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, s := range h.Substitutions {
			if err := add(r.Example.Index, w.headID(h.Head), s.Side.String(), s.Vector, s.Score, s.Baseline,
				s.Prob, s.DiffProb); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) projections(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, p := range h.Projections {
			measure := schema.AtKey
			if p.Diff {
				measure = schema.LessBaseline
			}
			if err := add(r.Example.Index, w.headID(h.Head), p.Side.String(), p.Vector, p.Basis,
				measure.String(), p.ParNorm, p.PerpNorm, p.ParCos, p.PerpCos); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *writer) cosines(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, c := range h.Cosines {
			if err := add(r.Example.Index, c.Side.String(), c.VectorA, c.VectorB, c.Basis, c.ParCos,
				c.PerpCos); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairMeans averages the stored pairs or, without them, the products of the stored factors, in SQL.
func (w *writer) pairMeans() error {
	if !w.run.PairMeans {
		return nil
	}
	source := "pair_wide"
	if w.run.Pairs {
		source = "pair_contribution_wide"
	}
	var fields []string
	for _, of := range []string{"score", "diff"} {
		for _, form := range []string{"avg(%s)", "stddev_samp(%s) / sqrt(count(%[1]s))"} {
			for _, q := range schema.Quadrants() {
				fields = append(fields, fmt.Sprintf(form, of+"_"+q.String()))
			}
		}
	}
	var bases []string
	for _, b := range PairBases(w.run) {
		bases = append(bases, fmt.Sprintf("(query_basis_id = %d AND key_basis_id = %d)", b[0], b[1]))
	}
	_, err := w.exec(`INSERT INTO pair_mean_wide SELECT run_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id,
		count(score_perp_perp), count(diff_perp_perp), `+strings.Join(fields, ", ")+" FROM "+source+` WHERE run_id = ? AND (`+strings.Join(bases, " OR ")+`)
		GROUP BY run_id, head_id, query_component_id, key_component_id, query_basis_id, key_basis_id
		ORDER BY head_id, query_basis_id, key_basis_id, query_component_id, key_component_id`, w.runID)
	return err
}

// addNearest adds the two nearest tokens of each vector. The key's token is the nearest of vectors of every
// third example, and has place 30 otherwise. Projections along unembed get its cosine.
func addNearest(run schema.Run, r *schema.Result) {
	x := &r.Example
	for i := range r.Heads {
		h := &r.Heads[i]
		add := func(side schema.Side, vector string) {
			top := float32(0.9) / float32(2+len(h.Nearest)%7)
			place := func(rank, id int, text string, cosine float32) {
				h.Nearest = append(h.Nearest, schema.NearestToken{Side: side, Vector: vector, Rank: rank,
					Token: schema.Token{ID: id, Text: text}, Cosine: cosine})
			}
			key, baseline := x.Tokens[x.Key], x.Tokens[x.Baseline]
			other := 100 + (x.Index+len(h.Nearest))%5
			if x.Index%3 == 0 {
				place(1, key.ID, key.Text, top)
			} else {
				place(1, other, fmt.Sprintf(" word%d", other), top)
			}
			place(2, other+10, fmt.Sprintf(" word%d", other+10), top/2)
			if x.Index%3 != 0 {
				place(30, key.ID, key.Text, top/4)
			}
			place(40, baseline.ID, baseline.Text, -top)
			for j := range h.Projections {
				p := &h.Projections[j]
				if vector == "map" && side == schema.Query && p.Diff && p.Side == side &&
					run.Bases[p.Basis].Name == "unembed" {
					if p.ParCos = top; x.Index%3 != 0 {
						p.ParCos = -top / 4
					}
				}
			}
		}
		add(schema.Query, "map")
		for _, m := range run.Movers {
			add(schema.Query, m.String())
		}
		add(schema.Query, "random")
		add(schema.Key, "map")
		add(schema.Key, "random")
	}
}

func (w *writer) nearest(r schema.Result, add func(...any) error) error {
	for _, h := range r.Heads {
		for _, n := range h.Nearest {
			if err := add(r.Example.Index, w.headID(h.Head), n.Side.String(), n.Vector, n.Rank, n.Token.ID,
				n.Token.Text, n.Cosine); err != nil {
				return err
			}
		}
	}
	return nil
}
