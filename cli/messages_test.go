package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"ducklens/cli/demo"
)

// inner matches words that only programmers understand: names of packages and Go types, and words of strconv
// and encoding/json.
var inner = regexp.MustCompile(`\b(engine|decompose|blas|figure|tokenizer|prompts): |invalid options|invalid argument|Go value|strconv|json: [a-z]+ing |unmarshal|runtime error|parsing "`)

// TestMessages checks the messages for mistakes of users, and that they contain nothing of the program's
// internals.
func TestMessages(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := runCopy(t, filepath.Join(dir, "run.duckdb"), "--head", "3.0", "-n", "4", "--factors", "off")
	header := "{'descr': '>f8', 'fortran_order': False, 'shape': (1,), }\n"
	bigEndian := "\x93NUMPY\x01\x00" + string(rune(len(header))) + "\x00" + header + "\x00\x00\x00\x00\x00\x00\x00\x00"
	broken := func(config string) string {
		model := filepath.Join(dir, strconv.Itoa(len(config)))
		if err := demo.Extract(model); err != nil {
			t.Fatal(err)
		}
		return filepath.Dir(write(filepath.Base(model)+"/config.json", config))
	}
	const text = `{"text": "After dinner, Dylan met Evan, and Evan waved to", "query": -1, `
	ingest := func(args ...string) []string {
		return append([]string{"ingest", "--model", "demo", "--head", "3.0", "-o", filepath.Join(dir, "new.duckdb")}, args...)
	}
	ask := func(args ...string) []string { return append([]string{"query", file}, args...) }
	plot := func(args ...string) []string {
		return append([]string{"plot", file, "-o", filepath.Join(dir, "x.svg")}, args...)
	}
	for _, c := range []struct {
		args []string
		want string // of standard error
	}{
		{ingest("--key-basis", "nonsense"), `unknown basis "nonsense" on the key side, want one of none, mlp0`},
		{ingest("--key-basis", "mlp3"), "hint: leave key basis mlp3 out: no head of the model reads the stream after layer 3\n"},
		{[]string{"--version"}, "unknown flag: --version\nhint: did you mean ducklens version?\n"},
		{[]string{"help", "inges"}, "no command \"inges\" in ducklens\nhint: did you mean ducklens ingest?\n"},
		{[]string{"help", "figures", "x"}, "no command \"x\" in ducklens figures\nhint: the only command is build\n"},
		{[]string{"ingest", "demo"}, "\"demo\" is one argument too many\nhint: --model names the model, "},
		{ingest("--edges", "top", "--text", dir), "--edges: wrong edge rule \"top\", want a count of at least 1, such as top:3\n"},
		{ingest("--key-basis", "x=nothing.npy"), "unusable array of directions: nothing.npy: no such file or directory\nhint: give the path"},
		{ingest("--prompts", "A sentence."), "prompt file A sentence.: no such file\nhint: a .jsonl, .csv, .tsv or .parquet file has a record for each prompt"},
		{ingest("--text", "A sentence."), "text file A sentence.: no such file\nhint: plain text has one document a line"},
		{[]string{"heads", file, "--format", "parquet"}, "--format: \"parquet\", want one of table, csv, json, md\n"},
		{[]string{"heads", file, "--most", "0"}, "--most 0, want at least 1\n"},
		{[]string{"tokens", "--model", "demo", "--prompts", "x.txt", "a"}, "both texts and a file of prompts (--prompts x.txt): give one of them\n"},
		{[]string{"tokens", "--model", "demo", "--prompts", "no.txt"}, "prompt file no.txt: no such file or directory\n"},
		{[]string{"report", file, "-o", filepath.Join(dir, "x.html"), "--queries", "no"}, "no: no such file or directory\nhint: name .sql files or folders of them; "},
		{ask("-e"), "-e needs a value: SQL\n"},
		{ask("--set"), "--set needs a value: name=value\n"},
		{ask("-e", "key_components"), "hint: key_components is a saved query: give it without -e\n"},
		{ask("-x"), "unknown flag: -x\n"},
		{ask(write("bare.sql", "SELECT 1\n")), "hint: ducklens queries help explains the header; SQL without a header is read with -e - < " + filepath.Join(dir, "bare.sql") + "\n"},
		{ask("closure", "--memory", "5"), "--memory: \"5\", want a number and a unit, such as 512MB or 2GB\n"},
		{ask("closure", "--memory", "1kb"), "memory limit of 1024 bytes, want at least 16 MB\n"},
		{ask(write("wide.sql", "\xff\xfe-\x00-\x00 \x00n\x00a\x00m\x00e\x00")), "wide.sql: line 1: a text of UTF-16, want UTF-8\n"},
		{ask(write("widest.sql", "\xff\xfe\x00\x00-\x00\x00\x00")), "widest.sql: line 1: a text of UTF-32, want UTF-8\n"},
		{ask(write("unmarked.sql", "-\x00-\x00 \x00n\x00a\x00m\x00e\x00")), "unmarked.sql: line 1: a text of UTF-16, want UTF-8\n"},
		{ask("-e", "S\x00E\x00L\x00E\x00C\x00T\x00 \x001\x00"), "the query is UTF-16, want UTF-8\n"},
		{ask("-e", "SELECT '\x00'"), "a zero byte in the query\n"},
		{ask("-e", "SELECT * FROM 'm.sh'"), "^\nhint: a query sees the tables of its run file alone, and no other files; to join other data, query "},
		{ask("-e", "FROM pg_namespac"), "hint: there is pg_namespace\n"},
		{ask("-e", "FROM nmspace"), "FROM nmspace\n       ^\nhint: ducklens schema FILE lists the tables and views\n"},
		{ask("key_components", "--set", "only=mood=a, b"), "hint: a comma separates values, here mood=a and b; a value that contains one is in double quotes: --set 'only=\"mood=a, b\"'\n"},
		{plot("key_components", "--set", "only=mood=a, b"), "in double quotes: --set 'only=\"mood=a, b\"'\n"},
		{ask("key_components", "--set", "head=3.0,9.9"), "head \"9.9\": not in this file\nhint: the run has 3.0\n"},
		{plot("-e", "SELECT head, score FROM head_score", "--chart", "scatter"), "no column of numbers is left for y, the answer has head, score\nhint: y of a scatter chart is a number: select one more column of numbers, or say which one is what\n"},
		{plot("-e", "SELECT score FROM head_score", "--chart", "bar"), "no column of numbers is left for y, the answer has score\nhint: y of a bar chart is a number: select one more column of numbers, or say which one is what\n"},
		{plot("-e", "SELECT score FROM head_score", "--chart", "bar", "--y", "score"), "no column is left for x, the answer has score\nhint: x of a bar chart has a column of its own: select one more column, or say which one is what\n"},
		{ask("-e", "FROM 'x.parquet'"), "a query sees this file alone\nhint: to join other data, "},
		{[]string{"schema", file, "xyzzy"}, "no table, view, macro or enumeration \"xyzzy\" in the file\nhint: ducklens schema FILE lists all of them\n"},
		{[]string{"ablate", file, "--model", "demo", "--component", "9.9"}, "\"9.9\" is no head or MLP below layer 3, the highest layer of the target heads\nhint: head 2 of layer 0 is 0.2, "},
		{[]string{"queries", "add"}, "FILE and PATH are missing\n"},
		{ingest("--n", "3"), "unknown flag: --n\nhint: did you mean -n or --number?\n"},
		{ingest("--z", "3"), "unknown flag: --z\nhint: ducklens ingest --help\n"},
		{ask("-e", "SELECT bootstrap_ci()"), "bootstrap_ci does not take these arguments\n  SELECT bootstrap_ci()\n         ^\nhint: bootstrap_ci(list): 95 %"},
		{ingest("--precision", "half"), "precision \"half\", want float32 or float64\n"},
		{ingest("--threads", "x"), "--threads x, want a whole number\n"},
		{ingest("--number", "99999999999999999999"), "want a number of fewer digits: it is out of range\n"},
		{ingest("--text", file, "-n", "3"), "--number is for prompts with positions, and texts (--text) have none"},
		{ask(strings.Repeat("é", 400)), `unknown saved query "` + strings.Repeat("é", 79) + "…\"\n"},
		{ask("top_pairs", "--set", "most=-1"), "a number of rows (LIMIT or OFFSET) is negative, want 0 or more\n"},
		{ask("key_components", "--set", "hed=3.0"), "query key_components: unknown parameter \"hed\"\nhint: did you mean head?\n"},
		{ingest("--verbose=x"), "--verbose=x, want true or false\n"},
		{ingest("--order", "x"), "--order: order \"x\", want one of mixed, ABBA, BABA\n"},
		{ingest("--blas", "foo"), `provider "foo", want auto,`},
		{ingest("--mover", "3.1"), "the mover writes in layer 3"},
		{ingest("--head", "9.9"), "unknown head 9.9: model demo has 4 layers of 4 heads"},
		{ingest("--convention", "notebook", "-n", "3"), "because the notebook's arithmetic leaves parts out; next:"},
		{append(ingest(), "-o", filepath.Join(dir, "no", "x.duckdb")), "folder " + filepath.Join(dir, "no") + " does not exist"},
		{ingest("--key-basis", "mine="+write("big.npy", bigEndian)), `big-endian numbers, ">f8"; astype('<f8') makes the others`},
		{ingest("--prompts", write("one.jsonl", text+`"key": "Nobody"}`)), `prompt 1 of ` + filepath.Join(dir, "one.jsonl") + `: unusable prompt: key "Nobody" is not among the tokens`},
		{ingest("--prompts", write("half.jsonl", text+`"key": 2.5}`)), "line 1: key is 2.5, which is no whole number"},
		{ingest("--prompts", write("huge.jsonl", text+`"key": 1e300}`)), "line 1: key is 1e300, and no text has so many tokens"},
		{ingest("--prompts", write("number.jsonl", `{"text": 7, "query": -1, "key": 1}`)), "line 1: text is the number 7, want text"},
		{ingest("--prompts", write("wide.csv", "\xff\xfet\x00e\x00x\x00t\x00\n\x00a\x00\n\x00")), "line 2: no query, want a token index"},
		{ingest("--prompts", write("txt.jsonl", `{"txt": "a b", "query": -1, "key": 1}`)), "line 1: \"txt\" is there, and text is not\nhint: write text if you mean that"},
		{ingest("--prompts", write("body.jsonl", `{"body": "a b", "query": -1, "key": 1}`)), "line 1: no text, want the text of the prompt; found body, query, key\nhint: such as {"},
		{ingest("--prompts", write("baselin.jsonl", text+`"key": "Evan", "baselin": "Dylan"}`)), "line 1: \"baselin\" is there, and baseline is not\nhint: write baseline if"},
		{ingest("--prompts", write("templat.jsonl", text+`"key": "Evan", "templat": "a"}`)), "note: column \"templat\" is kept as one of your own; did you mean template?\n"},
		{ingest("--templates", write("list.json", `{"templates": "x", "names": 3}`)), `templates is the text "x", want a list of texts`},
		{[]string{"model", "inspect", broken("[1]")}, "config.json: a JSON array, want an object\n"},
		{[]string{"model", "inspect", broken(`{"model_type": "gpt2", "n_layer": "four"}`)}, `n_layer is "four": want a whole number`},
		{ask("SELECT 1"), "\"SELECT 1\" is not the name of a saved query\nhint: give your own SQL with -e\n"},
		{ask("closure", "--timeout", "x"), "--timeout x, want a time such as 30s or 5m\n"},
		{ask("closure", "--format", "x"), "--format: \"x\", want one of table, csv, json, parquet, md\n"},
		{ask("pct_explained_mlp0", "--set", "key_basis=nonsense"), "hint: the run has none, mlp0, sub_mlp0\n"},
		{ask("pct_explained_mlp0", "--set", "key_basis=mlp1"), "to store that basis, use ducklens ingest --key-basis mlp1\n"},
		{ask("-e", "FROM score WHERE example_id = $r"), "parameter $r has no value\nhint: give it one with --set r=...\n"},
		{ask("-e", "FROM heatmap(run := 7)"), "there is no run 7, there is 1\n"},
		{ask("-e", "FROM heatmap(example := 7)"), "run 1 has no example 7, it has 0 to 3\n"},
		{ask("-e", "FROM contribution WHERE side = 'keys'"), "side has no \"keys\"\n"},
		{[]string{"queries", "check", write("joiner.sql", "-- name: joiner\n-- title: a\u200db\nSELECT 1\n")}, "character U+200D, which is not to be seen, want chr(8205) in its place\n"},
		{ask("-e", "FROM head_score WHERE head LIKE '3.%'"), "note: no rows: no row in the file meets the conditions\n"},
		{ask("-e", "SELECT avg(diff) FROM contribution_unsplit WHERE component = '3.0' AND side = 'key'"), "note: no values: no row in the file meets the conditions"},
		{ask("closure", "-o", filepath.Join(dir, "x.tsv")), "x.tsv: answers are not written in this format\nhint: use the ending .csv, .json, .parquet or .md, or set --format\n"},
		{ask("closure", "--sets", "a=b"), "unknown flag: --sets\nhint: did you mean --set?"},
		{ask("-e", "SELECT diff FROM component_mean"), "hint: there is mean_diff, "},
		{ask("-e", "SELECT bootstrap_ci(diff) FROM head_score"), "bootstrap_ci takes a list, such as list(diff)"},
		{[]string{"heads", file, "--set", "only=prompt_order=XX"}, "hint: no prompt of the run has prompt_order=XX; the fields are template, "},
		{[]string{"merge", file, "-o", write("there.duckdb", "")}, "hint: choose another name, or replace the file with --force\n"},
		{ask("-e", "FROM contribution_null"), "note: no rows: the run has no random directions: use ducklens ingest --null 20\n"},
		{ask("-e", "FROM example_field"), "note: no rows: the prompts of the run have no columns of your own"},
		{ask("direct_logit"), "note: no rows: the run has no logits: use ducklens ingest --logits\n"},
		{ask("closure", "--labels", write("nobody.csv", "text,kind\nx,a\n")), "has any of its texts or numbers\n"},
		{plot("FROM score"), "\"FROM score\" is not the name of a saved query\nhint: give your own SQL with -e"},
		{plot("key_components", "--theme", "x"), "--theme: theme \"x\", want one of paper, screen, dark\n"},
		{plot("key_components", "--width", "-3"), "width -3 in (-7.62 cm), want 2 to 60 in\n"},
		{plot("key_components", "--width", "0in"), "--width 0, want 2 to 60 in, or leave it out\n"},
		{plot("key_components", "--width", "1e400"), "width +Inf in (+Inf cm), want 2 to 60 in\n"},
		{plot("key_components", "--height", "0"), "--height 0, want 1 to 60 in, or leave it out\n"},
		{plot("key_components", "-o", filepath.Join(dir, "x.png"), "--dpi", "0"), "--dpi 0, want 36 to 2400, or leave it out\n"},
		{[]string{"figures", "build", file, "--width", "0in"}, "--width 0, want 2 to 60 in, or leave it out\n"},
		{[]string{"figures", "build", file, "--dpi", "0"}, "--dpi 0, want 36 to 2400, or leave it out\n"},
		{plot("key_components", "--height", "NaN"), "height NaN in (NaN cm), want 1 to 60 in\n"},
		{plot("key_components", "--height", "1e9in"), "height 1e+09 in (2.54e+09 cm), want 1 to 60 in\n"},
		{plot("closure"), "chart table is not drawn"},
		{[]string{"queries", "check", write("title.sql", "-- name: title\n-- title: by {nope}\n-- chart: histogram\n-- x: score\nSELECT score FROM score\n")}, "{nope} in the title: neither the SQL nor the header has that name"},
		{append(ingest("--append"), "-o", write("text.duckdb", "text")), "ducklens: open " + filepath.Join(dir, "text.duckdb") + ": not a DuckDB database\n"},
		{ingest("--append"), ": no such file\nhint: check the path, or leave out --append to make the file\n"},
		{append(ingest(), "-o", dir), "it is a folder\nhint: choose another name\n"},
		{[]string{"diff", file, dir}, "open " + dir + ": not a DuckDB database: it is a folder\n"},
		{[]string{"info", filepath.Dir(filepath.Dir(write("set/ducklens/KEY.json", "{")))}, "hint: ducklens gather DIR -o FILE makes a file that queries this folder\n"},
		{[]string{"gather", filepath.Join(dir, "no"), "-o", filepath.Join(dir, "new.duckdb")}, "no such file\nhint: check the path; ducklens export --parquet makes such a folder\n"},
		{[]string{"gather", dir, "-o", file}, "it has no manifest ducklens/KEY.json\n"},
		{ingest("--prompts", dir), "it is a folder, want a file\n"},
		{ingest("--gram", "4", "--norms", "off"), "inner products of 4 components need norms, which are off\n"},
		{[]string{"ingest", "--model", filepath.Dir(write("empty/README", "")), "--head", "3.0", "-o", filepath.Join(dir, "new.duckdb")}, "or .gguf file\nhint: point at a folder with config.json"},
		{[]string{"tokens", "--model", filepath.Join(dir, "no"), "a"}, "tokenizer of " + filepath.Join(dir, "no") + ": no such file or directory\n"},
		{[]string{"queries", "check", filepath.Join(dir, "no")}, "ducklens: " + filepath.Join(dir, "no") + ": no such file or directory\n"},
		{[]string{"report", file, "-o", filepath.Join(dir, "x.pdf")}, "a report is an HTML page\nhint: choose a name with the ending .html\n"},
		{ask("closure", "-o", dir, "--format", "csv"), "write " + dir + ": it is a folder\nhint: name a file in it\n"},
		{ask("-e", "SELECT '\xff'"), "the query is not UTF-8\n"},
		{ask("key_components", "--set", "only=\xff=1"), "parameter only TEXT: \"\\xff=1\" is not UTF-8\n"},
		{ingest("--name", "caf\xe9", "-n", "3"), "new.duckdb: run 1, 3 prompts"},
	} {
		code, _, stderr := run(t.Context(), c.args...)
		if !strings.Contains(stderr, c.want) {
			t.Errorf("%q (exit code %d) says\n%swant %q", c.args, code, stderr, c.want)
		}
		if found := inner.FindString(stderr); found != "" {
			t.Errorf("%q says %q:\n%s", c.args, found, stderr)
		}
		if err := os.Remove(filepath.Join(dir, "new.duckdb")); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
}

// Intervals are printed from low to high, with as many digits as other numbers; what_if does not overflow.
func TestIntervalInATable(t *testing.T) {
	t.Parallel()
	file := runFile(t, "--head", "3.0", "-n", "4", "--factors", "off")
	_, stdout, stderr := run(t.Context(), "query", file, "-e", "SELECT bootstrap_ci(list(i ORDER BY i)) AS ci, what_if(0.5, 1000) AS sure, what_if(1, -1000) AS one FROM range(100) AS t(i)")
	if !regexp.MustCompile(`\n\{"low":43.649,"high":55.66\}  1.0000  1.0000\n`).MatchString(stdout) {
		t.Errorf("%s%s", stdout, stderr)
	}
}

// If the folder for temporary files does not exist, the error names it and says how to choose another.
func TestNoTemporaryFolder(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", filepath.Join(dir, "nowhere"))
	_, _, stderr := run(t.Context(), "model", "inspect", "demo")
	want := "make a temporary folder in " + filepath.Join(dir, "nowhere") + ": no such file or directory\nhint: set the environment variable TMPDIR to a folder"
	if !strings.Contains(stderr, want) {
		t.Errorf("%s, want %q", stderr, want)
	}
}
