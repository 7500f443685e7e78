package prompts_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"

	tiktoken "github.com/pkoukk/tiktoken-go-loader/assets"

	"ducklens/ingest/prompts"
)

// gpt2Vocabulary returns the byte strings of GPT-2's tokens.
func gpt2Vocabulary(t *testing.T) map[string]bool {
	t.Helper()
	f, err := tiktoken.Assets.Open("r50k_base.tiktoken")
	if err != nil {
		t.Fatal(err)
	}
	defer func(f fs.File) { _ = f.Close() }(f)
	vocabulary := map[string]bool{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		encoded, _, _ := strings.Cut(lines.Text(), " ")
		token, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		vocabulary[string(token)] = true
	}
	if len(vocabulary) != 50256 { // GPT-2's 50257 without <|endoftext|>
		t.Fatalf("%d tokens in the vocabulary, want 50256", len(vocabulary))
	}
	return vocabulary
}

func TestIOIWordsAreSingleTokens(t *testing.T) {
	t.Parallel()
	vocabulary, ioi := gpt2Vocabulary(t), prompts.IOI()
	for name, list := range map[string][]string{"names": ioi.Names, "places": ioi.Places, "objects": ioi.Objects} {
		for _, w := range list {
			if !vocabulary[" "+w] {
				t.Errorf("%s: %q is not one token", name, " "+w)
			}
		}
		if sorted := slices.Compact(slices.Sorted(slices.Values(list))); len(sorted) != len(list) {
			t.Errorf("%s: %d words, %d of them different", name, len(list), len(sorted))
		}
	}
	if n := len(ioi.Names); n < 80 || n > 100 {
		t.Errorf("%d names, want 80 to 100", n)
	}
}

func TestIOITemplates(t *testing.T) {
	t.Parallel()
	ioi := prompts.IOI()
	if len(ioi.ABBA) < 12 || len(ioi.BABA) != len(ioi.ABBA) || len(ioi.Mixed) != 2*len(ioi.ABBA) {
		t.Fatalf("%d ABBA, %d BABA, %d mixed templates, want at least 12, as many, and both", len(ioi.ABBA), len(ioi.BABA), len(ioi.Mixed))
	}
	word := regexp.MustCompile(`[A-Za-z]+`)
	for i, abba := range ioi.ABBA {
		baba := ioi.BABA[i]
		if got, want := skeleton(abba), "ABBA"; got != want {
			t.Errorf("template %q mentions %s, want %s", abba, got, want)
		}
		if got, want := skeleton(baba), "BABA"; got != want {
			t.Errorf("template %q mentions %s, want %s", baba, got, want)
		}
		exchanged := strings.NewReplacer("[A]", "[B]", "[B]", "[A]").Replace(abba)
		// Only the introduction is exchanged.
		if n := strings.LastIndex(abba, "[B]"); exchanged[:n] != baba[:n] || abba[n:] != baba[n:] {
			t.Errorf("template %q is not %q with the first two names exchanged", baba, abba)
		}
		if !strings.HasSuffix(abba, " [A]") {
			t.Errorf("template %q does not end with the answer", abba)
		}
		for _, w := range word.FindAllString(abba, -1) {
			if slices.Contains(ioi.Names, w) {
				t.Errorf("template %q contains the name %s", abba, w)
			}
		}
		// Every slot follows a space, so its word is the token that was checked.
		for _, at := range regexp.MustCompile(`\[`).FindAllStringIndex(abba, -1) {
			if at[0] == 0 || abba[at[0]-1] != ' ' {
				t.Errorf("template %q: no space before the slot at %d", abba, at[0])
			}
		}
	}
}

// skeleton lists the name slots of a template in order.
func skeleton(template string) string {
	var s strings.Builder
	for _, m := range regexp.MustCompile(`\[([AB])\]`).FindAllStringSubmatch(template, -1) {
		s.WriteString(m[1])
	}
	return s.String()
}

func TestParseTemplatesErrors(t *testing.T) {
	t.Parallel()
	const names = `"names": ["Ann", "Bo", "Cy"]`
	for _, c := range []struct{ name, file, want string }{
		{"empty", ``, "there is nothing in it"},
		{"no templates", `{` + names + `}`, "no templates"},
		{"two names", `{"templates": ["[A] [B]"], "names": ["Ann", "Bo", "Ann"]}`, "2 different names, want at least 3"},
		{"no slot", `{"templates": ["[A] alone"], ` + names + `}`, "lacks [A] or [B]"},
		{"unknown slot", `{"templates": ["[A] [B] [CITY]"], ` + names + `}`, "slot [CITY]"},
		{"no places", `{"templates": ["[A] [B] [PLACE]"], ` + names + `}`, "places is empty"},
		{"no objects", `{"templates": ["[A] [B] [OBJECT]"], ` + names + `}`, "objects is empty"},
		{"wrong list", `{"abba_templates": ["[B] and [A]"], ` + names + `}`, "is in the order BABA"},
		{"both forms", `{"templates": ["[A] [B]"], "abba_templates": ["[A] [B]"], ` + names + `}`, "want one form"},
		{"unknown field", `{"template": ["[A] [B]"], ` + names + `}`, `unknown list "template", want templates`},
		{"space", `{"templates": ["[A] [B]"], "names": [" Ann", "Bo", "Cy"]}`, `names[0] is " Ann"`},
		{"trailing", `{"templates": ["[A] [B]"], ` + names + `} {}`, `line 1, column 58: not JSON: "{" does not belong here`},
		{"type", `{"templates": "x"}`, `templates is the text "x", want a list of texts`},
		{"list of lists", `{"names": ["Ann", ["Bo"]]}`, `names[1] is the list ["Bo"], want a text`},
		{"a list", `["[A] [B]"]`, `the list ["[A] [B]"], want a JSON object`},
		{"twice", `{"names": [], "names": []}`, `"names" is there twice`},
		{"second line", "{\"names\": [],\n \"é\" 5}", "line 2, column 6: not JSON"},
		{"Latin-1", "{\"names\": [\"Ren\xe9\"]}", "line 1, column 16: the byte 0xE9 is not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := prompts.ParseTemplates(strings.NewReader(c.file))
			if !errors.Is(err, prompts.ErrTemplates) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want ErrTemplates with %q", err, c.want)
			}
		})
	}
	if _, err := prompts.ParseTemplates(strings.NewReader(`{"names": "` + strings.Repeat("x", 16<<20) + `"}`)); !errors.Is(err, prompts.ErrTemplates) {
		t.Errorf("a file of more than 16 MiB: %v", err)
	}
}

// TestOneOrderOnly checks that a mixed sample is refused if the templates have only one order.
func TestOneOrderOnly(t *testing.T) {
	t.Parallel()
	templates, err := prompts.ParseTemplates(strings.NewReader(`{"abba_templates": ["[A] [B] [B] [A]"], "names": ["Ann", "Bo", "Cy"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for order, ok := range map[prompts.Order]bool{prompts.ABBA: true, prompts.BABA: false, prompts.Mixed: false} {
		for _, err := range templates.Prompts(prompts.Sampling{N: 1, Order: order}) {
			if (err == nil) != ok {
				t.Errorf("order %s: error %v", order, err)
			}
		}
	}
}

func ExampleIOI() {
	for p, err := range prompts.IOI().Prompts(prompts.Sampling{N: 3, Seed: 42, Symmetric: true}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(p.Order, p.Key, p.Baseline, p.Query, p.Text)
	}
	// Output:
	// ABBA "Evan#1" "Dylan#1" -2 Our guests were Evan and Dylan. After dinner, Dylan described the hat in detail to Evan
	// ABBA "Dylan#1" "Evan#1" -2 Our guests were Dylan and Evan. After dinner, Evan described the hat in detail to Dylan
	// ABBA "Betty#1" "Gary#1" -2 The teacher asked Betty and Gary to share the flower, but Gary left it to Betty
}

// FuzzParseTemplates checks that a file either is refused or can be drawn from.
func FuzzParseTemplates(f *testing.F) {
	f.Add([]byte(`{"templates": ["[A] met [B] at the [PLACE]. [B] gave a [OBJECT] to [A]"], "names": ["Ann", "Bo", "Cy"], "places": ["park"], "objects": ["key"]}`))
	f.Add([]byte(`{"abba_templates": ["[A] [B] [A]", "[A][B]"], "baba_templates": ["[B] [A]", "[B][A]"], "names": ["Ann", "Bo", "Cy", "Cy"]}`))
	f.Add([]byte(`{"templates": ["[[A]] [B"], "names": [""]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		templates, err := prompts.ParseTemplates(bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, prompts.ErrTemplates) {
				t.Errorf("error %v, want ErrTemplates", err)
			}
			return
		}
		order := prompts.ABBA
		if len(templates.ABBA) == 0 {
			order = prompts.BABA
		}
		n := 0
		for d, err := range templates.Draws(prompts.Sampling{N: 3, Order: order, Symmetric: true}) {
			if err != nil || d.IO == d.S || !strings.Contains(d.Text, d.IO) || !strings.Contains(d.Text, d.S) {
				t.Fatalf("draw %+v, error %v", d, err)
			}
			n++
		}
		if n != 3 {
			t.Errorf("%d draws, want 3", n)
		}
	})
}
