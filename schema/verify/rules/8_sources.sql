-- Contributions of heads by the position that they read, and scores by the bands of rotary embedding.

-- incomplete: component of a head and side is not split by source for every example / components of heads and sides are not split by source for every example
SELECT s.run_id, 0 AS case_order, format('head #{}, {} side, component #{}: {} of {} examples', s.head_id, s.side, s.component_id, s.n, e.n) AS case_text
FROM (SELECT run_id, head_id, side, component_id, count(DISTINCT example_id) AS n FROM source_contribution GROUP BY run_id, head_id, side, component_id) AS s
JOIN (SELECT run_id, count(*) AS n FROM edge GROUP BY run_id) AS e ON e.run_id = s.run_id
WHERE s.n <> e.n;

-- conflicting: component that is split by source is not a head below the target head / components that are split by source are not heads below the target head
SELECT s.run_id, s.component_id AS case_order, format('head {}: component {}', h.label, c.label) AS case_text
FROM (SELECT DISTINCT run_id, head_id, component_id FROM source_contribution) AS s
JOIN head AS h ON h.run_id = s.run_id AND h.head_id = s.head_id JOIN component AS c ON c.component_id = s.component_id
WHERE c.kind <> 'head' OR c.layer >= h.layer;

-- incomplete: component lacks source positions or has some twice / components lack source positions or have some twice
SELECT s.run_id, s.example_id AS case_order, format('example {}, head #{}, {} side, component #{}: {} positions from {} to {}', s.example_id, s.head_id, s.side, s.component_id, s.n, s.first, s.last) AS case_text
FROM (SELECT run_id, example_id, head_id, side, component_id, count(*) AS n, count(DISTINCT pos) AS positions, min(pos) AS first, max(pos) AS last FROM source_contribution
  GROUP BY run_id, example_id, head_id, side, component_id) AS s
JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
WHERE s.positions <> s.n OR s.first < 0 OR s.n <> s.last - s.first + 1
  OR s.last <> CASE s.side WHEN 'query' THEN e.query_pos ELSE greatest(e.key_pos, coalesce(e.baseline_pos, 0)) END;

-- conflicting: source position has a baseline although its example has none, or lacks one / source positions have a baseline although their examples have none, or lack one
SELECT s.run_id, s.example_id AS case_order, format('example {}, head #{}, component #{}, position {}', s.example_id, s.head_id, s.component_id, s.pos) AS case_text
FROM source_contribution AS s JOIN edge AS e ON e.run_id = s.run_id AND e.example_id = s.example_id
WHERE (s.baseline IS NULL) <> (e.baseline_pos IS NULL);

-- not closed: source positions of a component do not add up to its contribution / source positions of components do not add up to their contributions
SELECT s.run_id, s.example_id AS case_order, format('example {}, head #{}, {} side, component #{}: {} and {}, want {} and {}', s.example_id, s.head_id, s.side, s.component_id, s.score, s.baseline, w.score_perp_perp, w.baseline_perp_perp) AS case_text
FROM (SELECT run_id, example_id, head_id, side, component_id, sum(score::DOUBLE) AS score, sum(baseline::DOUBLE) AS baseline FROM source_contribution
  GROUP BY run_id, example_id, head_id, side, component_id) AS s
JOIN score AS m ON m.run_id = s.run_id AND m.example_id = s.example_id AND m.head_id = s.head_id
JOIN contribution_wide AS w ON w.run_id = s.run_id AND w.example_id = s.example_id AND w.head_id = s.head_id AND w.side = s.side AND w.component_id = s.component_id
JOIN basis AS qb ON qb.run_id = w.run_id AND qb.basis_id = w.query_basis_id AND qb.kind = 'whole'
JOIN basis AS kb ON kb.run_id = w.run_id AND kb.basis_id = w.key_basis_id AND kb.kind = 'whole'
WHERE NOT greatest(abs(s.score - w.score_perp_perp), coalesce(abs(s.baseline - w.baseline_perp_perp), 0))
  <= {{tolerance}} * {{closureScale "m.score" "m.baseline" "w.score_perp_perp" "w.baseline_perp_perp"}};

-- incomplete: score is not split into each band of rotary embedding once / scores are not split into each band of rotary embedding once
SELECT r.run_id, r.example_id AS case_order, format('example {}, head {}: pairs {} to {}, {} rows', r.example_id, h.label, r.first, r.last, r.n) AS case_text
FROM (SELECT run_id, example_id, head_id, count(*) AS n, count(pair) AS pairs, count(DISTINCT pair) AS different, min(pair) AS first, max(pair) AS last FROM rotary_contribution
  GROUP BY run_id, example_id, head_id) AS r
JOIN head AS h ON h.run_id = r.run_id AND h.head_id = r.head_id JOIN run AS u ON u.run_id = r.run_id JOIN model AS m ON m.model_id = u.model_id
WHERE r.pairs <> h.rotary_dims // 2 OR r.different <> r.pairs OR r.pairs > 0 AND (r.first <> 0 OR r.last <> r.pairs - 1)
  OR r.n <> r.pairs + (h.rotary_dims < m.d_head)::INTEGER;

-- incomplete: head is not split into bands of rotary embedding for every example / heads are not split into bands of rotary embedding for every example
SELECT r.run_id, r.head_id AS case_order, format('head #{}: {} of {} examples', r.head_id, r.n, e.n) AS case_text
FROM (SELECT h.run_id, h.head_id, count(DISTINCT r.example_id) AS n FROM head AS h
  LEFT JOIN rotary_contribution AS r ON r.run_id = h.run_id AND r.head_id = h.head_id
  WHERE EXISTS (FROM rotary_contribution AS o WHERE o.run_id = h.run_id) GROUP BY h.run_id, h.head_id) AS r
JOIN (SELECT run_id, count(*) AS n FROM edge GROUP BY run_id) AS e ON e.run_id = r.run_id
WHERE r.n <> e.n;

-- conflicting: band of rotary embedding has an impossible wavelength, content or baseline / bands of rotary embedding have impossible wavelengths, contents or baselines
SELECT r.run_id, r.example_id AS case_order, format('example {}, head #{}, pair {}', r.example_id, r.head_id, coalesce(r.pair::VARCHAR, 'none')) AS case_text
FROM rotary_contribution AS r JOIN edge AS e ON e.run_id = r.run_id AND e.example_id = r.example_id
WHERE r.wavelength <= 0 OR r.pair IS NULL AND (r.wavelength IS NOT NULL OR r.content <> r.score OR r.baseline_content IS DISTINCT FROM r.baseline)
  OR (r.baseline IS NULL) <> (e.baseline_pos IS NULL) OR (r.baseline_content IS NULL) <> (e.baseline_pos IS NULL);

-- not closed: bands of rotary embedding do not add up to the score / bands of rotary embedding do not add up to scores
SELECT r.run_id, r.example_id AS case_order, format('example {}, head #{}: {} and {}, the model says {} and {}', r.example_id, r.head_id, r.score, r.baseline, s.score, s.baseline) AS case_text
FROM (SELECT run_id, example_id, head_id, sum(score::DOUBLE) AS score, sum(baseline::DOUBLE) AS baseline FROM rotary_contribution GROUP BY run_id, example_id, head_id) AS r
JOIN score AS s ON s.run_id = r.run_id AND s.example_id = r.example_id AND s.head_id = r.head_id
WHERE NOT greatest(abs(r.score - s.score), coalesce(abs(r.baseline - s.baseline), 0)) <= {{tolerance}} * {{closureScale "s.score" "s.baseline"}};
