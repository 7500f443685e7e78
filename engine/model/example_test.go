package model_test

import (
	"context"
	"fmt"

	"ducklens/engine/blas"
	"ducklens/engine/checkpoint"
	"ducklens/engine/family"
	"ducklens/engine/model"
	"ducklens/schema"
)

// The attention of one head of the small test model, and the sum of what was written before its layer.
func ExampleModel_Forward() {
	c, err := checkpoint.Open("../../testdata/m2/model")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	provider, err := blas.ByName("auto")
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := family.Open(c)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := model.Load[float32](c, f.Spec, f.Sources, schema.Processed, provider, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	head := schema.Head{Layer: 2, Index: 1}
	cache, err := m.Forward(context.Background(), []model.Sequence{{Tokens: []int{1014, 7, 42, 7}, Positions: []int{3}}}, []schema.Head{head})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("scores  %.3f\n", cache.Scores(head, 0, 0))
	fmt.Printf("pattern %.3f\n", cache.Pattern(head, 0, 0))

	parts := cache.Components(0, 0)
	first := make([]float32, 2)
	for i := range parts.Shape()[0] {
		row := parts.Data().([]float32)[i*m.Spec().DModel:]
		first[0] += row[0]
		first[1] += row[1]
	}
	fmt.Printf("%d components add up to %.3f ..., the stream is %.3f ...\n", parts.Shape()[0], first, cache.ResidPre(2, 0, 0)[:2])
	// Output:
	// scores  [-8.246 -10.835 -8.559 -10.698]
	// pattern [0.528 0.040 0.386 0.046]
	// 14 components add up to [-0.073 2.402] ..., the stream is [-0.073 2.402] ...
}
