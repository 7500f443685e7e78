package family

import (
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/engine/rotary"
)

// rope is a family's spelling of its rotary embedding outside rope_parameters and rope_scaling.
type rope struct {
	theta   string            // the key of the base
	part    string            // the key of the part of a head that turns; "": all of it
	local   string            // the key of the base of layers with a window, never scaled; "": as the others
	aliases map[string]string // older names of types
}

// turn reads the rotary embedding of every layer, in the old spelling (rope_theta, rope_scaling) or the new
// one (rope_parameters, which may have one set for each type of layer).
func (k *keys) turn(s *model.Spec, r rope, types []string) {
	made := map[string]rotary.Rotary{}
	for _, kind := range types {
		turn, ok := made[kind]
		if !ok {
			turn = k.rotaryOf(s, r, kind)
			made[kind] = turn
		}
		s.Rotary = append(s.Rotary, turn)
	}
	if k.has("rope_parameters") && k.isSet("rope_scaling") {
		k.sameRope(s, r, types)
	}
	k.take("rope_parameters", "rope_scaling", r.theta, r.part, r.local, "original_max_position_embeddings")
}

// sameRope refuses two spellings of the rotary embedding that do not mean the same, because it depends on the
// release of transformers and on the family which one counts.
func (k *keys) sameRope(s *model.Spec, r rope, types []string) {
	old := *k
	old.values = maps.Clone(k.values)
	delete(old.values, "rope_parameters")
	for i, kind := range types {
		if !reflect.DeepEqual(old.rotaryOf(s, r, kind), s.Rotary[i]) {
			k.refuse(
				"rope_parameters and rope_scaling are both there and do not mean the same, want one of them")
			return
		}
	}
}

// allFull returns the types of the layers of a model in which all are alike.
func allFull(s *model.Spec) []string { return slices.Repeat([]string{full}, s.Layers) }

// rotaryOf reads one set of parameters.
func (k *keys) rotaryOf(s *model.Spec, r rope, kind string) rotary.Rotary {
	p := k.ropeKeys(r, kind)
	defer func() {
		for _, key := range p.left() {
			p.refuse("%s is not understood", key)
		}
		k.faults = append(k.faults, p.faults...)
	}()
	base := p.positive("rope_theta")
	part := 1.0
	if p.has("partial_rotary_factor") {
		part = p.number("partial_rotary_factor", 0, 1)
	}
	dims := int(float64(s.DHead) * part)
	if dims%2 != 0 || dims == 0 {
		p.fail("partial_rotary_factor %v of %d dimensions is %d, want an even number", part, s.DHead, dims)
		return rotary.Rotary{}
	}
	turn := plainRotary(base, dims)
	p.take("original_max_position_embeddings", "max_position_embeddings", "finetuned")
	name := p.kind(r)
	switch name {
	case "default":
	case "linear":
		divide(turn.Frequencies, p.positive("factor"))
	case "llama3":
		p.llama3(&turn, s)
	case "yarn":
		p.yarn(&turn, s, base)
	case "longrope":
		p.longrope(&turn, s)
	case "dynamic":
		p.refuse("rope_type is \"dynamic\": its frequencies depend on the length of the text")
	default:
		p.refuse("rope_type is %q, want default, linear, llama3, yarn or longrope", name)
	}
	return turn
}

// kind reads the type of the scaling, which older files call type.
func (k *keys) kind(r rope) string {
	name, older := k.text("rope_type"), k.text("type")
	if name == "" {
		name = older
	} else if older != "" && older != name {
		k.fail("rope_type is %q and type is %q, want the same", name, older)
	}
	if alias, ok := r.aliases[name]; ok {
		return alias
	}
	if name == "" {
		return "default"
	}
	return name
}

// ropeKeys returns the parameters of a type of layer as keys of their own.
func (k *keys) ropeKeys(r rope, kind string) *keys {
	place, values := "rope_parameters", checkpoint.Keys{}
	switch byLayer := (map[string]checkpoint.Keys{}); {
	case k.has("rope_parameters") && json.Unmarshal(k.value("rope_parameters"), &byLayer) == nil &&
		(byLayer[full] != nil || byLayer[local] != nil):
		place, values = place+"."+kind, byLayer[kind]
	case k.has("rope_parameters"):
		k.decode("rope_parameters", &values)
		if r.local != "" && k.isSet("rope_parameters") {
			k.refuse("rope_parameters has one set of values, want one for each of %q and %q", full, local)
		}
	case kind == local && r.local != "":
		place = r.local
		values["rope_theta"] = k.value(r.local)
	default:
		place = "rope_scaling"
		k.decode("rope_scaling", &values)
	}
	p := &keys{values: values, taken: map[string]bool{}, path: k.path + place + ".", spell: k.spell,
		defaults: checkpoint.Keys{}}
	p.defaults["rope_theta"] = k.value(r.theta)
	if r.part != "" && k.has(r.part) {
		p.same("partial_rotary_factor", k, r.part)
	}
	p.same("original_max_position_embeddings", k, "original_max_position_embeddings")
	p.defaults["max_position_embeddings"] = k.value("max_position_embeddings")
	return p
}

// same takes a key's value from outside if it is not inside; if the file has both, they must agree.
func (p *keys) same(key string, k *keys, outside string) {
	if !k.has(outside) {
		return
	}
	p.defaults[key] = k.value(outside)
	if p.has(key) && !k.absent(outside) && p.number(key, 0, 1e9) != k.number(outside, 0, 1e9) {
		p.fail("%s is %s, and %s outside is %s, want the same", key, p.value(key), outside, k.value(outside))
	}
}

// agree refuses a second name of a number with a different value.
func (k *keys) agree(other, key string) {
	if k.has(other) && k.number(other, 0, 1e30) != k.number(key, 0, 1e30) {
		k.refuse("%s is %s, and %s, which counts, is %s: want the same", other, k.value(other), key,
			k.value(key))
	}
}

// plainRotary rotates the first dims dimensions, unscaled.
func plainRotary(base float64, dims int) rotary.Rotary {
	return rotary.Rotary{Dims: dims, Factor: 1, Frequencies: frequencies(base, dims)}
}

// frequencies returns base^(-2i/dims): [dims/2] radians per position.
func frequencies(base float64, dims int) []float64 {
	f := make([]float64, dims/2)
	for i := range f {
		f[i] = 1 / math.Pow(base, float64(2*i)/float64(dims))
	}
	return f
}

func divide(f []float64, by float64) {
	for i := range f {
		f[i] /= by
	}
}

// original returns the context length that the model was trained for before it was extended.
func (k *keys) original() float64 {
	if k.has("original_max_position_embeddings") {
		return k.positive("original_max_position_embeddings")
	}
	return k.positive("max_position_embeddings")
}

// llama3 divides the frequencies of waves that are longer than the original context, and blends the ones in
// between.
func (k *keys) llama3(turn *rotary.Rotary, s *model.Spec) {
	factor, low, high := k.positive("factor"), k.positive("low_freq_factor"), k.positive("high_freq_factor")
	original := k.original()
	if !(low < high) {
		k.fail("low_freq_factor is %v and high_freq_factor %v, want the second larger", low, high)
	}
	for i, f := range turn.Frequencies {
		waves := original * f / (2 * math.Pi)
		keep := min(max((waves-low)/(high-low), 0), 1)
		turn.Frequencies[i] = (1-keep)*f/factor + keep*f
	}
}

// yarn divides the frequencies below a ramp over the dimensions (arXiv:2309.00071).
func (k *keys) yarn(turn *rotary.Rotary, s *model.Spec, base float64) {
	original := k.original()
	factor := k.optional("factor")
	if factor == 0 {
		factor = float64(s.NCtx) / original
	}
	turn.Factor = k.yarnFactor(factor)
	fast, slow := 32.0, 1.0
	if k.isSet("beta_fast") {
		fast = k.positive("beta_fast")
	}
	if k.isSet("beta_slow") {
		slow = k.positive("beta_slow")
	}
	dims := float64(turn.Dims)
	dimension := func(turns float64) float64 { // the dimension with this many turns in the original context
		return dims * math.Log(original/(turns*2*math.Pi)) / (2 * math.Log(base))
	}
	low, high := dimension(fast), dimension(slow)
	if k.absent("truncate") || k.flag("truncate") {
		low, high = math.Floor(low), math.Ceil(high)
	}
	k.take("truncate")
	low, high = max(low, 0), min(high, dims-1)
	if low == high {
		high += 0.001
	}
	for i, f := range turn.Frequencies {
		ramp := min(max((float64(i)-low)/(high-low), 0), 1)
		turn.Frequencies[i] = f/factor*ramp + f*(1-ramp)
	}
}

// yarnFactor returns what cos and sin are multiplied by.
func (k *keys) yarnFactor(factor float64) float64 {
	grow := func(by float64) float64 {
		if factor <= 1 {
			return 1
		}
		return 0.1*by*math.Log(factor) + 1
	}
	by, all := k.optional("mscale"), k.optional("mscale_all_dim")
	if stored := k.optional("attention_factor"); stored != 0 {
		return stored
	}
	if by != 0 && all != 0 {
		return grow(by) / grow(all)
	}
	return grow(1)
}

// longrope divides every frequency by its own number, from one list for prompts up to the original context
// and from another for longer ones (arXiv:2402.13753).
func (k *keys) longrope(turn *rotary.Rotary, s *model.Spec) {
	original := k.original()
	factor := k.optional("factor")
	if factor == 0 {
		factor = float64(s.NCtx) / original
	}
	switch stored := k.optional("attention_factor"); {
	case stored != 0:
		turn.Factor = stored
	case factor > 1:
		turn.Factor = math.Sqrt(1 + math.Log(factor)/math.Log(original))
	}
	turn.LongFrequencies, turn.LongFrom = slices.Clone(turn.Frequencies), int(original)
	for key, f := range map[string][]float64{"short_factor": turn.Frequencies,
		"long_factor": turn.LongFrequencies} {
		var by []float64
		if k.decode(key, &by); len(by) != len(f) {
			k.fail("%s has %d numbers, want %d", key, len(by), len(f))
			continue
		}
		for i := range f {
			if !(by[i] > 0) {
				k.fail("%s has %v, want numbers above 0", key, by[i])
			}
			f[i] /= by[i]
		}
	}
}
