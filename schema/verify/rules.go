package verify

import (
	"fmt"

	"ducklens/schema"
)

// rule is a question about the file whose answer should be no rows. Each row is a run, the number of
// cases in it and the first case in words.
type rule struct {
	kind      ProblemKind
	one, many string // what a case is, for one and for several
	query     string
}

// relative bounds the distance of two copies of one float32 number, which went through different sums.
const relative = "1e-5"

// toleranceSQL is [schema.ClosureTolerance] as SQL spells it.
var toleranceSQL = fmt.Sprint(schema.ClosureTolerance)

// counted wraps a query that gives run_id, a sort key and a text per case.
func counted(cases string) string {
	return "SELECT run_id, count(*), arg_min(case_text, case_order) FROM (" + cases + ") GROUP BY run_id ORDER BY run_id"
}

// missing asks for rows of a table whose reference has no partner.
func missing(table, other, on string) string {
	return "SELECT t.run_id, count(*), first(t)::VARCHAR FROM " + table + " AS t ANTI JOIN " + other + " AS o ON " + on + " GROUP BY t.run_id ORDER BY t.run_id"
}

// verifyRules lists what must hold between tables, apart from what [verifier.closure] looks at. They use plain
// joins and aggregates; the large tables are read once or twice.
var verifyRules = []rule{
	{Orphan, "run has no model", "runs have no model", missing("run", "model", "o.model_id = t.model_id")},
	{Orphan, "head belongs to no run", "heads belong to no run", missing("head", "run", "o.run_id = t.run_id")},
	{Orphan, "basis belongs to no run", "bases belong to no run", missing("basis", "run", "o.run_id = t.run_id")},
	{Orphan, "example belongs to no run", "examples belong to no run", missing("example", "run", "o.run_id = t.run_id")},
	{Orphan, "token belongs to no example", "tokens belong to no example", missing("token", "example", "o.run_id = t.run_id AND o.example_id = t.example_id")},
	{Orphan, "score belongs to no example", "scores belong to no example", missing("score", "example", "o.run_id = t.run_id AND o.example_id = t.example_id")},
	{Orphan, "score belongs to no head", "scores belong to no head", missing("score", "head", "o.run_id = t.run_id AND o.head_id = t.head_id")},
	{Orphan, "attention row belongs to no example", "attention rows belong to no example", missing("attention", "example", "o.run_id = t.run_id AND o.example_id = t.example_id")},
	{Orphan, "attention row belongs to no head", "attention rows belong to no head", missing("attention", "head", "o.run_id = t.run_id AND o.head_id = t.head_id")},
	{Orphan, "contribution belongs to no example", "contributions belong to no example", missing("contribution_wide", "example", "o.run_id = t.run_id AND o.example_id = t.example_id")},
	{Orphan, "contribution belongs to no head", "contributions belong to no head", missing("contribution_wide", "head", "o.run_id = t.run_id AND o.head_id = t.head_id")},
	{Orphan, "contribution names no component", "contributions name no component", missing("contribution_wide", "component", "o.component_id = t.component_id")},
	{Orphan, "contribution names no query basis", "contributions name no query basis", missing("contribution_wide", "basis", "o.run_id = t.run_id AND o.basis_id = t.query_basis_id AND o.side = 'query'")},
	{Orphan, "contribution names no key basis", "contributions name no key basis", missing("contribution_wide", "basis", "o.run_id = t.run_id AND o.basis_id = t.key_basis_id AND o.side = 'key'")},

	{Miscounted, "run has another number of examples than it says", "runs have another number of examples than they say", counted(`
		SELECT r.run_id, 0 AS case_order, format('{} says {}, has {}', 'n_examples', r.n_examples, coalesce(e.n, 0)) AS case_text
		FROM run AS r LEFT JOIN (SELECT run_id, count(*) AS n FROM example GROUP BY run_id) AS e ON e.run_id = r.run_id
		WHERE r.status = 'complete' AND r.n_examples IS DISTINCT FROM coalesce(e.n, 0)`)},
	{Miscounted, "run has another number of heads than it says", "runs have another number of heads than they say", counted(`
		SELECT r.run_id, 0 AS case_order, format('n_heads says {}, has {}', r.n_heads, coalesce(h.n, 0)) AS case_text
		FROM run AS r LEFT JOIN (SELECT run_id, count(*) AS n FROM head GROUP BY run_id) AS h ON h.run_id = r.run_id
		WHERE r.n_heads IS DISTINCT FROM coalesce(h.n, 0)`)},
	{Miscounted, "run has another worst residual than it says", "runs have another worst residual than they say", counted(`
		SELECT r.run_id, 0 AS case_order, format('max_closure_residual says {}, the largest in score is {}', r.max_closure_residual, s.worst) AS case_text
		FROM run AS r LEFT JOIN (SELECT run_id, max(closure_residual) AS worst FROM score GROUP BY run_id) AS s ON s.run_id = r.run_id
		WHERE r.status = 'complete' AND ((r.max_closure_residual IS NULL) <> (s.worst IS NULL)
			OR abs(r.max_closure_residual - s.worst) > ` + relative + ` * abs(s.worst))`)},

	{Conflicting, "head does not fit the model or its label", "heads do not fit the model or their labels", counted(`
		SELECT h.run_id, h.head_id AS case_order, format('head {} is layer {}, head {}, labelled {}', h.head_id, h.layer, h.head, h.label) AS case_text
		FROM head AS h JOIN run AS r ON r.run_id = h.run_id JOIN model AS m ON m.model_id = r.model_id
		WHERE h.layer >= m.n_layers OR h.head >= m.n_heads OR h.head_id <> h.layer * m.n_heads + h.head OR h.label <> h.layer || '.' || h.head`)},
	{Conflicting, "prompt is longer than the model allows", "prompts are longer than the model allows", counted(`
		SELECT e.run_id, e.example_id AS case_order, format('example {} has {} tokens, n_ctx is {}', e.example_id, e.n_tokens, m.n_ctx) AS case_text
		FROM example AS e JOIN run AS r ON r.run_id = e.run_id JOIN model AS m ON m.model_id = r.model_id WHERE e.n_tokens > m.n_ctx`)},
	{Incomplete, "example lacks tokens or has some twice", "examples lack tokens or have some twice", counted(`
		SELECT e.run_id, e.example_id AS case_order, format('example {} has {} tokens, want {}', e.example_id, coalesce(t.n, 0), e.n_tokens) AS case_text
		FROM example AS e LEFT JOIN (SELECT run_id, example_id, count(*) AS n, count(DISTINCT pos) AS positions, max(pos) AS last FROM token GROUP BY run_id, example_id) AS t
			ON t.run_id = e.run_id AND t.example_id = e.example_id
		WHERE coalesce(t.n, 0) <> e.n_tokens OR t.positions <> e.n_tokens OR t.last <> e.n_tokens - 1`)},
	{Conflicting, "position holds another token than its example says", "positions hold other tokens than their examples say", counted(`
		SELECT p.run_id, p.example_id AS case_order, format('example {} says {} at position {}, the token there is {}', p.example_id, p.said, p.pos, t.text) AS case_text
		FROM (SELECT run_id, example_id, key_pos AS pos, key_token AS said FROM example UNION ALL
			SELECT run_id, example_id, baseline_pos, baseline_token FROM example WHERE baseline_pos IS NOT NULL) AS p
		JOIN token AS t ON t.run_id = p.run_id AND t.example_id = p.example_id AND t.pos = p.pos
		WHERE t.text <> p.said`)},
	{Incomplete, "example and head has no score, or several", "examples and heads have no score, or several", counted(`
		SELECT e.run_id, e.example_id AS case_order, format('example {}, head {} has {} rows in score', e.example_id, h.label, coalesce(s.n, 0)) AS case_text
		FROM example AS e JOIN head AS h ON h.run_id = e.run_id
		LEFT JOIN (SELECT run_id, example_id, head_id, count(*) AS n FROM score GROUP BY run_id, example_id, head_id) AS s
			ON s.run_id = e.run_id AND s.example_id = e.example_id AND s.head_id = h.head_id
		WHERE s.n IS DISTINCT FROM 1`)},
	{Incomplete, "attention row lacks positions or has some twice", "attention rows lack positions or have some twice", counted(`
		SELECT e.run_id, e.example_id AS case_order, format('example {}, head {} has {} positions, want {}', e.example_id, h.label, coalesce(a.n, 0), e.query_pos + 1) AS case_text
		FROM example AS e JOIN head AS h ON h.run_id = e.run_id
		LEFT JOIN (SELECT run_id, example_id, head_id, count(*) AS n, count(DISTINCT pos) AS positions, max(pos) AS last FROM attention GROUP BY run_id, example_id, head_id) AS a
			ON a.run_id = e.run_id AND a.example_id = e.example_id AND a.head_id = h.head_id
		WHERE coalesce(a.n, 0) <> e.query_pos + 1 OR a.positions <> a.n OR a.last <> e.query_pos`)},
	{Conflicting, "attention row does not add up to probability 1", "attention rows do not add up to probability 1", counted(`
		SELECT run_id, example_id AS case_order, format('example {}, head {} adds up to {}', example_id, head_id, total) AS case_text
		FROM (SELECT run_id, example_id, head_id, sum(prob) AS total FROM attention GROUP BY run_id, example_id, head_id) WHERE abs(total - 1) > 1e-3`)},
	{Conflicting, "score differs from the attention row", "scores differ from their attention rows", counted(`
		SELECT s.run_id, s.example_id AS case_order, format('example {}, head {}: score {} and probability {}, in attention {} and {}', s.example_id, s.head_id, s.score, s.prob, a.score, a.prob) AS case_text
		FROM (SELECT t.run_id, t.example_id, t.head_id, e.key_pos AS pos, t.score, t.prob
			FROM score AS t JOIN example AS e ON e.run_id = t.run_id AND e.example_id = t.example_id
			UNION ALL SELECT t.run_id, t.example_id, t.head_id, e.baseline_pos, t.baseline, t.baseline_prob
			FROM score AS t JOIN example AS e ON e.run_id = t.run_id AND e.example_id = t.example_id WHERE e.baseline_pos IS NOT NULL) AS s
		JOIN attention AS a ON a.run_id = s.run_id AND a.example_id = s.example_id AND a.head_id = s.head_id AND a.pos = s.pos
		WHERE abs(a.score - s.score) > ` + relative + ` * greatest(1, abs(a.score)) OR abs(a.prob - s.prob) > ` + relative)},
	{Conflicting, "score has a baseline its example has not, or lacks one", "scores have a baseline their examples have not, or lack one", counted(`
		SELECT s.run_id, s.example_id AS case_order, format('example {}, head {}', s.example_id, s.head_id) AS case_text
		FROM score AS s JOIN example AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
		WHERE (s.baseline IS NULL) <> (e.baseline_pos IS NULL) OR (s.baseline_prob IS NULL) <> (e.baseline_pos IS NULL) OR (s.baseline_scale IS NULL) <> (e.baseline_pos IS NULL)`)},
	{NotClosed, "score was stored with a closure residual beyond the tolerance", "scores were stored with a closure residual beyond the tolerance", counted(`
		SELECT s.run_id, -s.closure_residual AS case_order, format('example {}, head {}: {} for a score of {}', s.example_id, s.head_id, s.closure_residual, s.score) AS case_text
		FROM score AS s JOIN run AS r ON r.run_id = s.run_id
		WHERE r.convention = 'exact' AND s.closure_residual > ` + toleranceSQL + ` * greatest(1, abs(s.score), abs(coalesce(s.baseline, 0)))`)},
}
