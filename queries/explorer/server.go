package explorer

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"ducklens/internal/advice"
	"ducklens/queries"
	"ducklens/queries/session"
)

// TokenHeader is the request header with the token, which shows that the program gave the client its address.
const TokenHeader = "X-Ducklens-Token"

// Server answers the pages on this machine.
type Server struct {
	options Options
	files   []*file
	port    int
	token   string
	pages   map[string]page
	tickets sync.Map // of [Server.Ticket], until they are used

	described chan struct{} // closed when the next two are set
	// description is the manifest. It is fixed, because nobody writes the files while they are open.
	description []byte
	faulty      error
}

// NewServer opens the files, and returns a server for a port of 127.0.0.1. The caller must close it.
func NewServer(ctx context.Context, o Options, port int) (*Server, error) {
	s := &Server{options: o.withDefaults(), port: port, token: secret(), described: make(chan struct{})}
	var err error
	if s.pages, err = pages(); err != nil {
		return nil, err
	}
	for _, f := range s.options.Files {
		opened, err := openFile(ctx, f, s.options)
		if err != nil {
			close(s.described)
			return nil, errors.Join(err, s.Close())
		}
		s.files = append(s.files, opened)
	}
	go func() { // while the browser starts
		defer close(s.described)
		m, err := s.manifest(ctx)
		if err == nil {
			s.description, err = json.Marshal(m)
		}
		s.faulty = err
	}()
	return s, nil
}

// Close closes the files. All requests must have ended.
func (s *Server) Close() error {
	<-s.described
	var faults []error
	for _, f := range s.files {
		faults = append(faults, f.close())
	}
	return errors.Join(faults...)
}

// Address returns the address for a browser. view is the part after # of a link, or "".
func (s *Server) Address(view string) string { return s.address("token="+s.token, view) }

// Ticket returns an address that works once and redirects to [Server.Address]. It is for the command line of
// a browser, which everybody on the machine can read.
func (s *Server) Ticket(view string) string {
	ticket := secret()
	s.tickets.Store(ticket, view)
	return s.address("ticket="+ticket, "")
}

func (s *Server) address(query, view string) string {
	if view != "" {
		view = "#" + view
	}
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) + "/?" + query + view
}

// Serve serves requests of a listener until ctx ends.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute,
		IdleTimeout:       5 * time.Minute,
		MaxHeaderBytes:    1 << 16,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() }) // interrupts requests in progress
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

var _ http.Handler = (*Server)(nil)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name, value := range headers {
		w.Header().Set(name, value)
	}
	// Any name may resolve to this machine, even one of a hostile page.
	if !s.isOwnHost(r.Host) {
		refuse(w, http.StatusForbidden, "this is not the name of the explorer: "+
			"open the address that it printed")
		return
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		s.serveAPI(w, r)
		return
	}
	s.servePage(w, r)
}

// headers are sent with every answer. Pages load nothing from elsewhere, and no answer can be mistaken for a
// page.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; " +
		"style-src-attr 'unsafe-inline'; " +
		"img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; base-uri 'none'; " +
		"form-action 'none'; frame-ancestors 'none'",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY",
	"Referrer-Policy":              "no-referrer",
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// isOwnHost reports whether a host with its port is the server.
func (s *Server) isOwnHost(host string) bool {
	port := strconv.Itoa(s.port)
	return host == "127.0.0.1:"+port || host == "localhost:"+port
}

// isOwnOrigin reports whether a request comes from a page of the server, as far as the browser tells.
func (s *Server) isOwnOrigin(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := r.Header.Get("Origin")
	return origin == "" || origin == "http://"+r.Host // ServeHTTP has checked r.Host
}

// isKnown reports whether a request has the token.
func (s *Server) isKnown(r *http.Request) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get(TokenHeader)), []byte(s.token)) == 1
}

// serveAPI answers a question of a page.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	switch {
	case !s.isOwnOrigin(r):
		refuse(w, http.StatusForbidden, "the question comes from another origin")
		return
	case !s.isKnown(r):
		refuse(w, http.StatusForbidden, "the token is missing or wrong: "+
			"open the address that the explorer printed")
		return
	}
	if r.URL.Path == "/api/manifest" {
		if !allow(w, r, http.MethodGet) {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-s.described:
		}
		if s.faulty != nil {
			sendError(w, s.faulty)
			return
		}
		_ = send(w, "application/json", s.description)
		return
	}
	answer, found := map[string]func(http.ResponseWriter, *http.Request, question) error{
		"/api/query": s.query, "/api/saved": s.query, "/api/plot": s.plot, "/api/schema": s.schema,
	}[r.URL.Path]
	if !found {
		refuse(w, http.StatusNotFound, "there is nothing of this name")
		return
	}
	if !allow(w, r, http.MethodPost) {
		return
	}
	// A form of another origin can send text without permission, but not JSON.
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil ||
		kind != "application/json" {
		refuse(w, http.StatusUnsupportedMediaType, "a question is application/json")
		return
	}
	asked, err := readQuestion(w, r)
	if err != nil {
		refuse(w, http.StatusBadRequest, err.Error())
		return
	}
	if saved := asked.Name != ""; r.URL.Path == "/api/saved" && !saved ||
		r.URL.Path == "/api/query" && saved {
		refuse(w, http.StatusBadRequest, "a saved query has a name, and any other has sql")
		return
	}
	sendError(w, answer(w, r, asked))
}

// allow refuses all methods except one.
func allow(w http.ResponseWriter, r *http.Request, method string) bool {
	if r.Method == method || method == http.MethodGet && r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", method)
	refuse(w, http.StatusMethodNotAllowed, r.Method+" is not for this, "+method+" is")
	return false
}

// servePage sends a page of the program, or redirects from a ticket to one.
func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	if !allow(w, r, http.MethodGet) {
		return
	}
	if ticket := r.URL.Query().Get("ticket"); ticket != "" && r.URL.Path == "/" {
		view, found := s.tickets.LoadAndDelete(ticket)
		if !found {
			refuse(w, http.StatusForbidden, "this address works once: "+
				"open the other one that the explorer printed")
			return
		}
		w.Header().Set("Location", s.Address(view.(string)))
		w.WriteHeader(http.StatusSeeOther)
		return
	}
	p, found := s.pages[strings.TrimPrefix(r.URL.Path, "/")]
	if !found {
		refuse(w, http.StatusNotFound, "there is nothing of this name")
		return
	}
	_ = send(w, p.mime, p.content)
}

// fault is an error as pages read it.
type fault struct {
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	Line    int    `json:"line,omitempty"`   // of the SQL, from 1
	Column  int    `json:"column,omitempty"` // in characters, from 1
}

// sendError sends the error of a question, unless it is nil. A mistake in a question has status 200, because
// the browser would report other statuses on its console.
func sendError(w http.ResponseWriter, err error) {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, errGone) {
		return
	}
	_ = sendJSON(w, map[string]fault{"error": faultOf(err)})
}

// faultOf describes an error.
func faultOf(err error) fault {
	f := fault{Message: printable(err.Error()), Hint: printable(advice.Of(err))}
	var sql *session.SQLError
	if errors.As(err, &sql) {
		f.Line, f.Column = sql.Line, sql.Column
	}
	return f
}

// printable is [queries.Printable] of every line.
func printable(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = queries.Printable(line)
	}
	return strings.Join(lines, "\n")
}

// refuse answers what is no question of one of the server's pages.
func refuse(w http.ResponseWriter, status int, why string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(why + "\n"))
}

// sendJSON sends a value.
func sendJSON(w http.ResponseWriter, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return send(w, "application/json", text)
}

// send sends content. Who does not take it has gone away.
func send(w http.ResponseWriter, kind string, content []byte) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	_, _ = w.Write(content)
	return nil
}
