// Package queries holds saved queries of a run file and their results: the SQL with its strict header
// ([Query]), how its figure is drawn ([Chart]), and the rows ([Result]). The queries that ship with ducklens
// are embedded.
//
// The package is plain Go and knows no database, so that package figure can draw a Result without one.
// Package session runs a Query, read-only; package output writes a Result as text, CSV, JSON, Markdown or
// Parquet.
package queries
