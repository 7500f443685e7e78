package prompts_test

import (
	"encoding/csv"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"testing"

	"ducklens/ingest/prompts"
)

// take returns the first n draws.
func take(d *prompts.Draws, n int) (names, tokens []int) {
	for range n {
		name, token := d.Next()
		names, tokens = append(names, name), append(tokens, token)
	}
	return names, tokens
}

// TestDraws expects the first draws for seeds 0 and 29 of the published random vectors
// (SERI-MATS-2023-Streamlit-pages, figure Q6), which NumPy 1.24 and PyTorch 1.13 draw from 109 names and
// 50257 tokens.
func TestDraws(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seed          int64
		names, tokens []int
	}{
		{0, []int{79, 6, 86, 19, 51, 32, 32, 87, 16, 28, 13, 90}, []int{33796, 37381, 36321, 45267, 6460, 25151, 47464, 14493, 26523, 46906, 20039, 47941}},
		{29, []int{50, 17, 17, 95, 21, 65, 67, 90, 39, 90, 9, 0}, []int{32717, 45917, 23121, 4859, 6310, 32000, 24104, 17411, 21676, 1824, 11595, 9836}},
	} {
		names, tokens := take(prompts.NewDraws(c.seed, 109, 50257), len(c.names))
		if !slices.Equal(names, c.names) || !slices.Equal(tokens, c.tokens) {
			t.Errorf("seed %d: names %v, tokens %v, want %v, %v", c.seed, names, tokens, c.names, c.tokens)
		}
		// The two generators are independent, and seeds count modulo 2^32.
		if _, got := take(prompts.NewDraws(c.seed+1<<32, 3, 50257), len(c.tokens)); !slices.Equal(got, c.tokens) {
			t.Errorf("seed %d: tokens %v with 3 names, want %v", c.seed, got, c.tokens)
		}
		if got, _ := take(prompts.NewDraws(c.seed, 109, 7), len(c.names)); !slices.Equal(got, c.names) {
			t.Errorf("seed %d: names %v with 7 tokens, want %v", c.seed, got, c.names)
		}
	}
	for names, want := range map[int][]int{0: {-1, -1, -1}, 1: {0, 0, 0}} {
		if got, _ := take(prompts.NewDraws(5, names, 9), 3); !slices.Equal(got, want) {
			t.Errorf("%d names: drawn %v, want %v", names, got, want)
		}
	}
	seen := map[int]bool{}
	names, tokens := take(prompts.NewDraws(-1, 5, 1), 200)
	for _, name := range names {
		seen[name] = true
	}
	if len(seen) != 5 || slices.Max(names) != 4 || slices.Min(names) != 0 || slices.Max(tokens) != 0 {
		t.Errorf("names %v of 5, tokens %v of 1", seen, tokens)
	}
}

// TestReferenceDraws compares all published draws.
func TestReferenceDraws(t *testing.T) {
	t.Parallel()
	templates, err := prompts.ReadTemplates(reference(t, "goldens", "prompts", "lists.json"))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(reference(t, "published", "random_vectors.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	if _, err := r.Read(); err != nil { // header: seed, index, name, token
		t.Fatal(err)
	}
	var draws *prompts.Draws
	n := 0
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if record[1] == "0" {
			seed, err := strconv.ParseInt(record[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			draws = prompts.NewDraws(seed, len(templates.Names), 50257)
		}
		name, token := draws.Next()
		if got := []string{templates.Names[name], strconv.Itoa(token)}; !slices.Equal(got, record[2:]) {
			t.Fatalf("seed %s, example %s: %q, want %q", record[0], record[1], got, record[2:])
		}
		n++
	}
	if n < 1000 {
		t.Errorf("only %d draws compared", n)
	}
	t.Logf("%d names and tokens", n)
}
