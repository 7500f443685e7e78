-- Runs, and what each has to choose from. Lists are in the order in which a reader expects them.
SELECT r.run_id AS run, r.status::VARCHAR AS status, m.name AS model, m.family, m.n_layers, m.n_heads AS heads_per_layer, m.d_model,
  coalesce(r.n_prompts, r.n_examples) AS prompts,
  (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id) AS edges,
  (SELECT count(*) FROM edge AS e WHERE e.run_id = r.run_id AND e.baseline_kind <> 'none') AS baselines,
  {baseline} AS baseline, r.prompt_source AS source, r.seed, r.bos, r.convention::VARCHAR AS convention, r.processing::VARCHAR AS processing, r.precision,
  r.created_at AS created, r.ducklens_version AS version, r.command_line AS command, r.options, r.max_closure_residual,
  (SELECT list(h.label ORDER BY h.ordinal) FROM head AS h WHERE h.run_id = r.run_id) AS heads,
  (SELECT list({name: b.name, kind: b.kind::VARCHAR, dimension: b.dimension, description: b.description} ORDER BY b.basis_id)
    FROM basis AS b WHERE b.run_id = r.run_id AND b.side = 'query' AND b.null_number IS NULL) AS query_bases,
  (SELECT list({name: b.name, kind: b.kind::VARCHAR, dimension: b.dimension, description: b.description} ORDER BY b.basis_id)
    FROM basis AS b WHERE b.run_id = r.run_id AND b.side = 'key' AND b.null_number IS NULL) AS key_bases,
  (SELECT count(DISTINCT b.null_number) FROM basis AS b WHERE b.run_id = r.run_id) AS random_directions,
  (SELECT list(c.label ORDER BY o.ordinal) FROM run_component AS o JOIN component AS c USING (component_id) WHERE o.run_id = r.run_id) AS components,
  (SELECT list(v.label ORDER BY v.ordinal) FROM mover AS v WHERE v.run_id = r.run_id) AS movers
FROM run AS r JOIN model AS m ON m.model_id = r.model_id
ORDER BY r.run_id
