package spark_test

import (
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/spark"
	"ducklens/schema"
)

func dialect(t *testing.T) *spark.Dialect {
	t.Helper()
	d, err := spark.New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return d
}

// TestTexts translates every view, macro and saved query, so there is a rule for everything that they use.
// What Spark cannot plan is named.
func TestTexts(t *testing.T) {
	t.Parallel()
	texts, err := dialect(t).Texts(t.Context(), queries.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	definitions, err := schema.Views()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range definitions {
		words := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '(' })
		if words[0] != "CREATE" {
			continue
		}
		name := words[2]
		view := strings.Contains(texts["spark/views.sql"], "TEMPORARY VIEW `"+name+"` ")
		function := strings.Contains(texts["spark/views.sql"], "TEMPORARY FUNCTION `"+name+"`(") ||
			strings.Contains(texts["spark/views.sql"], "-- The macro "+name+" is left out: ")
		if words[1] == "VIEW" && !view || words[1] == "MACRO" && !function && texts["spark/macros/"+name+".sql"] == "" {
			t.Errorf("%s %s is not written", words[1], name)
		}
	}
	for _, q := range queries.Embedded() {
		text := texts["spark/questions/"+q.Name+".sql"]
		for _, p := range q.Params {
			if !strings.Contains(text, "-- param: "+p.Name+" ") || !strings.Contains(text, "CAST(:"+p.Name+" AS ") {
				t.Errorf("%s has no parameter %s", q.Name, p.Name)
			}
		}
	}
	again, err := dialect(t).Texts(t.Context(), queries.Embedded())
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range texts {
		if again[name] != text {
			t.Errorf("%s is not the same twice", name)
		}
	}
}

// TestRules checks SQL that the engines write or interpret differently.
func TestRules(t *testing.T) {
	t.Parallel()
	d := dialect(t)
	for _, tt := range []struct{ ours, spark string }{
		{"x[1]", "try_element_at(`x`, CAST(1 AS INT))"},
		{"trim(x, '[]')", "trim(BOTH '[]' FROM `x`)"},
		{"'it''s \\ '", `'it\'s \\ '`},
		{"x::DOUBLE[]", "CAST(`x` AS ARRAY<DOUBLE>)"},
		{"'key'::side", "'key'"},
		{"x IS NOT DISTINCT FROM NULL", "(`x` <=> NULL)"},
		{"a.b ** 2 // 3", "(power(`a`.`b`, 2) div 3)"},
		{"0.025 + 1.5", "(0.025 + 1.5)"},
		{"count(*) FILTER (x)", "count(*) FILTER (WHERE `x`)"},
		{"arg_max(x, y)", "max_by(`x`, `y`)"},
		{"[v + 1 for v in x]", "transform(`x`, `v` -> (`v` + 1))"},
		{"row_number() OVER (PARTITION BY a ORDER BY b)", "row_number() OVER (PARTITION BY `a` ORDER BY `b` NULLS LAST)"},
		{"string_agg(x, ', ' ORDER BY y DESC)", "listagg(`x`, ', ') WITHIN GROUP (ORDER BY `y` DESC NULLS LAST)"},
		{"head_name(x)", "(regexp_replace(`x`, '^L([0-9]+)H([0-9]+)$', '$1.$2'))"},
		{"json_extract_string(x, '/' || replace(replace(y, '~', '~0'), '/', '~1'))", "try_element_at(from_json(`x`, 'MAP<STRING, STRING>'), `y`)"},
		{"xor(a, b >> 3) & 7", "((`a` ^ shiftright(`b`, 3)) & 7)"},
	} {
		got, err := d.Question(t.Context(), queries.Query{Name: "q", Description: "d", SQL: "SELECT " + tt.ours + " AS a"})
		if _, got, _ = strings.Cut(got, "SELECT "); err != nil || strings.TrimSpace(got) != tt.spark+" AS `a`" {
			t.Errorf("%s becomes %s, %v, want %s", tt.ours, got, err, tt.spark)
		}
	}
	got, err := d.Question(t.Context(), queries.Query{Name: "q", Description: "d", SQL: "SELECT p.side FROM p ORDER BY p.side DESC"})
	if want := "ORDER BY array_position(array('query', 'key'), CAST(`p`.`side` AS STRING)) DESC NULLS LAST, `p`.`side` DESC NULLS LAST"; err != nil || !strings.Contains(got, want) {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

// TestRefuses checks that SQL without a rule is refused by name, and never printed with another meaning.
func TestRefuses(t *testing.T) {
	t.Parallel()
	d := dialect(t)
	for sql, want := range map[string]string{
		"SELECT hash(x)":                                                       "the function hash",
		"SELECT x::TIMESTAMP":                                                  "a cast to TIMESTAMP",
		"SELECT $nobody":                                                       "a parameter nobody",
		"SELECT * FROM a FULL JOIN b USING (x)":                                "a join of the kind",
		"SELECT * FROM read_csv('x')":                                          "the table function read_csv",
		"SELECT a FROM b UNION SELECT c FROM d":                                "UNION",
		"SELECT known_head(x.run_id, 'a') FROM x":                              "could be taken for one of the tables",
		"SELECT regexp_replace(x, 'a', 'b')":                                   "regexp_replace of something but a whole text",
		"SELECT json_extract_string(x, '$.a')":                                 "no pointer to a name",
		"SELECT sum(x) OVER (ROWS 1 PRECEDING) FROM y":                         "a window with a frame",
		"SELECT sum(x), (SELECT z.a FROM z WHERE z.b = y.b) FROM y GROUP BY b": "a subquery among the columns of a GROUP BY",
	} {
		if _, err := d.Question(t.Context(), queries.Query{Name: "q", Description: "d", SQL: sql}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", sql, err, want)
		}
	}
}

// TestMacro checks that a table macro becomes a query with its parameters.
func TestMacro(t *testing.T) {
	t.Parallel()
	d := dialect(t)
	text, err := d.Macro("heatmap")
	if err != nil || !strings.HasPrefix(text, "-- Parameters: run STRING = NULL, head STRING = NULL, side STRING = 'key', ") || !strings.Contains(text, "CAST(:quadrant AS STRING)") {
		t.Errorf("%s, %v", text, err)
	}
	if _, err := d.Macro("latest_run"); err == nil {
		t.Error("latest_run gives no table")
	}
}
