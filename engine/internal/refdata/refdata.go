// Package refdata finds stored reference numbers and compares computed ones with them. Only tests import it.
//
// There are two places. testdata/m2 in the repository has a small model and some of its reference arrays, and
// always exists. The full reference data, of two models, may be beside the checkout in ../shared/goldens; a
// test that needs it is skipped with a reason if it does not exist.
//
// Both have the same layout: model/config.json, model/model.safetensors and golden/*.npz, *.npy, *.json.
package refdata

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"ducklens/engine/internal/npy"
)

// maxArrayBytes bounds one reference array.
const maxArrayBytes = 1 << 30

// root returns the folder of go.mod, above the folder of the package under test.
func root(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		above := filepath.Dir(dir)
		if above == dir {
			tb.Fatal("no go.mod above the folder of this test")
		}
		dir = above
	}
}

// M2 returns testdata/m2, with its folders model and golden.
func M2(tb testing.TB) string {
	tb.Helper()
	return filepath.Join(root(tb), "testdata", "m2")
}

// Goldens returns the full reference data of a model, "m1" or "m2", with its folders model and golden, or
// skips the test.
func Goldens(tb testing.TB, model string) string {
	tb.Helper()
	return beside(tb, model)
}

// Prompts returns the folder of reference prompt sets, or skips the test.
func Prompts(tb testing.TB) string {
	tb.Helper()
	return beside(tb, "prompts")
}

// Published returns the folder of values published for the real GPT-2 small, or skips the test.
func Published(tb testing.TB) string {
	tb.Helper()
	return besideIn(tb, "published")
}

// Families returns the folder of small models of many families with their numbers, or skips the test.
func Families(tb testing.TB) string {
	tb.Helper()
	return besideIn(tb, "families")
}

// Models returns the folder of larger models and GGUF files, or skips the test.
func Models(tb testing.TB) string {
	tb.Helper()
	return besideIn(tb, "models")
}

// Reports returns the folder of inputs rebuilt from bug reports, or skips the test.
func Reports(tb testing.TB) string {
	tb.Helper()
	return besideIn(tb, "reports")
}

func beside(tb testing.TB, name string) string {
	tb.Helper()
	return besideIn(tb, filepath.Join("goldens", name))
}

func besideIn(tb testing.TB, name string) string {
	tb.Helper()
	dir := filepath.Join(root(tb), "..", "shared", name)
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("no reference data beside the checkout: %v", err)
	}
	return dir
}

// Array is a reference array in row-major order. Float64 always has its numbers; Float32 and Int64 have them
// only if they are stored in that type.
type Array struct {
	Shape   []int
	Float64 []float64
	Float32 []float32
	Int64   []int64
}

// Len returns the number of elements.
func (a Array) Len() int {
	n := 1
	for _, d := range a.Shape {
		n *= d
	}
	return n
}

// At returns the numbers below an index: a.At(l, p) of an array [layer, prompt, 3, d_model] has 3 d_model.
func (a Array) At(index ...int) []float64 {
	from, n := a.span(index)
	return a.Float64[from : from+n]
}

// Ints is [Array.At] for stored integers, as int.
func (a Array) Ints(index ...int) []int {
	from, n := a.span(index)
	list := make([]int, n)
	for i := range list {
		list[i] = int(a.Int64[from+i])
	}
	return list
}

func (a Array) span(index []int) (from, n int) {
	n = a.Len()
	for axis, i := range index {
		if i < 0 || i >= a.Shape[axis] {
			panic(fmt.Sprintf("refdata: index %v of an array %v", index, a.Shape))
		}
		n /= a.Shape[axis]
		from += i * n
	}
	return from, n
}

// Npy reads a .npy file.
func Npy(tb testing.TB, path string) Array {
	tb.Helper()
	f, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	stored, err := npy.Read(f, maxArrayBytes)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	return array(tb, path, stored)
}

// Npz reads every array of a .npz file.
func Npz(tb testing.TB, path string) map[string]Array {
	tb.Helper()
	archive, err := npy.OpenArchive(path)
	if err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
	defer archive.Close()
	arrays := map[string]Array{}
	for _, name := range archive.Names() {
		stored, err := archive.Read(name)
		if err != nil {
			tb.Fatalf("%s: %v", path, err)
		}
		arrays[name] = array(tb, path+": "+name, stored)
	}
	return arrays
}

func array(tb testing.TB, name string, stored npy.Array) Array {
	tb.Helper()
	a := Array{Shape: stored.Shape}
	var err error
	if a.Float64, err = stored.Float64s(); err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	switch stored.DType {
	case "<f4":
		a.Float32 = make([]float32, len(a.Float64))
		for i, x := range a.Float64 {
			a.Float32[i] = float32(x)
		}
	case "<i8", "<i4":
		a.Int64 = make([]int64, len(a.Float64))
		for i, x := range a.Float64 {
			a.Int64[i] = int64(x) // ids and positions, far below 2^53
		}
	}
	return a
}

// JSON reads a .json file into dst.
func JSON(tb testing.TB, path string, dst any) {
	tb.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, dst); err != nil {
		tb.Fatalf("%s: %v", path, err)
	}
}

// Tolerance is the largest difference that counts as agreement: Absolute + OfScale x max(Floor, scale), where
// the scale is the largest absolute value of the reference array.
type Tolerance struct {
	Name     string
	Absolute float64
	OfScale  float64
	Floor    float64
}

// Tolerances for the reference data. A float64 computation must agree to within noise, which was measured
// below 1e-12 of the scale. A float32 one must agree to a few times the difference between the reference's
// own float32 and float64 runs.
var (
	Float64 = Tolerance{Name: "float64", OfScale: 1e-10, Floor: 1}
	// streams, scores, contributions per prompt: 4e-6
	Float32     = Tolerance{Name: "float32", OfScale: 2e-5}
	Float32Mean = Tolerance{Name: "float32 mean", OfScale: 5e-6} // means over a batch: 2e-7
	Float32Prob = Tolerance{Name: "float32 probability", Absolute: 2e-5}
	// parts and the score that they add up to
	Float32Closed = Tolerance{Name: "float32 closure", OfScale: 1e-4}
)

// Allowed returns the largest difference allowed for a reference array of the given scale.
func (t Tolerance) Allowed(scale float64) float64 {
	return t.Absolute + t.OfScale*max(t.Floor, scale)
}

// Compare logs the largest difference between got and want, and fails the test if it is above the tolerance.
// Equal infinities agree; NaN agrees with nothing.
func Compare[T float32 | float64](tb testing.TB, name string, got []T, want []float64, tol Tolerance) {
	tb.Helper()
	if len(got) != len(want) {
		tb.Errorf("%s: %d numbers, want %d", name, len(got), len(want))
		return
	}
	worst, at, scale := 0.0, -1, 0.0
	for i, w := range want {
		g := float64(got[i])
		if !math.IsInf(w, 0) && math.Abs(w) > scale {
			scale = math.Abs(w)
		}
		if g == w {
			continue
		}
		if d := math.Abs(g - w); !(d <= worst) {
			worst, at = d, i
			if math.IsNaN(d) {
				break
			}
		}
	}
	allowed := tol.Allowed(scale)
	if at >= 0 && !(worst <= allowed) {
		tb.Errorf("%s: largest difference %.3g at %d (%v, want %v), %s allows %.3g (scale %.3g, %d numbers)",
			name, worst, at, got[at], want[at], tol.Name, allowed, scale, len(want))
		return
	}
	tb.Logf("%s: largest difference %.3g, %s allows %.3g (scale %.3g, %d numbers)", name, worst, tol.Name,
		allowed, scale, len(want))
}
