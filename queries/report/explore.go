package report

import (
	"net/url"
	"slices"
	"strings"

	"ducklens/queries"
	"ducklens/schema"
)

// view returns what follows # in the address of the explorer's view that explains a figure: a view made for
// its question, or else the SQL box with the query itself. head is that of the report.
func view(q queries.Query, parameters []Fact, head string) string {
	state := url.Values{}
	name := "sql"
	if h, err := schema.ParseHead(head); err == nil {
		state.Set("head", h.TLName())
	}
	for _, p := range parameters {
		if (p.Name == "run" || p.Name == "only") && p.Value != "NULL" {
			state.Set(p.Name, p.Value)
		}
	}
	value := func(parameter string) string {
		i := slices.IndexFunc(parameters, func(p Fact) bool { return p.Name == parameter && p.Value != "NULL" })
		if i < 0 {
			return ""
		}
		return parameters[i].Value
	}
	side, rest, _ := strings.Cut(q.Name, "_")
	switch {
	case rest == "components", rest == "quadrants", rest == "components_unembed_query":
		name = "components"
		state.Set("side", side)
		for key, parameter := range map[string]string{"qb": "query_basis", "kb": "key_basis"} {
			if basis := value(parameter); rest != "components" && basis != "" {
				state.Set(key, basis)
			}
		}
	case q.Name == "top_pairs", q.Name == "pair_matrix":
		name = "pairs"
	case strings.HasPrefix(rest, "substitution_"), slices.Contains([]string{"basis_shares", "head_cosines", "map_cosines", "unembed_fraction"}, q.Name):
		name = "directions"
	case q.Name == "top_heads", q.Name == "head_measures":
		name = "heads"
		state.Del("head")
	case q.Name == "direct_logit":
		name = "writes"
	default:
		state.Set("name", q.Name)
		if _, err := queries.Find(queries.Embedded(), q.Name); err != nil { // a shipped query need not be in the file
			state.Del("name")
			state.Set("q", q.SQL)
		}
		for _, p := range parameters {
			if p.Value != "NULL" {
				state.Set("p."+p.Name, p.Value)
			}
		}
	}
	return "/" + name + "?" + state.Encode()
}
