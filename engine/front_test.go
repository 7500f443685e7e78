package engine_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/internal/refdata"
	"ducklens/schema"
)

// family returns the model folder of one of the reference families, or skips the test.
func family(t *testing.T, name string) string {
	t.Helper()
	return filepath.Join(refdata.Families(t), name, "model")
}

// A key or a baseline outside the window has no score: the error names the window and what the head sees.
func TestWindows(t *testing.T) {
	t.Parallel()
	const text = "Then Jonas and Wilhelmina went to the lighthouse. Jonas gave a lamp to"
	at := schema.AtIndex
	dir := family(t, "gemma2") // layers 0 and 2 have a window of 9
	local, far := open(t, dir, engine.Options{Heads: []schema.Head{{Layer: 2, Index: 3}}}), open(t, dir, engine.Options{Heads: []schema.Head{{Layer: 3}}})
	for name, c := range map[string]struct {
		prompt schema.Prompt
		want   string
	}{
		"key":      {schema.Prompt{Text: text, Query: at(18), Key: at(9), Baseline: at(12)}, "key 9 is token 9, and head 2.3 has an attention window of 9: from query token 18 it sees tokens 10 to 18"},
		"baseline": {schema.Prompt{Text: text, Query: at(18), Key: at(10), Baseline: at(0)}, "baseline 0 is token 0, and head 2.3 has an attention window of 9"},
	} {
		_, err := local.Example(c.prompt)
		if !errors.Is(err, engine.ErrPrompt) || !strings.Contains(err.Error(), c.want) || !strings.Contains(hint(err), "from token 10 on") {
			t.Errorf("%s: error %v, hint %q, want %q", name, err, hint(err), c.want)
		}
		x, err := far.Example(c.prompt)
		if err != nil {
			t.Errorf("%s, a head without a window: %v", name, err)
		}
		if _, err := local.Analyze(t.Context(), []schema.Example{x}); !errors.Is(err, engine.ErrPrompt) {
			t.Errorf("%s: Analyze gives %v", name, err)
		}
	}
	x, err := local.Example(schema.Prompt{Text: text, Query: at(18), Key: at(10), Baseline: at(18)})
	if err != nil {
		t.Fatal(err)
	}
	r := analyze(t, local, []schema.Example{x})[0]
	if h := r.Heads[0]; h.FirstKey != 10 || len(h.Attention) != 9 {
		t.Errorf("%d positions from %d on, want 9 from 10 on", len(h.Attention), h.FirstKey)
	}
	// Query and baseline are one position.
	if len(r.LayerScales) != 2*2 || r.LayerScales[0].Pos != 10 || r.LayerScales[1].Pos != 18 || r.LayerScales[3].Layer != 1 {
		t.Errorf("scales of post-norms %+v, want those of two positions in two layers", r.LayerScales)
	}
}

func TestBeginningOfText(t *testing.T) {
	t.Parallel()
	prompt := schema.Prompt{Text: "Then Jonas spoke", Query: schema.AtIndex(-1), Key: schema.AtIndex(0)}
	for _, c := range []struct {
		family, bos string
		want        bool
	}{
		{"llama3", "", true}, {"llama3", engine.BOSAuto, true}, {"llama3", engine.BOSOn, true}, {"llama3", engine.BOSOff, false},
		{"qwen2", "", false}, {"pythia", engine.BOSOff, false},
	} {
		e := open(t, family(t, c.family), engine.Options{BOS: c.bos, AttentionOnly: true})
		x, err := e.Example(prompt)
		if err != nil {
			t.Fatal(err)
		}
		if e.BOS() != c.want || strings.HasPrefix(x.Tokens[0].Text, "<|begin") != c.want || len(x.Notices) > 0 {
			t.Errorf("%s, BOS %q: %t, tokens %v, notice %q", c.family, c.bos, e.BOS(), x.Tokens, x.Notices)
		}
	}
	e := open(t, family(t, "llama3"), engine.Options{AttentionOnly: true})
	prompt.Text = "<|begin_of_text|>" + prompt.Text
	x, err := e.Example(prompt)
	if err != nil {
		t.Fatal(err)
	}
	if x.Tokens[0].ID != x.Tokens[1].ID || !slices.Equal(x.Notices, []string{"the text begins with <|begin_of_text|>, and another one is put in front of it"}) {
		t.Errorf("tokens %v, notice %q", x.Tokens[:3], x.Notices)
	}
	if err := (engine.Options{BOS: "yes"}).Validate(); err == nil || !strings.Contains(err.Error(), `BOS "yes", want auto, on or off`) {
		t.Errorf("BOS yes: %v", err)
	}
}

// The notebook convention is only for GPT-2.
func TestNotebookIsRefusedElsewhere(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"llama2", "opt", "olmo2"} {
		_, err := engine.Open(family(t, name), engine.Options{Convention: schema.Notebook})
		if !errors.Is(err, engine.ErrOptions) || !strings.Contains(err.Error(), "imitates published code for GPT-2") || !strings.Contains(hint(err), "exact") {
			t.Errorf("%s: error %v, hint %q", name, err, hint(err))
		}
	}
	open(t, family(t, "gpt2"), engine.Options{Convention: schema.Notebook})
}

// A constant direction is zero for LayerNorm, but not for RMSNorm.
func TestConstantDirections(t *testing.T) {
	t.Parallel()
	ones := make([]float64, 32)
	for i := range ones {
		ones[i] = 1
	}
	options := engine.Options{UserBases: []engine.UserBasis{{Side: schema.Key, Name: "ones", Subspaces: [][][]float64{{ones}}}}}
	if _, err := engine.Open(family(t, "gpt2"), options); !errors.Is(err, engine.ErrArray) || !strings.Contains(hint(err), "constant") {
		t.Errorf("LayerNorm: error %v, hint %q", err, hint(err))
	}
	open(t, family(t, "llama2"), options)
}

// What needs an unembedding is left out if there is none, or is an error if it was asked for.
func TestWithoutUnembedding(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := family(t, "olmo2") // untied
	for _, name := range []string{"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "model.safetensors" { // the name of a buffer, which is as long with blanks behind it
			text = []byte(strings.Replace(string(text), `"lm_head.weight"`, `"position_ids"  `, 1))
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	options := engine.Options{Substitutions: true, Projections: true, Factors: true, Movers: []schema.Head{{}}, Heads: []schema.Head{{Layer: 1}}}
	e := open(t, dir, options)
	if got := strings.Join(e.Notices(), "; "); !strings.Contains(got, "query bases unembed and unembed+baseline and sub_unembed are left out: ") || !strings.Contains(got, "has no unembedding") {
		t.Errorf("notices %q", got)
	}
	x, err := e.Example(schema.Prompt{Text: "Then Jonas and Marta spoke", Query: schema.AtIndex(-1), Key: schema.AtIndex(1), Baseline: schema.AtIndex(3)})
	if err != nil {
		t.Fatal(err)
	}
	h := analyze(t, e, []schema.Example{x})[0].Heads[0]
	if len(h.Contributions) == 0 {
		t.Error("no contributions")
	}
	for _, s := range h.Substitutions {
		if strings.Contains(s.Vector, "W_U") {
			t.Errorf("substitution %s", s.Vector)
		}
	}
	for name, o := range map[string]engine.Options{"basis": {QueryBases: []string{"unembed"}}, "logits": {Logits: true}} {
		if _, err := engine.Open(dir, o); err == nil || !strings.Contains(err.Error(), "has no unembedding") || hint(err) == "" {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Effects of components add up to the model's own logits, in both forms of the weights, and nothing else
// changes.
func TestLogitsChangeNothingElse(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	x := referenceExamples(t)[:3]
	x[1].Baseline = schema.NoPosition
	without := analyze(t, open(t, dir, head(t, engine.Options{})), x)
	for _, processing := range []schema.Processing{schema.Processed, schema.Raw} {
		e := open(t, dir, head(t, engine.Options{Logits: true, Processing: processing}))
		for i, r := range analyze(t, e, x) {
			if processing == schema.Processed && r.Heads[0].Score.Score != without[i].Heads[0].Score.Score {
				t.Errorf("example %d: score %v, want %v", i, r.Heads[0].Score.Score, without[i].Heads[0].Score.Score)
			}
			l := r.Logits
			key, baseline := float64(l.KeyBias), float64(l.BaselineBias)
			for _, effect := range l.Effects {
				key, baseline = key+float64(effect.Key), baseline+float64(effect.Baseline)
			}
			if len(l.Effects) != e.Layout().Below(3) || !(math.Abs(key-float64(l.Key)) <= 1e-4) || math.IsNaN(baseline) != (i == 1) || i != 1 && !(math.Abs(baseline-float64(l.Baseline)) <= 1e-4) {
				t.Errorf("%s, example %d: %d effects add up to %g and %g, logits %v and %v", processing, i, len(l.Effects), key, baseline, l.Key, l.Baseline)
			}
		}
		if without[0].Logits != nil {
			t.Error("logits that were not asked for")
		}
	}
}

// More prompts in a pass take more memory, longer ones more work, and a higher head more of both.
func TestEstimate(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	estimate := func(layer, prompts, tokens int) engine.Estimate {
		m, x, err := engine.EstimateRun(dir, engine.Options{Heads: []schema.Head{{Layer: layer}}}, prompts, tokens)
		if err != nil || m.NLayers != 3 || !(x.Seconds > 0 && x.Rate > 1e6) || x.Bytes < x.Weights+x.Pass {
			t.Fatalf("%+v, %+v, %v", m, x, err)
		}
		return x
	}
	small := estimate(1, 10, 20)
	// 4 heads of 8, d_model 32, d_mlp 128: one layer and the queries, keys and values of the next, for each
	// token.
	weights := float64(4*32*32 + 2*32*128)
	attention := float64(4 * 8 * 21) // half of q . k and half of the sum of values
	if want := 2 * 20 * (weights + attention + 3*32*32); small.FLOPs != want {
		t.Errorf("%g FLOP, want %g", small.FLOPs, want)
	}
	if more := estimate(1, 20, 20); more.Pass != 2*small.Pass || more.FLOPs != small.FLOPs {
		t.Errorf("20 prompts in place of 10: %+v, %+v", more, small)
	}
	if longer := estimate(1, 10, 40); !(longer.FLOPs > 2*small.FLOPs && longer.Pass > small.Pass) {
		t.Errorf("40 tokens in place of 20: %+v, %+v", longer, small)
	}
	if higher := estimate(2, 10, 20); !(higher.FLOPs > small.FLOPs && higher.Weights > small.Weights && higher.Pass > small.Pass) {
		t.Errorf("a higher head: %+v, %+v", higher, small)
	}
	if _, _, err := engine.EstimateRun(dir, engine.Options{Heads: []schema.Head{{Layer: 9}}}, 1, 1); !errors.Is(err, engine.ErrUnknownHead) {
		t.Errorf("a head that is not there: %v", err)
	}
}

// If no heads are named, those of layers whose window hides a key or a baseline of any example are left out.
func TestEveryHeadThatSees(t *testing.T) {
	t.Parallel()
	const text = "Then Jonas and Wilhelmina went to the lighthouse. Jonas gave a lamp to"
	at := schema.AtIndex
	near, far := schema.Prompt{Text: text, Query: at(18), Key: at(10), Baseline: at(12)}, schema.Prompt{Text: text, Query: at(18), Key: at(12), Baseline: at(9)}
	for name, c := range map[string]struct {
		prompts []schema.Prompt
		layers  []int
		notice  string
	}{
		"all see":      {[]schema.Prompt{near}, []int{1, 2, 3}, ""},
		"one baseline": {[]schema.Prompt{near, far, near}, []int{1, 3}, "heads of layer 2 are left out: a key or a baseline lies up to 9 tokens before its query, and these layers have an attention window of 9 tokens"},
	} {
		e := open(t, family(t, "gemma2"), engine.Options{}) // layers 0 and 2 have a window of 9; the default bases need layer 0
		var examples []schema.Example
		for _, p := range c.prompts {
			x, err := e.Example(p)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			examples = append(examples, x)
		}
		if err := e.Prepare(t.Context(), examples[:1]); err != nil {
			t.Fatal(err)
		}
		var layers []int
		for _, target := range e.Targets() {
			layers = append(layers, target.Layer)
		}
		if layers = slices.Compact(layers); !slices.Equal(layers, c.layers) {
			t.Errorf("%s: heads of layers %v, want %v", name, layers, c.layers)
		}
		if notices := strings.Join(e.Notices(), "\n"); c.notice == "" && strings.Contains(notices, "window") || !strings.Contains(notices, c.notice) {
			t.Errorf("%s: notices %q, want %q", name, notices, c.notice)
		}
		if r := analyze(t, e, examples); len(r[0].Heads) != len(e.Targets()) {
			t.Errorf("%s: %d heads, want %d", name, len(r[0].Heads), len(e.Targets()))
		}
	}
}

// Longrope uses other frequencies in long prompts: what follows the query matters, and prompts that begin
// alike do not share rows.
func TestLongropeCountsThePrompt(t *testing.T) {
	t.Parallel()
	e := open(t, family(t, "phi3-longrope"), engine.Options{Heads: []schema.Head{{Layer: 2, Index: 3}}}) // the long list beyond 256 tokens
	short := schema.Example{Query: 40, Key: 7, Baseline: 20, RandomName: schema.NoToken, RandomToken: schema.NoToken}
	for i := range 257 {
		short.Tokens = append(short.Tokens, schema.Token{ID: 10 + i%300})
	}
	long := short
	long.Index, short.Tokens = 1, short.Tokens[:256]
	together := analyze(t, e, []schema.Example{short, long})
	if together[0].Heads[0].Score.Score == together[1].Heads[0].Score.Score {
		t.Errorf("score %v of 256 and of 257 tokens", together[0].Heads[0].Score.Score)
	}
	for i, x := range []schema.Example{short, long} {
		if alone := analyze(t, e, []schema.Example{x})[0]; alone.Heads[0].Score.Score != together[i].Heads[0].Score.Score {
			t.Errorf("example %d: score %v alone, %v beside the other", i, alone.Heads[0].Score.Score, together[i].Heads[0].Score.Score)
		}
	}
	cut := short
	cut.Tokens = cut.Tokens[:41]
	if alone := analyze(t, e, []schema.Example{cut})[0]; alone.Heads[0].Score.Score != together[0].Heads[0].Score.Score {
		t.Errorf("without later tokens: score %v, want %v", alone.Heads[0].Score.Score, together[0].Heads[0].Score.Score)
	}
}
