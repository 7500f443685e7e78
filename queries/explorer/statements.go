package explorer

import (
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"sync"

	"ducklens/queries"
)

//go:embed sql/*.sql
var statementFiles embed.FS

// statements returns the statements of views that no saved query stands for, by name. They have the form of
// saved queries, so that they can be drawn, and opened in the SQL box, in the same way. The manifest carries
// them to the pages, those of a folder too.
var statements = sync.OnceValues(func() ([]queries.Query, error) {
	files, err := fs.Glob(statementFiles, "sql/*.sql")
	if err != nil {
		return nil, err
	}
	list := make([]queries.Query, len(files))
	for i, name := range files {
		text, err := fs.ReadFile(statementFiles, name)
		if err != nil {
			return nil, err
		}
		if list[i], err = queries.Parse(string(text)); err != nil {
			return nil, fmt.Errorf("explorer: %s: %w", name, err)
		}
	}
	return list, nil
})

// isNamed reports whether a query has a name.
func isNamed(name string) func(queries.Query) bool {
	return func(q queries.Query) bool { return q.Name == name }
}

// isStatement reports whether a statement has a name.
func isStatement(name string) bool {
	list, err := statements()
	return err == nil && slices.ContainsFunc(list, isNamed(name))
}
