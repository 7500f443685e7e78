package session

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"ducklens/schema"
	"ducklens/schema/dbfile"
)

// labelTables are the names of two tables in the in-memory database: the given labels, and the labels of
// examples of the file. They are random, because a table of the user may have any predictable name.
type labelTables struct{ given, examples string }

func newLabelTables() labelTables {
	var bytes [8]byte
	rand.Read(bytes[:]) // never fails
	number := hex.EncodeToString(bytes[:])
	return labelTables{"label_given_" + number, "example_label_" + number}
}

// Joined is the result of [Session.Label].
type Joined struct {
	Unused   []int // indices of the labels without an example
	Labelled int64 // examples with a label
	Of       int64 // examples in the runs of these
}

// Label joins labels to the examples of the file, for this session. They appear in the view example_field and
// in the column fields of the view example, beside the columns that came with the prompts. A label replaces a
// column of the same name. The file is not changed.
func (s *Session) Label(ctx context.Context, labels []schema.Label) (joined Joined, err error) {
	if s.labelled {
		return joined, errors.New("the examples have labels already")
	}
	defer func() { err = dbfile.Wrap("label the examples of", s.path, err) }()
	views, err := schema.Views()
	if err != nil {
		return joined, err
	}
	body := map[string]string{}
	for _, v := range views {
		for _, name := range []string{"example", "example_field"} {
			if text, found := strings.CutPrefix(v, "CREATE VIEW "+name+" AS\n"); found {
				body[name] = text
			}
		}
	}
	if err := s.db.Make(ctx, s.conn, "example", "example_field"); err != nil {
		return joined, err
	}
	tables := newLabelTables()
	run := func(statement string) {
		if err == nil {
			_, err = s.conn.ExecContext(ctx, statement)
		}
	}
	run("CREATE TABLE " + tables.given + " (place INTEGER, run_id INTEGER, example_id INTEGER, " +
		"text VARCHAR, name VARCHAR, value VARCHAR)")
	if err != nil {
		return joined, err
	}
	if err := s.conn.Raw(
		func(conn any) error { return appendLabels(conn.(driver.Conn), tables.given, labels) }); err != nil {
		return joined, err
	}
	const of = " AS l JOIN example AS e ON (l.run_id = 0 OR l.run_id = e.run_id) AND "
	run("CREATE TABLE " + tables.examples +
		" AS SELECT DISTINCT * FROM (SELECT e.run_id, e.example_id, l.place, l.name, l.value FROM " +
		tables.given + of +
		"l.example_id = e.example_id AND (l.text = '' OR l.text = e.text) UNION ALL " +
		"SELECT e.run_id, e.example_id, l.place, l.name, l.value FROM " + tables.given + of +
		"l.example_id < 0 AND l.text = e.text)")
	run("CREATE OR REPLACE VIEW example_field AS SELECT s.* FROM (" + body["example_field"] +
		") AS s ANTI JOIN " + tables.examples + " AS l USING (run_id, example_id, name)" +
		" UNION ALL SELECT DISTINCT run_id, example_id, name, value FROM " + tables.examples)
	run("CREATE OR REPLACE VIEW example AS " +
		"SELECT s.* REPLACE (CASE WHEN l.fields IS NULL THEN s.fields ELSE " +
		"json_merge_patch(coalesce(s.fields, '{}'), l.fields) END AS fields)" +
		" FROM (" + body["example"] + ") AS s LEFT " +
		"JOIN (SELECT run_id, example_id, json_group_object(name, value) AS fields " +
		"FROM (SELECT DISTINCT run_id, example_id, name, value FROM " +
		tables.examples + ") GROUP BY run_id, example_id) AS l USING (run_id, example_id)")
	if err != nil {
		return joined, err
	}
	s.labelled = true
	if err := s.contradiction(ctx, tables); err != nil {
		return joined, err
	}
	result, err := s.lookup(ctx, "SELECT DISTINCT place FROM "+tables.given+" ANTI JOIN "+tables.examples+
		" USING (place) ORDER BY place", nil)
	if err != nil {
		return joined, err
	}
	for _, row := range result.Rows {
		place, _ := row[0].(int64)
		joined.Unused = append(joined.Unused, int(place))
	}
	result, err = s.lookup(ctx, "SELECT count(l.example_id) AS labelled, count(*) AS of FROM edge AS e LEFT "+
		"JOIN (SELECT DISTINCT run_id, example_id FROM "+tables.examples+
		") AS l USING (run_id, example_id) WHERE e.run_id IN (SELECT run_id FROM "+tables.examples+")", nil)
	if err != nil {
		return joined, err
	}
	joined.Labelled, _ = result.Rows[0][0].(int64)
	joined.Of, _ = result.Rows[0][1].(int64)
	return joined, nil
}

// Labelled reports whether examples have labels that are not in the file.
func (s *Session) Labelled() bool { return s.labelled }

// contradiction finds labels whose example_id belongs to another text, and examples with two values of one
// label.
func (s *Session) contradiction(ctx context.Context, tables labelTables) error {
	result, err := s.lookup(ctx, "SELECT l.place, e.run_id, e.example_id, l.text AS said, e.text FROM "+
		tables.given+
		" AS l JOIN example AS e ON (l.run_id = 0 OR l.run_id = e.run_id) AND l.example_id = e.example_id "+
		"WHERE l.text <> '' AND l.text <> e.text AND l.place NOT IN (SELECT place FROM "+
		tables.examples+") ORDER BY ALL LIMIT 1", nil)
	if err != nil {
		return err
	}
	if len(result.Rows) > 0 {
		row := result.Rows[0]
		return fmt.Errorf("labels: row %d says that example %v has the text %.200q, "+
			"and in run %v it is %.200q", row[0].(int64)+1, row[2], row[3], row[1], row[4])
	}
	result, err = s.lookup(ctx, "SELECT run_id, example_id, name, min(said) AS a, max(said) AS b "+
		"FROM (SELECT *, coalesce(value, 'nothing') AS said FROM "+
		tables.examples+") GROUP BY run_id, example_id, name HAVING a <> b ORDER BY ALL LIMIT 1", nil)
	if err != nil || len(result.Rows) == 0 {
		return err
	}
	row := result.Rows[0]
	return fmt.Errorf("labels of run %v, example %v: %v is %v and %v, want one of them", row[0], row[1],
		row[2], row[3], row[4])
}

// appendLabels fills the table of given labels.
func appendLabels(conn driver.Conn, table string, labels []schema.Label) error {
	a, err := duckdb.NewAppender(conn, dbfile.Catalog, "main", table)
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
			if err := a.AppendRow(int32(place), int32(l.Run), int32(l.Example), l.Text, f.Name,
				value); err != nil {
				return errors.Join(err, a.Close())
			}
		}
	}
	return a.Close()
}
