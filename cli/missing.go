package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"ducklens/engine/decompose"
	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/figure"
	"ducklens/queries/session"
	"ducklens/schema"
)

// storedSQL selects what a run stores besides contributions. rows says whether it has pairs of every prompt,
// turns whether a head uses rotary embedding, sinks whether an edge has the first token as its key, and keys
// whether every key has contributions. means lists the groups of prompts of a run that keeps only means; it
// is NULL for other runs.
const storedSQL = `SELECT r.factors OR r.pairs OR r.pair_means AS pairs, r.pairs AS rows, r.logits,
  (SELECT count(*) FROM mover AS v WHERE v.run_id = r.run_id) AS movers,
  (SELECT count(DISTINCT b.side) FROM basis AS b
    WHERE b.run_id = r.run_id AND b.kind = 'subspace' AND b.null_number IS NULL) AS sides,
  (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id AND e.baseline_kind <> 'none') AS baselines,
  (SELECT count(*) FROM basis AS b WHERE b.run_id = r.run_id AND b.null_number IS NOT NULL) AS nulls,
  (SELECT count(p.fields) FROM prompt AS p WHERE p.run_id = r.run_id) AS fields,
  (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id) AS examples,
  EXISTS (FROM head_measure AS m WHERE m.run_id = r.run_id) AS measured,
  EXISTS (FROM source_contribution AS c WHERE c.run_id = r.run_id) AS sources,
  EXISTS (FROM rotary_contribution AS c WHERE c.run_id = r.run_id) AS bands,
  (SELECT max(h.rotary_dims) FROM head AS h WHERE h.run_id = r.run_id) > 0 AS turns,
  EXISTS (FROM edge AS e WHERE e.run_id = r.run_id AND e.key_pos = 0) AS sinks,
  json_extract_string(r.options, '$.keys') IS NOT NULL AS keys,
  EXISTS (FROM ablation AS a WHERE a.run_id = r.run_id) AS ablated,
  EXISTS (FROM component_norm AS n WHERE n.run_id = r.run_id) AS norms,
  EXISTS (FROM nearest_token AS n WHERE n.run_id = r.run_id) AS nearest,
  CASE json_extract_string(r.options, '$.keep') WHEN 'means' THEN
    coalesce((SELECT string_agg(DISTINCT m.prompts, ', ' ORDER BY m.prompts)
    FROM contribution_moment AS m WHERE m.run_id = r.run_id), 'none') END AS means
FROM run AS r WHERE r.run_id = coalesce($run::INTEGER, latest_run())`

// Patterns for tables whose rows a run may lack, and for a basis in a message.
const (
	pairTables       = `\b(pair|pair_wide|pair_mean|pair_mean_wide|query_factor|key_factor)\b`
	factorTables     = `\b(pair|pair_wide|query_factor|key_factor)\b`
	pairRowTables    = `\b(pair_contribution|pair_contribution_wide)\b`
	logitTables      = `\b(logit|logit_effect)\b`
	nullTables       = `\bcontribution_null\b`
	keyTables        = `\brow_contribution\w*`
	fieldTables      = `\bexample_field\b`
	measureTables    = `\b(head_measure|head_measure_mean|prompt_measure)\b`
	sourceTables     = `\b(source_contribution|component_source)\b`
	ablationTables   = `\b(ablation|head_ablation)\b`
	bandTables       = `\b(rotary_contribution|rotary_band)\b`
	normTables       = `\bcomponent_(qk_)?(norm|gram)\b`
	nearestTables    = `\bnearest_token\b`
	sinkQuery        = "sink_components"
	sharesQuery      = "basis_shares"
	contributionRows = `\bcontribution(_wide|_unsplit|_null|_sum)?\b`
	momentTables     = `\b(moments|contribution_moment)\b`
	moverTables      = `\b(vector_cosine|projection|head_projection)\b`
	basisFromMessage = `\b(query|key) basis "([^"]*)"`
)

// explainsNoEdges explains why a run has no contributions.
const explainsNoEdges = "the run explains no edges of its prompts, it only measures what heads do on them (ducklens " +
	"heads, head_measures): choose edges with ducklens ingest --edges"

// runOf returns the parameter that chooses a run, if it is set.
func runOf(set map[string]string) map[string]string {
	about := map[string]string{}
	if run, ok := set["run"]; ok {
		about["run"] = run
	}
	return about
}

// stored is what a run stores: the row of storedSQL, by its columns.
type stored map[string]any

// has reports whether the run has any of what.
func (s stored) has(what string) bool {
	is, _ := s[what].(bool)
	return is || s.count(what) > 0
}

func (s stored) count(what string) float64 {
	n, _ := queries.Number(s[what])
	return n
}

// meansAlone reports whether a run keeps only means of contributions, not their rows.
func (s stored) meansAlone() bool { return s["means"] != nil }

// A need is something that queries use and a run may lack.
type need struct {
	what    string // its name in one word; "" if it belongs to a single query
	asked   func(queries.Query) bool
	lacking func(stored) bool
	why     string // what is missing, and the command that adds it
}

// needs lists all needs. The first one that a query has and a run lacks explains why there is no answer.
func needs() []need {
	asks := func(tables string) func(queries.Query) bool {
		pattern := regexp.MustCompile(tables)
		return func(q queries.Query) bool { return pattern.MatchString(q.SQL) }
	}
	without := func(what string) func(stored) bool { return func(s stored) bool { return !s.has(what) } }
	return []need{
		{"measures", asks(measureTables), without("measured"),
			"the run does not measure what heads do on whole prompts: use ducklens ingest --text"},
		{"contributions", func(q queries.Query) bool { return !asks(measureTables)(q) }, without("examples"),
			explainsNoEdges},
		{"examples", func(q queries.Query) bool {
			return (asks(contributionRows)(q) || asks(factorTables)(q)) && !asks(momentTables)(q)
		}, stored.meansAlone,
			"the run keeps only means, and the question is about single prompts: " +
				"use ducklens ingest without --keep means"},
		{"ablation", asks(ablationTables), without("ablated"),
			"the run has no ablations: use ducklens ablate FILE --model MODEL"},
		{"sources", asks(sourceTables), without("sources"),
			"the run does not split contributions by the position that a head read: " +
				"use ducklens ingest --sources top:4"},
		{"bands", asks(bandTables), func(s stored) bool { return s.has("turns") && !s.has("bands") },
			"the run does not split scores by bands of rotary embedding: use ducklens ingest --rotary"},
		{"bands", asks(bandTables), without("turns"), "no head of the run uses rotary embedding"},
		{"", func(q queries.Query) bool { return q.Name == sinkQuery }, without("sinks"),
			"no edge of the run has the first token as its key: choose such edges with --edges first, " +
				"or set the key 0 in the records of --prompts"},
		{"factors", asks(pairTables), without("pairs"),
			"the run does not store pairs of components: use ducklens ingest --factors on"},
		{"pairs", asks(pairRowTables), without("rows"),
			"the run does not store pairs for every prompt: use ducklens ingest --pairs"},
		{"logits", asks(logitTables), without("logits"),
			"the run has no logits: use ducklens ingest --logits"},
		{"rows", asks(keyTables), without("keys"),
			"the run only explains the keys of its edges: use ducklens ingest --keys all"},
		{"norms", asks(normTables), without("norms"),
			"the run does not store what norms would be without a component: use ducklens ingest --norms on"},
		{"nearest", asks(nearestTables), without("nearest"),
			"the run does not store the tokens nearest to its vectors: use ducklens ingest --nearest 10"},
		{"nulls", asks(nullTables), without("nulls"),
			"the run has no random directions: use ducklens ingest --null 20"},
		{"fields", asks(fieldTables), without("fields"),
			"the prompts of the run have no columns of your own: ducklens ingest --prompts stores those of " +
				"its file, and --labels FILE adds others"},
		{"bases", func(q queries.Query) bool { return q.Name == sharesQuery },
			func(s stored) bool { return s.count("sides") == 0 },
			"the run has no basis besides none: " +
				"name some with ducklens ingest --query-basis and --key-basis"},
		{"projections", asks(moverTables), without("movers"),
			"the run has no mover heads: name some with ducklens ingest --mover, " +
				"in layers below every target head"},
		{"", asks(`\bvector_cosine\b`), func(s stored) bool { return s.count("movers") < 2 },
			"the query compares two mover heads, and the run has one: " +
				"name more with ducklens ingest --mover"},
		{"", asks(moverTables), func(s stored) bool { return s.count("sides") < 2 },
			"the run has no basis to project on, on one side or both: " +
				"use ducklens ingest --query-basis and --key-basis"},
		{"baselines", asks(`\bdiff\w*`), without("baselines"),
			"no example of the run has a baseline to subtract: set the position baseline in the records of " +
				"--prompts, or use --baseline mean or attention"},
	}
}

// storedIn returns what a run stores; ok is false if there is no such run.
func storedIn(
	ctx context.Context, s *session.Session, about map[string]string,
) (has stored, ok bool, err error) {
	result, err := ask(ctx, s, storedSQL, about)
	if err != nil || len(result.Rows) == 0 {
		return nil, false, err
	}
	has = stored{}
	for i, c := range result.Columns {
		has[c.Name] = result.Rows[0][i]
	}
	if s.Labelled() {
		has["fields"] = true
	}
	return has, true, nil
}

// whyEmpty explains why a run has no answer to a query, and which command would give it one.
func whyEmpty(ctx context.Context, s *session.Session, q queries.Query, set map[string]string) string {
	has, found, err := storedIn(ctx, s, runOf(set))
	if err != nil {
		return ""
	}
	if !found {
		return "the file has no complete run: ducklens info FILE lists its runs; " +
			"ducklens ingest makes one, and --resume completes one"
	}
	if why := whyNone(ctx, s, set); why != "" {
		return why
	}
	if _, some := set["only"]; some && has.meansAlone() &&
		regexp.MustCompile(momentTables).MatchString(q.SQL) {
		return fmt.Sprintf(
			"the run keeps only means of these groups of prompts: %s; ducklens ingest --by adds groups, "+
				"and without --keep means all rows are kept",
			queries.Printable(queries.String(has["means"])))
	}
	for _, n := range needs() {
		if n.asked(q) && n.lacking(has) {
			return n.why
		}
	}
	return "no row in the file meets the conditions"
}

// noneSQL counts the prompts that the parameter only selects, and lists the user's own fields.
const noneSQL = `SELECT
  (SELECT count(*) FROM examples_where(coalesce($run::INTEGER, latest_run()), $only)) AS n,
  (SELECT string_agg(DISTINCT f.name, ', ' ORDER BY f.name) FROM example_field AS f
    WHERE f.run_id = coalesce($run::INTEGER, latest_run())) AS fields`

// whyNone says that the parameter only selects no prompt. It returns "" if it selects some or is not set.
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
	return fmt.Sprintf("no prompt of the run has %s; the fields are %s", queries.Printable(only), fields)
}

// withRemedy adds to an error about an answer a hint how to get one.
func withRemedy(
	ctx context.Context, s *session.Session, q queries.Query, set map[string]string, err error,
) error {
	if errors.Is(err, figure.ErrEmpty) {
		if why := whyEmpty(ctx, s, q, set); why != "" {
			return advice.Add(err, why)
		}
	}
	if errors.Is(err, session.ErrUnknown) {
		if m := regexp.MustCompile(basisFromMessage).FindStringSubmatch(err.Error()); m != nil &&
			canBeStored(m[1], m[2]) {
			return advice.Add(err,
				fmt.Sprintf("%s\nto store that basis, use ducklens ingest --%s-basis %s", advice.Of(err),
					m[1],
					m[2]))
		}
	}
	return err
}

// canBeStored reports whether ingest knows a basis of this name.
func canBeStored(side, name string) bool {
	s, err := schema.ParseSide(side)
	if err == nil {
		_, err = decompose.LookUp(s, name)
	}
	return err == nil
}
