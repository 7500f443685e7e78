package engine_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ducklens/engine"
	"ducklens/engine/decompose"
	"ducklens/schema"
)

// TestAnalyzeNamesWhatIsNotFinite spoils weights so that numbers overflow or vanish. Each must be an error
// that says where, in every convention, and with and without contributions.
func TestAnalyzeNamesWhatIsNotFinite(t *testing.T) {
	t.Parallel()
	constant := func(n int, v float32) []float32 {
		list := make([]float32, n)
		for i := range list {
			list[i] = v * float32(1+i%2)
		}
		return list
	}
	for name, c := range map[string]struct {
		spoil func(dir string)
		want  string
		hint  string
	}{
		"activation": {func(dir string) { addToTensor(t, dir, "h.1.mlp.c_proj.bias", constant(32, 1.5e38)) },
			"example 2, layer 2: scale of ln1 at token 0 is ", "too large"},
		"score": {func(dir string) { addToTensor(t, dir, "h.2.attn.c_attn.bias", constant(96, 1e20)) },
			"example 2, head 2.1: score is +Inf, want a finite number", "float64"},
		"LayerNorm scale": {func(dir string) {
			zeroTensor(t, dir, "wte.weight")
			zeroTensor(t, dir, "wpe.weight")
			replaceInConfig(t, dir, "layer_norm_epsilon", 0)
		}, "example 2, layer 0: scale of ln1 at token 0 is 0, want a number above zero", "epsilon is zero"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := modelFolder(t)
			c.spoil(dir)
			for _, options := range []engine.Options{{}, {Convention: schema.Notebook}, {AttentionOnly: true}} {
				_, err := open(t, dir, head(t, options)).Analyze(t.Context(), referenceExamples(t)[2:4])
				var lost *engine.NotFiniteError
				if !errors.Is(err, engine.ErrNotFinite) || !errors.As(err, &lost) {
					t.Fatalf("%+v: error %v, want ErrNotFinite", options, err)
				}
				if !strings.Contains(err.Error(), c.want) || !strings.Contains(lost.Hint(), c.hint) {
					t.Errorf("%+v: error %q, hint %q; want %q, %q", options, err, lost.Hint(), c.want, c.hint)
				}
			}
		})
	}
}

// TestAnalyzeNamesADirectionOfNothing sets the unembedding to zero: bases along it have no direction.
func TestAnalyzeNamesADirectionOfNothing(t *testing.T) {
	t.Parallel()
	dir := modelFolder(t)
	zeroTensor(t, dir, "wte.weight")
	for _, options := range []engine.Options{{}, {Convention: schema.Notebook}, {Substitutions: true, Movers: []schema.Head{{Layer: 1}}}} {
		_, err := open(t, dir, head(t, options)).Analyze(t.Context(), referenceExamples(t)[2:4])
		if !errors.Is(err, decompose.ErrDegenerate) || !strings.Contains(err.Error(), "example 2, head 2.1: query basis unembed: ") {
			t.Errorf("%+v: error %v, want ErrDegenerate with example, head and basis", options, err)
		}
	}
}

// TestFiniteLooksEverywhere spoils every number of a result, one after the other.
func TestFiniteLooksEverywhere(t *testing.T) {
	t.Parallel()
	options := head(t, engine.Options{Factors: true, Pairs: true, Substitutions: true, Projections: true, Convention: schema.Notebook})
	options.Movers = []schema.Head{{Layer: 1, Index: 0}}
	e := open(t, modelFolder(t), options)
	x := referenceExamples(t)[2]
	results, err := e.Analyze(t.Context(), []schema.Example{x})
	if err != nil {
		t.Fatal(err)
	}
	r := &results[0].Heads[0]
	if len(r.Contributions) == 0 || len(r.Factors) == 0 || len(r.Pairs) == 0 || len(r.Substitutions) == 0 || len(r.Projections) == 0 {
		t.Fatal("a part of the result is empty")
	}
	if err := engine.Finite(e, x, r); err != nil {
		t.Fatal(err)
	}
	c, f, pair, s, v := &r.Contributions[3], &r.Factors[0], &r.Pairs[1], &r.Substitutions[0], &r.Projections[0]
	for _, place := range []struct {
		number *float32
		want   string
	}{
		{&r.Score.Score, "score"},
		{&r.Score.Prob, "attention probability"},
		{&r.Score.Baseline, "score to the baseline"},
		{&r.Score.BaselineProb, "attention probability of the baseline"},
		{&r.Score.QueryScale, "scale of the norm at the query"},
		{&r.Score.KeyScale, "scale of the norm at the key"},
		{&r.Score.BaselineScale, "scale of the norm at the baseline"},
		{&r.Attention[1].Score, "score to token 1"},
		{&r.Attention[0].Prob, "attention probability of token 0"},
		{&c.Score[schema.PerpPar], "key contribution " + schema.PerpPar.String() + " of component "},
		{&c.Baseline[schema.ParPar], "key contribution " + schema.ParPar.String() + " of component "},
		{&f.Vectors[1], "query factor of component W_E"},
		{&f.Coordinates[4], "query coordinate of component W_pos"},
		{&pair.Score[4][2], "pair of components "},
		{&pair.Baseline[1][0], "pair of components "},
		{&s.Score, "query substitution W_U[key]: score"},
		{&s.Baseline, "query substitution W_U[key]: score to the baseline"},
		{&s.Prob, "query substitution W_U[key]: attention probability"},
		{&s.DiffProb, "query substitution W_U[key]: attention probability of the difference"},
		{&v.ParNorm, "query projection of 1.0: parallel norm"},
		{&v.PerpNorm, "query projection of 1.0: perpendicular norm"},
	} {
		was := *place.number
		for _, bad := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
			*place.number = float32(bad)
			err := engine.Finite(e, x, r)
			if !errors.Is(err, engine.ErrNotFinite) || !strings.HasPrefix(err.Error(), "example 2, head 2.1: "+place.want) {
				t.Errorf("%v: error %v, want %q", bad, err, place.want)
			}
		}
		*place.number = was
	}
	// What is not there is not a fault.
	x.Baseline = schema.NoPosition
	r.Score.Baseline, r.Score.BaselineScale, v.ParCos = float32(math.NaN()), float32(math.NaN()), float32(math.NaN())
	if err := engine.Finite(e, x, r); err != nil {
		t.Errorf("without a baseline: %v", err)
	}
}

// zeroTensor makes every number of a tensor of the model in dir zero.
func zeroTensor(t *testing.T, dir, name string) {
	t.Helper()
	path := filepath.Join(dir, "model.safetensors")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start := 8 + int(binary.LittleEndian.Uint64(data))
	var header map[string]struct {
		Offsets [2]int `json:"data_offsets"`
	}
	if err := json.Unmarshal(data[8:start], &header); err != nil {
		t.Fatal(err)
	}
	tensor, ok := header[name]
	if !ok {
		t.Fatalf("no tensor %s", name)
	}
	clear(data[start+tensor.Offsets[0] : start+tensor.Offsets[1]])
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// replaceInConfig changes a value of the model's config.json.
func replaceInConfig(t *testing.T, dir, key string, value any) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	config[key] = value
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
