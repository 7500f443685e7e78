// Package smollm2 runs ducklens on a pretrained model: SmolLM2-135M-Instruct, whose head 24.4 attends to the
// name that is about to be said, and writes against it. [Find] gets the model. [Make] makes the files that
// docs/smollm2.md and docs/ablation.md query, with a report and figures for each.
//
// It uses ducklens as users do: everything is a command, which is printed before it runs.
package smollm2

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"ducklens/cli"
)

// templates are those of ducklens's own generator, with the names that are one token of this model.
//
//go:embed templates.json
var templates []byte

// Templates returns the templates of the prompts, in the format of `ducklens ingest --templates`.
func Templates() []byte { return slices.Clone(templates) }

// seed is the seed of the prompts. The heads were found on other prompts.
const seed = "--seed=2411"

// Files that Make writes.
const (
	layer24 = "layer24.duckdb" // heads 24.4 and 24.7, whose queries come from 23.3 and 23.0
	layer23 = "layer23.duckdb" // heads 23.0 and 23.3
	second  = "second.duckdb"  // head 23.3, with the second mention of the subject as key
	mirror  = "mirror.duckdb"  // the same prompts in both orders of their names: run 1 ABBA, run 2 BABA
)

// secondMentions selects the prompts of second: S#2 is the second mention of S.
const secondMentions = `SELECT text, query_pos AS query, trim(baseline_token) || '#2' AS key,
  trim(key_token) AS baseline
FROM example ORDER BY example_id LIMIT 100`

// A maker makes the files.
type maker struct {
	ctx   context.Context
	dir   string
	model string
	want  Options
	tell  func(string)
}

// Options of [Make].
type Options struct {
	// Brief leaves out what docs/smollm2.md does not query: figures and reports, and the bases, random
	// directions and logits that only they show. The other numbers are the same, in half the time.
	Brief bool
	// Blas is the provider of matrix products; "" is the fastest.
	Blas string
}

// Make runs the model over prompts and writes the files into the folder dir, which it makes if necessary,
// with reports and figures. It replaces files of an earlier call. It calls tell with each command and its
// messages.
func Make(ctx context.Context, model, dir string, want Options, tell func(string)) error {
	m := maker{ctx: ctx, dir: dir, model: model, want: want, tell: tell}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := os.WriteFile(m.path("templates.json"), templates, 0o666); err != nil {
		return err
	}
	if err := m.ingest(); err != nil || want.Brief {
		return err
	}
	return m.draw()
}

// ingest makes the run files.
func (m maker) ingest() error {
	ioi := []string{"--templates=" + m.path("templates.json"), seed}
	bare := []string{"--query-basis=none", "--key-basis=none", "--factors=off"}
	split, whole, logits := []string{"--null=20"}, []string{"--null=20"}, []string{"--logits"}
	if m.want.Brief {
		split = append(split, "--query-basis=none,unembed,unembed+baseline", "--key-basis=none,mlp0")
		whole, logits = bare, nil
	}
	mirrored := slices.Concat([]string{"-n=200", "--head=24.4,23.0,23.3"}, bare, logits, ioi)
	for _, run := range []struct {
		file  string
		flags []string
	}{
		{layer24, slices.Concat([]string{"-n=400", "--head=24.4,24.7", "--mover=23.3,23.0", "--logits"},
			split, ioi)},
		{layer23, slices.Concat([]string{"-n=400", "--head=23.0,23.3"}, whole, logits, ioi)},
		{mirror, slices.Concat([]string{"--order=ABBA"}, mirrored)},
		{mirror, slices.Concat([]string{"--order=BABA", "--append"}, mirrored)},
		{second, slices.Concat([]string{"--prompts=" + m.path("second.csv"), seed, "--head=23.3"}, whole)},
	} {
		if run.file == second {
			rows, err := m.ducklens("query", m.path(layer24), "-e", secondMentions, "--format=csv")
			if err != nil {
				return err
			}
			if err := os.WriteFile(m.path("second.csv"), rows, 0o666); err != nil {
				return err
			}
		}
		args := append([]string{"ingest", "--model=" + m.model, "--blas=" + m.want.Blas,
			"-o=" + m.path(run.file)}, run.flags...)
		if !slices.Contains(run.flags, "--append") {
			args = append(args, "--force")
		}
		if _, err := m.ducklens(args...); err != nil {
			return err
		}
	}
	return nil
}

// draw makes a report for each file, and figures for each head.
func (m maker) draw() error {
	for _, file := range []string{layer24, layer23, second} {
		name := strings.TrimSuffix(file, ".duckdb")
		if _, err := m.ducklens("report", m.path(file), "-o="+m.path(name+".html")); err != nil {
			return err
		}
	}
	for _, of := range []struct{ file, head string }{{layer24, "24.4"}, {layer24, "24.7"}, {layer23, "23.0"},
		{second, "23.3"}} {
		if _, err := m.ducklens("figures", "build", m.path(of.file), "--set=head="+of.head,
			"--dir="+m.path("figures-"+of.head)); err != nil {
			return err
		}
	}
	return nil
}

// path returns the path of a file in the folder.
func (m maker) path(name string) string { return filepath.Join(m.dir, name) }

// ducklens runs a command and returns its standard output.
func (m maker) ducklens(args ...string) ([]byte, error) {
	m.tell("ducklens " + strings.Join(args, " "))
	var stdout, stderr bytes.Buffer
	code := cli.Run(m.ctx, append([]string{"ducklens"}, args...), strings.NewReader(""), &stdout, &stderr)
	if said := strings.TrimSpace(stderr.String()); code != cli.ExitOK {
		return nil, fmt.Errorf("ducklens %s: exit code %d: %s", args[0], code, said)
	} else if said != "" {
		m.tell(said)
	}
	return stdout.Bytes(), nil
}
