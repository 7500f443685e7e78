package verify

import (
	"database/sql"
	"errors"
)

// rowContributions adds up the contributions to every key, some prompts at a time, and applies the rules of
// rows.sql to the sums.
func (v *verifier) rowContributions() (err error) {
	defer func() {
		_, derr := v.conn.ExecContext(v.ctx, "DROP TABLE IF EXISTS temp.main.verify_row")
		if v.ctx.Err() == nil {
			err = errors.Join(err, derr)
		}
	}()
	file := v.files["rows.sql"]
	for _, run := range v.report.Runs {
		p := parameters{run: run.RunID}
		var first, last, most sql.NullInt64
		extent := file.queries["extent"]
		if err := v.conn.QueryRowContext(v.ctx, extent, p.of(extent)...).
			Scan(&first, &last, &most); err != nil {
			return err
		}
		if !first.Valid { // a run without such rows
			continue
		}
		if err := v.inParts(&p, file.rules, first.Int64, last.Int64, max(1, maxGroups/max(1, most.Int64)), func(r *rule) bool {
			return r.kind != NotClosed || run.Judged
		}, func() error {
			sums := file.queries["sums"]
			_, err := v.conn.ExecContext(v.ctx, sums, p.of(sums)...)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}
