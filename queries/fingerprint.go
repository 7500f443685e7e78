package queries

import (
	_ "embed"
	"sync"
)

//go:embed fingerprint.sql
var fingerprintText string

// Fingerprint is the query for what identifies the data of runs: a row for each, with the columns run_id and sha256. The same prompts on the
// same model have the same fingerprint in any file that ducklens writes, whenever and with however many threads it was made; the bytes of
// such files differ, because they hold dates and command lines.
func Fingerprint() Query { return fingerprint() }

// fingerprint parses the query once. It is part of the program, so a fault in it is a fault of the program.
var fingerprint = sync.OnceValue(func() Query {
	q, err := Parse(fingerprintText)
	if err != nil {
		panic("queries: fingerprint.sql: " + err.Error())
	}
	return q
})
