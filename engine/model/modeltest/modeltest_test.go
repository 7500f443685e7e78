package modeltest_test

import (
	"testing"

	"ducklens/engine/model/modeltest"
)

func TestWriteIsReproducible(t *testing.T) {
	sum := func(seed uint64) string {
		s, err := modeltest.Open(t, modeltest.Tiny(), seed).SHA256()
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
