-- Macros for statistics and for thought experiments. They take values, and read no table. A list comprehension
-- over a list of one gives its value a name, so that an argument may be an aggregate.

{{define "mix"}}(xor({{.}}, {{.}} >> 16) * 73244475) & 4294967295{{end}}
{{define "at"}}m[1 + floor(999 * {{.}})::BIGINT] + (999 * {{.}} - floor(999 * {{.}})) * (m[2 + floor(999 * {{.}})::BIGINT] - m[1 + floor(999 * {{.}})::BIGINT]){{end}}

-- bootstrap_ci(list): 95 % interval of the mean of a list, as a struct of low and high: percentiles of the
-- means of 1000 resamples, the same in every DuckDB. NULLs are left out; NULL for fewer than two values. Such
-- as SELECT head, avg(diff), bootstrap_ci(list(diff ORDER BY example_id)) FROM head_score GROUP BY head.
CREATE MACRO bootstrap_ci(list) AS ([CASE WHEN len(l) > 1 THEN [{'low': {{template "at" "0.025"}}, 'high': {{template "at" "0.975"}}} for m in [list_sort(
  [list_avg([l[1 + ((xor(z, z >> 16) * len(l)) >> 32)]
    for z in [{{template "mix" "y"}} for y in [{{template "mix" "x"}} for x in [(r * 2654435761 + i * 40503) & 4294967295 for i in range(len(l))]]]])
  for r in range(1000)])]][1] END
  for l in [[v for v in (list::DOUBLE[]) if v IS NOT NULL]]][1]);

-- what_if(prob, change): the attention probability of a position if its score changes by so much, and no
-- other: -score of a component takes its contribution away. Where a head caps its scores, the change is that of
-- the capped score. It is arithmetic on one score and not what the model would do without the component.
-- exp is asked for numbers up to 0 only, which it cannot overflow on.
CREATE MACRO what_if(prob, change) AS (CASE WHEN change IS NOT NULL AND (prob = 0 OR prob = 1) THEN prob::DOUBLE
  WHEN change > 0 THEN prob / (prob + (1 - prob) * exp(-change))
  ELSE prob * exp(change) / (1 - prob + prob * exp(change)) END);
