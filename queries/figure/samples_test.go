package figure_test

import (
	"fmt"
	"math"
	"math/rand/v2"

	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/schema"
)

// sample is a made-up answer with the query that would have given it, of the size and shape that a mark meets
// in practice.
type sample struct {
	query  queries.Query
	result *queries.Result
}

func (s sample) figure() (*figure.Figure, error) {
	return figure.New(s.query, s.result, figure.Fact{Name: "run", Value: "1"}, figure.Fact{Name: "convention", Value: "exact"})
}

// column is a column of a sample.
func column(name string, t queries.Type) queries.Column { return queries.Column{Name: name, Type: t} }

// vectors are the query-side vectors of the substitution histograms.
var vectors = []string{
	"W_U[IO]", "W_U[S]", "W_U[random name]", "W_U[random]", "9.9 output", "9.9 output ⊥ W_U[IO]", "unpatched",
}

// substitutions is the histogram of what the attention score becomes, one value for each vector and prompt;
// frames nil is no such column.
func substitutions(prompts int, facets []string) sample {
	s := sample{
		query: queries.Query{
			Name: "query_substitution_scores", Title: "Head 10.7: attention score END→IO when the query is replaced",
			Subtitle: fmt.Sprintf("gpt2, %d prompts (ioi), exact convention, run 1; keys held fixed", prompts),
			SQL:      "SELECT 1",
			Chart: queries.Chart{Mark: queries.Histogram, X: "score", Series: "vector",
				XTitle: "attention score END→IO (pre-softmax)", YTitle: "prompts", LegendTitle: "query replaced by"},
		},
		result: &queries.Result{Columns: []queries.Column{column("vector", queries.Text), column("facet", queries.Text), column("score", queries.Float)}},
	}
	if facets == nil {
		facets = []string{""}
	} else {
		s.query.Chart.Facet = "facet"
	}
	means := []float64{2.1, 1.2, -1.1, -6.2, 1.6, -0.9, -0.2}
	sds := []float64{1.6, 1.5, 1.4, 1.9, 1.2, 1.3, 1.1}
	rng := rand.New(rand.NewPCG(3, 5))
	for _, facet := range facets {
		for k, v := range vectors {
			for range prompts {
				x := means[k] + sds[k]*rng.NormFloat64() + 0.3*rng.ExpFloat64()
				s.result.Rows = append(s.result.Rows, []any{v, facet, x})
			}
		}
	}
	return s
}

// kinds are the categories of pairs.
var kinds = []string{"expected", "half expected", "not expected"}

// pairs are ranked pairs of components with long names.
func pairs(n int) sample {
	s := sample{
		query: queries.Query{
			Name: "top_pairs", Title: "Head 10.7: the pairs of components that matter most",
			Subtitle: "gpt2, 1200 prompts (ioi), exact convention, run 1; IO minus S1", SQL: "SELECT 1",
			Chart: queries.Chart{Mark: queries.Bar, X: "pair", Y: "share", Category: "kind", Error: "se", Count: "n",
				YTitle: "share of the mean score (%)", LegendTitle: "pair"},
		},
		result: &queries.Result{Columns: []queries.Column{column("pair", queries.Text), column("share", queries.Float),
			column("se", queries.Float), column("kind", queries.Text), column("n", queries.Integer)}},
	}
	rng := rand.New(rand.NewPCG(11, 5))
	query := []string{"9.9", "9.6", "8.10", "7.9", "MLP8", "W_pos", "b_Q", "9.0"}
	key := []string{"MLP0", "W_E", "0.1", "0.10", "b_K", "5.5"}
	signs := []string{"∥", "⊥"}
	for i := range n {
		a, b := i%2, (i/2)%2
		kind := i % 3
		share := 30*math.Exp(-0.18*float64(i)) + 0.4
		if rng.IntN(4) == 0 && i > 0 {
			share = -share
		}
		s.result.Rows = append(s.result.Rows, []any{
			fmt.Sprintf("Q = %s, K = %s, q %s W_U[IO], k %s MLP0", query[i%len(query)], key[i/len(query)%len(key)], signs[a], signs[b]),
			share, 0.08*math.Abs(share) + 0.05, kinds[kind], int64(1200),
		})
	}
	return s
}

// pairMap is the map of all pairs of components below a layer of a model, in quadrants and frames.
func pairMap(heads, stop int, facets, frames []string) sample {
	s := sample{
		query: queries.Query{
			Name: "pair_matrix", Title: fmt.Sprintf("Head %d.7: all pairs of query and key components", stop),
			Subtitle: "gpt2, 1200 prompts (ioi), exact convention, run 1; IO minus S1", SQL: "SELECT 1",
			Chart: queries.Chart{Mark: queries.Matrix, X: "key_id", Y: "query_id", Fill: "diff",
				XTick: "key", YTick: "query", XGroup: "key_layer", YGroup: "query_layer",
				XTitle: "key component", YTitle: "query component", FillTitle: "mean contribution to the score"},
		},
		result: &queries.Result{Columns: []queries.Column{column("frame", queries.Text), column("facet", queries.Text),
			column("query_id", queries.Integer), column("key_id", queries.Integer), column("query", queries.Text), column("key", queries.Text),
			column("query_layer", queries.Text), column("key_layer", queries.Text), column("diff", queries.Float)}},
	}
	if facets == nil {
		facets = []string{""}
	} else {
		s.query.Chart.Facet = "facet"
	}
	if frames == nil {
		frames = []string{""}
	} else {
		s.query.Chart.Frame = "frame"
	}
	layer := func(c schema.Component) string {
		switch c.Kind {
		case schema.Embed, schema.PosEmbed, schema.QBias, schema.KBias:
			return "other"
		}
		return fmt.Sprint(c.Layer)
	}
	components := schema.Components(stop, heads)
	rng := rand.New(rand.NewPCG(7, uint64(heads)))
	strength := make([]float64, len(components))
	for i := range strength {
		strength[i] = math.Exp(1.1 * rng.NormFloat64())
	}
	for _, frame := range frames {
		for k, facet := range facets {
			for i, q := range components {
				for j, c := range components {
					if q.Kind == schema.KBias || c.Kind == schema.QBias {
						continue
					}
					x := 0.01 * rng.NormFloat64() * strength[i] * strength[j] / (1 + float64(k))
					if c.Label() == "MLP0" {
						x = 0.12 * rng.NormFloat64() * strength[i] / (1 + float64(k))
					}
					if q.Label() == "9.9" && c.Label() == "MLP0" && k == 0 {
						x = 1.4
					}
					s.result.Rows = append(s.result.Rows, []any{frame, facet, int64(i), int64(j), q.Label(), c.Label(), layer(q), layer(c), x})
				}
			}
		}
	}
	return s
}

// curves are lines over layers, with standard errors.
func curves(series []string, points int) sample {
	s := sample{
		query: queries.Query{
			Name: "score_by_layer", Title: "Head 10.7: the score as layers are added to the query",
			Subtitle: "gpt2, 1200 prompts (ioi), exact convention, run 1", SQL: "SELECT 1",
			Chart: queries.Chart{Mark: queries.Line, X: "layer", Y: "score", Series: "part", Error: "se",
				XTitle: "layers added", YTitle: "attention score END→IO (pre-softmax)", LegendTitle: "part of the query"},
		},
		result: &queries.Result{Columns: []queries.Column{column("part", queries.Text), column("layer", queries.Integer), column("score", queries.Float), column("se", queries.Float)}},
	}
	rng := rand.New(rand.NewPCG(23, 5))
	for k, name := range series {
		y := 0.0
		for i := range points {
			y += rng.NormFloat64() + 0.2*float64(len(series)/2-k)
			s.result.Rows = append(s.result.Rows, []any{name, int64(i), y, 0.05 + 0.04*float64(i)})
		}
	}
	return s
}

// cloud are points of two templates with names, and a line fitted to each.
func cloud(points int) sample {
	s := sample{
		query: queries.Query{
			Name: "score_and_effect", Title: "Head 10.7: attention and its effect", Subtitle: "gpt2, run 1", SQL: "SELECT 1",
			Chart: queries.Chart{Mark: queries.Scatter, X: "score", Y: "effect", Series: "template", Label: "prompt", Fit: queries.FitLine,
				XTitle: "attention score END→IO", YTitle: "effect on the logit of IO", LegendTitle: "template"},
		},
		result: &queries.Result{Columns: []queries.Column{column("template", queries.Text), column("score", queries.Float),
			column("effect", queries.Float), column("prompt", queries.Text)}},
	}
	rng := rand.New(rand.NewPCG(31, 5))
	for k, template := range []string{"baBa", "abBa"} {
		for i := range points {
			x := 2 + rng.NormFloat64()
			s.result.Rows = append(s.result.Rows, []any{template, x, -0.8*x - float64(k) + 0.5*rng.NormFloat64(), fmt.Sprintf("prompt %d", k*points+i)})
		}
	}
	return s
}

// ablations are points of two kinds with error bars in two panels, beside the diagonal. One has no error.
func ablations(points int) sample {
	s := sample{
		query: queries.Query{
			Name: "contribution_against_ablation", Title: "Head 10.7: contribution and loss", Subtitle: "gpt2, 1200 prompts (ioi), run 1", SQL: "SELECT 1",
			Chart: queries.Chart{Mark: queries.Scatter, X: "contribution", Y: "lost", Series: "kind", Label: "component", Facet: "place",
				XError: "contribution_se", Error: "se", Count: "n", Fit: queries.FitLine, Diagonal: queries.DiagonalEqual,
				XTitle: "contribution (score units)", YTitle: "lost on ablation (score units)", LegendTitle: "kind"},
		},
		result: &queries.Result{Columns: []queries.Column{column("place", queries.Text), column("kind", queries.Text), column("component", queries.Text),
			column("contribution", queries.Float), column("contribution_se", queries.Float), column("lost", queries.Float), column("se", queries.Float),
			column("n", queries.Integer)}},
	}
	rng := rand.New(rand.NewPCG(41, 5))
	for _, place := range []string{"ablated everywhere", "ablated at the key"} {
		for i := range points {
			kind, label := "head", fmt.Sprintf("%d.%d", i/3, i%12)
			if i%4 == 3 {
				kind, label = "MLP", fmt.Sprintf("MLP%d", i/4)
			}
			x := rng.NormFloat64()
			var se any = 0.03 + 0.1*rng.Float64()
			if i == 0 {
				se = nil
			}
			s.result.Rows = append(s.result.Rows, []any{place, kind, label, x, 0.04 + 0.03*rng.Float64(), 0.8*x + 0.3*rng.NormFloat64(), se, int64(32)})
		}
	}
	return s
}
