package main

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// The committed files are what the program makes.
func TestGenerate(t *testing.T) {
	t.Parallel()
	out := t.TempDir()
	if err := generate(filepath.Join("..", "..", "..", "ingest", "prompts", "ioi.json"), out, 1); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config.json", "vocab.json", "merges.txt", "model.safetensors"} {
		got, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile(filepath.Join("..", "model", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs from the committed file: run make generate", name)
		}
	}
}

// IEEE 754 binary16 by its definition.
func TestToHalf(t *testing.T) {
	t.Parallel()
	for x, want := range map[float64]uint16{
		0: 0, 1: 0x3c00, -2: 0xc000, 65504: 0x7bff, 0.1: 0x2e66,
		math.Ldexp(1, -14): 0x0400, math.Ldexp(1, -24): 1, math.Ldexp(1023, -24): 0x03ff,
		1 + math.Ldexp(1, -11): 0x3c00, 1 + math.Ldexp(3, -11): 0x3c02,
	} {
		if got, err := toHalf(x); err != nil || got != want {
			t.Errorf("toHalf(%v) = %#04x, %v, want %#04x", x, got, err, want)
		}
	}
	for _, x := range []float64{65520, math.Inf(1), math.NaN()} {
		if _, err := toHalf(x); err == nil {
			t.Errorf("toHalf(%v) gives no error", x)
		}
	}
}
