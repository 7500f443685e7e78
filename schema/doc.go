// Package schema defines the vocabulary of ducklens: the names of heads, components, sides, quadrants and
// conventions, the types of prompts and examples, the rows of results, and the tables that store them. It
// imports only the standard library and schema/draft; all other packages import it.
//
// The tables are in the folder tables, and the views and macros in views: see [Tables] and [Views]. Package
// schema/dbfile opens database files, schema/verify checks them, and schema/transfer moves runs between them.
package schema
