package verify

import (
	"database/sql"
	"errors"
)

// maxGroups bounds the number of sums in memory. A sum takes about 100 bytes.
const maxGroups = 400_000

// closure adds up the stored contributions of every run, some examples at a time, and applies the rules of
// closure.sql to the sums.
func (v *verifier) closure() (err error) {
	defer func() {
		_, derr := v.conn.ExecContext(v.ctx, "DROP TABLE IF EXISTS temp.main.verify_sum")
		if v.ctx.Err() == nil {
			err = errors.Join(err, derr)
		}
	}()
	for i := range v.report.Runs {
		if err := v.closureOf(&v.report.Runs[i]); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) closureOf(run *RunReport) error {
	file := v.files["closure.sql"]
	p := parameters{run: run.RunID}
	var first, last sql.NullInt64
	row := v.conn.QueryRowContext(v.ctx, file.queries["extent"], p.of(file.queries["extent"])...)
	if err := row.Scan(&run.Pairs, &first, &last); err != nil {
		return err
	}
	if !first.Valid || run.MeansOnly {
		return nil
	}
	return v.inParts(&p, file.rules, first.Int64, last.Int64, max(1, maxGroups/max(1, run.Heads*run.Pairs)), func(r *rule) bool {
		return r.kind != NotClosed || run.Judged
	}, func() error {
		sums := file.queries["sums"]
		if _, err := v.conn.ExecContext(v.ctx, sums, p.of(sums)...); err != nil {
			return err
		}
		return v.worst(run, file.queries["worst"], &p)
	})
}

// worst updates the worst residual with the current sums.
func (v *verifier) worst(run *RunReport, query string, p *parameters) error {
	var residual, rel sql.NullFloat64
	var where sql.NullString
	if err := v.conn.QueryRowContext(v.ctx, query, p.of(query)...).Scan(&residual, &rel, &where); err != nil {
		return err
	}
	run.WorstResidual = max(run.WorstResidual, residual.Float64) // NaN if either is NaN
	if rel.Valid && (run.WorstAt == "" || !(rel.Float64 <= run.WorstRelative)) {
		run.WorstRelative, run.WorstAt = rel.Float64, where.String
	}
	return nil
}

// parameters are the parameters of a query about some examples of a run.
type parameters struct {
	run         int
	first, last int64
}

// of returns those parameters that a query uses.
func (p *parameters) of(query string) (list []any) {
	for _, a := range []sql.NamedArg{sql.Named("run", p.run), sql.Named("first", p.first),
		sql.Named("last", p.last)} {
		if uses(query, "$"+a.Name) {
			list = append(list, a)
		}
	}
	return list
}

// inParts goes over the examples of a run, step at a time. For each part it calls prepare and asks the wanted
// rules; at the end it reports what they found in all parts. A rule without the parameters first and last is
// asked once.
func (v *verifier) inParts(p *parameters, rules []rule, first, last, step int64, wanted func(*rule) bool,
	prepare func() error) error {
	broken := make([]found, len(rules))
	for p.first = first; p.first <= last; p.first += step {
		p.last = min(p.first+step-1, last)
		if err := prepare(); err != nil {
			return err
		}
		for i := range rules {
			r := &rules[i]
			if !wanted(r) || p.first > first && !uses(r.query, "$first") && !uses(r.query, "verify_") {
				continue
			}
			list, err := v.ask(*r, p.of(r.query)...)
			if err != nil {
				return err
			}
			for _, c := range list {
				if broken[i].n == 0 {
					broken[i] = c
				} else {
					broken[i].n += c.n
				}
			}
		}
	}
	for i, c := range broken {
		if c.n > 0 {
			v.cases(rules[i], c)
		}
	}
	return nil
}
