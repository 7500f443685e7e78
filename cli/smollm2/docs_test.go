package smollm2_test

import (
	"flag"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ducklens/cli/smollm2"
)

var update = flag.Bool("update", false, "write the outputs in docs/smollm2.md and docs/ablation.md anew")

// provider lets another order of additions make the files: go test ./cli/smollm2 -run Documents -blas gonum
var provider = flag.String("blas", "auto", "matrix-multiply provider that makes the files of TestDocuments")

// documents are those that show what the files of make smollm2 say, from the root of the checkout.
var documents = []string{filepath.Join("docs", "smollm2.md"), filepath.Join("docs", "ablation.md")}

// TestDocuments makes the files, runs the commands of both documents that ask them, and compares what they
// print with what is shown.
func TestDocuments(t *testing.T) {
	model, dir := model(t), t.TempDir()
	if err := smollm2.Make(t.Context(), model, filepath.Join(dir, "smollm2"), smollm2.Options{Brief: true, Blas: *provider}, func(line string) { t.Log(line) }); err != nil {
		t.Fatal(err)
	}
	for _, name := range documents {
		path := filepath.Join(root, name)
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fresh := again(string(text), func(command, shown string) string {
			printed := shell(t, dir, command)
			if !*update && !alike(printed, shown) {
				t.Errorf("%s: %s prints\n%s\nwant\n%s", name, command, printed, shown)
			}
			return printed
		})
		if *update {
			if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOutputsAreShown holds, where the model is absent too, that the documents show an output for each of
// their commands.
func TestOutputsAreShown(t *testing.T) {
	t.Parallel()
	for _, name := range documents {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		commands := 0
		same := again(string(text), func(command, shown string) string {
			if commands++; strings.Count(shown, "\n") < 3 {
				t.Errorf("%s: %s shows %q, want a table (go test ./cli/smollm2 -run Documents -update)", name, command, shown)
			}
			return shown
		})
		if same != string(text) || commands < 3 {
			t.Errorf("%s has %d commands, want some; as it was: %v", name, commands, same == string(text))
		}
	}
}

// again gives a document with what run prints now for its commands about these files, of which it is told
// what is shown.
func again(text string, run func(command, shown string) string) string {
	var out strings.Builder
	inside, command, shown := false, "", ""
	finish := func() {
		if command != "" {
			out.WriteString(run(command, shown))
		}
		command, shown = "", ""
	}
	for line := range strings.Lines(text) {
		switch {
		case line == "```console\n":
			inside = true
		case strings.HasPrefix(line, "```"):
			finish()
			inside = false
		case inside && strings.HasPrefix(line, "$ "):
			finish()
			if strings.Contains(line, " smollm2/") {
				command = strings.TrimSuffix(line[2:], "\n")
			}
		case command != "":
			shown += line
			continue
		}
		out.WriteString(line)
	}
	return out.String()
}

// shell runs a line in dir, where ducklens is the program under test, and gives what it printed.
func shell(t *testing.T, dir, line string) string {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no sh to run the commands of documents with")
	}
	cmd := exec.CommandContext(t.Context(), sh, "-c", line)
	cmd.Dir = dir
	printed, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, printed)
	}
	return string(printed)
}

// roundingShown is how far two numbers of five shown digits may lie apart, as a part of the larger: two of
// the last digit at least. Other processors add up float32 in another order. With -blas openblas, which
// orders every sum in another way, one number of some 600 moves, by one in its fifth digit.
const roundingShown = 2e-4

// alike tells whether two outputs have the same words, and numbers that are the same but for rounding.
func alike(a, b string) bool {
	left, right := strings.Fields(a), strings.Fields(b)
	if len(left) != len(right) {
		return false
	}
	for i, x := range left {
		y := right[i]
		if x == y || strings.Trim(x+y, "─") == "" {
			continue
		}
		p, errP := strconv.ParseFloat(x, 64)
		q, errQ := strconv.ParseFloat(y, 64)
		if errP != nil || errQ != nil || math.Abs(p-q) > roundingShown*max(math.Abs(p), math.Abs(q), 1e-2) {
			return false
		}
	}
	return true
}

func TestAlike(t *testing.T) {
	t.Parallel()
	const shown = "head  diff  n\n──────\nL24H4  2.7726  400\n"
	for _, c := range []struct {
		printed string
		want    bool
	}{
		{shown, true},
		{"head  diff  n\n───────\nL24H4  2.7727  400\n", true},
		{strings.Replace(shown, "2.7726", "2.7826", 1), false},
		{strings.Replace(shown, "400", "399", 1), false},
		{strings.Replace(shown, "L24H4", "L24H5", 1), false},
		{strings.Replace(shown, "400", "", 1), false},
		{strings.Replace(shown, "2.7726", "NULL", 1), false},
	} {
		if got := alike(c.printed, shown); got != c.want {
			t.Errorf("%q is alike: %v, want %v", c.printed, got, c.want)
		}
	}
}
