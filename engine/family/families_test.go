package family_test

import (
	"testing"

	"ducklens/engine/family"
	"ducklens/engine/family/familytest"
)

// Each page opens a checkpoint that has what the page asks for.
func TestEveryType(t *testing.T) {
	for _, kind := range familytest.Types() {
		t.Run(kind, func(t *testing.T) {
			m, err := family.Open(familytest.Open(t, familytest.Tiny(kind), 1))
			if err != nil {
				t.Fatal(err)
			}
			if m.Spec.Layers != 3 || m.Spec.DModel != 24 || m.Spec.Heads != 4 || m.Spec.DVocab != 101 ||
				len(m.Unread) > 0 {
				t.Errorf("%+v", m.Spec)
			}
		})
	}
}
