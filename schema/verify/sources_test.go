package verify_test

import (
	"testing"

	"ducklens/schema/verify"
)

// TestVerifyFindsDamagedSources damages sources and bands.
func TestVerifyFindsDamagedSources(t *testing.T) {
	t.Parallel()
	const one = " WHERE example_id = 1 AND side = 'key' AND component_id = 2"
	turned := []string{"UPDATE head SET rotary_dims = 2", "UPDATE rotary_contribution SET content = content - 1, score = score - 1 WHERE example_id >= 0",
		"INSERT INTO rotary_contribution SELECT run_id, example_id, head_id, 0, 6.28, 1, 2, 0, 0 FROM rotary_contribution"}
	findDamages(t, fullFile(t), []damage{
		{"one position", []string{"UPDATE source_contribution SET score = score + 1" + one + " AND pos = 1"},
			verify.NotClosed, "1 source positions of a component do not add up to its contribution; first: example 1, head L1H0, key side, component 0.0"},
		{"one baseline", []string{"UPDATE source_contribution SET baseline = baseline + 1" + one + " AND pos = 1"}, verify.NotClosed, "1 source positions of a component"},
		{"baseline lost", []string{"UPDATE source_contribution SET baseline = NULL" + one + " AND pos = 1"}, verify.Conflicting, "1 source position has a baseline although its example has none, or lacks one"},
		{"lost position", []string{"DELETE FROM source_contribution" + one + " AND pos = 1"}, verify.Incomplete, "1 component lacks source positions or has some twice; first: example 1"},
		{"lost last position", []string{"DELETE FROM source_contribution" + one + " AND pos = 2"}, verify.Incomplete, "1 component lacks source positions or has some twice"},
		{"position twice", []string{"INSERT INTO source_contribution SELECT * EXCLUDE (diff) FROM source_contribution" + one + " AND pos = 0"}, verify.Incomplete, "1 component lacks source positions or has some twice"},
		{"lost example", []string{"DELETE FROM source_contribution" + one}, verify.Incomplete, "1 component of a head and side is not split by source for every example; first: head L1H0, key side, component 0.0: 1 of 2 examples"},
		{"no head", []string{"UPDATE source_contribution SET component_id = 0 WHERE component_id = 2"}, verify.Conflicting, "1 component that is split by source is not a head below the target head; first: head L1H0: component W_E"},
		{"no example", []string{"UPDATE source_contribution SET example_id = 9 WHERE example_id = 1"}, verify.Orphan, "sources of components refer to no example"},
		{"one band", []string{"UPDATE rotary_contribution SET score = score + 1, content = content + 1 WHERE example_id = 1"}, verify.NotClosed, "1 bands of rotary embedding do not add up to the score; first: example 1"},
		{"content that turns", []string{"UPDATE rotary_contribution SET content = content + 1 WHERE example_id = 1"}, verify.Conflicting, "1 band of rotary embedding has an impossible wavelength, content or baseline"},
		{"band twice", []string{"INSERT INTO rotary_contribution SELECT * EXCLUDE (diff, content_diff) FROM rotary_contribution"}, verify.Incomplete, "2 scores are not split into each band of rotary embedding once"},
		{"band of nothing", []string{"UPDATE head SET rotary_dims = 4"}, verify.Incomplete, "2 scores are not split into each band"},
		{"lost band", []string{"DELETE FROM rotary_contribution WHERE example_id = 1"}, verify.Incomplete, "1 head is not split into bands of rotary embedding for every example; first: head L1H0: 1 of 2 examples"},
		{"wavelength", append(turned, "UPDATE rotary_contribution SET wavelength = -1 WHERE pair = 0"), verify.Conflicting, "2 bands of rotary embedding have impossible wavelengths"},
		{"band without head", []string{"UPDATE rotary_contribution SET head_id = 99"}, verify.Orphan, "2 bands of rotary embedding refer to no head"},
	})
}
