package refdata_test

import (
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/internal/refdata"
)

func TestM2(t *testing.T) {
	t.Parallel()
	arrays := refdata.Npz(t, filepath.Join(refdata.M2(t), "golden", "forward_A_f64.npz"))
	resid := arrays["resid_pre"]
	if want := []int{3, 50, 3, 32}; !slices.Equal(resid.Shape, want) {
		t.Fatalf("resid_pre %v, want %v", resid.Shape, want)
	}
	// The stream before block 0 is token embedding plus position embedding.
	embed, pos := arrays["embed"].At(7, 1), arrays["pos_embed"].At(7, 1)
	sum := make([]float64, len(embed))
	for i := range sum {
		sum[i] = embed[i] + pos[i]
	}
	refdata.Compare(t, "resid_pre", sum, resid.At(0, 7, 1), refdata.Float64)
	if toks := arrays["toks"]; len(toks.Ints(0)) != 22 || toks.Ints(0)[0] != 1014 {
		t.Errorf("first prompt %v, want 22 tokens from 1014, the end-of-text token", toks.Ints(0))
	}
	f32 := refdata.Npy(t, filepath.Join(refdata.M2(t), "golden", "decompose_target_f32.npy"))
	f64 := refdata.Npy(t, filepath.Join(refdata.M2(t), "golden", "decompose_target_f64.npy"))
	refdata.Compare(t, "decompose_target", f32.Float32, f64.Float64, refdata.Float32Mean)
}

func TestAt(t *testing.T) {
	t.Parallel()
	a := refdata.Array{Shape: []int{2, 3}, Float64: []float64{0, 1, 2, 3, 4, 5}}
	if got := a.At(1); !slices.Equal(got, []float64{3, 4, 5}) {
		t.Errorf("At(1) = %v", got)
	}
	if got := a.At(1, 2); !slices.Equal(got, []float64{5}) {
		t.Errorf("At(1, 2) = %v", got)
	}
}

// recorder is a testing.TB that keeps what is reported.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper()             {}
func (r *recorder) Logf(string, ...any) {}
func (r *recorder) Errorf(f string, a ...any) {
	r.errors = append(r.errors, fmt.Sprintf(f, a...))
}

func TestCompareFails(t *testing.T) {
	t.Parallel()
	inf := math.Inf(-1)
	for _, test := range []struct {
		name      string
		got, want []float64
		fails     bool
	}{
		{"equal", []float64{1, inf}, []float64{1, inf}, false},
		{"noise", []float64{1 + 1e-12}, []float64{1}, false},
		{"scaled noise", []float64{1e6, 1e-5}, []float64{1e6, 0}, false},
		{"different", []float64{1 + 1e-9}, []float64{1}, true},
		{"NaN", []float64{math.NaN()}, []float64{1}, true},
		{"infinite", []float64{1}, []float64{inf}, true},
		{"length", []float64{1}, []float64{1, 2}, true},
	} {
		r := &recorder{TB: t}
		refdata.Compare(r, test.name, test.got, test.want, refdata.Float64)
		if failed := len(r.errors) > 0; failed != test.fails {
			t.Errorf("%s: failed %v (%s), want %v", test.name, failed, strings.Join(r.errors, "; "), test.fails)
		}
	}
}
