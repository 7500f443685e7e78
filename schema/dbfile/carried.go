package dbfile

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/duckdb/duckdb-go/v2/mapping"

	"ducklens/schema"
)

// To create all tables and views, only to hear how DuckDB describes them, takes longer than most of what a
// command does with a small file. So the program contains these descriptions, with a digest of the statements
// and of the version of DuckDB that they are of. For other statements or another DuckDB, DuckDB is asked. A
// test compares them with DuckDB's own, and says how to write them again.
var (
	//go:embed tables.json.gz
	packedTables []byte
	//go:embed definitions.json.gz
	packedDefinitions []byte
)

// tableDescriptions has what [Tables] and ownTables return.
type tableDescriptions struct {
	Tables []Table
	Own    []carriedTable
}

// A carriedTable is a tableText as it is stored.
type carriedTable struct {
	Name, Text string
	Columns    []carriedColumn
}

// A carriedColumn is a columnText as it is stored.
type carriedColumn struct {
	Name, Kind, Expression string
	Required               bool
}

// carriedTables returns the descriptions of the tables, or nil if DuckDB must be asked.
var carriedTables = sync.OnceValue(func() *tableDescriptions {
	var d tableDescriptions
	statements, err := schema.Tables()
	if err != nil || !unpack(packedTables, tablesDigest(statements), &d) {
		return nil
	}
	return &d
})

// carriedDefinitions returns what [Definitions] returns, or nil if DuckDB must be asked.
func carriedDefinitions() (list map[string]string) {
	digest, err := viewsDigest()
	if err != nil || !unpack(packedDefinitions, digest, &list) {
		return nil
	}
	return list
}

// own returns the descriptions as ownTables does.
func (d *tableDescriptions) own() []tableText {
	list := make([]tableText, len(d.Own))
	for i, t := range d.Own {
		list[i] = tableText{name: t.Name, text: t.Text}
		for _, c := range t.Columns {
			list[i].columns = append(list[i].columns, columnText{c.Name, c.Kind, c.Expression, c.Required})
		}
	}
	return list
}

// describeTables asks DuckDB for the descriptions of the tables.
func describeTables(ctx context.Context, statements []string) (*tableDescriptions, error) {
	var d tableDescriptions
	own, err := describeIn(ctx, statements, func(db *DB) (own []tableText, err error) {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		if d.Tables, err = readTables(ctx, conn); err != nil {
			return nil, err
		}
		return askedTables(ctx, conn, statements)
	})
	for _, t := range own {
		c := carriedTable{Name: t.name, Text: t.text}
		for _, column := range t.columns {
			c.Columns = append(c.Columns,
				carriedColumn{column.name, column.kind, column.expression, column.required})
		}
		d.Own = append(d.Own, c)
	}
	return &d, err
}

// tablesDigest returns a digest of DuckDB's version and of the statements that create tables.
func tablesDigest(statements []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", mapping.LibraryVersion(), statements)
	return hex.EncodeToString(h.Sum(nil))
}

// viewsDigest returns a digest of DuckDB's version and of everything that an empty file is created from.
func viewsDigest() (string, error) {
	all, err := definitionsDigest()
	return mapping.LibraryVersion() + " " + all, err
}

// unpack reads a description, and reports whether it has the digest.
func unpack(packed []byte, digest string, to any) bool {
	r, err := gzip.NewReader(bytes.NewReader(packed))
	return err == nil && r.Comment == digest && json.NewDecoder(r).Decode(to) == nil
}

// packDescription is the inverse of unpack.
func packDescription(description any, digest string) ([]byte, error) {
	text, err := json.Marshal(description)
	if err != nil {
		return nil, err
	}
	return pack(text, digest)
}
