package dbfile

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/duckdb/duckdb-go/v2/mapping"
)

// To create the tables of this program, only to hear how DuckDB describes them, takes a third of the time in
// which a command opens a file. So the program contains that description, with a digest of the statements and
// of the version of DuckDB that it is of. Another DuckDB is asked itself, and a test says how to write the
// description again.
//
//go:embed tables.json.gz
var packedTables []byte

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

// carriedTables returns the description of the tables that statements create, or nil if DuckDB must be asked.
func carriedTables(statements []string) []tableText {
	r, err := gzip.NewReader(bytes.NewReader(packedTables))
	if err != nil || r.Comment != tablesDigest(statements) {
		return nil
	}
	var stored []carriedTable
	if err := json.NewDecoder(r).Decode(&stored); err != nil {
		return nil
	}
	list := make([]tableText, len(stored))
	for i, t := range stored {
		list[i] = tableText{name: t.Name, text: t.Text}
		for _, c := range t.Columns {
			list[i].columns = append(list[i].columns, columnText{c.Name, c.Kind, c.Expression, c.Required})
		}
	}
	return list
}

// packTables is the inverse of carriedTables.
func packTables(list []tableText, digest string) ([]byte, error) {
	stored := make([]carriedTable, len(list))
	for i, t := range list {
		stored[i] = carriedTable{Name: t.name, Text: t.text}
		for _, c := range t.columns {
			stored[i].Columns = append(stored[i].Columns,
				carriedColumn{c.name, c.kind, c.expression, c.required})
		}
	}
	text, err := json.Marshal(stored)
	if err != nil {
		return nil, err
	}
	return pack(text, digest)
}

// tablesDigest returns a digest of statements and of DuckDB's version.
func tablesDigest(statements []string) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q", mapping.LibraryVersion(), statements)
	return hex.EncodeToString(h.Sum(nil))
}
