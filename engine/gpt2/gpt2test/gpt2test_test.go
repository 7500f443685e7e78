package gpt2test_test

import (
	"testing"

	"ducklens/engine/gpt2/gpt2test"
)

func TestWriteIsReproducible(t *testing.T) {
	sum := func(seed uint64) string {
		s, err := gpt2test.Open(t, gpt2test.Tiny(), seed).SHA256()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if first, again := sum(1), sum(1); first != again {
		t.Error("two models of one seed differ")
	}
	if sum(1) == sum(2) {
		t.Error("models of two seeds are the same")
	}
}
