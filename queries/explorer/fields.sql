-- What examples of a run can be told apart by, with the values that come most often.
WITH field AS (
  SELECT 'template' AS name, p.template AS value FROM edge AS e JOIN prompt AS p USING (run_id, prompt_id) WHERE e.run_id = $run
  UNION ALL SELECT 'prompt_order', p.prompt_order::VARCHAR FROM edge AS e JOIN prompt AS p USING (run_id, prompt_id) WHERE e.run_id = $run
  UNION ALL SELECT f.name, f.value FROM example_field AS f WHERE f.run_id = $run
), counted AS (
  SELECT name, value, count(*) AS n FROM field WHERE value IS NOT NULL GROUP BY name, value
)
SELECT name, list(value ORDER BY n DESC, value)[:50] AS "values", count(*) AS distinct_values
FROM counted GROUP BY name ORDER BY name
