package engine

import (
	"fmt"
	"iter"
	"strings"

	"ducklens/schema"
)

// MostWindow is the largest window that [Engine.DefaultWindow] gives. Attention grows with the square of it.
const MostWindow = 512

// DefaultWindow is how many tokens a prompt made of a document may have unless somebody says otherwise: the model's context, or
// [MostWindow].
func (e *Engine) DefaultWindow() int { return min(e.description.NCtx, MostWindow) }

// CheckWindow refuses a window, in tokens, that the model cannot read or that has no room for any token of a document. A stride, in
// tokens, that leaves some between two windows is refused too; 0 is none, as for [Engine.Windows].
func (e *Engine) CheckWindow(window, stride int) error {
	least, what := 1, "at least 1"
	if e.BOS() {
		least, what = 2, "at least 2, as BOS is one"
	}
	switch {
	case window < least:
		return invalid("a window of %d tokens, want %s", window, what)
	case window > e.description.NCtx:
		return &hinted{invalid("a window of %d tokens, and %s reads at most %d", window, e.description.Name, e.description.NCtx), "give a smaller window"}
	case stride < 0 || stride > window-least+1:
		return invalid("a stride of %d tokens, want 1 to %d, the tokens of a document in a window of %d: a larger one would leave some out", stride, window-least+1, window)
	}
	return nil
}

// Windows cuts a document into prompts of at most window tokens, BOS included, each stride tokens of the document after the one
// before, until one reaches its end. The document is tokenised once, as a whole. BOS stands in front of each, as the options say. A
// stride of 0 is as long as the tokens of the document in a window. The examples have no positions; a window's text is what its
// tokens spell, that of a whole document as it was given. Memory is that of the document and of one window.
func (e *Engine) Windows(document schema.Prompt, window, stride int) iter.Seq2[schema.Example, error] {
	return func(yield func(schema.Example, error) bool) {
		if err := e.CheckWindow(window, stride); err != nil {
			yield(schema.Example{}, err)
			return
		}
		ids, err := e.tokenizer.EncodeBOS(document.Text, e.bos)
		if err != nil {
			yield(schema.Example{}, fmt.Errorf("engine: document %s, %s: %w", document.Document, excerpt(document.Text), err))
			return
		}
		var lead []schema.Token
		notice := ""
		if e.BOS() {
			lead, ids = []schema.Token{e.token(ids[0])}, ids[1:]
			if e.tokenizer.BeginsWithBOS(document.Text) {
				notice = fmt.Sprintf("the text begins with %s, and another one stands in front of it", lead[0].Text)
			}
		}
		most := window - len(lead)
		if stride == 0 {
			stride = most
		}
		for first := 0; first == 0 || first-stride+most < len(ids); first += stride {
			part := ids[first:min(first+most, len(ids))]
			example := schema.Example{Prompt: document, Tokens: append([]schema.Token(nil), lead...), Offset: first, Notice: notice,
				Query: schema.NoPosition, Key: schema.NoPosition, Baseline: schema.NoPosition, RandomName: schema.NoToken, RandomToken: schema.NoToken}
			var text strings.Builder
			for _, id := range part {
				t := e.token(id)
				example.Tokens = append(example.Tokens, t)
				text.WriteString(t.Text)
			}
			if len(part) < len(ids) {
				example.Prompt.Text = text.String()
			}
			if len(example.Tokens) == 0 {
				yield(example, fmt.Errorf("engine: %w: document %s has no tokens: %s", ErrPrompt, document.Document, excerpt(document.Text)))
				return
			}
			if !yield(example, nil) {
				return
			}
			notice = ""
		}
	}
}
