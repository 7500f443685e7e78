package verify

import (
	"embed"
	"fmt"
	"strings"
	"sync"
	"text/template"

	"ducklens/schema"
)

// ruleFiles holds the rules. Each file is a template of SQL statements, which end with a semicolon at the end
// of a line. A rule is preceded by "-- kind: one / many": the kind of problem, and a description of one case
// and of several. Its statement returns a row for each case: run_id, case_order and case_text. A statement
// that helps the rules is preceded by "-- query: name / result". All files may use the templates of
// common.sql.
//
//go:embed rules/*.sql
var ruleFiles embed.FS

// relative bounds the relative difference of two copies of one float32 number that went through different
// sums.
const relative = "1e-5"

// rule is a query about the file that should return no rows.
type rule struct {
	kind      ProblemKind
	one, many string // description of one case and of several
	query     string
	of        string // a table without whose rows there is no case, or ""
}

// uses reports whether a statement uses a parameter.
func uses(query, parameter string) bool { return strings.Contains(query, parameter) }

// counted returns the query for the number of cases of the rule in each run and the text of the first one.
func (r *rule) counted() string {
	return "SELECT run_id, count(*), arg_min(case_text, case_order) FROM (" + r.query +
		") GROUP BY run_id ORDER BY run_id"
}

// ruleFile is the content of a file of rules.
type ruleFile struct {
	rules   []rule
	queries map[string]string
}

// readRules reads all files of rules, by name.
var readRules = sync.OnceValues(func() (map[string]ruleFile, error) {
	entries, err := ruleFiles.ReadDir("rules")
	if err != nil {
		return nil, err
	}
	common, err := ruleFiles.ReadFile("rules/common.sql")
	if err != nil {
		return nil, err
	}
	files := map[string]ruleFile{}
	for _, e := range entries {
		text, err := ruleFiles.ReadFile("rules/" + e.Name())
		if err != nil {
			return nil, err
		}
		if e.Name() != "common.sql" {
			text = append(common[:len(common):len(common)], text...)
		}
		made, err := schema.Expand(e.Name(), string(text), ruleFunctions)
		if err != nil {
			return nil, err
		}
		if files[e.Name()], err = parseRules(made); err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
	}
	return files, nil
})

// ruleFunctions are the functions of the templates.
var ruleFunctions = template.FuncMap{
	"relative":     func() string { return relative },
	"sides":        func() []schema.Side { return []schema.Side{schema.Query, schema.Key} },
	"everyExample": func() []frequency { return everyExample },
	// flags returns the flags of table run, each with a table that has rows of the run if the flag is set.
	"flags": func() map[string]string {
		return map[string]string{"factors": "query_factor", "pairs": "pair_contribution_wide",
			"pair_means": "pair_mean_wide", "logits": "logit"}
	},
	"margin": func(side, vector, image, coordinate, other string) map[string]string {
		return map[string]string{"Side": side, "Vector": vector, "Image": image, "Coordinate": coordinate,
			"Other": other}
	},
}

// frequency says how often each combination of Keys must occur in a table with a row for each example, or for
// some examples.
type frequency struct{ Table, Keys, Want string }

var everyExample = []frequency{
	{"substitution", "head_id, side, vector", "CASE t.vector WHEN 'W_U[baseline]' THEN e.n_token_baseline " +
		"WHEN 'W_U[random name]' THEN e.n_name WHEN 'W_U[random]' THEN e.n_token ELSE e.n END"},
	{"projection", "head_id, side, vector, basis_id, measure",
		"CASE WHEN t.measure <> 'diff' THEN e.n WHEN t.side = 'key' THEN e.n_token_baseline ELSE " +
			"e.n_baseline END"},
	{"vector_cosine", "side, vector_a, vector_b, basis_id", "e.n"},
	// Ranks beyond those that the run was asked for are those of the key's and the baseline's token.
	{"nearest_token", "head_id, side, vector, rank", "CASE WHEN t.rank <= (SELECT coalesce(" +
		"TRY_CAST(json_extract_string(options, '$.nearest') AS INTEGER), 0) FROM run AS r " +
		"WHERE r.run_id = t.run_id) THEN e.n ELSE t.n END"},
}

// Names returns the keys as one text.
func (f frequency) Names() string {
	list := strings.Split(f.Keys, ", ")
	for i, c := range list {
		list[i] = "'" + c + "': " + c
	}
	return "{" + strings.Join(list, ", ") + "}::VARCHAR"
}

// parseRules splits a file into its rules and queries.
func parseRules(text string) (f ruleFile, err error) {
	f.queries = map[string]string{}
	var heading string
	var statement []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if comment, ok := strings.CutPrefix(line, "-- "); ok && len(statement) == 0 {
			heading = comment
			continue
		}
		if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "--") {
			continue
		}
		body, last := strings.CutSuffix(line, ";")
		if statement = append(statement, body); !last {
			continue
		}
		kind, words, ok := strings.Cut(heading, ": ")
		one, many, ok2 := strings.Cut(words, " / ")
		if !ok || !ok2 {
			return f, fmt.Errorf("%q, want a heading such as -- orphan: "+
				"score has no head / scores have no head", heading)
		}
		query := strings.Join(statement, "\n")
		if kind == "query" {
			f.queries[one] = query
		} else {
			f.rules = append(f.rules, rule{kind: ProblemKind(kind), one: one, many: many, query: query})
		}
		heading, statement = "", nil
	}
	return f, nil
}

// references lists the references of the rows of each table: the other table, and the column if it is not
// named after that table. A component must be one of the run, and a basis one of its side.
var references = []struct {
	table, one, many string
	to               []string
}{
	{"run", "run", "runs", []string{"model"}},
	{"component", "component", "components", []string{"model"}},
	{"run_component", "component of a run", "components of runs", []string{"run", "component"}},
	{"head", "head", "heads", []string{"run"}},
	{"basis", "basis", "bases", []string{"run"}},
	{"mover", "mover", "movers", []string{"run"}},
	{"prompt", "prompt", "prompts", []string{"run"}},
	{"edge", "example", "examples", []string{"run", "prompt"}},
	{"prompt_token", "token", "tokens", []string{"prompt"}},
	{"prompt_attention", "attention row", "attention rows", []string{"prompt", "head"}},
	{"layer_scale", "scale of a layer", "scales of layers", []string{"prompt"}},
	{"score", "score", "scores", []string{"edge", "head"}},
	{"contribution_wide", "contribution", "contributions",
		[]string{"edge", "head", "component_id", "query query_basis_id", "key key_basis_id"}},
	{"contribution_moment", "moment of contributions", "moments of contributions",
		[]string{"run", "head", "component_id", "query query_basis_id", "key key_basis_id"}},
	{"query_factor", "query factor", "query factors", []string{"edge", "head", "component_id"}},
	{"key_factor", "key factor", "key factors", []string{"edge", "head", "component_id"}},
	{"query_axis", "query axis", "query axes", []string{"edge", "head", "query basis_id"}},
	{"key_axis", "key axis", "key axes", []string{"edge", "head", "key basis_id"}},
	{"query_coordinate", "query coordinate", "query coordinates",
		[]string{"edge", "head", "component_id", "query basis_id"}},
	{"key_coordinate", "key coordinate", "key coordinates",
		[]string{"edge", "head", "component_id", "key basis_id"}},
	{"pair_contribution_wide", "pair", "pairs",
		[]string{"edge", "head", "query_component_id", "key_component_id", "query query_basis_id",
			"key key_basis_id"}},
	{"pair_mean_wide", "mean of pairs", "means of pairs",
		[]string{"run", "head", "query_component_id", "key_component_id", "query query_basis_id",
			"key key_basis_id"}},
	{"substitution", "substitution", "substitutions", []string{"edge", "head"}},
	{"projection", "projection", "projections", []string{"edge", "head", "side basis_id"}},
	{"vector_cosine", "cosine", "cosines", []string{"edge", "side basis_id"}},
	{"nearest_token", "nearest token", "nearest tokens", []string{"edge", "head"}},
	{"head_measure", "measure of a head", "measures of heads", []string{"prompt", "head"}},
	{"logit", "logit", "logits", []string{"edge"}},
	{"row_contribution_wide", "contribution to a key", "contributions to keys",
		[]string{"prompt", "head", "component_id", "query query_basis_id", "key key_basis_id"}},
	{"logit_effect", "logit effect", "logit effects", []string{"edge", "component_id"}},
	{"source_contribution", "source of a component", "sources of components",
		[]string{"edge", "head", "component_id"}},
	{"rotary_contribution", "band of rotary embedding", "bands of rotary embedding",
		[]string{"edge", "head"}},
	{"component_norm", "inner product with a stream", "inner products with streams",
		[]string{"prompt", "component_id"}},
	{"component_gram", "inner product of components", "inner products of components",
		[]string{"prompt", "component_id", "other_component_id"}},
	{"component_qk_norm", "inner product for QK-norm", "inner products for QK-norm",
		[]string{"prompt", "head", "component_id"}},
	{"component_qk_gram", "inner product of components for QK-norm",
		"inner products of components for QK-norm",
		[]string{"prompt", "head", "component_id", "other_component_id"}},
	{"ablation", "ablation", "ablations", []string{"edge", "head", "component_id"}},
}

// orphans returns rules that find rows with a reference to a missing row.
func orphans() (rules []rule) {
	for _, r := range references {
		run := "t.run_id"
		if r.table == "component" {
			run = "0"
		}
		for _, to := range r.to {
			table, what, on := to, to, "o.run_id = t.run_id"
			first, column, two := strings.Cut(to, " ")
			switch {
			case two:
				table, what, on = "basis", "basis of its side", on+" AND o.basis_id = t."+column+
					" AND o.side = '"+first+"'"
				if first == "side" {
					on = "o.run_id = t.run_id AND o.basis_id = t." + column + " AND o.side = t.side"
				}
			case strings.HasSuffix(to, "component_id"):
				table, what, on = "run_component", "component of its run", on+" AND o.component_id = t."+to
			case to == "edge":
				what, on = "example", on+" AND o.example_id = t.example_id"
			case to == "head", to == "prompt":
				on += " AND o." + to + "_id = t." + to + "_id"
			case to == "model", to == "component":
				on = "o." + to + "_id = t." + to + "_id"
			}
			rules = append(rules,
				rule{Orphan, r.one + " refers to no " + what, r.many + " refer to no " + what,
					"SELECT " + run + " AS run_id, 0 AS case_order, t::VARCHAR AS case_text FROM " + r.table +
						" AS t ANTI JOIN " + table + " AS o ON " + on, r.table})
		}
	}
	return rules
}
