package verify_test

import (
	"math"
	"testing"

	"ducklens/schema"
	"ducklens/schema/schematest"
	"ducklens/schema/verify"
)

// TestVerifyFindsDamageToPairs damages factors and pairs. The query bases of the run are 0 none, 1 unembed, 2
// unembed+baseline, 3 sub_unembed, 4 and 5 random; the key bases are 6 none, 7 mlp0, 8 sub_mlp0, 9 and 10
// random. Head 1.0 (12) has 17 components on each side: 16 of the stream, and b_Q (170) or b_K (171).
func TestVerifyFindsDamageToPairs(t *testing.T) {
	t.Parallel()
	const one, along = " WHERE example_id = 1 AND component_id = 4", " AND basis_id = 1"
	findDamages(t, fullFile(t), []damage{
		{"query factor", []string{"UPDATE query_factor SET vector = list_transform(vector, lambda x: x + 0.1::FLOAT)" + one},
			verify.NotClosed, "query factors and the sum of key factors give other contributions; first: example 1, head L1H0, component 0.2, bases"},
		{"key factor moves the sum", []string{"UPDATE key_factor SET vector = list_transform(vector, lambda x: x + 0.1::FLOAT)" + one},
			verify.NotClosed, "query factors and the sum of key factors give other contributions; first: example 1, head L1H0"},
		{"baseline factor", []string{"UPDATE key_factor SET baseline = list_transform(baseline, lambda x: x - 0.1::FLOAT)" + one},
			verify.NotClosed, "key factors and the sum of query factors give other contributions; first: example 1, head L1H0, component 0.2, bases"},
		{"query coordinate", []string{"UPDATE query_coordinate SET coordinate = coordinate + 0.1" + one + along},
			verify.NotClosed, "2 query factors and the sum of key factors give other contributions; first: example 1, head L1H0, component 0.2, bases unembed and"},
		{"key coordinate", []string{"UPDATE key_coordinate SET coordinate = coordinate + 0.1" + one},
			verify.NotClosed, "key factors and the sum of query factors give other contributions; first: example 1, head L1H0, component 0.2, bases"},
		{"baseline coordinate", []string{"UPDATE key_coordinate SET baseline = baseline + 0.1" + one},
			verify.NotClosed, "key factors and the sum of query factors give other contributions; first: example 1, head L1H0, component 0.2, bases"},
		{"query axis", []string{"UPDATE query_axis SET image = list_transform(image, lambda x: x + 0.1::FLOAT) WHERE example_id = 1" + along},
			verify.NotClosed, "query factors and the sum of key factors give other contributions; first: example 1, head L1H0, component"},
		{"lost axis", []string{"DELETE FROM query_axis WHERE example_id = 1" + along, "DELETE FROM query_coordinate WHERE example_id = 1" + along},
			verify.NotClosed, "query factors and the sum of key factors give other contributions; first: example 1, head L1H0, component"},
		{"one pair", []string{"UPDATE pair_contribution_wide SET score_par_perp = score_par_perp + 0.01 WHERE example_id = 0 AND query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.NotClosed, "1 sum over the pairs of a query component is not its contribution; first: example 0, head L1H0, component 0.3, bases unembed+baseline and mlp0: off by 0.0"},
		{"one pair, other margin", []string{"UPDATE pair_contribution_wide SET baseline_perp_perp = baseline_perp_perp + 0.01 WHERE example_id = 0 AND query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.NotClosed, "1 sum over the pairs of a key component is not its contribution; first: example 0, head L1H0, component b_K, bases unembed+baseline and mlp0: off by 0.0"},
		{"one mean", []string{"UPDATE pair_mean_wide SET mean_diff_perp_par = mean_diff_perp_par + 0.01 WHERE query_component_id = 170 AND key_component_id = 1 AND query_basis_id = 1"},
			verify.NotClosed, "2 sums of the means of the pairs of a component are not its mean contribution; first: head L1H0, query component b_Q, bases unembed and mlp0: off by 0.0"},

		{"short factor", []string{"UPDATE query_factor SET vector = vector[2:]" + one, "UPDATE run SET convention = 'notebook'"},
			verify.Conflicting, "1 vector does not have d_head numbers; first: example 1, head L1H0, query component 0.2: 63, want 64"},
		{"short axis", []string{"UPDATE key_axis SET baseline = baseline[2:] WHERE example_id = 1", "UPDATE run SET convention = 'notebook'"},
			verify.Conflicting, "1 vector does not have d_head numbers; first: example 1, head L1H0, baseline axis of basis mlp0: 63, want 64"},
		{"lost query factor", []string{"DELETE FROM query_factor" + one},
			verify.Incomplete, "1 query vector does not have each factor once; first: example 1, head L1H0: 16 rows, want 17"},
		{"lost key factors", []string{"DELETE FROM key_factor WHERE example_id = 1"},
			verify.Incomplete, "1 key vector does not have each factor once; first: example 1, head L1H0: 0 rows, want 17"},
		{"exchanged factor", []string{"UPDATE key_factor SET component_id = 3" + one},
			verify.Incomplete, "1 key vector does not have each factor once; first: example 1, head L1H0: 17 rows, want 17"},
		{"lost coordinate", []string{"DELETE FROM query_coordinate" + one + along},
			verify.Incomplete, "1 query axis does not have each coordinate once; first: example 1, head L1H0, basis unembed, axis 0: 16 coordinates, want 17"},
		{"lost coordinates", []string{"DELETE FROM key_coordinate WHERE example_id = 1"},
			verify.Incomplete, "1 key axis does not have each coordinate once; first: example 1, head L1H0, basis mlp0, axis 0: 0 coordinates, want 17"},
		{"coordinates without an axis", []string{"DELETE FROM key_axis WHERE example_id = 1"},
			verify.Incomplete, "1 key axis does not have each coordinate once; first: example 1, head L1H0, basis mlp0, axis 0: 17 coordinates, want 0"},
		{"axis of another number", []string{"UPDATE query_axis SET axis = 5 WHERE example_id = 1 AND basis_id = 2 AND axis = 1"},
			verify.Incomplete, "1 query basis has axes with gaps, twice, or more than its dimension; first: example 1, head L1H0, basis unembed+baseline: 2 axes"},
		{"baseline of a factor lost", []string{"UPDATE key_factor SET baseline = NULL" + one},
			verify.Conflicting, "1 key factor has a baseline although its example has none, or lacks one; first: example 1, head L1H0, component 0.2"},
		{"factors denied", []string{"UPDATE run SET factors = false"}, verify.Miscounted, "1 run has factors although it says none, or none although it says so; first: factors is false"},
		{"factors gone", []string{"DELETE FROM query_factor"}, verify.Miscounted, "1 run has factors although it says none, or none although it says so; first: factors is true"},
		{"pairs denied", []string{"UPDATE run SET pairs = false"}, verify.Miscounted, "first: pairs is false"},
		{"lost pair", []string{"DELETE FROM pair_contribution_wide WHERE example_id = 0 AND query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.Incomplete, "1 example, head and pair of bases does not have each pair once; first: head L1H0, bases unembed+baseline and mlp0: 288 rows, want 289"},
		{"pair twice", []string{"UPDATE pair_contribution_wide SET key_component_id = 9 WHERE example_id = 0 AND query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.Incomplete, "1 example, head and pair of bases does not have each pair once; first: head L1H0, bases unembed+baseline and mlp0: 289 rows, want 289"},
		{"lost mean", []string{"DELETE FROM pair_mean_wide WHERE query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.Incomplete, "1 head and pair of bases does not have each mean once; first: head L1H0, bases unembed+baseline and mlp0: 288 rows, want 289"},
		{"lost whole pair", []string{"DELETE FROM pair_contribution_wide WHERE example_id = 0 AND query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 0"},
			verify.Incomplete, "1 example, head and pair of bases does not have each pair once; first: head L1H0, bases none and none: 288 rows, want 289"},
		{"means denied", []string{"UPDATE run SET pair_means = false"}, verify.Miscounted, "first: pair_means is false"},
		{"means gone", []string{"DELETE FROM pair_mean_wide"}, verify.Incomplete, "2 heads and pairs of bases do not have each mean once"},
		{"mean of fewer", []string{"UPDATE pair_mean_wide SET n = 1, n_baseline = 1 WHERE query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.Conflicting, "1 mean of pairs is over a different number of examples; first: head L1H0, components 0.3 and b_K: 1 and 1 with a baseline, want 2 and 2"},
		{"baseline of a pair lost", []string{"UPDATE pair_contribution_wide SET baseline_par_par = NULL WHERE example_id = 0 AND query_component_id = 5 AND key_component_id = 171"},
			verify.Conflicting, "3 pairs have a baseline although their examples have none, or lack one"},
		{"random direction alone", []string{"UPDATE basis SET null_number = 7, name = 'random7' WHERE basis_id = 9"}, verify.Conflicting, "2 random directions have no partner on the other side"},

		{"query factor without example", []string{"UPDATE query_factor SET example_id = 9" + one}, verify.Orphan, "1 query factor refers to no example"},
		{"key factor without head", []string{"UPDATE key_factor SET head_id = 9" + one}, verify.Orphan, "1 key factor refers to no head"},
		{"key factor without component", []string{"UPDATE key_factor SET component_id = 9999" + one}, verify.Orphan, "1 key factor refers to no component"},
		{"query axis of a key basis", []string{"UPDATE query_axis SET basis_id = 7 WHERE example_id = 1 AND basis_id = 1"}, verify.Orphan, "1 query axis refers to no basis of its side"},
		{"pair along a query basis", []string{"UPDATE pair_contribution_wide SET key_basis_id = 1 WHERE example_id = 0 AND query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.Orphan, "1 pair refers to no basis of its side"},
		{"mean without component", []string{"UPDATE pair_mean_wide SET query_component_id = 9999 WHERE query_component_id = 5 AND key_component_id = 171 AND query_basis_id = 2"},
			verify.Orphan, "1 mean of pairs refers to no component"},
	})
}

func TestVerifyFindsDamageToVectors(t *testing.T) {
	t.Parallel()
	findDamages(t, fullFile(t), []damage{
		{"other unpatched score", []string{"UPDATE substitution SET score = score + 0.01 WHERE example_id = 1 AND side = 'key' AND vector = 'unpatched'"},
			verify.Conflicting, "1 unpatched substitution differs from the score; first: example 1, head L1H0, key side"},
		{"other unpatched probability", []string{"UPDATE substitution SET prob = 0 WHERE example_id = 1 AND side = 'query' AND vector = 'unpatched'"},
			verify.Conflicting, "1 unpatched substitution differs from the score; first: example 1, head L1H0, query side"},
		{"lost substitution", []string{"DELETE FROM substitution WHERE example_id = 1 AND vector = 'W_EE'"},
			verify.Incomplete, "1 kind of row of substitution is not stored once for every example; first: {'head_id': 12, 'side': key, 'vector': W_EE}: 1 rows over 1 examples, want 2"},
		{"substitution twice", []string{"UPDATE substitution SET example_id = 0 WHERE example_id = 1 AND vector = '0.1'"},
			verify.Incomplete, "1 kind of row of substitution is not stored once for every example; first: {'head_id': 12, 'side': query, 'vector': 0.1}: 2 rows over 1 examples, want 2"},
		{"name that was not drawn", []string{"UPDATE edge SET random_name_id = NULL"}, verify.Incomplete, "'vector': 'W_U[random name]'}: 2 rows over 2 examples, want 0"},
		{"baseline of a substitution lost", []string{"UPDATE substitution SET baseline = NULL WHERE example_id = 1 AND vector = 'W_EE'"},
			verify.Conflicting, "1 substitution has a baseline although its example has none, or lacks one; first: example 1, head L1H0, W_EE"},
		{"substitution without head", []string{"UPDATE substitution SET head_id = 9 WHERE example_id = 1 AND vector = 'W_EE'"}, verify.Orphan, "1 substitution refers to no head"},
		{"long unit vector", []string{"UPDATE projection SET par_norm = 3 WHERE example_id = 1 AND vector = '0.1' AND measure = 'diff' AND basis_id = 1"},
			verify.Conflicting, "1 unit vector does not have length 1; first: example 1, head L1H0, 0.1: parts of length 3"},
		{"lost projection", []string{"DELETE FROM projection WHERE example_id = 1 AND vector = 'resid_pre' AND measure = 'diff'"},
			verify.Incomplete, "1 kind of row of projection is not stored once for every example"},
		{"projection on the other side", []string{"UPDATE projection SET basis_id = 7 WHERE example_id = 1 AND vector = '0.1' AND basis_id = 1"},
			verify.Orphan, "2 projections refer to no basis of its side"},
		{"lost cosine", []string{"DELETE FROM vector_cosine WHERE example_id = 1 AND basis_id = 1"}, verify.Incomplete, "1 kind of row of vector_cosine is not stored once for every example"},
		{"cosine without example", []string{"UPDATE vector_cosine SET example_id = 9 WHERE example_id = 1 AND basis_id = 1"}, verify.Orphan, "1 cosine refers to no example"},
		{"lost place", []string{"DELETE FROM nearest_token WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND rank = 2"},
			verify.Incomplete, "1 kind of row of nearest_token is not stored once for every example; first: {'head_id': 12, 'side': key, 'vector': map, 'rank': 2}: 1 rows over 1 examples, want 2"},
		{"lost vector", []string{"DELETE FROM nearest_token WHERE vector = 'random' AND side = 'query'"},
			verify.Incomplete, "1 head does not have every vector with its nearest tokens, or has them unasked; first: head L1H0: 10 places, want 12"},
		{"unasked", []string{"UPDATE run SET options = '{\"keys\": \"all\"}'"}, verify.Incomplete, "first: head L1H0: 6 places, want 0"},
		{"cosine that rises", []string{"UPDATE nearest_token SET cosine = 0.99 WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND rank = 2"},
			verify.Conflicting, "1 nearest token does not have its place by cosine; first: example 1, head L1H0, key side, map: token"},
		{"equal cosines", []string{"UPDATE nearest_token SET cosine = 0.1 WHERE example_id = 1 AND vector = 'map' AND side = 'key'", "UPDATE nearest_token SET token_id = 3 WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND rank = 2"},
			verify.Conflicting, "nearest tokens do not have their places by cosine; first: example 1, head L1H0, key side, map: token"},
		{"large cosine", []string{"UPDATE nearest_token SET cosine = 1.001 WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND rank = 1"},
			verify.Conflicting, "1 nearest token does not have its place by cosine"},
		{"token twice", []string{"UPDATE nearest_token SET token_id = 1, token = ' Mary' WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND rank = 2"},
			verify.Conflicting, "1 token is listed twice for a vector; first: example 1, head L1H0, key side, map: token 1"},
		{"lost token of the key", []string{"DELETE FROM nearest_token WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND token_id = 1"},
			verify.Incomplete, "1 token at the key or baseline is not listed for a vector; first: example 1, head L1H0, key side, map: token 1"},
		{"other text of the key", []string{"UPDATE nearest_token SET token = 'Mary' WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND token_id = 1"},
			verify.Incomplete, "1 token at the key or baseline is not listed for a vector"},
		{"other token beyond", []string{"INSERT INTO nearest_token SELECT * REPLACE (41 AS rank, 77 AS token_id, -1 AS cosine) FROM nearest_token WHERE example_id = 1 AND vector = 'map' AND side = 'key' AND rank = 1"},
			verify.Conflicting, "1 token beyond the nearest is neither the key's nor the baseline's; first: example 1, head L1H0, key side, map: token 77 at 41"},
		{"other map", []string{"UPDATE nearest_token SET cosine = cosine / 2 WHERE example_id = 1 AND vector = 'map' AND side = 'query'"},
			verify.Conflicting, "2 cosines of the keys' tokens with the map are not those of projections; first: example 1, head L1H0"},
		{"nearest token without head", []string{"UPDATE nearest_token SET head_id = 9 WHERE example_id = 1 AND vector = 'map' AND side = 'query' AND rank = 1"}, verify.Orphan, "1 nearest token refers to no head"},
		{"late mover", []string{"UPDATE mover SET layer = 1, label = '1.1' WHERE ordinal = 0"},
			verify.Conflicting, "1 mover does not fit the model, its label or the target heads; first: layer 1, head 1, labelled 1.1"},
		{"other mover", []string{"UPDATE mover SET label = '0.7' WHERE ordinal = 0"}, verify.Conflicting, "1 mover does not fit the model, its label or the target heads"},
	})
}

// Damage to tables as a whole, and rows of no run.
func TestVerifyFindsCommonDamageToPairs(t *testing.T) {
	t.Parallel()
	const one = " WHERE example_id = 1 AND component_id = 4"
	findTogether(t, fullFile(t), []damage{
		{"NaN in a factor", []string{"UPDATE query_factor SET vector = list_transform(vector, lambda x: 'nan'::FLOAT)" + one},
			verify.NotFinite, "query_factor.vector: 1 value is NaN, infinite or missing"},
		{"infinity in a factor", []string{"UPDATE key_factor SET baseline = list_transform(baseline, lambda x: '-inf'::FLOAT)" + one},
			verify.NotFinite, "key_factor.baseline: 1 value is NaN, infinite or missing"},
		{"mover without run", []string{"INSERT INTO mover VALUES (4, 0, 0, 1, '0.1')"}, verify.Orphan, "1 mover refers to no run"},
		{"NaN", append(loosen("source_contribution"), "UPDATE source_contribution SET score = 'nan'"+one), verify.Altered, "source_contribution"},
	})
	findTogether(t, fullFile(t), []damage{
		{"NULL in a factor", []string{"UPDATE key_factor SET vector = list_prepend(NULL, vector[2:])" + one, "UPDATE run SET convention = 'notebook'"},
			verify.NotFinite, "key_factor.vector: 1 value is NaN, infinite or missing"},
	})
}

// TestVerifyNotebookPairs checks that in the notebook convention factors need not add up to the
// contributions, and the probability of the difference is stored.
func TestVerifyNotebookPairs(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 2, Index: 3}), Bases: schematest.AllBases(), Convention: schema.Notebook,
		Movers: []schema.Head{{Layer: 1, Index: 3}}, Factors: true, Pairs: true}
	results := schematest.Random(run, 3, 2)
	results[0].Heads[0].Factors[0].Vectors[2] += 1
	schematest.Insert(t, db, run, results)
	if report := verified(t, db); !report.OK() {
		t.Errorf("%v", report.Problems)
	}
}

// TestVerifyPairsWithoutBaseline checks a run without a baseline, which has no baseline rows and no means of
// differences.
func TestVerifyPairsWithoutBaseline(t *testing.T) {
	t.Parallel()
	db := schematest.NewDB(t)
	run := schema.Run{Model: schematest.GPT2Small(), Heads: schematest.Targets(schema.Head{Layer: 1, Index: 3}), Bases: schematest.Bases(), Factors: true, Pairs: true}
	results := schematest.Random(run, 3, 2)
	nan := float32(math.NaN())
	for i := range results {
		results[i].Example.Baseline = schema.NoPosition
		h := &results[i].Heads[0]
		for j := range h.Contributions {
			h.Contributions[j].Baseline = [4]float32{nan, nan, nan, nan}
		}
		*h = schematest.Finish(results[i].Example, h.Head, h.Score.Score, nan, h.Contributions)
	}
	whole := schematest.Random(run, 3, 2)
	for i := range results {
		h := &results[i].Heads[0]
		for _, f := range whole[i].Heads[0].Factors {
			if !f.AtBaseline {
				h.Factors = append(h.Factors, f)
			}
		}
		for _, p := range whole[i].Heads[0].Pairs {
			p.Baseline = nil
			h.Pairs = append(h.Pairs, p)
		}
	}
	schematest.Insert(t, db, run, results)
	if report := verified(t, db); !report.OK() {
		t.Errorf("%v", report.Problems)
	}
}
