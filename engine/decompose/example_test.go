package decompose_test

import (
	"fmt"

	"gorgonia.org/tensor"

	"ducklens/engine/blas"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

func ExampleSpan() {
	// Only what is left after centring counts, at any scale, and a second parallel direction adds nothing.
	basis, err := decompose.Span(ln, []float64{2, 0, -2}, []float64{-7, -8, -9})
	if err != nil {
		fmt.Println(err)
		return
	}
	par, perp := decompose.Split(ln, basis, []float64{5, 1, 3})
	fmt.Printf("dimension %d: %.1f + %.1f\n", basis.Dim(), par, perp)
	// Output: dimension 1: [1.0 0.0 -1.0] + [1.0 -2.0 1.0]
}

// A head below which only the embeddings have written, with d_model 2 and d_head 1. The stream is W_E + W_pos
// at each position; LayerNorm centres it and divides by its scale.
func ExampleContributions() {
	matrix := func(rows int, x ...float64) *tensor.Dense {
		return tensor.New(tensor.WithShape(rows, len(x)/rows), tensor.WithBacking(x))
	}
	in := decompose.Input[float64]{
		Components: gpt2(1, 1).Components()[:2],
		AttnScale:  1,
		Maps:       decompose.Maps[float64]{WQ: matrix(2, 1, -1), WK: matrix(2, 3, -3), BQ: []float64{1}, BK: []float64{0.5}},
		// Streams [3 -1] and [1 -7]: centred [2 -2] and [4 -4], scales 2 and 4.
		Query:      decompose.Position[float64]{Components: matrix(2, 1, 1, 2, -2), Stream: []float64{3, -1}, Scale: 2, Vector: []float64{3}},
		Key:        decompose.Position[float64]{Components: matrix(2, 1, -1, 0, -6), Stream: []float64{1, -7}, Scale: 4, Vector: []float64{6.5}, Score: 19.5},
		QueryBases: []decompose.Basis{{}},
		KeyBases:   []decompose.KeyBases{{}},
	}
	out, err := decompose.Contributions(in)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, table := range out.Tables {
		for i, row := range table.Score {
			label := "bias"
			if i < len(out.Rows) {
				label = in.Components[out.Rows[i]].Label()
			}
			fmt.Printf("%s side, %s: %.2f\n", table.Side, label, row[schema.PerpPerp])
		}
	}
	fmt.Printf("closure %.0e\n", out.Closure)
	// Output:
	// key side, W_E: 4.50
	// key side, W_pos: 13.50
	// key side, bias: 1.50
	// query side, W_E: 0.00
	// query side, W_pos: 13.00
	// query side, bias: 6.50
	// closure 0e+00
}

// A query component and b_Q, a key component and b_K, of a head with d_head 2 whose scores are q . k / 2. The
// query component has the coordinate 3 along an axis whose image is [1 0], the key component 2 along one with
// image [0 1].
func ExamplePairs() {
	query := decompose.Factors[float32]{Rows: []int{0}, Bias: true, DHead: 2, Vectors: []float32{3, 4, 1, 1},
		Axes: []decompose.Axis[float32]{{Basis: 1, Image: []float32{1, 0}}}, Coordinates: []float32{3, 0}}
	key := decompose.Factors[float32]{Rows: []int{0}, Bias: true, DHead: 2, Vectors: []float32{1, 2, 0, 6},
		Axes: []decompose.Axis[float32]{{Basis: 1, Image: []float32{0, 1}}}, Coordinates: []float32{2, 0}}
	provider, err := blas.ByName("gonum")
	if err != nil {
		fmt.Println(err)
		return
	}
	pairs, err := decompose.Pairs(provider, 0.5, query, key, 1, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, pair := range pairs {
		fmt.Printf("query row %d, key row %d: %v\n", i/2, i%2, pair)
	}
	// Output:
	// query row 0, key row 0: [0 1.5 4 0]
	// query row 0, key row 1: [0 0 0 12]
	// query row 1, key row 0: [0 0 1 0.5]
	// query row 1, key row 1: [0 0 0 3]
}

func ExampleProject() {
	basis, err := decompose.Span(ln, []float64{1, -1, 0, 0})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Half of the vector's square lies along the basis, and points away from the map.
	p := decompose.Project(ln, basis, []float64{3, -3, 3, -3}, []float64{-1, 1, 0, 0})
	fmt.Printf("norms %.3f and %.3f, cosines %.1f and %.1f\n", p.ParNorm, p.PerpNorm, p.ParCos, p.PerpCos)
	// Output: norms 0.707 and 0.707, cosines -1.0 and 0.0
}

// What the head of ExampleContributions would score with another vector in place of the query's stream.
func ExampleSubstitution() {
	matrix := func(rows int, x ...float64) *tensor.Dense {
		return tensor.New(tensor.WithShape(rows, len(x)/rows), tensor.WithBacking(x))
	}
	in := decompose.Input[float64]{
		Components: gpt2(1, 1).Components()[:2],
		AttnScale:  1,
		Maps:       decompose.Maps[float64]{WQ: matrix(2, 1, -1), WK: matrix(2, 3, -3), BQ: []float64{1}, BK: []float64{0.5}},
		Query:      decompose.Position[float64]{Components: matrix(2, 1, 1, 2, -2), Stream: []float64{3, -1}, Scale: 2, Vector: []float64{3}},
		Key:        decompose.Position[float64]{Components: matrix(2, 1, -1, 0, -6), Stream: []float64{1, -7}, Scale: 4, Vector: []float64{6.5}, Score: 19.5},
	}
	s, err := decompose.NewSubstitution(in, []float64{18.5, 19.5}, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	unpatched, err := s.Unpatched(schema.Query)
	if err != nil {
		fmt.Println(err)
		return
	}
	turned, err := s.Query([]float64{-3, 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("unpatched: score %.1f, probability %.3f\n", unpatched.Score, unpatched.Prob)
	fmt.Printf("turned round: score %.1f, probability %.3f\n", turned.Score, turned.Prob)
	// Output:
	// unpatched: score 19.5, probability 0.731
	// turned round: score -6.5, probability 0.000
}
