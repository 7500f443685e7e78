package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
)

// size is the shape of the model.
type size struct {
	layers, heads, width, context, vocabulary int
}

// config gives config.json in Hugging Face's keys.
func (s size) config() map[string]any {
	return map[string]any{
		"_comment":            "random weights, made by ducklens/cli/demo/generate",
		"activation_function": "gelu_new",
		"architectures":       []string{"GPT2LMHeadModel"},
		"bos_token_id":        s.vocabulary - 1,
		"eos_token_id":        s.vocabulary - 1,
		"layer_norm_epsilon":  1e-5,
		"model_type":          "gpt2",
		"n_ctx":               s.context,
		"n_embd":              s.width,
		"n_head":              s.heads,
		"n_layer":             s.layers,
		"n_positions":         s.context,
		"vocab_size":          s.vocabulary,
	}
}

// tensor is a name, a shape and the distribution that its numbers are drawn from.
type tensor struct {
	name      string
	shape     []int
	mean, std float64
}

// tensors lists the parameters. The spreads are not GPT-2's, with which an untrained model attends evenly
// and its streams are all embedding: they are chosen so that scores have a spread of about one, and so that
// embeddings, heads and MLPs write vectors of about the same length. No bias is zero, so that all of the arithmetic is exercised.
func (s size) tensors() []tensor {
	d := s.width
	list := []tensor{
		{"wte.weight", []int{s.vocabulary, d}, 0, 0.5},
		{"wpe.weight", []int{s.context, d}, 0, 0.25},
	}
	for l := range s.layers {
		h := "h." + strconv.Itoa(l) + "."
		list = append(list,
			tensor{h + "ln_1.weight", []int{d}, 1, 0.1},
			tensor{h + "ln_1.bias", []int{d}, 0, 0.05},
			tensor{h + "attn.c_attn.weight", []int{d, 3 * d}, 0, 0.14},
			tensor{h + "attn.c_attn.bias", []int{3 * d}, 0, 0.1},
			tensor{h + "attn.c_proj.weight", []int{d, d}, 0, 0.1},
			tensor{h + "attn.c_proj.bias", []int{d}, 0, 0.05},
			tensor{h + "ln_2.weight", []int{d}, 1, 0.1},
			tensor{h + "ln_2.bias", []int{d}, 0, 0.05},
			tensor{h + "mlp.c_fc.weight", []int{d, 4 * d}, 0, 0.12},
			tensor{h + "mlp.c_fc.bias", []int{4 * d}, 0, 0.1},
			tensor{h + "mlp.c_proj.weight", []int{4 * d, d}, 0, 0.06},
			tensor{h + "mlp.c_proj.bias", []int{d}, 0, 0.05},
		)
	}
	return append(list,
		tensor{"ln_f.weight", []int{d}, 1, 0.1},
		tensor{"ln_f.bias", []int{d}, 0, 0.05},
	)
}

// weights gives the text of model.safetensors, in F16.
func (s size) weights(seed uint64) ([]byte, error) {
	random := rand.New(rand.NewPCG(seed, 0))
	var header, data bytes.Buffer
	for i, t := range s.tensors() {
		begin, n := data.Len(), 1
		for _, d := range t.shape {
			n *= d
		}
		for range n {
			half, err := toHalf(t.mean + float64(t.std*normal(random)))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			data.Write(binary.LittleEndian.AppendUint16(nil, half))
		}
		shape, err := json.Marshal(t.shape)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&header, `%c"%s":{"dtype":"F16","shape":%s,"data_offsets":[%d,%d]}`, "{,"[min(i, 1)], t.name, shape, begin, data.Len())
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 { // the data begins on a multiple of 8
		header.WriteByte(' ')
	}
	file := binary.LittleEndian.AppendUint64(nil, uint64(header.Len()))
	return append(append(file, header.Bytes()...), data.Bytes()...), nil
}

// normal draws a number of mean 0 and variance 1: the sum of twelve uniform ones, less six. It uses only
// sums that every processor rounds alike, unlike a method with logarithms.
func normal(random *rand.Rand) float64 {
	sum := -6.0
	for range 12 {
		sum += float64(random.Uint64()>>11) / (1 << 53)
	}
	return sum
}

// toHalf rounds to the nearest IEEE 754 binary16, ties to even. Its smallest step is 2^-24.
func toHalf(x float64) (uint16, error) {
	var sign uint16
	if math.Signbit(x) {
		sign, x = 1<<15, -x
	}
	_, exponent := math.Frexp(x)                 // x < 2^exponent
	step := math.Ldexp(1, max(exponent, -13)-11) // 11 significant bits; subnormal below 2^-14
	x = math.RoundToEven(x/step) * step
	if !(x < 65520) {
		return 0, fmt.Errorf("%v does not fit into 16 bits", x)
	}
	bits := math.Float32bits(float32(x))
	if x < math.Ldexp(1, -14) {
		return sign | uint16(x*(1<<24)), nil
	}
	return sign | uint16(bits>>23-127+15)<<10 | uint16(bits>>13&0x3ff), nil
}
