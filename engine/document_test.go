package engine_test

import (
	"os"
	"path/filepath"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

func TestTryDocument(t *testing.T) {
	path := filepath.Join(refdata.Models(t), "smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf")
	o := engine.Options{Heads: []schema.Head{{Layer: 24, Index: 4}}, QueryBases: []string{"none"}, KeyBases: []string{"none"},
		Edges: []schema.EdgeRule{{Name: "top", Count: 3}}}
	if os.Getenv("ALL") != "" {
		o = engine.Options{AttentionOnly: true, Edges: []schema.EdgeRule{{Name: "sample", Count: 10}}}
	}
	e := open(t, path, o)
	text, err := os.ReadFile(filepath.Join("..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	x, err := e.Example(schema.Prompt{Text: string(text[:4200])})
	if err != nil {
		t.Fatal(err)
	}
	x.Tokens = x.Tokens[:min(1000, len(x.Tokens))]
	n := 0
	err = e.Stream(t.Context(), []schema.Example{x}, func(i int, part schema.PromptResult) error {
		n += len(part.Examples)
		if len(part.Measures) > 0 {
			t.Log(part.Measures[:8])
		}
		return nil
	})
	t.Log(len(x.Tokens), n, err)
}
