package blas_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/blas"
)

func TestByName(t *testing.T) {
	names := blas.Providers()
	if names[len(names)-1] != "gonum" {
		t.Errorf("providers %v, want gonum last", names)
	}
	for _, name := range append(slices.Clone(names), "auto", "") {
		p, err := blas.ByName(name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		want := name
		if name == "auto" || name == "" {
			want = names[0]
		}
		if p.Name() != want {
			t.Errorf("%q gives %s, want %s", name, p.Name(), want)
		}
	}
	p, err := blas.ByName("builtin")
	if len(names) == 1 { // a build without cgo
		if !errors.Is(err, blas.ErrProvider) {
			t.Errorf("builtin: %v, want ErrProvider", err)
		}
	} else if err != nil || p.Name() != names[0] {
		t.Errorf("builtin gives %v, %v; want %s", p, err, names[0])
	}
	for _, name := range []string{"atlas", "builtin/", "Gonum"} {
		if _, err := blas.ByName(name); !errors.Is(err, blas.ErrProvider) || !strings.Contains(err.Error(), "gonum") {
			t.Errorf("%q: %v, want ErrProvider and the names there are", name, err)
		}
	}
}

func TestOpenBLASIsFoundByItsFullNameOnly(t *testing.T) {
	p, err := blas.ByName("openblas")
	if err != nil {
		if !errors.Is(err, blas.ErrProvider) {
			t.Errorf("%v, want ErrProvider", err)
		}
		t.Skipf("needs OpenBLAS (Debian: libopenblas0-pthread): %v", err)
	}
	again, err := blas.ByName(p.Name())
	if err != nil || again != p {
		t.Errorf("%q gives %v, %v", p.Name(), again, err)
	}
	if _, err := blas.ByName("openblas/0.0.0/None"); !errors.Is(err, blas.ErrProvider) || !strings.Contains(err.Error(), p.Name()) {
		t.Errorf("another OpenBLAS: %v, want ErrProvider and %s", err, p.Name())
	}
	if slices.Contains(blas.Providers(), p.Name()) {
		t.Errorf("%v lists OpenBLAS, whose results depend on the machine", blas.Providers())
	}
	for flags := range 8 {
		for _, s := range [][3]int{{1, 1, 1}, {70, 33, 40}, {300, 200, 100}} {
			checkGemm[float32](t, p, 1+flags%3, s[0], s[1], s[2], flags&1 != 0, flags&2 != 0, flags&4 != 0, tolerance32)
			checkGemm[float64](t, p, 1+flags%3, s[0], s[1], s[2], flags&1 != 0, flags&2 != 0, flags&4 != 0, tolerance64)
		}
	}
}
