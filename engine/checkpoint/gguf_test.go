package checkpoint_test

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/npy"
)

// shared gives the path of reference data that lie beside the checkout, and skips where they do not.
func shared(tb testing.TB, path ...string) string {
	tb.Helper()
	p := filepath.Join(append([]string{"..", "..", "..", "shared"}, path...)...)
	if _, err := os.Stat(p); err != nil {
		tb.Skip("no reference data:", err)
	}
	return p
}

// Every type widens to the numbers that the gguf library gives, bit for bit.
func TestTypes(t *testing.T) {
	t.Parallel()
	c, err := checkpoint.Open(shared(t, "models", "gguf-types", "types.gguf"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want, err := npy.OpenArchive(shared(t, "models", "gguf-types", "types.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if len(want.Names()) != 16 || len(c.Names()) != 16 {
		t.Errorf("%d and %d tensors, want 16", len(c.Names()), len(want.Names()))
	}
	for _, name := range want.Names() {
		a, err := want.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		x, err := a.Float64s()
		if err != nil {
			t.Fatal(err)
		}
		v, err := c.Tensor("t." + name)
		if err != nil {
			t.Fatal(err)
		}
		if string(v.DType) != name {
			t.Errorf("type %s, want %s", v.DType, name)
		}
		for i, got := range checkpoint.Values[float32](v) {
			if math.Float32bits(got) != math.Float32bits(float32(x[i])) {
				t.Errorf("%s[%d] is %v, want %v", name, i, got, x[i])
				break
			}
		}
	}
}
