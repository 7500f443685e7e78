package smollm2_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"codeberg.org/sbinet/npyio/npz"

	"ducklens/cli/smollm2"
)

// root is that of the checkout.
const root = "../.."

// model gives the path of the model, and skips the test where it would have to be downloaded.
func model(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("runs a model of 135 million parameters")
	}
	path := smollm2.At(root)
	if path == "" {
		t.Skipf("there is no SmolLM2 here (make smollm2 gets it; %s may hold its path)", smollm2.Variable)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// reference gives the path of a file with reference numbers, and skips the test where there is none.
func reference(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(root, "..", "shared", "models", "smollm2-135m", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no reference numbers beside the checkout: %v", err)
	}
	return path
}

// arrayQueries are queries for what the reference arrays of a prompt hold: each gives a name, which is that
// of an array, and its values. A model without biases has no component b_Q or b_K, whose place in the arrays
// is the last row, of zeros.
func arrayQueries() map[string]string {
	const (
		named = "example_id || '/' || head_name(h.label) || '/"
		head  = " JOIN head AS h USING (run_id, head_id)"
		sides = `SELECT t.%[1]s' || t.side || '_side%[2]s' AS name, flatten(list([%[3]s] ORDER BY c.ordinal)) AS numbers
FROM contribution_wide AS t` + head + ` JOIN run_component AS c USING (run_id, component_id)
JOIN basis AS q ON q.run_id = t.run_id AND q.basis_id = t.query_basis_id JOIN basis AS k ON k.run_id = t.run_id AND k.basis_id = t.key_basis_id
WHERE q.name = '%[4]s' AND k.name = '%[5]s' AND t.example_id < %[6]d GROUP BY ALL`
		replaced = "SELECT t." + named + "sub_%[1]s' AS name, [score, prob] AS numbers FROM substitution AS t" + head + " WHERE side = '%[2]s' AND vector = '%[3]s'"
	)
	var quadrants []string
	for _, of := range []string{"score", "baseline"} {
		for _, quadrant := range []string{"par_par", "par_perp", "perp_par", "perp_perp"} {
			quadrants = append(quadrants, of+"_"+quadrant)
		}
	}
	return map[string]string{
		"tokens":                              "SELECT example_id || '/tokens' AS name, list(token_id ORDER BY pos) AS numbers FROM token GROUP BY ALL",
		"scores":                              "SELECT t." + named + "score_row' AS name, list(t.score ORDER BY t.pos) AS numbers FROM attention AS t" + head + " GROUP BY ALL",
		"pattern":                             "SELECT t." + named + "pattern_row' AS name, list(t.prob ORDER BY t.pos) AS numbers FROM attention AS t" + head + " GROUP BY ALL",
		"sides":                               fmt.Sprintf(sides, named, "", "score_perp_perp, baseline_perp_perp", "none", "none", 32),
		"quadrants":                           fmt.Sprintf(sides, named, "/unembed,mlp0", strings.Join(quadrants, ", "), "unembed", "mlp0", 8),
		"queries replaced by the unembedding": fmt.Sprintf(replaced, "query_unembed", "query", "W_U[key]"),
		"keys replaced by MLP0's output":      fmt.Sprintf(replaced, "key_mlp0", "key", "MLP0"),
		"logits":                              "SELECT 'logit_' || CASE token WHEN 'key' THEN 'io' ELSE 's' END AS name, list(logit ORDER BY example_id) AS numbers FROM logit GROUP BY ALL",
		"logits, added up": `SELECT 'logit_' || CASE token WHEN 'key' THEN 'io' ELSE 's' END AS name, list(total ORDER BY example_id) AS numbers
FROM (SELECT e.example_id, e.token, sum(e.effect) + any_value(l.constant) AS total FROM logit_effect AS e JOIN logit AS l USING (run_id, example_id, token) GROUP BY ALL) GROUP BY ALL`,
	}
}

// TestGolden runs a pretrained model over the reference prompts, as a user does, and compares what SQL finds
// in the file with the reference arrays: no number is further off than a part of the largest of its array.
func TestGolden(t *testing.T) {
	file, prompts := model(t), reference(t, "prompts.jsonl")
	arrays, err := npz.Open(reference(t, "golden.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer arrays.Close()
	for _, c := range []struct {
		precision string
		prompts   int
		tolerance float64 // in float64 what columns of FLOAT leave
		closure   string
	}{{"float32", 32, 5e-5, "1e-4"}, {"float64", 4, 1e-6, "1e-9"}} {
		t.Run(c.precision, func(t *testing.T) {
			run := filepath.Join(t.TempDir(), "run.duckdb")
			ducklens(t, "ingest", "--model", file, "--prompts", prompts, "-n", fmt.Sprint(c.prompts), "--head", "24.4,23.0,24.7", "--logits",
				"--precision", c.precision, "--factors", "off", "-o", run)
			ducklens(t, "verify", run)
			found := arraysOf(t, run, arrays, c.tolerance)
			// Of each head two rows, two sides and two replaced vectors; of the first eight prompts quadrants
			// on both sides.
			if want := 3*6*c.prompts + 3*2*min(8, c.prompts) + c.prompts + 4; found != want {
				t.Errorf("%d arrays were compared, want %d", found, want)
			}
			adds := ducklens(t, "query", run, "--scalar", "-e", `SELECT bool_and(r <= `+c.closure+`) FROM (SELECT closure_residual / greatest(1, abs(score), abs(baseline)) AS r FROM score
UNION ALL SELECT closure_residual / greatest(1, abs(logit)) FROM logit)`)
			if strings.TrimSpace(adds) != "true" {
				t.Errorf("parts do not add up within %s of scores and logits", c.closure)
			}
		})
	}
}

// arraysOf compares the arrays that a file holds, and gives their number.
func arraysOf(t *testing.T, file string, arrays *npz.Reader, tolerance float64) (found int) {
	t.Helper()
	queries := arrayQueries()
	for _, quantity := range slices.Sorted(maps.Keys(queries)) {
		var rows []struct {
			Name    string
			Numbers []float64
		}
		if err := json.Unmarshal([]byte(ducklens(t, "query", file, "-e", queries[quantity], "--format", "json")), &rows); err != nil {
			t.Fatalf("%s: %v", quantity, err)
		}
		worst, where := 0.0, ""
		for _, row := range rows {
			want := numbersOf(t, arrays, row.Name)
			largest := math.Abs(slices.MaxFunc(want, func(a, b float64) int { return cmpAbs(a, b) }))
			switch missing := want[min(len(row.Numbers), len(want)):]; {
			case strings.HasPrefix(row.Name, "logit_"):
				want = want[:len(row.Numbers)]
			case len(missing) > 0 && slices.ContainsFunc(missing, func(x float64) bool { return x != 0 }), len(row.Numbers) > len(want):
				t.Errorf("%s has %d numbers, want %d", row.Name, len(row.Numbers), len(want))
				continue
			}
			for i, x := range row.Numbers {
				if d := math.Abs(x-want[i]) / largest; !(d <= worst) {
					worst, where = d, row.Name
				}
			}
		}
		t.Logf("%s: %.1e at worst, in %s, of %d arrays", quantity, worst, where, len(rows))
		if !(worst <= tolerance) || len(rows) == 0 {
			t.Errorf("%s: off by %.1e of the largest number of %s, want at most %.0e", quantity, worst, where, tolerance)
		}
		found += len(rows)
	}
	return found
}

func cmpAbs(a, b float64) int {
	if math.Abs(a) < math.Abs(b) {
		return -1
	}
	return 1
}

// numbersOf reads an array of numbers of either type.
func numbersOf(t *testing.T, arrays *npz.Reader, name string) []float64 {
	t.Helper()
	if !strings.HasSuffix(name, "/tokens") {
		var list []float64
		if err := arrays.Read(name+".npy", &list); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return list
	}
	var whole []int64
	if err := arrays.Read(name+".npy", &whole); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	list := make([]float64, len(whole))
	for i, x := range whole {
		list[i] = float64(x)
	}
	return list
}
