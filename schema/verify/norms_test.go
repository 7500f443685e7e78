package verify_test

import (
	"os"
	"testing"

	"ducklens/schema"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// What may be wrong with what norms are made of, and with ablations.
func TestVerifyFindsDamagedNorms(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	schematest.Full(t, db, 7, 2, schema.Head{Layer: 1, Index: 0})
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	const one = " WHERE prompt_id = 1 AND component_id = 2 AND pos = 1"
	findDamages(t, whole, []damage{
		{"lost product", []string{"DELETE FROM component_norm" + one}, verify.Incomplete, "inner products of components, or has some twice"},
		{"product twice", []string{"INSERT INTO component_norm SELECT * FROM component_norm" + one}, verify.Incomplete, "inner products of components, or has some twice"},
		{"lost product of a key", []string{"DELETE FROM component_qk_norm" + one}, verify.Incomplete, "inner products for QK-norm, or has some twice"},
		{"another stream", []string{"UPDATE component_norm SET whole = 4 * whole WHERE prompt_id = 1 AND pos = 1"}, verify.Conflicting, "not that of its scale"},
		{"streams that differ", []string{"UPDATE component_norm SET whole = 4 * whole" + one}, verify.Conflicting, "not that of its scale"},
		{"another key", []string{"UPDATE component_qk_norm SET whole = 4 * whole WHERE prompt_id = 1 AND pos = 1"}, verify.Conflicting, "mean square of a query or key is not that of its scale"},
		{"one product", []string{"UPDATE component_norm SET with_whole = with_whole + whole" + one}, verify.NotClosed, "do not add up to its mean square"},
		{"one product of a key", []string{"UPDATE component_qk_norm SET with_whole = with_whole + whole" + one}, verify.NotClosed, "inner products with a query or key do not add up"},
		{"too small a component", []string{"UPDATE component_norm SET squared = squared / 1e6" + one}, verify.Conflicting, "larger than two vectors can have"},
		{"too large a product", []string{"UPDATE component_gram SET product = 1e9 WHERE prompt_id = 1"}, verify.Conflicting, "larger than two vectors can have"},
		{"pair twice", []string{"INSERT INTO component_gram SELECT * FROM component_gram WHERE prompt_id = 1"}, verify.Conflicting, "there twice"},
		{"pair with itself", []string{"UPDATE component_gram SET other_component_id = component_id, product = 0 WHERE prompt_id = 1"}, verify.Conflicting, "of one with itself"},
		{"ablation twice", []string{"INSERT INTO ablation SELECT * EXCLUDE (diff) FROM ablation WHERE example_id = 1"}, verify.Conflicting, "there twice, or in words that are none"},
		{"words of an ablation", []string{"UPDATE ablation SET method = 'median' WHERE example_id = 1"}, verify.Conflicting, "there twice, or in words that are none"},
		{"ablation of no writer", []string{"UPDATE ablation SET component_id = 0"}, verify.Conflicting, "do not write before their heads, or cannot be"},
		{"ablation of no example", []string{"UPDATE ablation SET example_id = 9 WHERE example_id = 1"}, verify.Orphan, "refer to no example"},
	})
}
