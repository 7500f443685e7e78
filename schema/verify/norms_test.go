package verify_test

import (
	"testing"

	"ducklens/schema/verify"
)

// TestVerifyFindsDamagedNorms damages the components of norms, and ablations.
func TestVerifyFindsDamagedNorms(t *testing.T) {
	t.Parallel()
	const one = " WHERE prompt_id = 1 AND component_id = 2 AND pos = 1"
	findDamages(t, fullFile(t), []damage{
		{"lost product", []string{"DELETE FROM component_norm" + one}, verify.Incomplete, "inner products of components, or has some twice"},
		{"product twice", []string{"INSERT INTO component_norm SELECT * FROM component_norm" + one}, verify.Incomplete, "inner products of components, or has some twice"},
		{"lost product of a key", []string{"DELETE FROM component_qk_norm" + one}, verify.Incomplete, "inner products for QK-norm, or has some twice"},
		{"another stream", []string{"UPDATE component_norm SET whole = 4 * whole WHERE prompt_id = 1 AND pos = 1"}, verify.Conflicting, "does not match its scale"},
		{"streams that differ", []string{"UPDATE component_norm SET whole = 4 * whole" + one}, verify.Conflicting, "does not match its scale"},
		{"another key", []string{"UPDATE component_qk_norm SET whole = 4 * whole WHERE prompt_id = 1 AND pos = 1"}, verify.Conflicting, "mean square of a query or key does not match its scale"},
		{"one product", []string{"UPDATE component_norm SET with_whole = with_whole + whole" + one}, verify.NotClosed, "do not add up to its mean square"},
		{"one product of a key", []string{"UPDATE component_qk_norm SET with_whole = with_whole + whole" + one}, verify.NotClosed, "inner products with a query or key do not add up"},
		{"too small a component", []string{"UPDATE component_norm SET squared = squared / 1e6" + one}, verify.Conflicting, "larger than two vectors can have"},
		{"too large a product", []string{"UPDATE component_gram SET product = 1e9 WHERE prompt_id = 1"}, verify.Conflicting, "larger than two vectors can have"},
		{"pair twice", []string{"INSERT INTO component_gram SELECT * FROM component_gram WHERE prompt_id = 1"}, verify.Conflicting, "stored twice"},
		{"pair with itself", []string{"UPDATE component_gram SET other_component_id = component_id, product = 0 WHERE prompt_id = 1"}, verify.Conflicting, "of a component with itself"},
		{"ablation twice", []string{"INSERT INTO ablation SELECT * EXCLUDE (diff) FROM ablation WHERE example_id = 1"}, verify.Conflicting, "stored twice, or have an unknown method or place"},
		{"words of an ablation", []string{"UPDATE ablation SET method = 'median' WHERE example_id = 1"}, verify.Conflicting, "stored twice, or have an unknown method or place"},
		{"ablation of no writer", []string{"UPDATE ablation SET component_id = 0"}, verify.Conflicting, "not below their heads, or have impossible numbers"},
		{"ablation of no example", []string{"UPDATE ablation SET example_id = 9 WHERE example_id = 1"}, verify.Orphan, "refer to no example"},
	})
}
