package cli_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"ducklens/cli"
	"ducklens/cli/demo"
)

var update = flag.Bool("update", false, "write the outputs in README.md and the figure in docs anew")

// shell runs a line of a document in dir, where ducklens is the program under test, and gives what it printed.
func shell(t *testing.T, dir, line string) (output string, err error) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh to run the commands of documents with")
	}
	cmd := exec.CommandContext(t.Context(), sh, "-c", line)
	cmd.Dir = dir
	printed, err := cmd.CombinedOutput()
	return string(printed), err
}

// TestExamples runs every example in the help of every command.
func TestExamples(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	small := filepath.Join(base, "demo")
	if err := demo.Extract(small); err != nil {
		t.Fatal(err)
	}
	if err := tile(small, filepath.Join(base, "gpt2")); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		`ducklens ingest --model gpt2 --head 10.7 -n 3 -o run.duckdb`,
		`ducklens queries show key_components | sed 's/name: key_components/name: mine/' > mine.sql`,
		`mkdir my_queries && cp mine.sql my_queries`,
		`echo '{"text": "Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan", "IO": "Evan", "S": "Dylan"}' > prompts.jsonl`,
	} {
		if output, err := shell(t, base, line); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, output)
		}
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line = strings.TrimSpace(line)
			t.Run(line, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				files := []string{"gpt2", "mine.sql", "my_queries", "prompts.jsonl"}
				if !strings.Contains(line, "-o run.duckdb") || strings.Contains(line, "--append") {
					files = append(files, "run.duckdb")
				}
				if output, err := shell(t, dir, "cp -R "+base+"/"+strings.Join(files, " "+base+"/")+" ."); err != nil {
					t.Fatalf("%v\n%s", err, output)
				}
				if output, err := shell(t, dir, line); err != nil {
					t.Errorf("%v\n%s", err, output)
				}
			})
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(cli.NewRoot())
}

// A transcript is a command in a document, the line on which it stands, and the output that is shown for it.
type transcript struct {
	line    int
	command string
	output  string
}

// transcripts reads the console blocks of a Markdown text.
func transcripts(text string) []transcript {
	var list []transcript
	inside := false
	number := 0
	for line := range strings.Lines(text) {
		number++
		switch {
		case line == "```console\n":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside = false
		case inside && strings.HasPrefix(line, "$ "):
			list = append(list, transcript{line: number, command: strings.TrimSuffix(line[2:], "\n")})
		case inside && len(list) > 0:
			list[len(list)-1].output += line
		}
	}
	return list
}

// TestReadme runs the commands of README.md in their order and compares what they print with what is
// shown. Run with -update to write what they print now, and the figure.
func TestReadme(t *testing.T) {
	t.Parallel()
	const readme, shown = "../README.md", "../docs/key_components.svg"
	text, err := os.ReadFile(readme)
	if err != nil {
		t.Fatal(err)
	}
	list := transcripts(string(text))
	if len(list) < 5 {
		t.Fatalf("%d commands with output in %s, want a tour", len(list), readme)
	}
	dir := t.TempDir()
	var fresh strings.Builder
	rest := string(text)
	for _, c := range list {
		got, err := shell(t, dir, c.command)
		if err != nil {
			t.Fatalf("%s:%d: %s: %v\n%s", readme, c.line, c.command, err, got)
		}
		shownAs := "$ " + c.command + "\n" + c.output
		before, after, found := strings.Cut(rest, shownAs)
		if !found {
			t.Fatalf("%s:%d: the transcript is not in the text", readme, c.line)
		}
		fmt.Fprintf(&fresh, "%s$ %s\n%s", before, c.command, got)
		rest = after
		if !*update && steady(got) != steady(c.output) {
			// Another processor may round the last shown digit differently.
			if runtime.GOARCH == "amd64" {
				t.Errorf("%s:%d: %s prints\n%s\nwant\n%s", readme, c.line, c.command, got, c.output)
			} else {
				t.Logf("%s:%d: %s prints\n%s\nand the text shows\n%s", readme, c.line, c.command, got, c.output)
			}
		}
	}
	fresh.WriteString(rest)
	figure, err := os.ReadFile(filepath.Join(dir, "demo-key_components.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(readme, []byte(fresh.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(shown), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(shown, figure, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(shown)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOARCH == "amd64" && steady(string(figure)) != steady(string(want)) {
		t.Errorf("%s is not the figure that the demo draws (make golden, then look at it)", shown)
	}
}

// steady takes out of an output what differs from run to run and from build to build: times, and the
// version's commit.
func steady(output string) string {
	output = regexp.MustCompile(`\b[0-9.]+m?s\b`).ReplaceAllString(output, "(time)")
	output = regexp.MustCompile(`\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}:[0-9.]+`).ReplaceAllString(output, "(date)")
	return regexp.MustCompile(`-dev\+[0-9a-f]+`).ReplaceAllString(output, "-dev")
}

// TestReadmeNames holds that README.md mentions every command and every saved query.
func TestReadmeNames(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range cli.NewRoot().Commands() {
		if cmd.IsAvailableCommand() && !strings.Contains(string(text), "ducklens "+cmd.Name()) {
			t.Errorf("README.md does not mention ducklens %s", cmd.Name())
		}
	}
	_, listed, _ := run(t.Context(), "queries", "list")
	for line := range strings.Lines(listed) {
		if name, _, _ := strings.Cut(line, " "); !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("README.md does not mention the saved query `%s`", name)
		}
	}
}
