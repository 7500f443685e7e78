package dbfile

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
)

// Cost is the size of a table in a file.
type Cost struct {
	Table string
	Rows  int64
	Bytes int64 // of its compressed columns; a block shared by several columns is divided among them equally
}

// Costs returns the sizes of the tables of the file, the largest first, and the number of unused bytes. The
// rest of the file's size is metadata.
func (d *Data) Costs(ctx context.Context, conn *sql.Conn) (list []Cost, free int64, err error) {
	var segments, rows []string
	var names []any
	for _, t := range d.Stored() {
		name, text := d.Source(t.Name), "$"+fmt.Sprint(len(names)+1)
		names = append(names, t.Name)
		info := "pragma_storage_info('" + strings.ReplaceAll(name, "'", "''") + "')"
		segments = append(segments,
			"SELECT "+text+"::VARCHAR AS name, block_id AS block FROM "+info+" WHERE block_id >= 0",
			"SELECT "+text+"::VARCHAR, unnest(additional_block_ids) FROM "+info)
		rows = append(rows, "SELECT "+text+"::VARCHAR AS name, count(*) AS n FROM "+name)
	}
	if len(names) == 0 {
		return nil, 0, nil
	}
	var size int64
	if err := conn.QueryRowContext(ctx, "SELECT block_size, free_blocks * block_size "+
		"FROM pragma_database_size() WHERE database_name = $1", d.source).Scan(&size, &free); err != nil {
		return nil, 0, Wrap("measure", d.path, err)
	}
	answer, err := conn.QueryContext(ctx, fmt.Sprintf(`WITH part AS (SELECT name, block, count(*) AS n FROM (%s) GROUP BY name, block),
		bytes AS (SELECT name, sum(n / whole) AS blocks FROM (SELECT name, n, sum(n) OVER (PARTITION BY block) AS whole FROM part) GROUP BY name)
		SELECT r.name, r.n, round(coalesce(b.blocks, 0) * %d)::BIGINT AS bytes FROM (%s) AS r LEFT JOIN bytes AS b ON b.name = r.name ORDER BY bytes DESC, r.name`,
		strings.Join(segments, " UNION ALL "), size, strings.Join(rows, " UNION ALL ")), names...)
	if err != nil {
		return nil, 0, Wrap("measure", d.path, err)
	}
	defer answer.Close()
	for answer.Next() {
		var c Cost
		if err := answer.Scan(&c.Table, &c.Rows, &c.Bytes); err != nil {
			return nil, 0, Wrap("measure", d.path, err)
		}
		list = append(list, c)
	}
	return list, free, Wrap("measure", d.path, answer.Err())
}
