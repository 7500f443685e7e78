package decompose_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"testing"

	"ducklens/engine/decompose"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// The notebook convention has the published code's quirks. Each test here shows one at work on the reference
// models, by the size that the reference data gives for it: the largest effect over the prompts, to three
// digits.

// quirkFolder is a reference folder with its model's number among the sizes of a quirk.
type quirkFolder struct {
	dir    string
	number int // 0 is m1, 1 is m2
}

func quirkFolders(t *testing.T, run func(t *testing.T, f quirkFolder)) {
	t.Run("m2", func(t *testing.T) { run(t, quirkFolder{refdata.M2(t), 1}) })
	t.Run("full/m1", func(t *testing.T) { run(t, quirkFolder{refdata.Goldens(t, "m1"), 0}) })
}

func (f quirkFolder) load(t *testing.T) reference[float64] {
	t.Helper()
	head := targets(t, f.dir).Head
	return load[float64](t, f.dir, schema.Head{Layer: head[0], Index: head[1]})
}

// size compares a largest effect with three published digits.
func (f quirkFolder) size(t *testing.T, what string, got float64, want [2]float64) {
	t.Helper()
	t.Logf("%s: %.4g, published %g", what, got, want[f.number])
	// Half a unit of the third digit is at most 0.5 percent.
	if d := math.Abs(got - want[f.number]); !(d <= 0.006*want[f.number]) {
		t.Errorf("%s: largest effect %.4g, want %g", what, got, want[f.number])
	}
}

// quirkCall is a call of the one-sided decomposition.
func quirkCall(side, query, key string, subtract bool, part ...string) call {
	c := call{DecomposeBy: side, Subtract: subtract, Part: part}
	if query != "" {
		c.InterveneOnQuery = &query
	}
	if key != "" {
		c.InterveneOnKey = &key
	}
	return c
}

func sumOf(list []float64) float64 {
	total := 0.0
	for _, v := range list {
		total += v
	}
	return total
}

// The parts of the published cells miss the score by what the attention output biases add.
func TestQuirkAttentionBiasesAreInNoCell(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		r := f.load(t)
		outs := r.outputs(t, schema.Notebook)
		exact := r.outputs(t, schema.Exact)
		for _, c := range []struct {
			side     string
			subtract bool
			want     [2]float64
		}{
			{"keys", false, [2]float64{1.36, 0.789}}, {"keys", true, [2]float64{0.261, 0.143}},
			{"queries", false, [2]float64{2.26, 1.66}}, {"queries", true, [2]float64{1.73, 2.14}},
		} {
			call := quirkCall(c.side, "", "", c.subtract)
			largest, left := 0.0, 0.0
			for i, out := range outs {
				score := float64(r.inputs[i].Key.Score)
				if c.subtract {
					score -= float64(r.inputs[i].Baseline.Score)
				}
				largest = max(largest, math.Abs(score-sumOf(call.share(call.table(t, out)))))
				left = max(left, math.Abs(score-sumOf(call.share(call.table(t, exact[i])))))
			}
			f.size(t, fmt.Sprintf("%s, subtracted %t", c.side, c.subtract), largest, c.want)
			if left > 1e-12 {
				t.Errorf("exact: %g is left", left)
			}
		}
	})
}

// A fixed side that is projected is built with the sample standard deviation, so its parts do not add up to
// the model's vector.
func TestQuirkUnbiasedVarianceOfTheFixedSide(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		r := f.load(t)
		for _, c := range []struct {
			side, query, key string
			subtract         bool
			want             [2]float64
		}{
			{"keys", "project", "", false, [2]float64{0.2, 0.147}}, {"keys", "project", "", true, [2]float64{0.0551, 0.107}},
			{"queries", "", "project", false, [2]float64{0.0814, 0.097}}, {"queries", "", "project", true, [2]float64{0.0777, 0.124}},
		} {
			whole, split := quirkCall(c.side, "", "", c.subtract), quirkCall(c.side, c.query, c.key, c.subtract)
			changed, exactly := 0.0, 0.0
			for i, in := range r.inputs {
				// With the b_O rows put back, cells add up to the score of the fixed side in use.
				in.Components = slices.Clone(in.Components)
				for row, component := range in.Components {
					if component.Kind == schema.AttnBias {
						in.Components[row].Kind = schema.MLP
					}
				}
				effect := func(convention schema.Convention) float64 {
					in.Convention = convention
					out, err := decompose.Contributions(in)
					if err != nil {
						t.Fatal(err)
					}
					return math.Abs(sumOf(split.share(split.table(t, out))) - sumOf(whole.share(whole.table(t, out))))
				}
				changed, exactly = max(changed, effect(schema.Notebook)), max(exactly, effect(schema.Exact))

				// f = sqrt((d-1)/d) sqrt(1 + eps/var)
				d := float64(len(in.Query.Stream))
				centred := naiveCentre(in.Query.Stream)
				factor := math.Sqrt((d-1)/d) * math.Sqrt(1+in.Norm.Eps/(naiveDot(centred, centred)/d))
				if c.side == "keys" && !c.subtract {
					want := 0.0
					for j, q := range in.Query.Vector {
						want += (factor - 1) * (q - in.Maps.BQ[j]) * in.Key.Vector[j] / math.Sqrt(float64(len(in.Maps.BQ)))
					}
					if got := effect(schema.Notebook); math.Abs(got-math.Abs(want)) > 1e-10 {
						t.Errorf("prompt %d: effect %g, want (f-1) (q - b_Q) . k / sqrt(d_head) = %g", i, got, want)
					}
				}
			}
			f.size(t, fmt.Sprintf("%s, subtracted %t", c.side, c.subtract), changed, c.want)
			if exactly > 1e-12 {
				t.Errorf("exact: projecting the fixed side changes the score by %g", exactly)
			}
		}
	})
}

// Histograms normalise by the sample standard deviation, the unpatched stream too, so "no patching" is not
// the model's score.
func TestQuirkUnpatchedIsNotTheModel(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		head := targets(t, f.dir).Head
		own := refdata.Npz(t, filepath.Join(f.dir, "golden", "hist_model_own_f64.npz"))
		largest := map[string]float64{}
		for batch := range 2 {
			r := loadSequences[float64](t, f.dir, schema.Head{Layer: head[0], Index: head[1]}, promptSet(t, f.dir, fmt.Sprintf("mixed_n40_seed%d_nobos", batch)))
			for i, in := range r.inputs {
				in.Convention = schema.Notebook
				s, err := decompose.NewSubstitution(in, r.cache.Scores(r.head, i, 0), r.sequences[i].Positions[1])
				if err != nil {
					t.Fatal(err)
				}
				for _, side := range []schema.Side{schema.Query, schema.Key} {
					v, err := s.Unpatched(side)
					if err != nil {
						t.Fatal(err)
					}
					example := 40*batch + i
					name := side.String()
					largest[name] = max(largest[name], math.Abs(v.Score-own["score"].Float64[example]))
					name += " probability"
					largest[name] = max(largest[name], math.Abs(v.Prob-own["prob"].Float64[example]))

					// A difference beside raw scores is another probability.
					largest["difference"] = max(largest["difference"], math.Abs(v.DiffProb-v.Prob))
				}
			}
		}
		f.size(t, "queries", largest["query"], [2]float64{0.194, 0.159})
		f.size(t, "keys", largest["key"], [2]float64{0.131, 0.0938})
		f.size(t, "probability, queries", largest["query probability"], [2]float64{0.0433, 0.0268})
		if !(largest["difference"] > 0.05) {
			t.Errorf("the probability of a difference is that of the score, but for %g", largest["difference"])
		}
	})
}

// The published code writes a replaced key at END, where it is never read.
func TestQuirkReplacedKeyDoesNothing(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		r := f.load(t)
		before, after := quirkCall("queries", "", "", false), quirkCall("queries", "", "sub_MLP0", false)
		moved := 0.0
		exact := r.outputs(t, schema.Exact)
		for i, out := range r.outputs(t, schema.Notebook) {
			if !slices.Equal(before.share(before.table(t, out)), after.share(after.table(t, out))) {
				t.Errorf("prompt %d: the replaced key changes a cell", i)
			}
			moved = max(moved, math.Abs(sumOf(before.share(before.table(t, exact[i])))-sumOf(after.share(after.table(t, exact[i])))))
		}
		if !(moved > 0.1) {
			t.Errorf("exact: the replaced key moves the score by %g at most", moved)
		}
	})
}

// The bias cell belongs to the perpendicular part of the split side, is shared among the parts of the fixed
// side, and cancels on the key side once the baseline is subtracted.
func TestQuirkBiasCell(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		r := f.load(t)
		last := func(c call, out decompose.Output) float64 {
			cells := c.share(c.table(t, out))
			return cells[len(cells)-1]
		}
		for i, out := range r.outputs(t, schema.Notebook) {
			in := r.inputs[i]
			unit := math.Sqrt(float64(len(in.Maps.BK)))
			if got, want := last(quirkCall("keys", "", "", false), out), naiveDot(in.Maps.BK, in.Query.Vector)/unit; math.Abs(got-want) > 1e-12 {
				t.Fatalf("prompt %d: b_K cell %g, want b_K . q / sqrt(d_head) = %g", i, got, want)
			}
			if got := last(quirkCall("keys", "project", "project", true), out); got != 0 {
				t.Fatalf("prompt %d: b_K cell %g with the baseline subtracted, want exactly 0", i, got)
			}
			diff := add(in.Key.Vector, times(-1, in.Baseline.Vector))
			if got, want := last(quirkCall("queries", "", "", true), out), naiveDot(in.Maps.BQ, diff)/unit; math.Abs(got-want) > 1e-12 {
				t.Fatalf("prompt %d: b_Q cell %g, want b_Q . (k(IO) - k(S1)) / sqrt(d_head) = %g", i, got, want)
			}
			for _, part := range []string{"IO_dir", "IO_perp"} {
				if got := last(quirkCall("keys", "project", "project", false, part, "MLP0_dir"), out); got != 0 {
					t.Fatalf("prompt %d: b_K cell of the MLP0 part is %g", i, got)
				}
				if got := last(quirkCall("keys", "project", "project", false, part, "MLP0_perp"), out); got == 0 {
					t.Fatalf("prompt %d: no b_K cell in %s", i, part)
				}
			}
		}
	})
}

// Each position has its own direction: what MLP0 writes lies along it at the key and at the baseline alike.
func TestQuirkBaselineHasItsOwnDirection(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		r := f.load(t)
		mlp0 := schema.Component{Kind: schema.MLP, Layer: 0, Head: -1}
		for i, out := range r.outputs(t, schema.Notebook) {
			c := quirkCall("keys", "project", "project", true, "MLP0_perp")
			row := slices.IndexFunc(out.Rows, func(row int) bool { return r.inputs[i].Components[row] == mlp0 })
			if got := c.share(c.table(t, out))[row]; math.Abs(got) > 1e-12 {
				t.Errorf("prompt %d: cell of MLP0 across MLP0 is %g, want 0", i, got)
			}
			// Along the key's direction at the baseline it would not be.
			_, perp := decompose.Split(ln, r.inputs[i].KeyBases[1].AtKey, r.inputs[i].Baseline.Component(r.layout.MLP(0)))
			if naiveDot(perp, perp) < 1e-3 {
				t.Errorf("prompt %d: both positions have the same direction", i)
			}
		}
	})
}

// The published pair decomposition sets b_K to zero in place when it subtracts the baseline, which affects
// later calls. Here b_K cancels and nothing is modified.
func TestQuirkPairsLeaveTheBiasAlone(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		r := f.load(t)
		before := r.outputs(t, schema.Notebook)
		sets := r.factorSets(t, schema.Notebook)
		c := fullCall(t, "sub1/ee0/l00/inclS11")
		for i, in := range r.inputs {
			table := r.pairTable(t, c, in, sets[i])
			n := len(sets[i].Query.Rows) + 1
			for cell := 0; cell < len(table); cell += n { // the bias is the first key
				if table[cell] != 0 {
					t.Fatalf("prompt %d: pair with b_K is %g with the baseline subtracted, want exactly 0", i, table[cell])
				}
			}
			// sum of cells = (q - sum b_O W_Q / s(END)) . (k - sum b_O W_K / s) / sqrt(d_head) at IO less at
			// S1
			q := r.withoutBiases(in.Query.Vector, &in.Query, in.Maps.WQ.Data().([]float64), in.Components)
			k := r.withoutBiases(in.Key.Vector, &in.Key, in.Maps.WK.Data().([]float64), in.Components)
			b := r.withoutBiases(in.Baseline.Vector, in.Baseline, in.Maps.WK.Data().([]float64), in.Components)
			want := naiveDot(q, add(k, times(-1, b))) / math.Sqrt(float64(len(q)))
			if got := sumOf(table); math.Abs(got-want) > 1e-10 {
				t.Errorf("prompt %d: pairs add up to %g, want %g", i, got, want)
			}
		}
		key := quirkCall("keys", "", "", false)
		for i, out := range r.outputs(t, schema.Notebook) {
			if !slices.Equal(key.share(key.table(t, out)), key.share(key.table(t, before[i]))) {
				t.Fatalf("prompt %d: a pair decomposition changes the contributions after it", i)
			}
		}
	})
}

// withoutBiases subtracts from a query or key vector what the attention output biases add to it.
func (r reference[T]) withoutBiases(vector []float64, p *decompose.Position[T], w []float64, components []schema.Component) []float64 {
	out := slices.Clone(vector)
	for row, c := range components {
		if c.Kind != schema.AttnBias {
			continue
		}
		for i, x := range p.Component(row) {
			for j := range out {
				out[j] -= float64(x) / float64(p.Scale) * w[i*len(out)+j]
			}
		}
	}
	return out
}

// The effective embedding depends on neither position nor b_O. The direction with the layer-0 heads contains
// b_O only if it is the cached one.
func TestQuirkEffectiveEmbeddingHasNoBias(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		r := f.load(t)
		in := r.inputs[0]
		token := r.sequences[0].Tokens[r.sequences[0].Positions[1]]
		mlp, attn := r.model.EffectiveEmbedding(token)
		direction := add(mlp, attn)
		basis := func(name string) decompose.Basis {
			return in.KeyBases[slices.Index(goldenKeyBases, name)].AtKey
		}
		if _, perp := decompose.Split(ln, basis("effective+attn0"), direction); naiveDot(perp, perp) > 1e-20 {
			t.Error("effective+attn0 is not MLP + attention of the effective embedding")
		}
		if _, perp := decompose.Split(ln, basis("effective+attn0"), add(direction, r.model.BO(0))); naiveDot(perp, perp) < 1e-3 {
			t.Error("b_O of layer 0 makes no difference to effective+attn0")
		}
		cached := make([]float64, len(direction))
		for row, c := range in.Components {
			if c.Layer == 0 {
				cached = add(cached, in.Key.Component(row)) // heads, b_O, MLP
			}
		}
		if _, perp := decompose.Split(ln, basis("mlp0+attn0"), cached); naiveDot(perp, perp) > 1e-20 {
			t.Error("mlp0+attn0 is not MLP + attention with b_O")
		}
	})
}

// A printed fraction is the square of a mean norm. The mean of the squares is another number, and adds up to
// 1.
func TestQuirkFractionsAreSquaresOfMeans(t *testing.T) {
	quirkFolders(t, func(t *testing.T, f quirkFolder) {
		n := targets(t, f.dir)
		head := schema.Head{Layer: n.Head[0], Index: n.Head[1]}
		r := loadSequences[float64](t, f.dir, head, promptSet(t, f.dir, "mixed_n100_seed42_bos"))
		var par, perp, parSquares, perpSquares float64
		for _, in := range r.inputs {
			p := decompose.Project(ln, in.QueryBases[1], r.output(in, n.Movers[0]), in.Query.Stream)
			share := 1 / float64(len(r.inputs))
			par, perp = par+p.ParNorm*share, perp+p.PerpNorm*share
			parSquares, perpSquares = parSquares+p.ParNorm*p.ParNorm*share, perpSquares+p.PerpNorm*p.PerpNorm*share
		}
		if d := parSquares + perpSquares - 1; math.Abs(d) > 1e-12 {
			t.Errorf("means of squares miss 1 by %g", d)
		}
		printed := n.Values["In14/io_component_fraction_explained"].Float64
		if math.Abs(par*par-printed) > 1e-12 || math.Abs(parSquares-printed) < 1e-4 {
			t.Errorf("square of the mean %g, mean of squares %g, printed %g", par*par, parSquares, printed)
		}
		if par*par+perp*perp > 1-1e-4 {
			t.Errorf("squares of the means add up to %g", par*par+perp*perp)
		}
	})
}
