package prompts_test

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"ducklens/ingest/prompts"
	"ducklens/schema"
)

// reference returns the path of reference data in the folder shared beside the checkout, and skips the test
// if there is none.
func reference(t *testing.T, elements ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared"}, elements...)...)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no reference data at %s beside the checkout", filepath.Join(elements...))
	}
	return path
}

// TestReferencePrompts reproduces every prompt set of the original generator.
func TestReferencePrompts(t *testing.T) {
	t.Parallel()
	templates, err := prompts.ReadTemplates(reference(t, "goldens", "prompts", "lists.json"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(reference(t, "goldens", "prompts") + "/prompts_*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("prompt sets: %v %v", files, err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".json"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				N          int
				Seed       int64
				PromptType string `json:"prompt_type"`
				Templates  []string
				Prompts    []struct {
					Text, IO, S, Place, Object, Order string
					TemplateIdx                       int `json:"template_idx"`
				}
			}
			if err := json.Unmarshal(data, &want); err != nil {
				t.Fatal(err)
			}
			order, err := prompts.ParseOrder(want.PromptType)
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for d, err := range templates.Draws(prompts.Sampling{N: want.N, Seed: want.Seed, Order: order}) {
				if err != nil {
					t.Fatal(err)
				}
				w := want.Prompts[n]
				wanted := prompts.Draw{Text: w.Text, IO: w.IO, S: w.S, Place: w.Place, Object: w.Object,
					Template: want.Templates[w.TemplateIdx], TemplateIndex: w.TemplateIdx}
				if wanted.Order, err = prompts.ParseOrder(w.Order); err != nil {
					t.Fatal(err)
				}
				if d != wanted {
					t.Errorf("prompt %d: %+v, want %+v", n, d, wanted)
				}
				n++
			}
			if n != want.N || n != len(want.Prompts) {
				t.Errorf("%d prompts, want %d", n, want.N)
			}
		})
	}
}

// TestPublishedPrompts reproduces the published table of prompts. Despite their name, its symmetric rows hold
// no exchanged copies: they are the plain draws of their seed, and are compared as such. TestSymmetric tests
// copies.
func TestPublishedPrompts(t *testing.T) {
	t.Parallel()
	templates, err := prompts.ReadTemplates(reference(t, "goldens", "prompts", "lists.json"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(reference(t, "published", "ioi_prompts.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	type key struct{ dataset, seed string }
	sets := map[key][][]string{}
	for _, row := range rows[1:] {
		k := key{row[0], row[1]}
		sets[k] = append(sets[k], row)
	}
	compared := 0
	for k, want := range sets {
		var seed int64
		if err := json.Unmarshal([]byte(k.seed), &seed); err != nil {
			t.Fatal(err)
		}
		i := 0
		for d, err := range templates.Draws(prompts.Sampling{N: len(want), Seed: seed}) {
			if err != nil {
				t.Fatal(err)
			}
			if got := [4]string{d.IO, d.S, d.Order.String(), d.Text}; got != [4]string(want[i][3:7]) {
				t.Errorf("%s seed %s index %d: %q, want %q", k.dataset, k.seed, i, got, want[i][3:7])
			}
			i++
			compared++
		}
	}
	if compared != len(rows)-1 {
		t.Errorf("%d prompts compared, want %d", compared, len(rows)-1)
	}
	t.Logf("%d prompts of %d sets drawn again", compared, len(sets))
}

func TestSymmetric(t *testing.T) {
	t.Parallel()
	ioi := prompts.IOI()
	for _, n := range []int{0, 1, 2, 7, 40} {
		var plain, both []prompts.Draw
		for d, err := range ioi.Draws(prompts.Sampling{N: (n + 1) / 2, Seed: 7}) {
			if err != nil {
				t.Fatal(err)
			}
			plain = append(plain, d)
		}
		for d, err := range ioi.Draws(prompts.Sampling{N: n, Seed: 7, Symmetric: true}) {
			if err != nil {
				t.Fatal(err)
			}
			both = append(both, d)
		}
		if len(both) != n {
			t.Fatalf("%d prompts, want %d", len(both), n)
		}
		for i, d := range both {
			p := plain[i/2]
			if i%2 == 0 {
				if d != p {
					t.Errorf("prompt %d of %d: %+v, want %+v", i, n, d, p)
				}
				continue
			}
			text := strings.NewReplacer(p.IO, p.S, p.S, p.IO).Replace(p.Text)
			if d.IO != p.S || d.S != p.IO || d.Text != text || d.Template != p.Template {
				t.Errorf("copy %d of %d: %+v, want the names of %+v exchanged", i, n, d, p)
			}
		}
	}
}

// TestSampleProperties checks properties of all prompts of the built-in generator.
func TestSampleProperties(t *testing.T) {
	t.Parallel()
	ioi := prompts.IOI()
	for _, order := range []prompts.Order{prompts.Mixed, prompts.ABBA, prompts.BABA} {
		seen := map[string]int{}
		var first []schema.Prompt
		for p, err := range ioi.Prompts(prompts.Sampling{N: 200, Seed: 1, Order: order}) {
			if err != nil {
				t.Fatal(err)
			}
			io, _ := p.Key.Word()
			s, _ := p.Baseline.Word()
			seen[p.Order]++
			if io == s || !strings.HasSuffix(p.Text, " "+io) || p.Query != schema.AtIndex(-2) || strings.ContainsAny(p.Text, "[]") {
				t.Errorf("prompt %+v", p)
			}
			if before := strings.Index(p.Text, io) < strings.Index(p.Text, s); before != (p.Order == "ABBA") {
				t.Errorf("prompt %q is called %s", p.Text, p.Order)
			}
			first = append(first, p)
		}
		if order == prompts.Mixed && (seen["ABBA"] < 70 || seen["BABA"] < 70) || order != prompts.Mixed && seen[order.String()] != 200 {
			t.Errorf("order %s gives %v", order, seen)
		}
		// A smaller sample of the same seed is a prefix, and a second pass gives the same.
		i := 0
		for p, err := range ioi.Prompts(prompts.Sampling{N: 50, Seed: 1, Order: order}) {
			if err != nil || !reflect.DeepEqual(p, first[i]) {
				t.Errorf("prompt %d of the smaller sample: %+v %v, want %+v", i, p, err, first[i])
			}
			i++
		}
	}
}

func TestSamplingErrors(t *testing.T) {
	t.Parallel()
	for _, err := range prompts.IOI().Prompts(prompts.Sampling{N: -1}) {
		if err == nil {
			t.Error("a negative number of prompts is accepted")
		}
	}
	if _, err := prompts.ParseOrder("abba"); err == nil || !strings.Contains(err.Error(), "ABBA") {
		t.Errorf("order abba: %v", err)
	}
}

func BenchmarkSample(b *testing.B) {
	ioi := prompts.IOI()
	n := 0
	for b.Loop() {
		for range ioi.Prompts(prompts.Sampling{N: 1000, Seed: 1}) {
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "prompts/s")
}
