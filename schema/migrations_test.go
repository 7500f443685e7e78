package schema_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"ducklens/schema"
)

func TestMigrations(t *testing.T) {
	t.Parallel()
	list, err := schema.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != schema.Version {
		t.Errorf("%d migrations, want %d: set schema.Version", len(list), schema.Version)
	}
	for i, m := range list {
		if m.Version != i+1 || !strings.HasPrefix(m.Name, "000") {
			t.Errorf("migration %d is %d, %s", i+1, m.Version, m.Name)
		}
	}
}

// Every table, view and macro says what it is.
func TestEverythingHasAComment(t *testing.T) {
	t.Parallel()
	list, err := schema.Migrations()
	if err != nil {
		t.Fatal(err)
	}
	create := regexp.MustCompile(`^CREATE (TABLE|VIEW|TYPE|MACRO) (\w+)`)
	comment := regexp.MustCompile(`^COMMENT ON (TABLE|VIEW|TYPE|MACRO TABLE|MACRO) (\w+) IS '(.+)'$`)
	var created, commented []string
	for _, m := range list {
		for _, s := range m.Statements {
			if match := create.FindStringSubmatch(s); match != nil {
				created = append(created, match[1]+" "+match[2])
			}
			if match := comment.FindStringSubmatch(s); match != nil {
				commented = append(commented, strings.TrimSuffix(match[1], " TABLE")+" "+match[2])
			}
		}
	}
	if !slices.Equal(created, commented) {
		t.Errorf("created %q\ncommented %q", created, commented)
	}
}

func TestReadMigrations(t *testing.T) {
	t.Parallel()
	list, err := schema.ReadMigrations(fstest.MapFS{
		"0001_one.sql": {Data: []byte("-- about\nCREATE TABLE a (\n  x INTEGER, -- ; inside\n  y VARCHAR\n);\n\nCOMMENT ON TABLE a IS 'b; c';  \n")},
		"0002_two.sql": {Data: []byte("DROP TABLE a")},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []schema.Migration{
		{Version: 1, Name: "0001_one.sql", Statements: []string{"CREATE TABLE a (\n  x INTEGER, -- ; inside\n  y VARCHAR\n)", "COMMENT ON TABLE a IS 'b; c'"}},
		{Version: 2, Name: "0002_two.sql", Statements: []string{"DROP TABLE a"}},
	}
	equal := func(a, b schema.Migration) bool {
		return a.Version == b.Version && a.Name == b.Name && slices.Equal(a.Statements, b.Statements)
	}
	if !slices.EqualFunc(list, want, equal) {
		t.Errorf("got %+v", list)
	}
}

func TestReadMigrationsRefuses(t *testing.T) {
	t.Parallel()
	one := &fstest.MapFile{Data: []byte("SELECT 1;")}
	for _, tt := range []struct {
		name string
		fsys fstest.MapFS
		want string
	}{
		{"name", fstest.MapFS{"tables.sql": one}, `migration "tables.sql", want a name such as 0001_tables.sql`},
		{"gap", fstest.MapFS{"0001_a.sql": one, "0003_b.sql": one}, `migration "0003_b.sql", want number 0002`},
		{"twice", fstest.MapFS{"0001_a.sql": one, "0001_b.sql": one}, `migration "0001_b.sql", want number 0002`},
		{"empty", fstest.MapFS{"0001_a.sql": {Data: []byte("-- nothing\n")}}, `migration "0001_a.sql" holds no statement`},
		{"folder", fstest.MapFS{"0001_a.sql/x": one}, "migrations: read 0001_a.sql: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list, err := schema.ReadMigrations(tt.fsys)
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, %v, want %q", list, err, tt.want)
			}
		})
	}
	if _, err := schema.ReadMigrations(fstest.MapFS(nil)); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
}
