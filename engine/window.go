package engine

import (
	"fmt"
	"iter"
	"strings"

	"ducklens/internal/advice"
	"ducklens/schema"
)

// MostWindow is the largest window that [Engine.DefaultWindow] returns. The cost of attention grows with its
// square.
const MostWindow = 512

// DefaultWindow returns the default maximum number of tokens of a prompt that is cut from a document: the
// model's context, but at most [MostWindow].
func (e *Engine) DefaultWindow() int { return min(e.description.NCtx, MostWindow) }

// CheckWindow returns an error if the model cannot read a window of this many tokens, if it has no room for a
// token of a document, or if the stride would skip tokens between two windows. A stride of 0 means none was
// given, as for [Engine.Windows].
func (e *Engine) CheckWindow(window, stride int) error {
	least, what := 1, "at least 1"
	if e.BOS() {
		least, what = 2, "at least 2, as BOS is one"
	}
	switch {
	case window < least:
		return invalid("a window of %d tokens, want %s", window, what)
	case window > e.description.NCtx:
		return advice.Add(invalid("a window of %d tokens, and %s reads at most %d", window,
			e.description.Name, e.description.NCtx), "give a smaller window")
	case stride < 0 || stride > window-least+1:
		return invalid(
			"a stride of %d tokens, want 1 to %d, the tokens of a document in a window of %d: "+
				"a larger one would leave some out", stride, window-least+1, window)
	}
	return nil
}

// Windows cuts a document into prompts of at most window tokens, including BOS, until one reaches its end.
// Each begins stride tokens of the document after the one before; a stride of 0 stands for the number of the
// document's tokens in a window. The document is tokenised once, as a whole. BOS is put in front of each
// prompt as the options say. The examples have no positions. A prompt's text is what its tokens spell, or the
// document as it was given if it fits into one window. Memory holds the document and one window.
func (e *Engine) Windows(document schema.Prompt, window, stride int) iter.Seq2[schema.Example, error] {
	return func(yield func(schema.Example, error) bool) {
		if err := e.CheckWindow(window, stride); err != nil {
			yield(schema.Example{}, err)
			return
		}
		ids, err := e.tokenizer.EncodeBOS(document.Text, e.bos)
		if err != nil {
			yield(schema.Example{},
				fmt.Errorf("document %s, %s: %w", document.Document, excerpt(document.Text), err))
			return
		}
		var lead []schema.Token
		var notices []string
		if e.BOS() {
			lead, ids = []schema.Token{e.token(ids[0])}, ids[1:]
			if e.tokenizer.BeginsWithBOS(document.Text) {
				notices = []string{fmt.Sprintf("the text begins with %s, and another one is put in front of it",
					lead[0].Text)}
			}
		}
		most := window - len(lead)
		if stride == 0 {
			stride = most
		}
		for first := 0; first == 0 || first-stride+most < len(ids); first += stride {
			part := ids[first:min(first+most, len(ids))]
			example := schema.Example{Prompt: document, Tokens: append([]schema.Token(nil), lead...),
				Offset: first, Notices: notices,
				Query: schema.NoPosition, Key: schema.NoPosition, Baseline: schema.NoPosition,
				RandomName: schema.NoToken, RandomToken: schema.NoToken}
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
				yield(example,
					fmt.Errorf("%w: document %s has no tokens: %s", ErrPrompt, document.Document,
						excerpt(document.Text)))
				return
			}
			if !yield(example, nil) {
				return
			}
			notices = nil
		}
	}
}
