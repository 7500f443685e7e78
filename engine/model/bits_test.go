package model_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"

	"ducklens/engine/blas"
	"ducklens/engine/internal/refdata"
	"ducklens/engine/model"
	"ducklens/engine/model/modeltest"
	"ducklens/schema"
)

// bitsOfGPT2 are digests of all that the program that knew GPT-2 alone (0458a60) computed of two models on an
// amd64 with fused multiply-add.
var bitsOfGPT2 = map[string]string{
	"m2 builtin processed float32":   "ba4ca793d047a93ddf93f401",
	"m2 builtin raw float32":         "babd7354490fc86195907251",
	"m2 gonum processed float32":     "7494b951a21aff3f7f0951f7",
	"m2 gonum processed float64":     "83e14b3cf28f78a18cae6a3a",
	"m2 gonum raw float32":           "886e09e44ebd048b1aa9c5fe",
	"m2 gonum raw float64":           "895b29c4aa7a757eca687d1a",
	"tiny builtin processed float32": "899cb1b29ebc7ab901f37d05",
	"tiny builtin raw float32":       "2707019e18932f7da312f9bd",
	"tiny gonum processed float32":   "645f1f917e9508597d6bbddd",
	"tiny gonum processed float64":   "71f56389031e5534e0d16298",
	"tiny gonum raw float32":         "23fcd839fd46e5edf1db076e",
	"tiny gonum raw float64":         "cbd58103c63b9626de4ee2f0",
}

// GPT-2 has the bits that it had before there were other families.
func TestGPT2KeepsItsBits(t *testing.T) {
	if best := blas.Providers()[0]; runtime.GOARCH != "amd64" || best != "builtin/avx2" && best != "builtin/avx512" {
		t.Skipf("digests are those of an amd64 with fused multiply-add, and this is %s with %s", runtime.GOARCH, best)
	}
	models := map[string]modeltest.Opened{"tiny": modeltest.Open(t, modeltest.Tiny(), 1), "m2": open(t, refdata.M2(t))}
	for name, want := range bitsOfGPT2 {
		words := strings.Fields(name)
		form, err := schema.ParseProcessing(words[2])
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if words[3] == "float32" {
			got = digest[float32](t, models[words[0]], words[1], form)
		} else {
			got = digest[float64](t, models[words[0]], words[1], form)
		}
		if got != want {
			t.Errorf("%s: digest %s, want %s", name, got, want)
		}
	}
}

// digest is one of everything that a model computes.
func digest[T blas.Float](t *testing.T, c modeltest.Opened, provider string, form schema.Processing) string {
	t.Helper()
	m := modeltest.Load[T](t, c, provider, form, 2)
	h := sha256.New()
	add := func(lists ...[]T) {
		for _, x := range lists {
			for _, v := range x {
				if err := binary.Write(h, binary.LittleEndian, math.Float64bits(float64(v))); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	seqs := digestSequences(c.Spec)
	heads := []schema.Head{{Layer: 2, Index: 0}, {Layer: 2, Index: 2}, {Layer: 1, Index: 1}}
	short := mustForward(t, m, seqs, heads)
	all, err := m.ForwardAll(t.Context(), seqs, heads)
	if err != nil {
		t.Fatal(err)
	}
	for s := range seqs {
		add(everything(short, heads, s, 3), everything(all, heads, s, 3))
	}
	for tok := range 20 {
		mlp, attn := m.EffectiveEmbedding(tok)
		add(mlp, attn, m.Unembed(tok), m.Embed(tok))
	}
	add(m.Logits(all.ResidPre(c.Spec.Layers, 0, 0), all.ResidPre(c.Spec.Layers, 1, 1))...)
	for _, head := range heads {
		qk := m.QK(head)
		add(qk.WQ.Data().([]T), qk.WK.Data().([]T), qk.BQ, qk.BK)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12])
}

// digestSequences are random ones, with others that begin as they do where there is room.
func digestSequences(s *model.Spec) []model.Sequence {
	seqs := randomSequences(s, 9)
	if s.NCtx >= 200 {
		return append(seqs, sharedBeginnings(s, seqs[4])...)
	}
	for i := range seqs {
		seqs[i].Tokens = seqs[i].Tokens[:min(len(seqs[i].Tokens), s.NCtx)]
		for j, p := range seqs[i].Positions {
			seqs[i].Positions[j] = min(p, s.NCtx-1)
		}
	}
	return seqs
}
