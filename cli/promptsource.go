package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/internal/advice"
	"ducklens/schema"
)

// promptFlags are the flags about prompts.
type promptFlags struct {
	source    string   // "ioi" or a file
	called    string   // name of the prompts in the run; "" for the path of their file
	texts     []string // files of texts without positions
	whole     bool
	window    int
	stride    int
	templates string
	names     string // a file of names
	sampling  prompts.Sampling
	limit     bool // -n was given
}

// ioi is the prompt source that is not a file: the generator.
const ioi = "ioi"

// defaultPrompts is the number of prompts that the generator makes: as many as the published analysis of head
// 10.7 used.
const defaultPrompts = 50

// A promptSource is where prompts come from.
type promptSource struct {
	prompts iter.Seq2[schema.Prompt, error]
	name    string          // in the manifest
	names   []string        // to draw random names from; nil if there are none
	notices []string        // notes to print
	read    func() []string // further notes, after the prompts have been read; nil if there are none

	documents bool               // texts without positions
	templates *prompts.Templates // of the generator; nil for a file
	own       bool               // the templates ship with ducklens
	sampling  prompts.Sampling
}

// fit removes the generator's own names that are several tokens of the model, because attention to a name is
// attention to one token. A user's templates keep all names, so that the same seed draws the same prompts as
// CPython.
func (s *promptSource) fit(e ingest.Engine) error {
	if !s.own {
		return nil
	}
	all := len(s.templates.Names)
	several := ingest.SeveralTokens(e, withinText, s.templates.Names)
	if len(several) == 0 {
		return nil
	}
	if left := all - len(several); left < prompts.LeastNames {
		return advice.Add(fmt.Errorf(
			"%[2]d of the ioi generator's %[1]d names are one token of this model, want at least %[3]d", all,
			left, prompts.LeastNames),
			"give the generator other names with --templates FILE, or your own prompts with --prompts FILE")
	}
	s.use(s.templates.Without(several))
	s.notices = append(s.notices,
		fmt.Sprintf("%d of %d names are several tokens of this model and are left out", len(several), all))
	return nil
}

// withinText precedes a name that does not begin a text.
const withinText = "and "

// use draws prompts and random names from templates.
func (s *promptSource) use(t *prompts.Templates) {
	s.templates, s.names, s.prompts = t, t.Names, t.Prompts(s.sampling)
}

// atNames adds to an error about a prompt from a user's templates which names are several tokens.
func (s *promptSource) atNames(err error, e ingest.Engine) error {
	if s.templates == nil || s.own || !errors.Is(err, engine.ErrPrompt) {
		return err
	}
	several := ingest.SeveralTokens(e, withinText, s.templates.Names)
	if s.templates.BeginWithName() {
		several = append(several, ingest.SeveralTokens(e, "", s.templates.Names)...)
	}
	if len(several) == 0 {
		return err
	}
	slices.Sort(several)
	return advice.Add(err,
		fmt.Sprintf("leave these names out of %s; each is several tokens: %s", s.name,
			strings.Join(slices.Compact(several), ", ")))
}

// open opens the prompts.
func (f *promptFlags) open(ctx context.Context) (promptSource, error) {
	if len(f.texts) > 0 {
		d := &prompts.Documents{Paths: f.texts, Whole: f.whole}
		source := promptSource{prompts: d.Prompts(ctx), name: cmp.Or(f.called, strings.Join(f.texts, ", ")),
			documents: true, read: d.Notices}
		if f.limit {
			source.prompts = first(source.prompts, f.sampling.N)
		}
		return source, nil
	}
	if f.source != ioi {
		source := promptSource{name: cmp.Or(f.called, f.source)}
		source.prompts, source.read = spelt(prompts.File(ctx, f.source))
		if f.names != "" {
			var err error
			if source.names, err = prompts.ReadNames(f.names); err != nil {
				return source, err
			}
		} else {
			source.notices = []string{"W_U[random name] is left out, because a file of prompts has no " +
				"names to draw it from; give some with --names FILE"}
		}
		if f.limit {
			source.prompts = first(source.prompts, f.sampling.N)
		}
		return source, nil
	}
	templates, name := prompts.IOI(), ioi
	if f.templates != "" {
		var err error
		if templates, err = prompts.ReadTemplates(f.templates); err != nil {
			return promptSource{}, err
		}
		name = f.templates
	}
	source := promptSource{name: name, own: f.templates == "", sampling: f.sampling}
	source.use(templates)
	return source, nil
}

// given returns the prompts of a folder of activations.
func (f *promptFlags) given(e *engine.Engine, folder string) promptSource {
	source := promptSource{prompts: e.GivenPrompts(), name: folder}
	if f.limit {
		source.prompts = first(source.prompts, f.sampling.N)
	}
	return source
}

// spelt passes prompts on, and notes which of their columns are probably misspelt.
func spelt(source iter.Seq2[schema.Prompt, error]) (passed iter.Seq2[schema.Prompt, error], notes func() []string) {
	var noted []string
	return func(yield func(schema.Prompt, error) bool) {
		for p, err := range source {
			if note := prompts.Misspelt(p); note != "" && !slices.Contains(noted, note) {
				noted = append(noted, note)
			}
			if !yield(p, err) {
				return
			}
		}
	}, func() []string { return noted }
}

// first ends a source after n prompts.
func first(source iter.Seq2[schema.Prompt, error], n int) iter.Seq2[schema.Prompt, error] {
	return func(yield func(schema.Prompt, error) bool) {
		left := n
		for p, err := range source {
			if left--; !yield(p, err) || left == 0 {
				return
			}
		}
	}
}
