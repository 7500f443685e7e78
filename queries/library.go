package queries

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
)

//go:embed sql/*.sql
var files embed.FS

// ErrUnknownQuery is wrapped by the error for a saved query that does not exist.
var ErrUnknownQuery = errors.New("unknown saved query")

// Embedded returns the queries that ship with ducklens, by name. The caller owns the slice.
func Embedded() []Query {
	return append([]Query(nil), embedded()...)
}

// embedded parses the files once. They are part of the program, so it panics on errors.
var embedded = sync.OnceValue(func() []Query {
	list, err := Load(files, "sql")
	if err != nil {
		panic("queries: embedded " + err.Error())
	}
	return list
})

// Load reads every .sql file of a folder, in the order of their names. A file must be named after its query.
// Errors name the file and the line.
func Load(fsys fs.FS, dir string) ([]Query, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("saved queries: %w", err)
	}
	var list []Query
	var faults []error
	for _, entry := range entries {
		if entry.IsDir() || path.Ext(entry.Name()) != ".sql" {
			continue
		}
		name := path.Join(dir, entry.Name())
		q, err := ReadFile(fsys, name)
		if err == nil && q.Name+".sql" != entry.Name() {
			err = fmt.Errorf("%s: name %q in the header, want %q as the file is called", name, q.Name,
				strings.TrimSuffix(entry.Name(), ".sql"))
		}
		if err != nil {
			faults = append(faults, err)
			continue
		}
		list = append(list, q)
	}
	return list, errors.Join(faults...)
}

// ReadFile reads one saved query.
func ReadFile(fsys fs.FS, name string) (Query, error) {
	f, err := fsys.Open(name)
	if err != nil {
		var failed *fs.PathError
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return Query{}, fmt.Errorf("saved query %s: %w", name, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxLength+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return Query{}, fmt.Errorf("saved query %s: %w", name, err)
	}
	q, err := Parse(string(text))
	if err != nil {
		return Query{}, fmt.Errorf("%s: %w", name, err)
	}
	return q, nil
}

// Find returns the query with a name. The error, a [NameError], suggests similar names.
func Find(list []Query, name string) (Query, error) {
	var names []string
	for _, q := range list {
		if q.Name == name {
			return q, nil
		}
		if !slices.Contains(names, q.Name) { // a file has a copy of the program's queries
			names = append(names, q.Name)
		}
	}
	return Query{}, &NameError{Err: ErrUnknownQuery, Name: name, Known: names}
}
