-- name: closure
-- title: Do the contributions add up to the scores?
-- description: For every complete run, the largest distance between a model's attention score and the sum of its
--   contributions, over examples, heads, sides, bases and positions. Only exact runs must add up; a notebook run
--   repeats the published arithmetic, which leaves the attention output biases out.
-- chart: table

SELECT 1 AS x ORDER BY x
