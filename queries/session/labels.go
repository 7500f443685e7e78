package session

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// Tables of the database in memory: labels as they were given, and those of examples of the file.
const (
	givenLabels   = "label_given"
	exampleLabels = "example_label"
)

// Label joins labels to the examples of the file, for this session: they stand in the view example_field beside the columns that
// came with the prompts, and in place of one of the same name. The file is not written. It tells which labels have no example.
func (s *Session) Label(ctx context.Context, labels []schema.Label) (unused []int, err error) {
	if s.labelled {
		return nil, errors.New("the examples have labels already")
	}
	defer func() { err = dbfile.Wrap("label the examples of", s.path, err) }()
	fields := ""
	if views, err := schema.Views(); err == nil {
		for _, v := range views {
			if body, found := strings.CutPrefix(v, "CREATE VIEW example_field AS\n"); found {
				fields = body
			}
		}
	}
	if err := s.db.Make(ctx, s.conn, "example", "example_field"); err != nil {
		return nil, err
	}
	run := func(statement string) {
		if err == nil {
			_, err = s.conn.ExecContext(ctx, statement)
		}
	}
	run("CREATE TABLE " + givenLabels + " (place INTEGER, run_id INTEGER, example_id INTEGER, text VARCHAR, name VARCHAR, value VARCHAR)")
	if err != nil {
		return nil, err
	}
	if err := s.conn.Raw(func(conn any) error { return appendLabels(conn.(driver.Conn), labels) }); err != nil {
		return nil, err
	}
	const of = " AS l JOIN example AS e ON (l.run_id = 0 OR l.run_id = e.run_id) AND "
	run("CREATE TABLE " + exampleLabels + " AS SELECT DISTINCT * FROM (SELECT e.run_id, e.example_id, l.place, l.name, l.value FROM " + givenLabels + of +
		"l.example_id = e.example_id UNION ALL SELECT e.run_id, e.example_id, l.place, l.name, l.value FROM " + givenLabels + of + "l.example_id < 0 AND l.text = e.text)")
	run("CREATE OR REPLACE VIEW example_field AS SELECT s.* FROM (" + fields + ") AS s ANTI JOIN " + exampleLabels + " AS l USING (run_id, example_id, name)" +
		" UNION ALL SELECT DISTINCT run_id, example_id, name, value FROM " + exampleLabels)
	if err != nil {
		return nil, err
	}
	s.labelled = true
	if err := s.contradiction(ctx); err != nil {
		return nil, err
	}
	result, err := s.lookup(ctx, "SELECT DISTINCT place FROM "+givenLabels+" ANTI JOIN "+exampleLabels+" USING (place) ORDER BY place", nil)
	if err != nil {
		return nil, err
	}
	for _, row := range result.Rows {
		place, _ := row[0].(int64)
		unused = append(unused, int(place))
	}
	return unused, nil
}

// Labelled tells whether examples have labels that are not in the file.
func (s *Session) Labelled() bool { return s.labelled }

// contradiction finds an example of which one label says two things.
func (s *Session) contradiction(ctx context.Context) error {
	result, err := s.lookup(ctx, "SELECT run_id, example_id, name, min(said) AS a, max(said) AS b FROM (SELECT *, coalesce(value, 'nothing') AS said FROM "+
		exampleLabels+") GROUP BY run_id, example_id, name HAVING a <> b ORDER BY ALL LIMIT 1", nil)
	if err != nil || len(result.Rows) == 0 {
		return err
	}
	row := result.Rows[0]
	return fmt.Errorf("labels of run %v, example %v: %v is %v and %v, want one of them", row[0], row[1], row[2], row[3], row[4])
}

// appendLabels fills the table of given labels.
func appendLabels(conn driver.Conn, labels []schema.Label) error {
	a, err := duckdb.NewAppender(conn, dbfile.Catalog, "main", givenLabels)
	if err != nil {
		return err
	}
	for place, l := range labels {
		for _, f := range l.Fields {
			var value any = f.Value
			if err := json.Unmarshal([]byte(f.Value), &value); err != nil {
				return errors.Join(err, a.Close())
			}
			if _, isText := value.(string); !isText && value != nil {
				value = f.Value
			}
			if err := a.AppendRow(int32(place), int32(l.Run), int32(l.Example), l.Text, f.Name, value); err != nil {
				return errors.Join(err, a.Close())
			}
		}
	}
	return a.Close()
}
