package engine

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/schema"
)

// Windows contain every token of the document, which is tokenised as a whole, with BOS in front of each, and
// their texts are what their tokens spell.
func TestWindows(t *testing.T) {
	t.Parallel()
	text := "The old keeper climbed the stairs every evening, lit the lamp, and wrote down the weather. Déjà vu, 東京は雨です。 unaffordability"
	for _, bos := range []string{BOSOn, BOSOff} {
		e, err := Open(filepath.Join("..", "cli", "demo", "model"), Options{BOS: bos, Heads: []schema.Head{{Layer: 1, Index: 0}}})
		if err != nil {
			t.Fatal(err)
		}
		defer e.Close()
		whole, err := e.tokenizer.Encode(text)
		if err != nil {
			t.Fatal(err)
		}
		begin, err := e.tokenizer.EncodeBOS("", e.bos)
		if err != nil {
			t.Fatal(err)
		}
		lead := 0
		if e.BOS() {
			lead = 1
		}
		for _, c := range []struct{ window, stride int }{{2, 0}, {3, 1}, {7, 0}, {7, 5}, {16, 4}, {16, 15 + 1 - lead}, {e.description.NCtx, 0}} {
			var ids []int
			offset, last := 0, false
			stride := c.stride
			if stride == 0 {
				stride = c.window - lead
			}
			for x, err := range e.Windows(schema.Prompt{Text: text, Document: "d"}, c.window, c.stride) {
				if err != nil {
					t.Fatal(err)
				}
				if last {
					t.Errorf("BOS %s, window %d, stride %d: a window at %d after the end", bos, c.window, c.stride, x.Offset)
				}
				if x.Offset != offset || x.Query != schema.NoPosition || x.Key != schema.NoPosition || x.Baseline != schema.NoPosition || x.Prompt.Document != "d" || len(x.Tokens) > c.window {
					t.Errorf("BOS %s, window %d, stride %d: a window of %d tokens at %d, want one at %d", bos, c.window, c.stride, len(x.Tokens), x.Offset, offset)
				}
				if lead == 1 && x.Tokens[0] != e.token(begin[0]) {
					t.Errorf("window at %d begins with %q", x.Offset, x.Tokens[0].Text)
				}
				var part []int
				var spelt strings.Builder
				for _, token := range x.Tokens[lead:] {
					part = append(part, token.ID)
					spelt.WriteString(token.Text)
				}
				if !slices.Equal(part, whole[x.Offset:x.Offset+len(part)]) {
					t.Errorf("window at %d has other tokens than the document", x.Offset)
				}
				if want := spelt.String(); len(part) == len(whole) && x.Prompt.Text != text || len(part) < len(whole) && x.Prompt.Text != want {
					t.Errorf("window at %d says %q", x.Offset, x.Prompt.Text)
				}
				ids = append(ids[:x.Offset], part...)
				last = x.Offset+len(part) == len(whole)
				offset += stride
			}
			if !slices.Equal(ids, whole) {
				t.Errorf("BOS %s, window %d, stride %d: %d tokens, want the %d of the document", bos, c.window, c.stride, len(ids), len(whole))
			}
		}
		for _, c := range []struct{ window, stride int }{{0, 0}, {lead, 0}, {e.description.NCtx + 1, 0}, {8, -1}, {8, 9 - lead}} {
			if err := e.CheckWindow(c.window, c.stride); err == nil {
				t.Errorf("BOS %s: a window of %d with a stride of %d is let pass", bos, c.window, c.stride)
			}
		}
	}
}
