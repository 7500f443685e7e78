package plotly

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"

	"ducklens/queries/figure"
)

// Policy returns the Content-Security-Policy of a page that runs exactly these scripts, inline, and can
// neither load nor send anything. plotly.js sets styles and makes images for download.
func Policy(scripts ...string) string {
	allowed := make([]string, len(scripts))
	for i, s := range scripts {
		sum := sha256.Sum256([]byte(s))
		allowed[i] = "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + strings.Join(allowed, " ") +
		"; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
}

//go:embed page.tmpl
var pageText string

//go:embed page.js
var pageScript string

//go:embed page.css
var pageStyle string

var page = template.Must(template.New("page").Funcs(template.FuncMap{"label": Label}).Parse(pageText))

// WriteHTML writes the figure as a single page that works from a file, without a network: it contains
// plotly.js. The query's SQL and everything else that is known about the figure are below it, collapsed.
func WriteHTML(w io.Writer, f *figure.Figure) error {
	data, err := JSON(f, Options{Bare: true}) // the page has the texts
	if err != nil {
		return err
	}
	content := struct {
		Figure               *figure.Figure
		Provenance, SQL      string
		Quiet                []figure.Fact
		Policy               string
		Style                template.CSS
		Data, Plotly, Script template.JS
	}{
		Figure: f, Provenance: Provenance(f), Policy: Policy(script, pageScript), Style: template.CSS(pageStyle),
		Data: template.JS(data), Plotly: template.JS(script), Script: template.JS(pageScript),
	}
	for _, fact := range f.Facts {
		switch {
		case fact.Name == "sql":
			content.SQL = fact.Value
		case fact.Quiet:
			content.Quiet = append(content.Quiet, fact)
		}
	}
	if err := page.Execute(w, content); err != nil {
		return fmt.Errorf("figure of %s: writing HTML: %w", f.Name, err)
	}
	return nil
}
