// Package conformance compares what ducklens measures with published numbers, or with reference numbers of a
// small model. Prompts, settings and definitions are those of the published analysis of the negative heads of
// GPT-2 small.
//
// It uses ducklens as users do: it runs `ducklens ingest`, and `ducklens query` on the resulting files. It
// computes nothing itself except differences.
package conformance

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Subject is the model to measure, with the heads in the roles that 10.7, 9.9 and 9.6 have in GPT-2 small.
type Subject struct {
	Dir       string    // model folder, or a .gguf file
	Templates string    // template file, such as DUCKLENS_IOI_TEMPLATES names
	Head      string    // target head
	Movers    [2]string // mover heads
	Seeds     []Seed    // of the histograms, without BOS
	Exact     bool      // use the exact convention instead of the notebook's, which is for GPT-2
	Share     int       // the other sets have one prompt in so many of the published ones; 0: all
}

// Seed is a set of prompts for the histograms: the first N of a seed.
type Seed struct{ Seed, N int }

// Kind is the kind of a check.
type Kind uint8

const (
	Scalar    Kind = iota // one number
	Heatmap               // the cells of a panel; the check is its worst cell
	Histogram             // a statistic of a distribution
)

// Reference holds the numbers to compare with.
type Reference struct {
	Source     string // description, for the heading of the table
	Column     string // their column in the table, such as published
	Scalars    []ScalarReference
	Heatmaps   []HeatmapReference
	Histograms []HistogramReference
}

// ScalarReference is one number.
type ScalarReference struct {
	Name    string
	Value   float64
	Allowed float64 // largest difference
}

// HeatmapReference holds the cells of one panel.
type HeatmapReference struct {
	Name       string // such as K33
	Side       string // query or key
	Subtracted bool   // the baseline is subtracted
	QueryBasis string
	KeyBasis   string
	Quadrant   string             // "" for their sum
	Cells      map[string]float64 // by component
	// b_K's cell is about the score, although others subtract the baseline
	KeyBiasKept bool
	Allowed     float64
}

// HistogramReference summarises a distribution over the prompts of [Subject.Seeds].
type HistogramReference struct {
	Figure  string // what is measured: see histogramSQL
	Vector  string // its name in the figure
	N       int
	Summary [len(statistics)]float64
	Allowed float64
}

// statistics are the columns of a summary. The standard deviation is that of a sample.
var statistics = [...]string{"mean", "std", "median", "min", "max"}

// Check is one comparison.
type Check struct {
	Kind      Kind
	Name      string
	Where     string // of a heatmap, the worst cell
	Reference float64
	Measured  float64
	Allowed   float64
}

// Difference returns the measured number minus the reference.
func (c Check) Difference() float64 { return c.Measured - c.Reference }

// Pass reports whether the difference is allowed.
func (c Check) Pass() bool { return math.Abs(c.Difference()) <= c.Allowed }

// Report is the result of a comparison.
type Report struct {
	Source  string
	Column  string
	Checks  []Check
	Without []string // measurements without a reference, with their values
	Left    []Left   // references that ducklens does not measure
}

// Left is a reference number that ducklens does not compute, and why.
type Left struct{ Name, Why string }

// Failed counts the checks that do not pass.
func (r Report) Failed() int {
	n := 0
	for _, c := range r.Checks {
		if !c.Pass() {
			n++
		}
	}
	return n
}

// Ingest computes the files that [Compare] needs, in the empty folder dir. It calls progress, which may be
// nil, with each command.
func Ingest(ctx context.Context, subject Subject, dir string, progress func(string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	b := &bench{ctx: ctx, subject: subject, dir: dir, progress: progress}
	return b.ingest()
}

// Compare measures what is in ref, in the files of the folder dir.
func Compare(ctx context.Context, subject Subject, ref Reference, dir string) (Report, error) {
	b := &bench{ctx: ctx, subject: subject, dir: dir}
	report := Report{Source: ref.Source, Column: ref.Column}
	for _, step := range []func(*bench, Reference, *Report) error{compareScalars, compareHeatmaps,
		compareHistograms} {
		if err := step(b, ref, &report); err != nil {
			return Report{}, err
		}
	}
	slices.SortStableFunc(report.Left, func(a, b Left) int { return strings.Compare(a.Why, b.Why) })
	return report, nil
}

// Plan returns the scalars of ref that are measured, and those that are not, with the reason. An unknown
// scalar is an error.
func Plan(ref Reference) (measured []string, left []Left, err error) {
	known := map[string]bool{}
	for _, m := range measurements() {
		known[m.name] = true
	}
	for _, s := range ref.Scalars {
		why := notMeasured(s.Name)
		switch {
		case known[s.Name]:
			measured = append(measured, s.Name)
		case why == "":
			return nil, nil,
				fmt.Errorf("conformance: scalar %s is neither measured nor known as one that cannot be",
					s.Name)
		default:
			left = append(left, Left{s.Name, why})
		}
	}
	return measured, left, nil
}

// compareScalars makes all measurements of scalars.
func compareScalars(b *bench, ref Reference, report *Report) (err error) {
	if _, report.Left, err = Plan(ref); err != nil {
		return err
	}
	wanted := map[string]ScalarReference{}
	for _, s := range ref.Scalars {
		wanted[s.Name] = s
	}
	for _, m := range measurements() {
		got, err := b.scalar(m)
		if err != nil {
			return err
		}
		want, known := wanted[m.name]
		if !known {
			report.Without = append(report.Without, fmt.Sprintf("%s = %s", m.name, digits(got)))
			continue
		}
		report.Checks = append(report.Checks,
			Check{Name: m.name, Reference: want.Value, Measured: got, Allowed: want.Allowed})
	}
	return nil
}

// compareHeatmaps compares panels cell by cell. A cell that only one side has is a failure.
func compareHeatmaps(b *bench, ref Reference, report *Report) error {
	for _, h := range ref.Heatmaps {
		got, err := b.heatmap(h)
		if err != nil {
			return err
		}
		c := Check{Kind: Heatmap, Name: h.title(), Allowed: h.Allowed}
		worst := -1.0
		for component, want := range h.Cells {
			measured, ok := got[component]
			if !ok {
				measured = math.NaN()
			}
			if d := math.Abs(measured - want); d > worst || d != d || d == worst && component < c.Where {
				c.Where, c.Reference, c.Measured, worst = component, want, measured, d
			}
			if worst != worst {
				break
			}
		}
		for component, measured := range got {
			if _, ok := h.Cells[component]; !ok {
				c.Where, c.Reference, c.Measured = component, math.NaN(), measured
			}
		}
		report.Checks = append(report.Checks, c)
	}
	return nil
}

// title names a panel.
func (h HeatmapReference) title() string {
	t := h.Name + " " + h.Side + " side"
	if h.QueryBasis != "none" || h.KeyBasis != "none" {
		t += ", " + h.QueryBasis + " x " + h.KeyBasis
	}
	if h.Quadrant != "" {
		t += ", " + h.Quadrant
	}
	if !h.Subtracted {
		t += ", baseline kept"
	}
	return t + ", worst of " + strconv.Itoa(len(h.Cells))
}

// compareHistograms compares the statistics of distributions.
func compareHistograms(b *bench, ref Reference, report *Report) error {
	for _, h := range ref.Histograms {
		sql, why := histogramSQL(h.Figure, h.Vector)
		if sql == "" {
			report.Left = append(report.Left, Left{h.Figure + " " + h.Vector, why})
			continue
		}
		n, got, err := b.summary(h.Figure, sql)
		if err != nil {
			return err
		}
		name := h.Figure + " " + h.Vector + ": "
		report.Checks = append(report.Checks,
			Check{Kind: Histogram, Name: name + "n", Reference: float64(h.N), Measured: float64(n)})
		for i, statistic := range statistics {
			report.Checks = append(report.Checks,
				Check{Kind: Histogram, Name: name + statistic, Reference: h.Summary[i], Measured: got[i],
					Allowed: h.Allowed})
		}
	}
	return nil
}

// SmolLM2 returns a second subject, in the exact convention: SmolLM2-135M-Instruct at four bits. Its numbers
// are compared with its own earlier ones, so a fifth of the prompts is enough.
func SmolLM2(model, templates string) Subject {
	return Subject{Dir: model, Templates: templates, Head: "24.4", Movers: [2]string{"23.0", "23.3"},
		Seeds: []Seed{{0, 8}, {1, 8}}, Exact: true, Share: 5}
}

// Missing says what a comparison with the real GPT-2 small lacks, given the values of the two environment
// variables. It returns "" if nothing is missing.
func Missing(weights, templates string) string {
	missing := ""
	for _, want := range []struct{ variable, value, file, what string }{
		{"DUCKLENS_GPT2_DIR", weights, filepath.Join(weights, "config.json"),
			"a folder with the weights of GPT-2 small: " +
				"config.json, model.safetensors, vocab.json, merges.txt"},
		{"DUCKLENS_IOI_TEMPLATES", templates, templates,
			"a JSON file with the templates and names of the published prompts (the form is in the help of " +
				"ducklens ingest --templates)"},
	} {
		switch _, err := os.Stat(want.file); {
		case want.value == "":
			missing += fmt.Sprintf("  %s is not set: %s\n", want.variable, want.what)
		case err != nil:
			missing += fmt.Sprintf("  %s=%s: %s is not there; want %s\n", want.variable, want.value,
				want.file, want.what)
		}
	}
	return missing
}

// GPT2Small returns the subject of the published numbers. They use up to 100 prompts of seeds 0 to 9, up to
// 40 of 10 to 29, and up to 20 of 30 to 39.
func GPT2Small(dir, templates string) Subject {
	s := Subject{Dir: dir, Templates: templates, Head: "10.7", Movers: [2]string{"9.9", "9.6"}}
	for seed := range 40 {
		n := 100
		if seed >= 10 {
			n = 40
		}
		if seed >= 30 {
			n = 20
		}
		s.Seeds = append(s.Seeds, Seed{Seed: seed, N: n})
	}
	return s
}
