package verify_test

import (
	"testing"

	"ducklens/schema/verify"
)

// TestRowDamage checks that damage to contributions to every key is found.
func TestRowDamage(t *testing.T) {
	t.Parallel()
	const table = "row_contribution_wide"
	findDamages(t, fullFile(t), []damage{
		{"a component is missing", []string{"DELETE FROM " + table + " WHERE prompt_id = 1 AND pos = 3 AND side = 'key' AND component_id = 2"}, verify.Incomplete, "prompt 1, head L1H0, query at 4, key side, bases none and none, position 3"},
		{"a position is missing", []string{"DELETE FROM " + table + " WHERE prompt_id = 0 AND pos = 2 AND side = 'query'"}, verify.Incomplete, "query side, position 2"},
		{"a position that is not seen", []string{"UPDATE " + table + " SET pos = 9 WHERE prompt_id = 0 AND pos = 2"}, verify.Orphan, "position 9"},
		{"a row twice", []string{"INSERT INTO " + table + " SELECT * FROM " + table + " WHERE prompt_id = 0 AND pos = 1 AND component_id = 0 AND side = 'key'"}, verify.Incomplete, "different components"},
		{"another number", []string{"UPDATE " + table + " SET score_perp_perp = score_perp_perp + 1 WHERE prompt_id = 0 AND pos = 3 AND component_id = 0 AND side = 'key'"}, verify.NotClosed, "position 3"},
		{"another number at the key", []string{"UPDATE " + table + " SET score_perp_perp = score_perp_perp + CASE component_id WHEN 0 THEN 1 ELSE -1 END WHERE prompt_id = 0 AND pos = 1 AND component_id < 2 AND side = 'key'"}, verify.NotClosed, "contribution"},
		{"a part along no basis", []string{"UPDATE " + table + " SET score_par_par = 1, score_perp_perp = score_perp_perp - 1 WHERE prompt_id = 0 AND pos = 3 AND component_id = 0 AND side = 'key'"}, verify.Conflicting, "position 3"},
		{"no rows at all", []string{"DELETE FROM " + table}, verify.Miscounted, "keys in options: all"},
		{"nobody asked", []string{"UPDATE run SET options = NULL"}, verify.Miscounted, "keys in options: none"},
		{"another prompt", []string{"UPDATE " + table + " SET prompt_id = 7 WHERE prompt_id = 0"}, verify.Orphan, "refer"},
	})
}

// TestMeanBaselineDamage checks that a baseline that is a mean but differs from that of the attention row is
// found.
func TestMeanBaselineDamage(t *testing.T) {
	t.Parallel()
	mean := []string{"UPDATE edge SET baseline_kind = 'mean', baseline_pos = NULL, baseline_token = NULL", "UPDATE score SET baseline_scale = NULL"}
	findDamages(t, wholeFile(t), []damage{
		{"another mean", append(mean, "UPDATE score SET baseline = 5"), verify.Conflicting, "mean of the others is"},
		{"a mean with a scale", []string{mean[0]}, verify.Conflicting, "example 0, head"},
	})
}
