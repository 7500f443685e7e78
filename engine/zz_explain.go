package engine

import (
	"context"

	"ducklens/schema"
)

// Explain stands in until rules of edges are there.
func (e *Engine) Explain(ctx context.Context, prompts []schema.Example) ([]schema.PromptResult, error) {
	results, err := e.Analyze(ctx, prompts)
	if err != nil {
		return nil, err
	}
	list := make([]schema.PromptResult, len(results))
	for i := range results {
		list[i] = schema.PromptResult{Prompt: prompts[i], Examples: results[i : i+1]}
	}
	return list, nil
}
