package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Version is the schema version that this program reads and writes: the number of its last migration.
const Version = 3

// ClosureTolerance bounds the closure residual of an exact run: |score - sum of contributions| may be
// at most this times max(1, |score|, |baseline|). Contributions are stored as float32 (relative error
// 6e-8 each) and a large model has about 1300 of them, some much larger than their sum.
const ClosureTolerance = 1e-4

// Migration is one step in the life of the database schema.
type Migration struct {
	Version    int
	Name       string   // its file, such as 0001_contributions.sql
	Statements []string // in order, without the final semicolon
}

var migrationName = regexp.MustCompile(`^(\d{4})_[a-z_]+\.sql$`)

// Migrations lists all migrations, in the order in which they apply: versions 1 to [Version].
func Migrations() ([]Migration, error) {
	sub, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	return ReadMigrations(sub)
}

// ReadMigrations reads the files NNNN_name.sql at the root of fsys, which must be numbered from 0001 without gaps.
func ReadMigrations(fsys fs.FS) ([]Migration, error) {
	entries, err := fs.ReadDir(fsys, ".") // sorted by name
	if err != nil {
		return nil, fmt.Errorf("migrations: %w", err)
	}
	var list []Migration
	for _, e := range entries {
		match := migrationName.FindStringSubmatch(e.Name())
		if match == nil {
			return nil, fmt.Errorf("migration %q, want a name such as 0001_tables.sql", e.Name())
		}
		n, err := strconv.Atoi(match[1])
		if err != nil {
			return nil, fmt.Errorf("migration %q: %w", e.Name(), err)
		}
		if want := len(list) + 1; n != want {
			return nil, fmt.Errorf("migration %q, want number %04d", e.Name(), want)
		}
		text, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, fmt.Errorf("migrations: %w", err)
		}
		statements := splitStatements(string(text))
		if len(statements) == 0 {
			return nil, fmt.Errorf("migration %q holds no statement", e.Name())
		}
		list = append(list, Migration{Version: n, Name: e.Name(), Statements: statements})
	}
	return list, nil
}

// splitStatements cuts a migration at the semicolons that end a line, and drops lines that are
// comments. It is no SQL parser: a migration has no comment behind a statement's last semicolon, and
// no semicolon at the end of a line inside one.
func splitStatements(text string) []string {
	var statements []string
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \t\r\n")
		if strings.HasPrefix(strings.TrimSpace(line), "--") || (len(lines) == 0 && line == "") {
			continue
		}
		body, last := strings.CutSuffix(line, ";")
		lines = append(lines, body)
		if last {
			statements = append(statements, strings.Join(lines, "\n"))
			lines = nil
		}
	}
	if len(lines) > 0 {
		statements = append(statements, strings.Join(lines, "\n"))
	}
	return statements
}
