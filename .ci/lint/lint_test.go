// Package lint holds what a reader of the repository may count on: lines that fit, plain phrases, and a map
// of it that is true. `make lint` runs it.
package lint

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// width is the longest line of prose.
const width = 110

// files lists what git knows or would add, with one of the endings.
func files(t *testing.T, endings ...string) (list []string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", "ls-files", "-co", "--exclude-standard")
	cmd.Dir = filepath.Join("..", "..")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("git lists no files: %v", err)
	}
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSuffix(name, "\n")
		for _, ending := range endings {
			if strings.HasSuffix(name, ending) && !strings.Contains(name, "testdata/") && !strings.Contains(name, "migrations/") {
				list = append(list, name)
			}
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d files end in %v, want the whole repository", len(list), endings)
	}
	return list
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
	if os.IsNotExist(err) {
		return "" // removed, and not yet committed
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// prose returns the lines of a file that are sentences: comments of Go and SQL, except the output of
// examples, and Markdown outside of tables, examples and lines that are one long word.
func prose(name, text string) map[int]string {
	lines := map[int]string{}
	example := false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\r\n")
		bare := strings.TrimSpace(line)
		switch filepath.Ext(name) {
		case ".go":
			example = bare == "// Output:" || example && strings.HasPrefix(bare, "//")
			if !example && strings.HasPrefix(bare, "// ") && !strings.HasPrefix(bare, "//\t") {
				lines[n] = line
			}
		case ".sql":
			if strings.HasPrefix(bare, "-- ") && !key.MatchString(bare) {
				lines[n] = line
			}
		case ".md":
			if strings.HasPrefix(bare, "```") {
				example = !example
			} else if !example && !strings.HasPrefix(bare, "|") && !strings.HasPrefix(bare, "![") && !strings.HasPrefix(line, "    ") {
				lines[n] = line
			}
		}
	}
	return lines
}

// key begins a line of a saved query's header or of a rule of verify, which is one line however long it is.
var key = regexp.MustCompile(`^-- [a-z_ ]+: `)

// wide tells whether a line is too long and could be shorter. A tab is four columns.
func wide(line string) bool {
	if utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    ")) <= width {
		return false
	}
	longest := 0
	for _, word := range strings.Fields(line) {
		longest = max(longest, utf8.RuneCountInString(word))
	}
	return longest < width-20
}

// exempt are files with longer lines: saved queries, because run files hold their text, byte for byte, the
// statements of the explorer's pages, and vendored files.
var exempt = regexp.MustCompile(`^queries/(?:sql|explorer/(?:sql|web))/|^queries/fingerprint\.sql$|vendored/`)

func TestLines(t *testing.T) {
	for _, name := range files(t, ".go", ".sql", ".md") {
		if exempt.MatchString(name) {
			continue
		}
		for n, line := range prose(name, read(t, name)) {
			if wide(line) {
				t.Errorf("%s:%d: a line of %d columns, want at most %d", name, n, utf8.RuneCountInString(line), width)
			}
		}
	}
}

// riddles are turns of phrase that a reader stumbled over.
var riddles = []*regexp.Regexp{
	regexp.MustCompile(`, but that the same\b`),
	regexp.MustCompile(`\bis garbage one day\b`),
	regexp.MustCompile(`(?:^|[.] )[Tt]hat (?:nobody|nothing|no one) \w+ any(?: more|more)? is\b`),
	regexp.MustCompile(`\bsay how to get either where\b`),
	regexp.MustCompile(`\bneeds nothing of ours\b`),
	regexp.MustCompile(`\bnothing asks once any more\b`),
	regexp.MustCompile(`\bis nobody's to\b`),
	regexp.MustCompile(`\bas it were\b`),
}

func TestPhrases(t *testing.T) {
	for _, name := range files(t, ".go", ".sql", ".md", ".py") {
		if strings.HasPrefix(name, ".ci/lint/") || name == "CHANGELOG.md" {
			continue
		}
		text := read(t, name)
		for _, riddle := range riddles {
			if found := riddle.FindString(text); found != "" {
				t.Errorf("%s says %q: say it plainly", name, found)
			}
		}
	}
}

// An error that begins with the name of its package says nothing to the person who reads it.
func TestErrorPrefixes(t *testing.T) {
	prefix := regexp.MustCompile(`(?:Errorf|errors\.New|advise)\("(?:blas|checkpoint|decompose|engine|exchange|family|figure|prompts|session|tokenizer): `)
	for _, name := range files(t, ".go") {
		if !strings.HasSuffix(name, "_test.go") {
			if found := prefix.FindString(read(t, name)); found != "" {
				t.Errorf("%s: %s", name, found)
			}
		}
	}
}

// TestFinds shows that the rules find what they are for.
func TestFinds(t *testing.T) {
	long := strings.Repeat("word ", 30)
	for name, text := range map[string]string{
		"a.go": "package a\n// " + long + "\n", "a.sql": "-- " + long + "\n", "a.md": "- " + long + "\n",
	} {
		found := 0
		for _, line := range prose(name, text) {
			if wide(line) {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%s: %d long lines, want 1", name, found)
		}
	}
	for name, text := range map[string]string{
		"a.go": "// Output:\n// " + long + "\n}\nvar a = \"" + long + "\"\n", "a.sql": "-- title: " + long + "\n", "a.md": "| " + long + " |\n```\n" + long + "\n```\nhttps://" + strings.Repeat("x", 120) + "\n",
	} {
		for n, line := range prose(name, text) {
			if wide(line) {
				t.Errorf("%s:%d counts as a long line", name, n)
			}
		}
	}
}

// TestWhere holds docs/where.md: its files are there and have what it names.
func TestWhere(t *testing.T) {
	row := regexp.MustCompile("(?m)^\\| [^|]+ \\| \\[([^]]+)\\]\\(\\.\\./([^)]+)\\) \\| `([^`]+)` \\|$")
	text := read(t, "docs/where.md")
	rows := row.FindAllStringSubmatch(text, -1)
	if lines := strings.Count(text, "\n| ") - 1; len(rows) < 20 || len(rows) != lines {
		t.Errorf("%d rows of %d name a file and where to begin, want all, and 20 or more", len(rows), lines)
	}
	for _, r := range rows {
		if r[1] != r[2] {
			t.Errorf("%s leads to %s", r[1], r[2])
		}
		if file := read(t, r[2]); !regexp.MustCompile(`(?:^|\W)` + regexp.QuoteMeta(r[3])).MatchString(file) {
			t.Errorf("%s has no %s", r[2], r[3])
		}
	}
}
