-- Macros for statistics and thought experiments. They take values and read no table. A list comprehension
-- over a list of one value names that value, so that an argument may be an aggregate.

{{define "mix"}}(xor({{.}}, {{.}} >> 16) * 73244475) & 4294967295{{end}}
{{define "at"}}m[1 + floor(999 * {{.}})::BIGINT] + (999 * {{.}} - floor(999 * {{.}})) * (m[2 + floor(999 * {{.}})::BIGINT] - m[1 + floor(999 * {{.}})::BIGINT]){{end}}

-- bootstrap_ci(list): 95 % interval of the mean of a list, as a struct of low and high: percentiles of the
-- means of 1000 bootstrap samples, equal in every version of DuckDB. NULLs are left out. NULL for fewer than
-- two values. For example: SELECT head, avg(diff), bootstrap_ci(list(diff ORDER BY example_id)) FROM
-- head_score GROUP BY head.
CREATE MACRO bootstrap_ci(list) AS ([CASE WHEN len(l) > 1 THEN [{'low': {{template "at" "0.025"}}, 'high': {{template "at" "0.975"}}} for m in [list_sort(
  [list_avg([l[1 + ((xor(z, z >> 16) * len(l)) >> 32)]
    for z in [{{template "mix" "y"}} for y in [{{template "mix" "x"}} for x in [(r * 2654435761 + i * 40503) & 4294967295 for i in range(len(l))]]]])
  for r in range(1000)])]][1] END
  for l in [[v for v in (list::DOUBLE[]) if v IS NOT NULL]]][1]);

-- what_if(prob, change): the attention probability of a position if its score changes by change and all other
-- scores stay. With change = -score of a component, it is the probability without the component's
-- contribution. If the head caps its scores, change is that of the capped score. This is arithmetic on one
-- score, not what the model would do without the component. exp is only called with numbers up to 0, so it
-- cannot overflow.
CREATE MACRO what_if(prob, change) AS (CASE WHEN change IS NOT NULL AND (prob = 0 OR prob = 1) THEN prob::DOUBLE
  WHEN change > 0 THEN prob / (prob + (1 - prob) * exp(-change))
  ELSE prob * exp(change) / (1 - prob + prob * exp(change)) END);
