// Package schema is the vocabulary of ducklens and the bottom of its house: the names of heads,
// components, sides, quadrants and conventions, the prompt and example types that flow in, the rows that
// flow out, and the definition of the tables they are written to. It depends on the standard library alone.
//
// The tables are in the folder tables, the views and macros over them in views: see [Tables] and [Views]. Package
// schema/dbfile opens database files, schema/verify checks them, and schema/transfer moves runs between them.
package schema
