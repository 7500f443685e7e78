package conformance

import (
	"fmt"
	"strings"
)

// A measurement says how to measure a published scalar.
type measurement struct {
	name  string   // name of the scalar
	file  string   // run file
	sql   string   // a query for one row with a column value; or
	saved string   // a saved query, with
	set   []string // these parameters
}

// measurements lists the scalars that ducklens measures. Fractions in the published analysis are squares of
// mean lengths, not means of squares.
func measurements() []measurement {
	var list []measurement
	add := func(file, name, sql string) { list = append(list, measurement{name: name, file: file, sql: sql}) }

	for _, set := range []struct{ file, suffix string }{{plain100, ""}, {plain50, "_N50"}} {
		projection := func(value, side, vector, basis, measure string) string {
			return fmt.Sprintf(
				"SELECT %s AS value FROM head_projection WHERE head = $head AND side = '%s' AND vector = "+
					"%s AND basis = '%s' AND measure = '%s'",
				value, side, vector, basis, measure)
		}
		for _, basis := range []struct{ name, label string }{{"unembed", "IO"},
			{"unembed+baseline", "IO_S"}} {
			for _, part := range []string{"par", "perp"} {
				label := "9.9_" + part + "_" + basis.label
				add(set.file, "frac_"+label+set.suffix,
					projection("avg("+part+"_norm) ^ 2", "query", "$mover", basis.name, "score"))
				if basis.label == "IO" {
					add(set.file, "cos_"+label+"_vs_map"+set.suffix,
						projection("avg("+part+"_cos)", "query", "$mover", basis.name, "score"))
				}
				add(set.file, "cos_"+label+"_vs_map_subS1"+set.suffix,
					projection("avg("+part+"_cos)", "query", "$mover", basis.name, "diff"))
			}
		}
		if set.file == plain50 {
			continue
		}
		for _, part := range []string{"par", "perp"} {
			add(set.file, "cos_9.9_vs_9.6_"+part+"_IO_S",
				"SELECT avg(c."+part+
					`_cos) AS value FROM vector_cosine AS c JOIN basis AS b ON b.run_id = c.run_id
					  AND b.basis_id = c.basis_id
WHERE c.vector_a = $mover AND c.vector_b = $other_mover AND b.name = 'unembed+baseline'`)
			name := map[string]string{"par": "mlp0_component_norm", "perp": "mlp0_perp_component_norm"}[part]
			add(set.file, name, projection("avg("+part+"_norm)", "key", "'resid_pre'", "mlp0", "score"))
			add(set.file, "cos_mlp0_"+part+"_vs_map",
				projection("avg("+part+"_cos)", "key", "'resid_pre'", "mlp0", "score"))
			add(set.file, "cos_mlp0_"+part+"_vs_map_subS1",
				projection("avg("+part+"_cos)", "key", "'resid_pre'", "mlp0", "diff"))
		}
	}

	// Shares of the mean score difference. The published code leaves b_K, which cancels, out of the
	// denominator; an earlier version did not.
	head := "head=$head"
	list = append(list,
		measurement{name: "pct_key_MLP0_parpar", file: plain50, saved: "pct_explained_mlp0",
			set: []string{head}},
		measurement{name: "pct_key_allMLP_parpar", file: plain50, saved: "pct_explained_all_mlps",
			set: []string{head}},
		measurement{name: "pct_query_9.9+9.6_parpar", file: plain50, saved: "pct_explained_name_movers",
			set: []string{head, "heads=$mover,$other_mover"}},
	)
	for _, share := range []struct{ label, components string }{{"MLP0", "component = 'MLP0'"},
		{"allMLP", "kind = 'mlp'"}} {
		for _, bias := range []struct{ label, value string }{{"without_bK", "diff"},
			{"with_bK", "CASE WHEN kind = 'k_bias' THEN score ELSE diff END"}} {
			add(plain50, "derived_pct_key_"+share.label+"_"+bias.label,
				fmt.Sprintf(`SELECT 100 * sum(diff) FILTER (%s AND quadrant = 'par_par') / sum(%s) AS value
FROM contribution WHERE head = $head AND side = 'key' AND query_basis = 'unembed' AND key_basis = 'mlp0'`,
					share.components, bias.value))
		}
	}

	// Score differences without a part of the query or of the key: sums of the quadrants that stay. b_Q is in
	// the query's perpendicular part and always stays; b_K cancels.
	for _, set := range []struct{ file, name string }{{plain30, "plain"}, {symmetric30, "sym"},
		{symmetric150, "N150"}} {
		add(set.file, "score_diff_"+set.name+"_clean",
			"SELECT avg(diff) AS value FROM head_score WHERE head = $head")
		stays := func(side, queryBasis, keyBasis, which string) string {
			return fmt.Sprintf(`SELECT sum(diff) / count(DISTINCT example_id) AS value FROM contribution
WHERE head = $head AND side = '%s' AND query_basis = '%s' AND key_basis = '%s' AND (%s)`, side, queryBasis,
				keyBasis, which)
		}
		if set.file == symmetric150 {
			add(set.file, "score_diff_N150_query_projected",
				stays("query", "unembed+baseline", "none", "quadrant = 'par_perp' OR kind = 'q_bias'"))
			continue
		}
		add(set.file, "score_diff_"+set.name+"_k", stays("key", "none", "mlp0", "quadrant = 'perp_par'"))
		add(set.file, "score_diff_"+set.name+"_q",
			stays("query", "unembed+baseline", "none", "quadrant = 'perp_perp'"))
		add(set.file, "score_diff_"+set.name+"_qk",
			stays("key", "unembed+baseline", "mlp0", "quadrant = 'perp_par'"))
	}
	return list
}

// notMeasured says why ducklens does not compute a published scalar, or "" if it does.
func notMeasured(name string) string {
	for _, c := range []struct{ why, prefixes string }{
		{"logits and the final LayerNorm: ducklens stops before the heads it explains and computes no logits",
			"ioi_logit tl_ tl3_ sarah_"},
		{"ranks in the OV or QK circuit of the whole vocabulary: weights only, no attention score is split",
			"ov_ qk_"},
		{"cosines with b_Q: weights or one-token inputs only, no attention score is split", "cos_bQ_"},
		{"activation patching from other prompts: a causal effect, not a part of a score",
			"score_diff_N150_positions_flipped"},
	} {
		for prefix := range strings.FieldsSeq(c.prefixes) {
			if strings.HasPrefix(name, prefix) {
				return c.why
			}
		}
	}
	if strings.Contains(name, "_six_") {
		return "the span of six spellings of two names is no basis of ducklens (--query-basis takes one as " +
			".npy, which needs W_U outside of ducklens)"
	}
	return ""
}

// vectors maps the vectors of a published histogram to their names in the table substitution.
func vectors(figure string) map[string]string {
	if strings.HasPrefix(figure, "K17") {
		return map[string]string{"No patching": "'unpatched'", "W_E[IO]": "'W_E'", "W_EE[IO]": "'W_EE'",
			"W_EE_subE[IO]": "'W_EE0'", "MLP0 out": "'MLP0'"}
	}
	return map[string]string{"No patching": "'unpatched'", "NMH 9.9 output": "$mover",
		"NMH 9.9, perp W_U[IO]": "$mover || ' perp W_U[key]'",
		"W_U[IO]":               "'W_U[key]'", "W_U[S]": "'W_U[baseline]'",
		"W_U[random name]": "'W_U[random name]'",
		"W_U[random]":      "'W_U[random]'"}
}

// histogramSQL returns a query for the column value of a published distribution, one row per prompt. If there
// is none, it returns "" and the reason.
func histogramSQL(figure, vector string) (sql, why string) {
	const prompts = " JOIN run AS r ON r.run_id = s.run_id WHERE s.head = $head AND r.seed < %d AND " +
		"s.example_id < %d"
	const substitution = "FROM head_substitution AS s" + prompts + " AND s.side = '%s' AND s.vector = %s"
	const bias = "JOIN contribution_unsplit AS b ON b.run_id = s.run_id AND b.head = s.head AND " +
		"b.example_id = s.example_id AND b.component = '%s'"
	name, known := vectors(figure)[vector]
	switch {
	case figure == "P6_prob_diff_10.7":
		return fmt.Sprintf("SELECT s.prob - s.baseline_prob AS value FROM head_score AS s"+prompts, 40, 20),
			""
	case !known:
		return "",
			"a vector that ducklens does not put in place of keys (the published label names another than " +
				"was used)"
	case figure == "Q6_scores":
		return fmt.Sprintf("SELECT s.score AS value "+substitution, 30, 40, "query", name), ""
	case figure == "Q9_probs":
		return fmt.Sprintf("SELECT s.prob AS value "+substitution, 30, 40, "query", name), ""
	case figure == "K17_scores_IO_minus_S1":
		return fmt.Sprintf("SELECT s.diff AS value "+substitution, 30, 40, "key", name), ""
	// the published code adds b_K . q / sqrt(d_head), which cancels
	case figure == "K17_scores_IO_minus_S1_plus_bias":
		return fmt.Sprintf("SELECT s.diff + b.score AS value "+strings.Replace(substitution, " JOIN",
			" "+fmt.Sprintf(bias, "b_K")+" JOIN", 1), 30, 40, "key", name), ""
	case figure == "Q5_unit_dot": // at unit length instead of LayerNorm's, without b_Q and 1/sqrt(d_head)
		from := strings.Replace(substitution, " JOIN", " "+fmt.Sprintf(bias, "b_Q")+" JOIN", 1)
		from = strings.Replace(from, " WHERE", " JOIN model AS m ON m.model_id = r.model_id WHERE", 1)
		return fmt.Sprintf("SELECT (s.score - b.score) * sqrt(m.d_head / (m.d_model - 1)) AS value "+from, 10,
			100, "query", name), ""
	}
	return "", "unknown figure"
}
