package verify

import (
	"database/sql"
	"errors"
)

// marginFactors bounds the number of factors that are added up at a time. A factor takes 600 bytes for d_head
// 64.
const marginFactors = 100_000

// margins compares factors, pairs and their means with contributions in exact runs, with the rules of
// margins.sql.
func (v *verifier) margins() (err error) {
	defer func() {
		_, derr := v.conn.ExecContext(v.ctx, "DROP TABLE IF EXISTS temp.main.verify_vector")
		if v.ctx.Err() == nil {
			err = errors.Join(err, derr)
		}
	}()
	for _, run := range v.report.Runs {
		if !run.Judged || run.MeansOnly {
			continue
		}
		if err := v.marginsOf(run.RunID); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) marginsOf(id int) error {
	file := v.files["margins.sql"]
	p := parameters{run: id}
	var factors, pairs bool
	var first, last, perExample sql.NullInt64
	extent := file.queries["extent"]
	if err := v.conn.QueryRowContext(v.ctx, extent, p.of(extent)...).
		Scan(&factors, &pairs, &first, &last, &perExample); err != nil {
		return err
	}
	if !first.Valid {
		return nil
	}
	return v.inParts(&p, file.rules, first.Int64, last.Int64, max(1, marginFactors/max(1, perExample.Int64, 1000)), func(r *rule) bool {
		return (factors || !uses(r.query, "verify_vector")) &&
			(pairs || !uses(r.query, "pair_contribution_wide"))
	}, func() error {
		if !factors {
			return nil
		}
		vectors := file.queries["vectors"]
		_, err := v.conn.ExecContext(v.ctx, vectors, p.of(vectors)...)
		return err
	})
}
