package explorer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ducklens/queries"
	"ducklens/queries/explorer"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/schematest"
)

// hostile is text that must stay text.
const hostile = `<script>alert(1)</script><img src=x onerror=alert(2)>"'&amp;`

// sampleFile returns a file with a run of three prompts, changed by statements.
func sampleFile(t *testing.T, statements ...string) string {
	t.Helper()
	model := schematest.GPT2Small()
	model.Name, model.NLayers, model.NHeads, model.DModel, model.DHead = "small", 3, 2, 8, 4
	run := schema.Run{
		Model: model, Heads: schematest.Targets(schema.Head{Layer: 2, Index: 1}, schema.Head{Layer: 2, Index: 0}), Seed: 42, BOS: true, PromptSource: "ioi",
		Bases: schematest.AllBases(), Movers: []schema.Head{{Layer: 1, Index: 1}, {Layer: 0, Index: 0}}, Factors: true,
	}
	db := schematest.NewDB(t)
	schematest.Insert(t, db, run, schematest.Random(run, 1, 3))
	if err := db.Finalize(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(statements) == 0 {
		return db.Path()
	}
	content, err := os.ReadFile(db.Path())
	if err != nil {
		t.Fatal(err)
	}
	changed := filepath.Join(t.TempDir(), "changed.duckdb") // the original is verified when the test ends
	if err := os.WriteFile(changed, content, 0o600); err != nil {
		t.Fatal(err)
	}
	schematest.Plant(t, changed, statements...)
	return changed
}

// site is a server and its address.
type site struct {
	t           *testing.T
	base, token string
}

// serve serves files until the test ends.
func serve(t *testing.T, o explorer.Options, limits session.Options, paths ...string) site {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.Files = explorer.Files(paths)
	if o.Open == nil {
		o.Open = func(ctx context.Context, path string) (*session.Session, error) {
			return session.Open(ctx, path, limits)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := explorer.NewServer(ctx, o, l.Addr().(*net.TCPAddr).Port)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	base, token, found := strings.Cut(s.Address(""), "/?token=")
	if !found {
		t.Fatalf("address %s, want a token", s.Address(""))
	}
	return site{t, base, token}
}

// request sends an allowed request; change changes it before.
func (s site) request(ctx context.Context, method, path string, body any, change func(*http.Request)) *http.Response {
	s.t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			s.t.Fatal(err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, method, s.base+path, bytes.NewReader(text))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set(explorer.TokenHeader, s.token)
	r.Header.Set("Content-Type", "application/json")
	if change != nil {
		change(r)
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(r)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = answer.Body.Close() })
	return answer
}

// reply is an answer as pages read it.
type reply struct {
	Columns   []struct{ Name, Type string }
	Rows      [][]any
	Truncated bool
	Notes     []string
	Error     *struct {
		Message, Hint string
		Line, Column  int
	}
}

// ask sends a question.
func (s site) ask(path string, body map[string]any) (r reply) {
	s.t.Helper()
	answer := s.request(s.t.Context(), http.MethodPost, path, body, nil)
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if answer.StatusCode != http.StatusOK {
		s.t.Fatalf("%s %v: %s: %s", path, body, answer.Status, text)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		s.t.Fatalf("%s: %v\n%s", path, err, text)
	}
	return r
}

// query sends a question in SQL.
func (s site) query(sql string) reply { return s.ask("/api/query", map[string]any{"sql": sql}) }

// TestWhoMayAsk checks that a question is answered only if it has the token, addresses this machine by name,
// comes from no other origin, and is a POST of JSON.
func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	s := serve(t, explorer.Options{}, session.Options{}, sampleFile(t))
	port := s.base[strings.LastIndexByte(s.base, ':'):]
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	host := func(name string) func(*http.Request) { return func(r *http.Request) { r.Host = name } }
	one := map[string]any{"sql": "SELECT 1"}
	for _, c := range []struct {
		name, method, path string
		body               any
		change             func(*http.Request)
		want               int
	}{
		{"a question", "POST", "/api/query", one, nil, 200},
		{"by the machine's other name", "POST", "/api/query", one, host("localhost" + port), 200},
		{"from the page", "POST", "/api/query", one, set("Origin", s.base), 200},
		{"the manifest", "GET", "/api/manifest", nil, nil, 200},
		{"without the token", "POST", "/api/query", one, func(r *http.Request) { r.Header.Del(explorer.TokenHeader) }, 403},
		{"with an empty token", "POST", "/api/query", one, set(explorer.TokenHeader, ""), 403},
		{"with part of the token", "POST", "/api/query", one, set(explorer.TokenHeader, s.token[:len(s.token)-1]), 403},
		{"with the token in the address alone", "POST", "/api/query?token=" + s.token, one, set(explorer.TokenHeader, "x"), 403},
		{"the manifest without the token", "GET", "/api/manifest", nil, set(explorer.TokenHeader, "x"), 403},
		{"a figure without the token", "POST", "/api/plot", one, set(explorer.TokenHeader, "x"), 403},
		{"the schema without the token", "POST", "/api/schema", one, set(explorer.TokenHeader, "x"), 403},
		{"by a name that leads here", "POST", "/api/query", one, host("example.org" + port), 403},
		{"by a name that begins like ours", "POST", "/api/query", one, host("127.0.0.1.example.org" + port), 403},
		{"at another port", "POST", "/api/query", one, host("127.0.0.1:1"), 403},
		{"a page by a name that leads here", "GET", "/", nil, host("example.org" + port), 403},
		{"from another origin", "POST", "/api/query", one, set("Origin", "http://example.org"), 403},
		{"from a server of this machine", "POST", "/api/query", one, set("Origin", "http://127.0.0.1:1"), 403},
		{"from a file", "POST", "/api/query", one, set("Origin", "null"), 403},
		{"from another site, as the browser says", "POST", "/api/query", one, set("Sec-Fetch-Site", "cross-site"), 403},
		{"from another port, as the browser says", "POST", "/api/query", one, set("Sec-Fetch-Site", "same-site"), 403},
		{"a question by GET", "GET", "/api/query", nil, nil, 405},
		{"a preflight", "OPTIONS", "/api/query", nil, set("Access-Control-Request-Method", "POST"), 405},
		{"a page by POST", "POST", "/", one, nil, 405},
		{"a page by DELETE", "DELETE", "/index.html", nil, nil, 405},
		{"a form", "POST", "/api/query", one, set("Content-Type", "text/plain"), 415},
		{"no JSON", "POST", "/api/query", "x", nil, 400},
		{"a field that there is not", "POST", "/api/query", map[string]any{"path": "/etc/passwd"}, nil, 400},
		{"SQL as a saved query", "POST", "/api/saved", one, nil, 400},
		{"much too long", "POST", "/api/query", map[string]any{"sql": strings.Repeat("x", queries.MaxLength+2<<20)}, nil, 400},
		{"nothing", "POST", "/api/nothing", one, nil, 404},
		{"a file of the machine", "GET", "/../../../../etc/passwd", nil, nil, 404},
		{"the same in escapes", "GET", "/%2e%2e/%2e%2e/etc/passwd", nil, nil, 404},
		{"a folder", "GET", "/assets/", nil, nil, 404},
		{"an address that works once, made up", "GET", "/?ticket=0123", nil, nil, 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			answer := s.request(t.Context(), c.method, c.path, c.body, c.change)
			text, err := io.ReadAll(answer.Body)
			if err != nil || answer.StatusCode != c.want {
				t.Errorf("%s, %v: %.200s; want %d", answer.Status, err, text, c.want)
			}
			for name := range answer.Header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("header %s: another origin may read it", name)
				}
			}
			policy := strings.Replace(answer.Header.Get("Content-Security-Policy"), "style-src-attr 'unsafe-inline'", "", 1) // style attributes load nothing
			if !strings.HasPrefix(policy, "default-src 'none';") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "*") {
				t.Errorf("policy %q, want one that lets pages load what is here and nothing else", policy)
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"} {
				if got := answer.Header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}

// TestTicket checks that a ticket redirects to the address with the token, and works only once.
func TestTicket(t *testing.T) {
	t.Parallel()
	l := httptest.NewRecorder()
	path := sampleFile(t)
	s, err := explorer.NewServer(t.Context(), explorer.Options{Files: explorer.Files([]string{path}),
		Open: func(ctx context.Context, path string) (*session.Session, error) {
			return session.Open(ctx, path, session.Options{})
		}}, 80)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ticket := s.Ticket("/cell?component=MLP0")
	parsed, err := url.Parse(ticket)
	if err != nil || strings.Contains(ticket, parsed.Query().Get("token")) && parsed.Query().Has("token") {
		t.Fatalf("%v: address %s, want one without the token", err, ticket)
	}
	get := func() *httptest.ResponseRecorder {
		l = httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, ticket, nil)
		s.ServeHTTP(l, r)
		return l
	}
	first := get()
	if to := first.Header().Get("Location"); first.Code != http.StatusSeeOther || to != s.Address("/cell?component=MLP0") {
		t.Errorf("status %d to %s, want %s", first.Code, to, s.Address("/cell?component=MLP0"))
	}
	if again := get(); again.Code != http.StatusForbidden || strings.Contains(again.Body.String()+fmt.Sprint(again.Header()), "token=") {
		t.Errorf("the second time: status %d, %s; want it refused", again.Code, again.Body)
	}
}

// TestGate checks that questions pass the gate and the limits of package session: they only read, see only
// their file, and end in time.
func TestGate(t *testing.T) {
	t.Parallel()
	path := sampleFile(t)
	s := serve(t, explorer.Options{}, session.Options{Memory: 64 << 20, Answer: 1 << 20}, path)
	for sql, want := range map[string]string{
		"DROP TABLE run":                               "refused",
		"INSERT INTO run SELECT * FROM run":            "refused",
		"COPY run TO '/tmp/x'":                         "refused",
		"ATTACH '/tmp/x.duckdb'":                       "refused",
		"SELECT 1; SELECT 2":                           "refused",
		"SELECT * FROM read_csv('/etc/passwd')":        "refused",
		"SELECT * FROM '/etc/passwd'":                  "",
		"SET memory_limit='10GB'":                      "refused",
		"SELECT getenv('HOME')":                        "",
		"SELECT list(i) FROM range(100000000) AS t(i)": "limit reached",
		"SELECT repeat('x', 1000000) FROM range(20)":   "answer is too large",
		"": "empty query",
	} {
		r := s.query(sql)
		if r.Error == nil || !strings.Contains(r.Error.Message, want) {
			t.Errorf("%q: %+v, error %+v, want one with %q", sql, r, r.Error, want)
		}
	}
	// The session still works.
	if r := s.query("SELECT count(*) FROM run"); r.Error != nil || fmt.Sprint(r.Rows) != "[[1]]" {
		t.Errorf("afterwards: %+v, want one run", r)
	}
	hasty := serve(t, explorer.Options{}, session.Options{Time: time.Second}, path)
	if r := hasty.query("SELECT count(*) FROM range(10000000000) AS t(i) WHERE i % 7 = 3"); r.Error == nil || !strings.Contains(r.Error.Message, "time limit") {
		t.Errorf("%+v, want one that says time limit", r.Error)
	}
}

// TestCancel checks that a question stops when its client disconnects, and that others are answered
// meanwhile.
func TestCancel(t *testing.T) {
	t.Parallel()
	s := serve(t, explorer.Options{Connections: 2}, session.Options{}, sampleFile(t))
	const slow = "SELECT count(*) FROM range(100000000000) AS t(i) WHERE i % 7 = 3" // minutes
	for round := range 4 {                                                          // more rounds than connections, so that a lost one would show
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(chan *http.Response)
		go func() { asked <- s.request(ctx, http.MethodPost, "/api/query", map[string]any{"sql": slow}, nil) }()
		if r := s.query("SELECT 42"); r.Error != nil || fmt.Sprint(r.Rows) != "[[42]]" {
			t.Fatalf("round %d: beside a slow question, another has the answer %+v", round, r)
		}
		cancel()
		if answer := <-asked; answer != nil {
			t.Fatalf("the slow question was answered: %s", answer.Status)
		}
	}
	// If both connections were busy, these would wait for minutes.
	for range 2 {
		if r := s.query("SELECT 43"); fmt.Sprint(r.Rows) != "[[43]]" {
			t.Errorf("after slow questions were broken off: %+v", r)
		}
	}
}

// TestPatience checks that a question which ends soon after its client has left leaves its session as it is.
func TestPatience(t *testing.T) {
	t.Parallel()
	var opened atomic.Int32
	asking := make(chan struct{}, 1)
	s := serve(t, explorer.Options{Connections: 1,
		Open: func(ctx context.Context, path string) (*session.Session, error) {
			opened.Add(1)
			return session.Open(ctx, path, session.Options{})
		},
		Notes: func(ctx context.Context, _ *session.Session, _ queries.Query) ([]string, error) {
			select {
			case asking <- struct{}{}:
			default:
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond): // in which a server notices that the client has left
			}
			return nil, ctx.Err()
		},
	}, session.Options{}, sampleFile(t))
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan *http.Response)
	go func() {
		asked <- s.request(ctx, http.MethodPost, "/api/query", map[string]any{"sql": "SELECT 42"}, nil)
	}()
	<-asking
	cancel()
	<-asked
	if r := s.query("SELECT 43"); r.Error != nil || fmt.Sprint(r.Rows) != "[[43]]" {
		t.Errorf("after a client has left: %+v", r)
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("the file was opened %d times, want once", n)
	}
}

// TestAnswers checks how values are written for pages, how parameters are bound, and that an answer ends at
// its limit.
func TestAnswers(t *testing.T) {
	t.Parallel()
	s := serve(t, explorer.Options{}, session.Options{}, sampleFile(t))
	r := s.query(`SELECT 1 AS i, 0.1::FLOAT AS f, 0.1::DOUBLE AS d, 1.50 AS e, 'x' AS t, true AS b, NULL AS n, 9007199254740993 AS big, 'nan'::DOUBLE AS nan,
		[1, 2] AS l, {a: 1, b: '<'} AS s, '-inf'::FLOAT AS inf`)
	if got, want := fmt.Sprint(r.Rows), "[[1 0.1 0.1 1.5 x true <nil> 9007199254740993 <nil> [1 2] map[a:1 b:<] <nil>]]"; got != want {
		t.Errorf("rows %s, want %s", got, want)
	}
	if got := fmt.Sprint(r.Notes); !strings.Contains(got, "column nan") || !strings.Contains(got, "column inf") {
		t.Errorf("notes %s, want one for each column that is no number", got)
	}
	var types []string
	for _, c := range r.Columns {
		types = append(types, c.Type)
	}
	if got, want := strings.Join(types, " "), "integer float float exact text bool integer integer float nested nested float"; got != want {
		t.Errorf("types %s, want %s", got, want)
	}
	r = s.ask("/api/query", map[string]any{"sql": "SELECT typeof($a), typeof($b), typeof($c), typeof($d), $e IS NULL",
		"params": map[string]any{"a": 1, "b": 1.5, "c": "1", "d": true, "e": nil}})
	if got, want := fmt.Sprint(r.Rows), "[[BIGINT DOUBLE VARCHAR BOOLEAN true]]"; got != want || r.Error != nil {
		t.Errorf("parameters are %s, %v, want %s", got, r.Error, want)
	}
	if r := s.ask("/api/query", map[string]any{"sql": "SELECT $a, $b", "params": map[string]any{"a": 1}}); r.Error == nil || !strings.Contains(r.Error.Message, "$b") {
		t.Errorf("without a parameter: %+v, want it named", r)
	}
	r = s.ask("/api/query", map[string]any{"sql": "SELECT i FROM range(100) AS t(i)", "limit": 10})
	if len(r.Rows) != 10 || !r.Truncated {
		t.Errorf("%d rows, truncated %v; want 10 of more", len(r.Rows), r.Truncated)
	}
	if r = s.ask("/api/query", map[string]any{"sql": "SELECT i FROM range(10) AS t(i)", "limit": 10}); len(r.Rows) != 10 || r.Truncated {
		t.Errorf("%d rows, truncated %v; want all 10", len(r.Rows), r.Truncated)
	}
	if r := s.query("SELECT score\nFROM hed"); r.Error == nil || r.Error.Line != 2 || r.Error.Column != 6 || !strings.Contains(r.Error.Hint, "head") {
		t.Errorf("a mistake: %+v, want its place and what is near", r.Error)
	}
}

// TestSaved checks that a saved query returns the rows of a session, and runs once for each value of a
// parameter.
func TestSaved(t *testing.T) {
	t.Parallel()
	path := sampleFile(t)
	s := serve(t, explorer.Options{}, session.Options{}, path)
	one, err := session.Open(t.Context(), path, session.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	for _, q := range queries.Embedded() {
		result, err := one.Run(t.Context(), q, nil)
		r := s.ask("/api/saved", map[string]any{"name": q.Name})
		if (err != nil) != (r.Error != nil) {
			t.Errorf("%s: %+v, want the error %v", q.Name, r.Error, err)
		} else if err == nil {
			want, err := json.Marshal(explorer.Rows(result.Rows))
			got, gerr := json.Marshal(r.Rows)
			var again any
			if uerr := json.Unmarshal(want, &again); err != nil || gerr != nil || uerr != nil {
				t.Fatal(err, gerr, uerr)
			}
			if want, _ = json.Marshal(again); string(got) != string(want) && len(result.Rows) > 0 {
				t.Errorf("%s: rows %.300s, want %.300s", q.Name, got, want)
			}
		}
	}
	r := s.ask("/api/saved", map[string]any{"name": "key_components", "params": map[string]any{"head": "2.1,2.0"}})
	if r.Error != nil || len(r.Columns) == 0 || r.Columns[0].Name != "asked_for" {
		t.Errorf("of two heads: %+v, want a column that tells them apart", r.Error)
	}
	if r := s.ask("/api/saved", map[string]any{"name": "direct_logits"}); r.Error == nil || strings.Count(r.Error.Hint, "direct_logit") != 1 {
		t.Errorf("a name that the program and the file have is suggested once: %+v", r.Error)
	}
	if r := s.ask("/api/saved", map[string]any{"name": "key_componets"}); r.Error == nil || !strings.Contains(r.Error.Hint, "key_components") {
		t.Errorf("a name with a mistake: %+v, want what is near", r.Error)
	}
}

// TestHostileFile checks that the content of a file reaches pages as data, unchanged and in a form that no
// browser takes for markup, and that its views and macros are not run.
func TestHostileFile(t *testing.T) {
	t.Parallel()
	quoted := "'" + strings.ReplaceAll(hostile, "'", "''") + "'"
	path := sampleFile(t,
		"UPDATE prompt SET text = "+quoted,
		"UPDATE model SET name = "+quoted,
		"UPDATE run SET prompt_source = "+quoted+", options = "+quoted,
		"INSERT INTO saved_query VALUES ('evil', '-- name: evil\n-- title: "+strings.ReplaceAll(hostile, "'", "''")+"\n-- description: d\n\nSELECT "+strings.ReplaceAll(quoted, "'", "''")+" AS x')",
		"INSERT INTO saved_query VALUES ("+quoted+", 'no header')",
		"CREATE VIEW evil_view AS SELECT 1 AS x",
		"CREATE TABLE mine AS SELECT "+quoted+" AS \"<b>\"",
	)
	s := serve(t, explorer.Options{}, session.Options{}, path)
	for _, c := range []struct {
		path string
		body map[string]any
		want string // in the answer, as it is told
	}{
		{"/api/query", map[string]any{"sql": "SELECT text FROM example LIMIT 1"}, hostile},
		{"/api/query", map[string]any{"sql": "SELECT * FROM mine"}, hostile},
		{"/api/query", map[string]any{"sql": "SELECT error((SELECT any_value(name) FROM model))"}, "<script>"},
		{"/api/query", map[string]any{"sql": `SELECT "<script>" FROM run`}, "<script>"},
		{"/api/query", map[string]any{"sql": "SELECT * FROM evil_view"}, "evil_view"},
		{"/api/saved", map[string]any{"name": "evil"}, hostile},
		{"/api/saved", map[string]any{"name": "<script>"}, "<script>"},
		{"/api/schema", nil, "<b>"},
		{"/api/manifest", nil, hostile},
	} {
		method := http.MethodPost
		if c.path == "/api/manifest" {
			method = http.MethodGet
		} else if c.body == nil {
			c.body = map[string]any{}
		}
		answer := s.request(t.Context(), method, c.path, c.body, nil)
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v: %v, %s; want JSON", c.path, c.body, err, answer.Header.Get("Content-Type"))
		}
		if bytes.ContainsAny(text, "<>&") {
			t.Errorf("%s %v: the answer has markup in it: %.300s", c.path, c.body, text)
		}
		var told any
		if err := json.Unmarshal(text, &told); err != nil {
			t.Fatal(err)
		}
		if !holds(told, c.want) {
			t.Errorf("%s %v: %.300s, want %q in it", c.path, c.body, text, c.want)
		}
	}
	if r := s.query("SELECT * FROM evil_view"); r.Error == nil || !strings.Contains(r.Error.Message, "refused") {
		t.Errorf("a view of the file: %+v, want it refused", r)
	}
}

// holds reports whether a text is anywhere in a JSON value.
func holds(v any, text string) bool {
	switch v := v.(type) {
	case string:
		return strings.Contains(v, text)
	case []any:
		for _, one := range v {
			if holds(one, text) {
				return true
			}
		}
	case map[string]any:
		for name, one := range v {
			if strings.Contains(name, text) || holds(one, text) {
				return true
			}
		}
	}
	return false
}

// TestUnfinishedRun checks that the manifest lists a file whose only run is incomplete beside a complete one.
func TestUnfinishedRun(t *testing.T) {
	t.Parallel()
	running := sampleFile(t, "UPDATE run SET status = 'running'")
	s := serve(t, explorer.Options{}, session.Options{}, running, sampleFile(t))
	answer := s.request(t.Context(), http.MethodGet, "/api/manifest", nil, nil)
	defer answer.Body.Close()
	var m struct {
		Files []struct {
			Latest *int64
			Runs   []struct {
				Status string
				Fault  struct{ Message, Hint string }
			}
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&m); err != nil {
		t.Fatal(err)
	}
	if len(m.Files) != 2 || m.Files[0].Latest != nil || len(m.Files[0].Runs) != 1 || m.Files[0].Runs[0].Status != "running" || m.Files[1].Latest == nil {
		t.Errorf("the manifest has %+v, want a running and a complete run", m.Files)
	}
	if why := m.Files[0].Runs[0].Fault; !strings.Contains(why.Message, "not complete") || !strings.Contains(why.Hint, "--resume") {
		t.Errorf("of the running run it is said %+v, want that it is not complete and how to complete it", why)
	}
}

// TestTwoFiles checks that a question must name its file by alias if there are several.
func TestTwoFiles(t *testing.T) {
	t.Parallel()
	s := serve(t, explorer.Options{}, session.Options{}, sampleFile(t), sampleFile(t, "UPDATE model SET name = 'other'"))
	answer := s.request(t.Context(), http.MethodGet, "/api/manifest", nil, nil)
	var m struct {
		Files []struct {
			Alias, Name string
			Latest      int
			Runs        []struct{ Heads []string }
		}
	}
	if err := json.NewDecoder(answer.Body).Decode(&m); err != nil || len(m.Files) != 2 || m.Files[0].Alias == m.Files[1].Alias {
		t.Fatalf("%v: files %+v, want two with names of their own", err, m.Files)
	}
	if got := fmt.Sprint(m.Files[1].Latest, m.Files[1].Runs); got != "1 [{[L2H1 L2H0]}]" {
		t.Errorf("runs of the second are %s, want one with two heads", got)
	}
	for i, want := range []string{"[[small]]", "[[other]]"} {
		if r := s.ask("/api/query", map[string]any{"sql": "SELECT name FROM model", "file": m.Files[i].Alias}); fmt.Sprint(r.Rows) != want {
			t.Errorf("file %d: %+v, want %s", i, r, want)
		}
	}
	if r := s.query("SELECT name FROM model"); r.Error == nil || !strings.Contains(r.Error.Message, m.Files[1].Alias) {
		t.Errorf("without a file: %+v, want the names that there are", r)
	}
}
