package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"ducklens/engine"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// promptFlags are the choices about prompts.
type promptFlags struct {
	source    string   // "ioi" or a file
	texts     []string // files of texts without positions
	whole     bool
	window    int
	stride    int
	templates string
	names     string // a file of names
	sampling  prompts.Sampling
	limit     bool // -n was given
}

// ioi is the prompt source that is no file.
const ioi = "ioi"

// defaultPrompts is how many prompts the generator makes: as many as the published analysis of head 10.7 used.
const defaultPrompts = 50

// A promptSource is where prompts come from.
type promptSource struct {
	prompts iter.Seq2[schema.Prompt, error]
	name    string   // in the manifest
	names   []string // to draw random names from; nil if it has none
	notices []string // what the user should know about it

	documents *prompts.Documents // texts without positions; nil for prompts with
	templates *prompts.Templates // of the generator; nil for a file
	own       bool               // the templates are ducklens's own
	sampling  prompts.Sampling
}

// fit leaves those of the generator's own names out of all draws that are several tokens of the model: attention to a name is
// attention to one token. From a user's templates nothing is left out, as they draw what CPython draws from them.
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
		return &hinted{fmt.Errorf("of the ioi generator's %d names %d are one token of this model, want at least %d", all, left, prompts.LeastNames),
			"--templates FILE gives the generator other names, --prompts FILE prompts of your own"}
	}
	s.use(s.templates.Without(several))
	s.notices = append(s.notices, fmt.Sprintf("%d of %d names are several tokens of this model and are left out", len(several), all))
	return nil
}

// withinText is what stands before a name that does not begin a text.
const withinText = "and "

// use has prompts and random names drawn from templates.
func (s *promptSource) use(t *prompts.Templates) {
	s.templates, s.names, s.prompts = t, t.Names, t.Prompts(s.sampling)
}

// atNames says, of an error about a prompt from a user's templates, which of their names are to blame.
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
	return &hinted{err, fmt.Sprintf("leave these names out of %s, they are several tokens: %s", s.name, strings.Join(slices.Compact(several), ", "))}
}

// open gives the prompts.
func (f *promptFlags) open(ctx context.Context) (promptSource, error) {
	if len(f.texts) > 0 {
		d := &prompts.Documents{Paths: f.texts, Whole: f.whole}
		source := promptSource{prompts: d.Prompts(ctx), name: strings.Join(f.texts, ", "), documents: d}
		if f.limit {
			source.prompts = first(source.prompts, f.sampling.N)
		}
		return source, nil
	}
	if f.source != ioi {
		source := promptSource{prompts: prompts.File(ctx, f.source), name: f.source}
		if f.names != "" {
			var err error
			if source.names, err = prompts.ReadNames(f.names); err != nil {
				return source, err
			}
		} else {
			source.notices = []string{"a file of prompts has no names to draw W_U[random name] from, and it is left out; --names FILE gives names"}
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

// given takes the prompts of a folder of activations.
func (f *promptFlags) given(e *engine.Engine, folder string) promptSource {
	source := promptSource{prompts: e.GivenPrompts(), name: folder}
	if f.limit {
		source.prompts = first(source.prompts, f.sampling.N)
	}
	return source
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
