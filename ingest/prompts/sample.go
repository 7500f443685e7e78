package prompts

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"ducklens/schema"
)

// Order is the order in which an IOI prompt introduces its two names.
type Order uint8

// The orders. ABBA names the indirect object first, BABA the subject; Mixed draws from both.
const (
	Mixed Order = iota
	ABBA
	BABA
)

var orders = [...]string{"mixed", "ABBA", "BABA"}

// String returns mixed, ABBA or BABA.
func (o Order) String() string { return orders[o] }

// ParseOrder is the inverse of [Order.String].
func ParseOrder(s string) (Order, error) {
	if i := slices.Index(orders[:], s); i >= 0 {
		return Order(i), nil
	}
	return 0, fmt.Errorf("order %q, want one of %s", s, strings.Join(orders[:], ", "))
}

// Sampling describes a sample of prompts from [Templates].
type Sampling struct {
	N         int   // number of prompts, copies included
	Seed      int64 // as in Python's random.seed(Seed), which ignores the sign
	Order     Order
	Symmetric bool // each prompt is followed by its copy with the two names exchanged
}

// Draw is one sampled prompt and the words that it is made of.
type Draw struct {
	Text          string
	IO, S         string // the names in the slots [A] and [B]
	Place, Object string // drawn even if the template has no slot for them
	Template      string // as in [Templates]
	TemplateIndex int    // index into the list that the sample draws from, which is shuffled for [Mixed]
	Order         Order  // ABBA or BABA
}

// Prompt returns the draw with the positions of an IOI prompt: key IO, baseline S, and as query the token
// before the final IO.
func (d Draw) Prompt() schema.Prompt {
	key := schema.AtWord(d.IO)
	return schema.Prompt{
		Text: d.Text, Query: beforeAnswer(d.Text, key), Key: key.First(),
		Baseline: schema.AtOccurrence(d.S, 1),
		Template: d.Template, Order: d.Order.String(),
	}
}

// beforeAnswer returns the query of an IOI prompt. If the text ends with IO, that is the answer, and
// attention is read at the token before it; else at the last token.
func beforeAnswer(text string, io schema.Position) schema.Position {
	word, _ := io.Word()
	rest, found := strings.CutSuffix(text, word)
	switch {
	case !found || !strings.HasSuffix(rest, " "):
		return schema.AtIndex(-1)
	case io.Part() == schema.OnlyToken:
		return schema.AtIndex(-2)
	}
	// A query is the last occurrence of its word, here the answer.
	return schema.AtPart(word, 0, schema.FirstToken).Before()
}

// Prompts draws a sample; see [Templates.Draws].
func (t *Templates) Prompts(s Sampling) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		for d, err := range t.Draws(s) {
			if err != nil {
				yield(schema.Prompt{}, err)
				return
			}
			if !yield(d.Prompt(), nil) {
				return
			}
		}
	}
}

// Draws draws a sample with the calls of the public IOI generators to CPython's random module:
// random.seed(Seed); for a mixed sample random.shuffle(templates); then for each prompt random.choice of a
// template, of three names (all three again until they differ; the third is not used), of a place and of an
// object. The first n prompts therefore do not depend on N.
func (t *Templates) Draws(s Sampling) iter.Seq2[Draw, error] {
	return func(yield func(Draw, error) bool) {
		if err := t.check(s); err != nil {
			yield(Draw{}, err)
			return
		}
		random := newPyRandom(s.Seed)
		templates := t.list(s.Order)
		if s.Order == Mixed {
			templates = slices.Clone(templates)
			shuffle(random, templates)
		}
		for made := 0; made < s.N; made++ {
			d := t.draw(random, templates)
			if !yield(d, nil) {
				return
			}
			if s.Symmetric && made+1 < s.N {
				made++
				d.IO, d.S = d.S, d.IO
				d.fill()
				if !yield(d, nil) {
					return
				}
			}
		}
	}
}

// draw draws one prompt.
func (t *Templates) draw(random *pyRandom, templates []string) Draw {
	var d Draw
	d.Template = choice(random, templates)
	d.TemplateIndex = slices.Index(templates, d.Template)
	d.Order = templateOrder(d.Template)
	third := ""
	for d.IO == d.S || d.IO == third || d.S == third {
		d.IO, d.S, third = choice(random, t.Names), choice(random, t.Names), choice(random, t.Names)
	}
	if len(t.Places) > 0 {
		d.Place = choice(random, t.Places)
	}
	if len(t.Objects) > 0 {
		d.Object = choice(random, t.Objects)
	}
	d.fill()
	return d
}

// fill puts the words into the template.
func (d *Draw) fill() {
	d.Text = strings.NewReplacer("[A]", d.IO, "[B]", d.S, "[PLACE]", d.Place, "[OBJECT]", d.Object).
		Replace(d.Template)
}

// list returns the templates for a sample of the given order.
func (t *Templates) list(o Order) []string {
	switch o {
	case ABBA:
		return t.ABBA
	case BABA:
		return t.BABA
	}
	return t.Mixed
}

func (t *Templates) check(s Sampling) error {
	if s.N < 0 {
		return fmt.Errorf("%d prompts asked for", s.N)
	}
	if len(t.list(s.Order)) == 0 {
		return fmt.Errorf("no templates for the order %s (there are %d ABBA, %d BABA; "+
			"mixed takes half of each)", s.Order, len(t.ABBA), len(t.BABA))
	}
	return t.validate()
}
