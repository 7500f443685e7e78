package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"ducklens/engine/decompose"
	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
	"ducklens/schema"
)

// storedSQL says what a run stores beside contributions: whether there are factors, how many movers, how many subspace bases
// of each side, whether there are logits, how many examples have a baseline, how many random directions there are, whether
// every pair is stored, how many prompts have fields of the user's own, how many examples there are, whether heads are
// measured on the prompts, whether there are sources and bands of rotary embedding, whether heads turn, whether there
// are edges to the first token, whether there are contributions to every key, and whether
// something was ablated.
const storedSQL = `SELECT r.factors OR r.pairs AS pairs, (SELECT count(*) FROM mover AS v WHERE v.run_id = r.run_id) AS movers,
  (SELECT count(DISTINCT b.side) FROM basis AS b WHERE b.run_id = r.run_id AND b.kind = 'subspace' AND b.null_number IS NULL) AS sides,
  r.logits, (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id AND e.baseline_kind <> 'none') AS baselines,
  (SELECT count(*) FROM basis AS b WHERE b.run_id = r.run_id AND b.null_number IS NOT NULL) AS nulls, r.pairs AS rows,
  (SELECT count(p.fields) FROM prompt AS p WHERE p.run_id = r.run_id) AS fields,
  (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id) AS examples, EXISTS (FROM head_measure AS m WHERE m.run_id = r.run_id) AS measured,
  EXISTS (FROM source_contribution AS c WHERE c.run_id = r.run_id) AS sources, EXISTS (FROM rotary_contribution AS c WHERE c.run_id = r.run_id) AS bands,
  (SELECT max(h.rotary_dims) FROM head AS h WHERE h.run_id = r.run_id) > 0 AS turns,
  EXISTS (FROM edge AS e WHERE e.run_id = r.run_id AND e.key_pos = 0) AS sinks,
  json_extract_string(r.options, '$.keys') IS NOT NULL AS keys, EXISTS (FROM ablation AS a WHERE a.run_id = r.run_id) AS ablated
FROM run AS r WHERE r.run_id = coalesce($run::INTEGER, latest_run())`

// Patterns for tables whose rows a run may lack, and for a basis in a message.
const (
	pairTables       = `\b(pair|pair_wide|pair_mean|pair_mean_wide|query_factor|key_factor)\b`
	pairRowTables    = `\b(pair_contribution|pair_contribution_wide)\b`
	logitTables      = `\b(logit|logit_effect)\b`
	nullTables       = `\bcontribution_null\b`
	keyTables        = `\brow_contribution\w*`
	fieldTables      = `\bexample_field\b`
	measureTables    = `\b(head_measure|head_measure_mean|prompt_measure)\b`
	sourceTables     = `\b(source_contribution|component_source)\b`
	ablationTables   = `\b(ablation|head_ablation)\b`
	bandTables       = `\b(rotary_contribution|rotary_band)\b`
	sinkQuery        = "sink_components"
	moverTables      = `\b(vector_cosine|projection|head_projection)\b`
	basisFromMessage = `\b(query|key) basis "([^"]*)"`
)

// whyEmpty says, in terms of flags of ingest, why a run has no answer to a query; "" where what was asked first says more.
func whyEmpty(ctx context.Context, s *session.Session, q queries.Query, set map[string]string) string {
	about := map[string]string{}
	if run, ok := set["run"]; ok {
		about["run"] = run
	}
	result, err := ask(ctx, s, storedSQL, about)
	if err != nil {
		return ""
	}
	if len(result.Rows) == 0 {
		return "the file has no complete run: ducklens info FILE lists its runs, ducklens ingest makes one, --resume completes one"
	}
	if why := whyNone(ctx, s, set); why != "" {
		return why
	}
	movers, _ := queries.Number(result.Rows[0][1])
	sides, _ := queries.Number(result.Rows[0][2])
	pairs, _ := result.Rows[0][0].(bool)
	logits, _ := result.Rows[0][3].(bool)
	baselines, _ := queries.Number(result.Rows[0][4])
	nulls, _ := queries.Number(result.Rows[0][5])
	everyPair, _ := result.Rows[0][6].(bool)
	fields, _ := queries.Number(result.Rows[0][7])
	examples, _ := queries.Number(result.Rows[0][8])
	measured, _ := result.Rows[0][9].(bool)
	flag := func(column int) bool {
		is, _ := result.Rows[0][column].(bool)
		return is
	}
	sources, bands, turns, sinks := flag(10), flag(11), flag(12), flag(13)
	everyKey, ablated := flag(14), flag(15)
	asks := func(tables string) bool { return regexp.MustCompile(tables).MatchString(q.SQL) }
	switch {
	case asks(measureTables) && !measured:
		return "the run does not say what heads do on whole prompts: ducklens ingest --text does"
	case !asks(measureTables) && examples == 0:
		return "no edge of the run's prompts is explained, only what heads do on them (ducklens heads, head_measures): ducklens ingest --edges chooses some"
	case asks(ablationTables) && !ablated:
		return "nothing was ablated in the run: ducklens ablate FILE --model MODEL"
	case asks(sourceTables) && !sources:
		return "the run splits no contribution by the position that a head read: ducklens ingest --sources top:4"
	case asks(bandTables) && turns && !bands:
		return "the run splits no score by bands of rotary embedding: ducklens ingest --rotary"
	case q.Name == sinkQuery && !sinks:
		return "no prompt of the run has the first token as its key: --edges first chooses such edges, or give records of --prompts the key 0"
	case asks(pairTables) && !pairs:
		return "the run stores nothing about pairs of components: ducklens ingest --factors on"
	case asks(pairRowTables) && !everyPair:
		return "the run stores no pairs for every prompt: ducklens ingest --pairs"
	case asks(logitTables) && !logits:
		return "the run has no logits: ducklens ingest --logits"
	case asks(keyTables) && !everyKey:
		return "the run explains the keys of its edges alone: ducklens ingest --keys all"
	case asks(nullTables) && nulls == 0:
		return "the run has no random directions: ducklens ingest --null 20"
	case asks(fieldTables) && fields == 0 && !s.Labelled():
		return "the prompts of the run have no columns of your own: ducklens ingest --prompts keeps those of its file, --labels FILE joins others"
	case asks(moverTables) && movers == 0:
		return "the run has no mover heads: ducklens ingest --mover names them, in layers below every target head"
	case asks(`\bvector_cosine\b`) && movers < 2:
		return "two heads are compared, and the run has one mover head: ducklens ingest --mover names them"
	case asks(moverTables) && sides < 2:
		return "the run has no basis to project on, on one side or both: ducklens ingest --query-basis, --key-basis"
	case asks(`\bdiff\w*`) && baselines == 0:
		return "no example of the run has a baseline to subtract: give records of --prompts the position baseline, or --baseline mean or attention"
	}
	return "nothing in the file meets the conditions"
}

// noneSQL counts the prompts that a parameter only takes, and lists the user's own fields.
const noneSQL = `SELECT (SELECT count(*) FROM examples_where(coalesce($run::INTEGER, latest_run()), $only)) AS n,
  (SELECT string_agg(DISTINCT f.name, ', ' ORDER BY f.name) FROM example_field AS f WHERE f.run_id = coalesce($run::INTEGER, latest_run())) AS fields`

// whyNone says that the parameter only takes no prompt; "" where it does, or is not given.
func whyNone(ctx context.Context, s *session.Session, set map[string]string) string {
	only, given := set["only"]
	if !given {
		return ""
	}
	about := map[string]string{"only": only}
	if run, ok := set["run"]; ok {
		about["run"] = run
	}
	result, err := ask(ctx, s, noneSQL, about)
	if err != nil || len(result.Rows) != 1 {
		return ""
	}
	if n, _ := queries.Number(result.Rows[0][0]); n > 0 {
		return ""
	}
	fields := "template, prompt_order, key_token, baseline_token"
	if own := queries.String(result.Rows[0][1]); own != "" {
		fields += ", " + queries.Printable(own)
	}
	return fmt.Sprintf("no prompt of the run has %s; fields are %s", queries.Printable(only), fields)
}

// withRemedy adds to an error about an answer what would make the run have one.
func withRemedy(ctx context.Context, s *session.Session, q queries.Query, set map[string]string, err error) error {
	if errors.Is(err, figure.ErrEmpty) {
		if why := whyEmpty(ctx, s, q, set); why != "" {
			return &hinted{err, why}
		}
	}
	if errors.Is(err, session.ErrUnknown) {
		if m := regexp.MustCompile(basisFromMessage).FindStringSubmatch(err.Error()); m != nil && canBeStored(m[1], m[2]) {
			return &hinted{err, fmt.Sprintf("%s\nducklens ingest --%s-basis %s stores that one", advice(err), m[1], m[2])}
		}
	}
	return err
}

// canBeStored tells whether ingest knows a basis by that name.
func canBeStored(side, name string) bool {
	s, err := schema.ParseSide(side)
	if err == nil {
		_, err = decompose.LookUp(s, name)
	}
	return err == nil
}
