package report_test

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ducklens/queries"
	"ducklens/queries/report"
)

// TestExplore holds that each figure says where the explorer goes on from it, and that it has such a view.
func TestExplore(t *testing.T) {
	pages, err := os.ReadFile("../explorer/web/src/state.ts")
	if err != nil {
		t.Fatal(err)
	}
	list := regexp.MustCompile(`views = \[([^\]]*)\]`).FindSubmatch(pages)
	if list == nil {
		t.Fatal("state.ts does not say which views there are")
	}
	var views []string
	for _, name := range regexp.MustCompile(`\w+`).FindAll(list[1], -1) {
		views = append(views, string(name))
	}
	own, err := queries.Parse("-- name: mine\n-- title: t\n-- description: d\n-- param: least DOUBLE = 0.5, least\n-- chart: scatter\n-- x: score\n-- y: prob\n\nSELECT score, prob FROM head_score WHERE prob >= $least OR true ORDER BY ALL")
	if err != nil {
		t.Fatal(err)
	}
	in, err := report.Collect(t.Context(), open(t), report.Options{Head: "2.0", Queries: append(queries.Embedded(), own),
		Explore: func(view string) string { return "explore #" + view }})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]url.Values{}
	for _, f := range in.Figures {
		command, address, found := strings.Cut(f.Source.Explore, "#/")
		name, query, _ := strings.Cut(address, "?")
		state, err := url.ParseQuery(query)
		if err != nil || !found || command != "explore " || !slices.Contains(views, name) {
			t.Errorf("%s: %q, %v; want one of the views %v", f.Source.Name, f.Source.Explore, err, views)
		}
		if name != "heads" && name != "sql" && state.Get("head") != "L2H0" {
			t.Errorf("%s: %q, want the head of the report in it", f.Source.Name, f.Source.Explore)
		}
		state.Set("view", name)
		seen[f.Source.Name] = state
	}
	for name, want := range map[string]url.Values{
		"key_components":            {"view": {"components"}, "side": {"key"}},
		"query_quadrants":           {"view": {"components"}, "side": {"query"}, "qb": {"unembed"}, "kb": {"mlp0"}},
		"top_pairs":                 {"view": {"pairs"}},
		"query_substitution_scores": {"view": {"directions"}},
		"mine":                      {"view": {"sql"}, "q": {own.SQL}, "p.least": {"0.5"}},
	} {
		for key := range want {
			if got := seen[name].Get(key); got != want.Get(key) {
				t.Errorf("%s: %s is %q, want %q", name, key, got, want.Get(key))
			}
		}
	}
	page := write(t, in)
	if n := strings.Count(page, "Go on from here"); n != len(in.Figures) {
		t.Errorf("%d lines for %d figures", n, len(in.Figures))
	}
	in.Figures[0].Source.Explore = "<script>"
	if page := write(t, in); strings.Contains(page, "<code><script>") {
		t.Error("the command is markup")
	}
}
