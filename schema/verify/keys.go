package verify

import (
	"database/sql"
	"errors"
	"fmt"

	"ducklens/schema"
)

// keys compares models and components with their keys, and components with the vocabulary.
func (v *verifier) keys() error {
	heads := map[int]int{} // number of heads of a layer, by model
	keys := map[int]string{}
	models, err := v.conn.QueryContext(v.ctx,
		"SELECT model_id, key, family, sha256, coalesce(config_sha256, ''), n_heads FROM model "+
			"ORDER BY model_id")
	if err != nil {
		return err
	}
	for models.Next() {
		var id, n int
		var m schema.Model
		var key string
		if err := models.Scan(&id, &key, &m.Family, &m.SHA256, &m.ConfigSHA, &n); err != nil {
			return errors.Join(err, models.Close())
		}
		if want := schema.ModelKey(m); key != want {
			v.problem(Conflicting, 0, "model %d has the key %s, want %s", id, key, want)
		}
		heads[id], keys[id] = n, key
	}
	if err := errors.Join(models.Err(), models.Close()); err != nil {
		return err
	}
	return v.components(heads, keys)
}

// components compares the component table with the vocabulary.
func (v *verifier) components(heads map[int]int, keys map[int]string) error {
	rows, err := v.conn.QueryContext(v.ctx, `SELECT component_id, key, model_id, kind::VARCHAR, coalesce(layer, -1), coalesce(head, -1), label, tl_name, grid_row, grid_column, source
		FROM component ORDER BY component_id`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id, model, row, column int
		var c schema.Component
		var key, kind, label, name string
		var source sql.NullString
		if err := rows.Scan(&id, &key, &model, &kind, &c.Layer, &c.Head, &label, &name, &row, &column,
			&source); err != nil {
			return err
		}
		if c.Kind, err = schema.ParseComponentKind(kind); err != nil {
			v.problem(Conflicting, 0, "component %d: %v", id, err)
			continue
		}
		modelKey, known := keys[model]
		if !known || c.Kind == schema.Feature || c.Kind == schema.Error {
			continue // not a part of the model itself: it is named after its source
		}
		if source.Valid {
			v.problem(Conflicting, 0, "component %d is %s, a part of the model, and comes from %q, "+
				"want no source", id, c.Kind, source.String)
		}
		describe := func(label, name string, row, column int, key string) string {
			return fmt.Sprintf("%s, layer %d, head %d, %s, %s, at row %d, column %d, with key %s", c.Kind,
				c.Layer, c.Head, label, name, row, column, key)
		}
		wantRow, wantColumn := c.Grid(heads[model])
		want := describe(c.Label(), c.TLName(), wantRow, wantColumn, schema.ComponentKey(modelKey, c))
		if got := describe(label, name, row, column, key); got != want {
			v.problem(Conflicting, 0, "component %d is %s, want %s", id, got, want)
		}
	}
	return rows.Err()
}
