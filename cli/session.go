package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"ducklens/ingest/prompts"
	"ducklens/internal/advice"
	"ducklens/internal/regular"
	"ducklens/queries"
	"ducklens/queries/session"
	"ducklens/schema"
	"ducklens/schema/draft"
)

// A question is what the commands that query a file have in common: the parameters, and the limits of a
// query.
type question struct {
	set     []string
	labels  string // file of labels
	limits  session.Options
	memory  bytesFlag
	timeout time.Duration
}

// addTo adds the flags of a question.
func (q *question) addTo(flags *pflag.FlagSet) {
	flags.StringArrayVar(&q.set, "set", nil,
		"set a parameter of the query: `name=value`, such as head=10.7; may be repeated")
	flags.StringVar(&q.labels, "labels", "",
		"`file` of labels of examples, by text or example_id; its other columns appear in the view "+
			"example_field")
	q.memory = session.DefaultMemory
	flags.Var(&q.memory, "memory", "maximum memory for the query; the answer may take up to 512 MB more")
	flags.DurationVar(&q.timeout, "timeout", defaultTimeout,
		"maximum time for a query, such as 30s; 0 is no limit")
	flags.IntVar(&q.limits.Threads, "threads", 0,
		"threads for the query; 0 is 1, which always sums in the same order")
}

// open opens the file. Remarks about its labels go to notes.
func (q *question) open(ctx context.Context, path string, notes io.Writer) (*session.Session, error) {
	q.limits.Memory, q.limits.Time, q.limits.Data = int64(q.memory), q.timeout, dataFolder(ctx)
	if err := q.limits.Validate(); err != nil {
		return nil, asUsage(err)
	}
	p := ownProcess(ctx)
	p.guard(ctx, q.limits.Memory, q.limits.Answer)
	q.limits.Stuck = p.stuck()
	var labels []schema.Label
	if q.labels != "" {
		var err error
		if labels, err = prompts.ReadLabels(ctx, q.labels); err != nil {
			return nil, err
		}
	}
	s, err := p.watch(q.timeout,
		func() (*session.Session, error) { return session.Open(ctx, path, q.limits) })
	if err != nil || labels == nil {
		return s, err
	}
	joined, err := s.Label(ctx, labels)
	if err == nil && len(joined.Unused) == len(labels) {
		err = advice.Add(fmt.Errorf("labels %s: no example of %s has any of its texts or numbers", q.labels,
			path),
			fmt.Sprintf("texts must match exactly; the first is %s", labelOf(labels[0])))
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if n := len(joined.Unused); n > 0 {
		fmt.Fprintf(notes, "note: %d of %s in %s %s no example in the file; the first is %s\n", n,
			plural(len(labels), "row"), q.labels, map[bool]string{true: "has", false: "have"}[n == 1],
			labelOf(labels[joined.Unused[0]]))
	}
	if joined.Labelled < joined.Of {
		fmt.Fprintf(notes, "note: %d of %d examples have a label in %s\n", joined.Labelled, joined.Of,
			q.labels)
	}
	return s, nil
}

// labelOf names the example of a label.
func labelOf(l schema.Label) string {
	if l.Example < 0 {
		return strconv.Quote(l.Text)
	}
	return fmt.Sprintf("example %d", l.Example)
}

// openToAsk opens the file for queries of ducklens itself, with the default limits.
func openToAsk(ctx context.Context, path string) (*session.Session, error) {
	return (&question{timeout: defaultTimeout}).open(ctx, path, io.Discard)
}

// values parses --set.
func (q *question) values() (map[string]string, error) {
	values := make(map[string]string, len(q.set))
	for _, s := range q.set {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, usagef("--set %s, want name=value", s)
		}
		if _, twice := values[name]; twice {
			return nil, usagef("--set %s is given twice", name)
		}
		values[name] = value
	}
	return values, nil
}

// find returns the saved query with a name: a user's .sql file, a query that ships with ducklens, or one in
// the run file. Broken ones in the file are reported on stderr.
func find(ctx context.Context, s *session.Session, name string, stderr io.Writer) (queries.Query, error) {
	if strings.HasSuffix(name, ".sql") {
		q, err := readQuery(name)
		if errors.As(err, new(*queries.SyntaxError)) {
			err = advice.Add(err, "ducklens queries help explains the header; SQL without a header is read with "+
				"-e - < "+quote(name))
		}
		return q, err
	}
	list := queries.Embedded()
	q, err := queries.Find(list, name)
	if err == nil {
		return q, nil
	}
	saved, faults := s.Saved(ctx)
	for _, fault := range faults {
		fmt.Fprintf(stderr, "ducklens: left out: %v\n", fault)
	}
	for _, q := range saved {
		if _, err := queries.Find(list, q.Name); err != nil {
			list = append(list, q)
		}
	}
	if q, err = queries.Find(list, name); err != nil && strings.ContainsAny(name, " ;(*") {
		return q,
			&usageError{err: fmt.Errorf("%q is not the name of a saved query", name),
				hint: "give your own SQL with -e"}
	}
	return q, err
}

// readQuery reads a saved query from a file.
func readQuery(path string) (queries.Query, error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	q, err := queries.ReadFile(regular.DirFS(dir), name)
	if errors.As(err, new(*queries.SyntaxError)) {
		return q, advice.Add(err, "ducklens queries help explains the header")
	}
	return q, err
}

// completeQuery completes FILE with files and NAME with the names of saved queries.
func completeQuery(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	switch len(args) {
	case 0:
		return []string{"duckdb"}, cobra.ShellCompDirectiveFilterFileExt
	case 1:
		var names []string
		for _, q := range queries.Embedded() {
			names = append(names, q.Name+"\t"+q.Title)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveNoFileComp
}

// bytesFlag is a number of bytes, such as 512MB or 2GB (powers of 1024). It is a [pflag.Value].
type bytesFlag int64

var _ pflag.Value = (*bytesFlag)(nil)

func (b *bytesFlag) String() string {
	if *b%(1<<30) == 0 {
		return fmt.Sprintf("%dGB", *b>>30)
	}
	return fmt.Sprintf("%dMB", *b>>20)
}

func (b *bytesFlag) Type() string { return "size" }

func (b *bytesFlag) Set(s string) error {
	digits := strings.TrimRight(strings.ToUpper(s), "KMGTIB")
	unit := strings.TrimSuffix(strings.Replace(strings.ToUpper(s[len(digits):]), "I", "", 1), "B")
	shift, ok := map[string]uint{"K": 10, "M": 20, "G": 30, "T": 40}[unit]
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || !ok || n < 1 || n > math.MaxInt64>>shift {
		return fmt.Errorf("%q, want a number and a unit, such as 512MB or 2GB", s)
	}
	*b = bytesFlag(n << shift)
	return nil
}

// writeFile writes a file so that it appears complete or not at all. It replaces an existing file unless that
// is a database.
func writeFile(path string, write func(io.Writer) error) error {
	if err := writable(path); err != nil {
		return err
	}
	if err := draft.WriteFile(path, write); err != nil {
		return atOutput(fmt.Errorf("write %s: %w", path, pathless(err)))
	}
	return nil
}

// atOutput adds a hint to an error about an output, if the place is wrong.
func atOutput(err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return advice.Add(err, "choose a folder that you may write to")
	case errors.Is(err, syscall.ENOSPC):
		return advice.Add(err, "free some space, or write to another disk")
	}
	return err
}

// writable returns the error that [writeFile] would give for the path alone, for commands that compute long
// before they write.
func writable(path string) error {
	if err := spareDatabase(path); err != nil {
		return err
	}
	if isFolder(path) {
		return advice.Add(fmt.Errorf("write %s: it is a folder", path), "name a file in it")
	}
	if dir := filepath.Dir(path); !isFolder(dir) {
		err := fmt.Errorf("write %s: folder %s does not exist", path, dir)
		return advice.Add(err, "make it first: mkdir -p "+quote(dir))
	}
	return nil
}

// writeInFolder writes a file into a folder of outputs as [writeFile] does. It refuses to follow a link,
// because nobody named the link on the command line and it may lead anywhere.
func writeInFolder(path string, write func(io.Writer) error) error {
	if to, err := os.Readlink(path); err == nil {
		err := fmt.Errorf("write %s: it is a link to %s and was left alone", path, to)
		return advice.Add(err, "remove the link, or choose another folder")
	}
	return writeFile(path, write)
}

func isFolder(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// pathless removes the name of a temporary file from a system error.
func pathless(err error) error {
	var failed *os.PathError
	if errors.As(err, &failed) {
		return failed.Err
	}
	var renamed *os.LinkError
	if errors.As(err, &renamed) {
		return renamed.Err
	}
	return err
}

// ask runs a query of ducklens itself. A parameter without a value is NULL.
func ask(
	ctx context.Context, s *session.Session, sql string, set map[string]string,
) (*queries.Result, error) {
	q, err := queries.AdHoc(sql)
	if err != nil {
		return nil, err
	}
	for i := range q.Params { // the SQL handles NULL
		q.Params[i].Needed = false
	}
	return s.Run(ctx, q, set)
}
