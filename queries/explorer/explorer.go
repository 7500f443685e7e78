// Package explorer answers the pages with which a run file is explored in a browser. They come from a server
// on this machine ([Server]), or from a folder for a static host ([Export]), where the browser itself runs
// the same statements.
//
// The server trusts neither side. A file may be untrusted: every question passes the gate and the limits of
// package session, and the content of the file leaves the server as data and never as markup. Another page in
// the same browser may be hostile: a request must have the token, must address this machine by name, and must
// not come from another origin.
// know the token, must have asked for this machine by name, and must not come from another origin.
package explorer

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"ducklens/queries"
	"ducklens/queries/session"
)

// Options name the files, and provide functions of the program that embeds the explorer. Files and Open are
// required.
type Options struct {
	Version string // of the program
	Files   []File

	// Connections is the number of questions that a file answers at the same time; 0 is DefaultConnections.
	// Further questions wait.
	Connections int

	// Open opens a file, once for each connection.
	Open func(ctx context.Context, path string) (*session.Session, error)

	// Draw writes the figure of a query in a format. figure has the reader's changes to the chart. nil: no
	// figures.
	Draw func(ctx context.Context, s *session.Session, q queries.Query, figure Figure, w io.Writer) error

	// Formats are the formats of Draw, as file name endings without the dot.
	Formats []string

	// Lacks lists what a run does not hold, and how to make a run that does.
	Lacks func(ctx context.Context, s *session.Session, run int64) ([]Lack, error)

	// Remedy adds advice to the error of a question: what would make the file have an answer. Empty explains
	// why an answer has no rows, or returns "".
	Remedy func(ctx context.Context, s *session.Session, q queries.Query, set map[string]string,
		err error) error
	Empty func(ctx context.Context, s *session.Session, q queries.Query, set map[string]string) string

	// Notes returns remarks on the answer to a question in the reader's own SQL.
	Notes func(ctx context.Context, s *session.Session, q queries.Query) ([]string, error)
}

// DefaultConnections is the default of Options.Connections. A view asks two or three questions, and a slow
// one must not hold up the others.
const DefaultConnections = 4

// File is a file to explore. Pages refer to it by its alias.
type File struct {
	Alias string
	Path  string
}

// Figure says how an answer is drawn and written.
type Figure struct {
	Set    map[string]string // parameters of the query
	Chart  map[string]string // changes to the query's own chart, by the flags of ducklens plot
	Format string            // file name ending without the dot
	Theme  string            // "" is paper
}

// Lack is something that a run does not hold.
type Lack struct {
	What string `json:"what"` // a word, for pages
	Text string `json:"text"` // a sentence for people, with the flag that would add it
}

// Files gives the paths aliases: their names without folder and ending, with a number if a name is taken.
func Files(paths []string) (list []File) {
	taken := map[string]bool{}
	for _, path := range paths {
		base := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		alias := base
		for n := 2; taken[alias]; n++ {
			alias = fmt.Sprintf("%s-%d", base, n)
		}
		taken[alias] = true
		list = append(list, File{Alias: alias, Path: path})
	}
	return list
}

// withDefaults sets the defaults.
func (o Options) withDefaults() Options {
	if o.Connections == 0 {
		o.Connections = DefaultConnections
	}
	return o
}

// secret returns a random text that nobody can guess.
func secret() string {
	var bytes [24]byte
	rand.Read(bytes[:]) // never fails
	return hex.EncodeToString(bytes[:])
}

// find returns the file with an alias. Without an alias, it returns the only file.
func (s *Server) find(alias string) (*file, error) {
	if alias == "" && len(s.files) == 1 {
		return s.files[0], nil
	}
	i := slices.IndexFunc(s.files, func(f *file) bool { return f.Alias == alias })
	if i < 0 {
		var known []string
		for _, f := range s.files {
			known = append(known, f.Alias)
		}
		return nil, fmt.Errorf("no file %q is open, want one of %s", alias, strings.Join(known, ", "))
	}
	return s.files[i], nil
}

// errGone is the error of a request whose client has disconnected.
var errGone = errors.New("nobody waits for the answer any more")
