package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"ducklens/cli"
)

// Run files to measure. They are named as the published data sets.
const (
	plain100     = "plain100.duckdb"     // seed 42, 100 prompts: fractions and cosines
	plain50      = "plain50.duckdb"      // seed 42, 50 prompts: heatmaps and shares
	plain30      = "plain30.duckdb"      // seed 0, 30 prompts
	symmetric30  = "symmetric30.duckdb"  // the same, with copies in which the names are exchanged
	symmetric150 = "symmetric150.duckdb" // seed 42, 150 prompts
	unseeded     = "histograms.duckdb"   // one run for each seed, without BOS
)

// A bench runs commands of ducklens for one subject.
type bench struct {
	ctx      context.Context
	subject  Subject
	dir      string
	progress func(string)
}

// ingest computes the run files.
func (b *bench) ingest() error {
	notebook := "--convention=notebook"
	if b.subject.Exact {
		notebook = "--convention=exact"
	}
	number := func(n int) string { return fmt.Sprintf("-n=%d", n/max(1, b.subject.Share)) }
	for _, run := range []struct {
		file string
		args []string
	}{
		{plain100, []string{notebook, "--seed=42", number(100), "--query-basis=unembed,unembed+baseline",
			"--key-basis=mlp0"}},
		{plain50, []string{notebook, "--seed=42", number(50)}},
		{plain30, []string{"--seed=0", number(30)}},
		{symmetric30, []string{"--seed=0", number(30), "--symmetric"}},
		{symmetric150, []string{"--seed=42", number(150), "--symmetric"}},
	} {
		if err := b.run(run.file, run.args...); err != nil {
			return err
		}
	}
	for i, s := range b.subject.Seeds {
		args := []string{notebook, "--no-bos", fmt.Sprintf("--seed=%d", s.Seed), fmt.Sprintf("-n=%d", s.N),
			"--query-basis=none", "--key-basis=none"}
		if i > 0 {
			args = append(args, "--append")
		}
		if err := b.run(unseeded, args...); err != nil {
			return err
		}
	}
	return nil
}

// run runs ducklens ingest into a file.
func (b *bench) run(file string, args ...string) error {
	args = append([]string{"ingest", "--model=" + b.subject.Dir, "--head=" + b.subject.Head,
		"--mover=" + strings.Join(b.subject.Movers[:], ","),
		"--templates=" + b.subject.Templates, "--factors=off", "-o=" + filepath.Join(b.dir, file)}, args...)
	b.progress("ducklens " + strings.Join(args, " "))
	_, err := b.ducklens(args...)
	return err
}

// ducklens runs a command and returns its standard output.
func (b *bench) ducklens(args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	code := cli.Run(b.ctx, append([]string{"ducklens"}, args...), strings.NewReader(""), &stdout, &stderr)
	if code != cli.ExitOK {
		return nil, fmt.Errorf("conformance: ducklens %s: exit code %d: %s", strings.Join(args, " "), code,
			bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.Bytes(), nil
}

// query runs SQL on a file and returns the rows. It sets those of the parameters head, mover and other_mover
// that occur in the SQL.
func (b *bench) query(file, sql string) ([]map[string]any, error) {
	args := []string{"query", filepath.Join(b.dir, file), "-e", sql, "--format=json"}
	for name, value := range map[string]string{"head": b.subject.Head, "mover": b.subject.Movers[0],
		"other_mover": b.subject.Movers[1]} {
		if strings.Contains(sql, "$"+name) {
			args = append(args, "--set", name+"="+value)
		}
	}
	out, err := b.ducklens(args...)
	if err != nil {
		return nil, err
	}
	var rows []map[string]any
	if err := json.Unmarshal(out, &rows); err != nil {
		return nil, fmt.Errorf("conformance: answer to %s: %w", sql, err)
	}
	return rows, nil
}

// scalar makes one measurement.
func (b *bench) scalar(m measurement) (float64, error) {
	if m.saved != "" {
		out, err := b.ducklens(append([]string{"query", filepath.Join(b.dir, m.file), m.saved, "--scalar"},
			b.expand(m.set)...)...)
		if err != nil {
			return 0, err
		}
		value, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
		if err != nil {
			return 0, fmt.Errorf("conformance: %s: %w", m.name, err)
		}
		return value, nil
	}
	rows, err := b.query(m.file, m.sql)
	if err != nil {
		return 0, err
	}
	if len(rows) == 1 {
		if value, ok := rows[0]["value"].(float64); ok {
			return value, nil
		}
	}
	return 0, fmt.Errorf("conformance: %s: %s gives %v, want one number called value", m.name, m.sql, rows)
}

// expand replaces $head, $mover and $other_mover by the subject's heads.
func (b *bench) expand(set []string) []string {
	var args []string
	for _, s := range set {
		args = append(args, "--set",
			strings.NewReplacer("$head", b.subject.Head, "$mover", b.subject.Movers[0], "$other_mover",
				b.subject.Movers[1]).Replace(s))
	}
	return args
}

// heatmap measures the cells of a panel, by component.
func (b *bench) heatmap(h HeatmapReference) (map[string]float64, error) {
	value := "mean_score"
	if h.Subtracted {
		value = "mean_diff"
	}
	if h.Subtracted && h.KeyBiasKept {
		value = "CASE WHEN kind = 'k_bias' THEN mean_score ELSE mean_diff END"
	}
	quadrant := "NULL"
	if h.Quadrant != "" {
		quadrant = "'" + h.Quadrant + "'"
	}
	// b_O has no cells in the published figures, and no rows in the notebook convention.
	rows, err := b.query(plain50,
		fmt.Sprintf(
			"SELECT component, %s AS value FROM heatmap(head := $head, side := '%s', query_basis := '%s', "+
				"key_basis := '%s', quadrant := %s)",
			value, h.Side, h.QueryBasis, h.KeyBasis, quadrant))
	if err != nil {
		return nil, err
	}
	cells := make(map[string]float64, len(rows))
	for _, row := range rows {
		component, _ := row["component"].(string)
		value, ok := row["value"].(float64)
		if !ok {
			return nil, fmt.Errorf("conformance: %s: cell %s is %v, want a number", h.title(), component,
				row["value"])
		}
		cells[component] = value
	}
	return cells, nil
}

// summary measures the statistics of the value that sql selects for each prompt.
func (b *bench) summary(figure, sql string) (n int, summary [len(statistics)]float64, err error) {
	rows, err := b.query(unseeded,
		fmt.Sprintf(
			`SELECT count(value) AS n, avg(value::DOUBLE) AS mean, stddev_samp(value::DOUBLE) AS std,
			  median(value::DOUBLE) AS median,
  min(value)::DOUBLE AS min, max(value)::DOUBLE AS max FROM (%s)`, sql))
	if err != nil {
		return 0, summary, err
	}
	if len(rows) != 1 {
		return 0, summary, fmt.Errorf("conformance: %s: %d rows, want 1", figure, len(rows))
	}
	count, _ := rows[0]["n"].(float64)
	for i, name := range statistics {
		value, ok := rows[0][name].(float64)
		if !ok {
			return 0, summary,
				fmt.Errorf("conformance: %s: %s of %g prompts is %v, want a number", figure, name, count,
					rows[0][name])
		}
		summary[i] = value
	}
	return int(count), summary, nil
}
