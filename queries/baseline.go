package queries

// BaselineSQL is an expression of SQL that says with which keys the edges of run r are compared: S1, the
// first mention of the subject, in prompts from templates; a token that each prompt gives; a mean of keys; or
// none.
const BaselineSQL = `coalesce((SELECT string_agg(kind, ' or ' ORDER BY kind) FROM (SELECT DISTINCT
    CASE WHEN e.baseline_kind = 'mean' THEN 'mean of other keys'
    WHEN e.baseline_kind = 'attention' THEN 'attention-weighted mean of other keys'
    WHEN e.baseline_kind = 'token' AND p.template IS NULL THEN 'given by each prompt'
    WHEN e.baseline_kind = 'token' THEN 'S1' END AS kind
  FROM edge AS e JOIN prompt AS p ON p.run_id = e.run_id AND p.prompt_id = e.prompt_id
  WHERE e.run_id = r.run_id)), 'none')`
