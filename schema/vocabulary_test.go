package schema_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ducklens/schema"
)

// words returns the words of an enumeration: String of 0, 1, ... n-1. Parse must be its inverse.
func words[E interface {
	~uint8
	fmt.Stringer
}](t *testing.T, n int, parse func(string) (E, error)) []string {
	t.Helper()
	var list []string
	for i := range n {
		word := E(i).String()
		back, err := parse(word)
		if err != nil || back != E(i) {
			t.Errorf("parse %q gives %v, %v, want %d", word, back, err, i)
		}
		list = append(list, word)
	}
	for _, bad := range []string{"", "nonsense", strings.ToUpper(list[0]), list[0] + " "} {
		if _, err := parse(bad); err == nil {
			t.Errorf("parse %q gives no error", bad)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q, want one of %s", bad, strings.Join(list, ", "))) {
			t.Errorf("parse %q: error %q does not name the words", bad, err)
		}
	}
	return list
}

// TestEnumerationsAgreeWithTables checks that each Go type has an enumeration in the file, with the same
// words in the same order.
func TestEnumerationsAgreeWithTables(t *testing.T) {
	t.Parallel()
	want := map[string][]string{
		"side":           words(t, 2, schema.ParseSide),
		"quadrant":       words(t, 4, schema.ParseQuadrant),
		"component_kind": words(t, 9, schema.ParseComponentKind),
		"basis_kind":     words(t, 3, schema.ParseBasisKind),
		"run_status":     words(t, 2, schema.ParseRunStatus),
		"convention":     words(t, 2, schema.ParseConvention),
		"processing":     words(t, 2, schema.ParseProcessing),
		"measure":        words(t, 2, schema.ParseMeasure),
	}
	list, err := schema.Tables()
	if err != nil {
		t.Fatal(err)
	}
	enum := regexp.MustCompile(`^CREATE TYPE (\w+) AS ENUM \((.*)\)$`)
	got := map[string][]string{}
	for _, s := range list {
		if match := enum.FindStringSubmatch(s); match != nil {
			for _, word := range strings.Split(match[2], ", ") {
				got[match[1]] = append(got[match[1]], strings.Trim(word, "'"))
			}
		}
	}
	if len(got) != len(want) {
		t.Errorf("the file has %d enumerations, Go has %d", len(got), len(want))
	}
	for name, list := range want {
		if !slices.Equal(got[name], list) {
			t.Errorf("enumeration %s: file has %q, Go has %q", name, got[name], list)
		}
	}
}

func TestQuadrants(t *testing.T) {
	t.Parallel()
	for i, q := range schema.Quadrants() {
		if int(q) != i {
			t.Errorf("quadrant %v is number %d in the list, want %d", q, i, int(q))
		}
	}
	if n := len(schema.Quadrants()); n != 4 {
		t.Errorf("%d quadrants, want 4", n)
	}
}

func TestHeadPrintsAndParses(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := schema.Head{Layer: rapid.IntRange(0, 9999).Draw(t, "layer"), Index: rapid.IntRange(0, 9999).Draw(t, "index")}
		for _, s := range []string{h.String(), h.TLName()} {
			if back, err := schema.ParseHead(s); err != nil || back != h {
				t.Fatalf("parse %q gives %v, %v", s, back, err)
			}
		}
	})
}

func TestParseHeadRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", ".", "10", "10.", ".7", "10.7.1", "-1.7", "+1.7", "10.07", "010.7", " 10.7", "10.7 ", "10,7", "L10", "H7", "LH", "L10H",
		"l10h7", "10H7", "L10.7", "L10H7H1", "10000.1", "1.10000", "99999999999999999999.1", "١.٧", "0x1.2", "1e1.2", "L1H7\n"} {
		if h, err := schema.ParseHead(s); err == nil {
			t.Errorf("%q is read as %v", s, h)
		} else if want := fmt.Sprintf("head %q, want LAYER.HEAD such as 10.7, or L10H7", s); err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
	}
}

// FuzzParseHead checks that everything that ParseHead accepts prints in one of the two forms.
func FuzzParseHead(f *testing.F) {
	for _, s := range []string{"10.7", "L10H7", "0.0", "", "10.07", "L", "1.2.3", "L1H2H3", "-1.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := schema.ParseHead(s)
		if err != nil {
			if h != (schema.Head{}) {
				t.Errorf("%q gives %v beside an error", s, h)
			}
			return
		}
		if s != h.String() && s != h.TLName() {
			t.Errorf("%q is read as %v", s, h)
		}
	})
}

// TestComponents checks that components are numbered without gaps or duplicates, and that those below a layer
// come first.
func TestComponents(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		layers, heads := rapid.IntRange(1, 48).Draw(t, "layers"), rapid.IntRange(1, 25).Draw(t, "heads")
		all := schema.Components(layers, heads)
		if len(all) != schema.StreamComponents(layers, heads)+2 {
			t.Fatalf("%d components, want %d and b_Q, b_K", len(all), schema.StreamComponents(layers, heads))
		}
		labels, names := map[string]bool{}, map[string]bool{}
		cells := map[[2]int][]schema.ComponentKind{}
		for i, c := range all {
			if labels[c.Label()] || names[c.TLName()] {
				t.Fatalf("%v has the label %s or the name %s of another", c, c.Label(), c.TLName())
			}
			labels[c.Label()], names[c.TLName()] = true, true
			row, column := c.Grid(heads)
			if row < 0 || row > layers || column < 0 || column > max(heads+1, 2) {
				t.Fatalf("%s is at row %d, column %d", c.Label(), row, column)
			}
			cells[[2]int{row, column}] = append(cells[[2]int{row, column}], c.Kind)
			below := i < schema.StreamComponents(max(c.Layer, 0), heads)
			if c.Layer >= 0 && (below || i >= schema.StreamComponents(c.Layer+1, heads)) {
				t.Fatalf("%s is number %d", c.Label(), i)
			}
			if (c.Layer >= 0) != slices.Contains([]schema.ComponentKind{schema.HeadOut, schema.AttnBias, schema.MLP}, c.Kind) || (c.Head >= 0) != (c.Kind == schema.HeadOut) {
				t.Fatalf("%v has layer %d, head %d", c.Kind, c.Layer, c.Head)
			}
		}
		for cell, kinds := range cells {
			// b_Q and b_K share a cell, because a heatmap shows only one side.
			if len(kinds) > 1 && !slices.Equal(kinds, []schema.ComponentKind{schema.QBias, schema.KBias}) {
				t.Fatalf("cell %v holds %v", cell, kinds)
			}
		}
	})
}

// TestComponentsOfDictionaries checks that the parts of a sparse dictionary have distinct names and cells in
// a layer.
func TestComponentsOfDictionaries(t *testing.T) {
	t.Parallel()
	cells := map[[2]int]string{}
	for _, c := range append(schema.Components(3, 4), schema.Component{Kind: schema.Feature, Layer: 2, Head: -1}, schema.Component{Kind: schema.Error, Layer: 2, Head: -1}) {
		row, column := c.Grid(4)
		if other, taken := cells[[2]int{row, column}]; taken && c.Kind != schema.KBias {
			t.Errorf("%s is in the cell of %s", c.Label(), other)
		}
		cells[[2]int{row, column}] = c.Label()
	}
	feature := schema.Component{Kind: schema.Feature, Layer: 2, Head: -1}
	if label, name := feature.Label(), feature.TLName(); label != "feature2" || name != "feature2" || cells[[2]int{3, 6}] != label || cells[[2]int{3, 7}] != "error2" {
		t.Errorf("a feature of layer 2 is %s, %s; cells %v", label, name, cells)
	}
}

func TestComponentOfNoKind(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(schema.Component){
		"Label":  func(c schema.Component) { _ = c.Label() },
		"TLName": func(c schema.Component) { _ = c.TLName() },
		"Grid":   func(c schema.Component) { c.Grid(12) },
	} {
		func() {
			defer func() {
				if r := recover(); r != "schema: component kind 99" {
					t.Errorf("%s panics with %v", name, r)
				}
			}()
			f(schema.Component{Kind: 99})
		}()
	}
}

func TestPosition(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		p       schema.Position
		printed string
		index   bool
		word    bool
	}{
		{schema.Position{}, "none", false, false},
		{schema.AtIndex(0), "0", true, false},
		{schema.AtIndex(-1), "-1", true, false},
		{schema.AtWord("Mary"), `"Mary"`, false, true},
		{schema.AtWord(""), `""`, false, true},
	} {
		_, index := tt.p.Index()
		_, word := tt.p.Word()
		if tt.p.String() != tt.printed || index != tt.index || word != tt.word || tt.p.IsNone() != (!index && !word) {
			t.Errorf("position %s, index %t, word %t, want %+v", tt.p, index, word, tt)
		}
	}
}

func ExampleParseHead() {
	for _, s := range []string{"10.7", "L10H7", "10-7"} {
		h, err := schema.ParseHead(s)
		fmt.Println(h, h.TLName(), err)
	}
	// Output:
	// 10.7 L10H7 <nil>
	// 10.7 L10H7 <nil>
	// 0.0 L0H0 head "10-7", want LAYER.HEAD such as 10.7, or L10H7
}

func ExampleComponents() {
	for _, c := range schema.Components(1, 2) {
		row, column := c.Grid(2)
		fmt.Printf("%-5s %-17s row %d, column %d\n", c.Label(), c.TLName(), row, column)
	}
	// Output:
	// W_E   embed             row 0, column 0
	// W_pos pos_embed         row 0, column 1
	// 0.0   L0H0              row 1, column 0
	// 0.1   L0H1              row 1, column 1
	// b_O0  blocks.0.attn.b_O row 1, column 3
	// MLP0  0_mlp_out         row 1, column 2
	// b_Q   b_Q               row 0, column 2
	// b_K   b_K               row 0, column 2
}

func ExampleParseQuadrant() {
	q, err := schema.ParseQuadrant("par_perp")
	fmt.Println(q, q == schema.ParPerp, err)
	_, err = schema.ParseQuadrant("pp")
	fmt.Println(err)
	// Output:
	// par_perp true <nil>
	// quadrant "pp", want one of par_par, par_perp, perp_par, perp_perp
}

func TestNullBasis(t *testing.T) {
	t.Parallel()
	for _, i := range []int{0, 7, 19, 123456} {
		if got, ok := (schema.Basis{Name: schema.NullBasis(i)}).NullNumber(); !ok || got != i {
			t.Errorf("the number of %s is %d, %v, want %d", schema.NullBasis(i), got, ok, i)
		}
	}
	for _, name := range []string{"", "none", "random", "random-1", "random+1", "random01", "random1x", "Random1", "random1.5", "random99999999999999999999"} {
		if i, ok := (schema.Basis{Name: name}).NullNumber(); ok {
			t.Errorf("%q is random direction %d, want none", name, i)
		}
	}
}
