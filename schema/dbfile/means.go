package dbfile

import (
	"fmt"
	"strings"
)

// UniteMeans returns the query that computes the rows of pair_mean_wide for whole runs from the rows of their
// shards in relation from. A mean is the mean of the shards' means, weighted by their prompts; the variance
// adds the variance within and between shards. The results equal those of the whole run up to the rounding of
// the shards' means to FLOAT. The query ends with GROUP BY.
func UniteMeans(from string) string {
	keys := []string{"run_id", "head_id", "query_component_id", "key_component_id", "query_basis_id",
		"key_basis_id"}
	list := append([]string{}, keys...)
	list = append(list, "sum(n)::INTEGER AS n", "sum(n_baseline)::INTEGER AS n_baseline")
	quadrants := []string{"par_par", "par_perp", "perp_par", "perp_perp"}
	for _, of := range []struct{ name, n string }{{"score", "n"}, {"diff", "n_baseline"}} {
		for _, q := range quadrants {
			list = append(list,
				fmt.Sprintf("(sum(%[2]s::DOUBLE * mean_%[1]s) / nullif(sum(%[2]s), 0))::FLOAT AS mean_%[1]s",
					of.name+"_"+q, of.n))
		}
		for _, q := range quadrants {
			// The sum of squared distances from the mean: n (n-1) se^2 within each shard, and the distances
			// of the shards' means.
			list = append(list, fmt.Sprintf(`CASE WHEN sum(%[2]s) > 1 THEN sqrt(greatest(0,
				sum(%[2]s::DOUBLE * (%[2]s - 1) * coalesce(se_%[1]s, 0)::DOUBLE ** 2) + sum(%[2]s * mean_%[1]s::DOUBLE ** 2) - sum(%[2]s::DOUBLE * mean_%[1]s) ** 2 / sum(%[2]s))
				/ (sum(%[2]s)::DOUBLE * (sum(%[2]s) - 1)))::FLOAT END AS se_%[1]s`, of.name+"_"+q, of.n))
		}
	}
	return "SELECT " + strings.Join(list, ", ") + " FROM " + from + " GROUP BY " + strings.Join(keys, ", ")
}
