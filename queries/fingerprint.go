package queries

import (
	_ "embed"
	"sync"
)

//go:embed fingerprint.sql
var fingerprintText string

// Fingerprint returns the query that identifies the data of runs. It returns a row for each run, with the
// columns run_id and sha256. The same prompts on the same model have the same fingerprint in every file of
// ducklens, whatever the time and the number of threads. The bytes of such files differ, because they contain
// dates and command lines.
func Fingerprint() Query { return fingerprint() }

// fingerprint parses the query once. The query is part of the program, so it panics on errors.
var fingerprint = sync.OnceValue(func() Query {
	q, err := Parse(fingerprintText)
	if err != nil {
		panic("queries: fingerprint.sql: " + err.Error())
	}
	return q
})
