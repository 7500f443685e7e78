package ingest

import (
	"fmt"

	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// lottery draws the random name and the random token of each example, in the order of examples.
type lottery struct {
	draws *prompts.Draws
	names []int // the token of each name
}

// newLottery starts the draws of a run.
func newLottery(opts *Options, run *schema.Run) (*lottery, error) {
	l := &lottery{}
	for _, name := range opts.Names {
		id, err := nameToken(opts.Engine, run, name)
		if err != nil {
			return nil, fmt.Errorf("name %q, to draw random names from: %w", name, err)
		}
		l.names = append(l.names, id)
	}
	l.draws = prompts.NewDraws(run.Seed, len(l.names), run.Model.DVocab)
	return l, nil
}

// nameToken returns the first token of a name.
func nameToken(engine Engine, run *schema.Run, name string) (int, error) {
	if run.Convention == schema.Exact {
		name = " " + name
	}
	// Tokenise the name as a prompt. Index -1 is a position that every text has.
	at := schema.AtIndex(-1)
	e, err := engine.Example(schema.Prompt{Text: name, Query: at, Key: at, Baseline: at})
	if err != nil {
		return 0, err
	}
	first := 0
	if run.BOS {
		first = 1
	}
	if len(e.Tokens) <= first {
		return 0, fmt.Errorf("it has no tokens")
	}
	return e.Tokens[first].ID, nil
}

// SeveralTokens lists the names that are more than one token of the engine's model after lead. lead is the
// text before the name; "" puts the name at the beginning of a text.
func SeveralTokens(engine Engine, lead string, names []string) []string {
	var several []string
	at := schema.AtIndex(-1) // every text has this position, so an error is about the word
	for _, name := range names {
		if _, err := engine.Example(schema.Prompt{Text: lead + name, Query: at, Key: schema.AtWord(name),
			Baseline: at}); err != nil {
			several = append(several, name)
		}
	}
	return several
}

// draw gives an example the next name and token. It does nothing if there is no lottery.
func (l *lottery) draw(e *schema.Example) {
	if l == nil {
		return
	}
	name, token := l.draws.Next()
	if e.RandomToken = token; name >= 0 {
		e.RandomName = l.names[name]
	}
}
