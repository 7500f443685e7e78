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
	for _, name := range []string{"openblas", "builtin/", "Gonum"} {
		if _, err := blas.ByName(name); !errors.Is(err, blas.ErrProvider) || !strings.Contains(err.Error(), "gonum") {
			t.Errorf("%q: %v, want ErrProvider and the names there are", name, err)
		}
	}
}
