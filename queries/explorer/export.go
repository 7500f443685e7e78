package explorer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"ducklens/schema/draft"
)

// Wasm is the release of duckdb-wasm, an npm package, with which pages in a folder run SQL. It is not
// embedded, because it is far larger than this program's own code.
const Wasm = "1.32.0"

// wasmFiles are the files of the package that pages need, with their SHA-256.
var wasmFiles = map[string]string{
	"duckdb-eh.wasm":              "4c221bfa59c11f24dbd750e70c90b9252eca6eec5633936e6a2ec766e55fd879",
	"duckdb-browser-eh.worker.js": "f8ab72b6b90b3ad83077d47426d4a99d5d9a4c7e07cba1a2be37d655adc7c1ab",
}

// ErrWasm is wrapped by the error for a folder that is not the package duckdb-wasm of the release [Wasm].
var ErrWasm = errors.New("want duckdb-wasm " + Wasm)

// policy limits what pages of a folder may load, because a static host does not send our headers. Inline
// style attributes are allowed, because browsers set some when somebody types over a selection. Pages make no
// markup from the content of a file.
const policy = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; ` +
	`style-src-attr 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'">`

// Export writes a folder for a static host: the pages, the files, and the duckdb-wasm of the npm package
// unpacked in wasm, with which browsers query the files instead of a server. The folder must not exist, and
// appears when it is whole.
func Export(ctx context.Context, o Options, wasm, folder string) (err error) {
	if _, err := os.Lstat(folder); err == nil {
		return fmt.Errorf("export to %s: %w", folder, fs.ErrExist)
	}
	d, err := draft.New(folder)
	if err != nil {
		return fmt.Errorf("export to %s: %w", folder, err)
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	e := exporter{options: o, root: d.Path()}
	if err := e.copyWasm(wasm); err != nil {
		return fmt.Errorf("export to %s: %w", folder, err)
	}
	if err := e.export(ctx); err != nil {
		return fmt.Errorf("export to %s: %w", folder, err)
	}
	if err := d.Publish(false); err != nil {
		return fmt.Errorf("export to %s: %w", folder, err)
	}
	return nil
}

// exporter fills a folder.
type exporter struct {
	options Options
	root    string
}

// write writes a file of the folder.
func (e exporter) write(name string, content []byte) error {
	path := filepath.Join(e.root, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, content, 0o666)
}

func (e exporter) writeJSON(name string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return e.write(name, append(text, '\n'))
}

// copyWasm copies the files of the package after checking their digests.
func (e exporter) copyWasm(from string) error {
	for name, want := range wasmFiles {
		path := filepath.Join(from, "dist", name)
		content, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrWasm, err)
		}
		if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != want {
			return fmt.Errorf("%w: %s has the SHA-256 %x, want %s", ErrWasm, path, sum, want)
		}
		if err := e.write("duckdb/"+name, content); err != nil {
			return err
		}
	}
	return nil
}

// export writes the pages, the files, and their manifest.
func (e exporter) export(ctx context.Context) error {
	list, err := pages()
	if err != nil {
		return err
	}
	for name, p := range list {
		if name == "" {
			continue
		}
		content := p.content
		if name == "index.html" {
			if content, err = forFolder(content); err != nil {
				return err
			}
		}
		if err := e.write(name, content); err != nil {
			return err
		}
	}
	m, err := e.options.manifest("export", []string{})
	if err != nil {
		return err
	}
	schemas := map[string]objects{}
	for i, f := range e.options.Files {
		facts, known, err := e.file(ctx, f, i)
		if err != nil {
			return err
		}
		m.Files, schemas[f.Alias] = append(m.Files, facts), known
	}
	if err := e.writeJSON("schema.json", schemas); err != nil {
		return err
	}
	return e.writeJSON("manifest.json", m)
}

// forFolder converts the first page of a server into that of a folder.
func forFolder(index []byte) ([]byte, error) {
	const mode, charset = `data-mode="server"`, `<meta charset="utf-8">`
	if bytes.Count(index, []byte(mode)) != 1 || bytes.Count(index, []byte(charset)) != 1 {
		return nil, fmt.Errorf("index.html has not one %s and one %s", mode, charset)
	}
	index = bytes.Replace(index, []byte(mode), []byte(`data-mode="export"`), 1)
	return bytes.Replace(index, []byte(charset), []byte(charset+"\n"+policy), 1), nil
}

// file copies a file and describes it; n is its index.
func (e exporter) file(ctx context.Context, f File, n int) (facts fileFacts, known objects, err error) {
	s, err := e.options.Open(ctx, f.Path)
	if err != nil {
		return facts, known, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if facts, err = e.options.facts(ctx, s, f); err != nil {
		return facts, known, err
	}
	if known, err = objectsOf(ctx, s); err != nil {
		return facts, known, err
	}
	facts.Database, facts.Path = "file_"+strconv.Itoa(n), "data/"+strconv.Itoa(n)+".duckdb"
	setup, err := s.Setup(ctx, facts.Database)
	if err != nil {
		return facts, known, err
	}
	// Without these two, DuckDB would download extensions from a server.
	facts.Setup = append([]string{"SET autoinstall_known_extensions = false",
		"SET autoload_known_extensions = false"}, setup...)
	for _, ending := range draft.Logs() {
		if _, err := os.Stat(f.Path + ending); err == nil {
			return facts, known, fmt.Errorf("%s has a log beside it, %s: another program is writing it, "+
				"or was stopped", f.Path, f.Path+ending)
		}
	}
	from, err := os.Open(f.Path)
	if err != nil {
		return facts, known, err
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Join(e.root, "data"), 0o777); err != nil {
		return facts, known, err
	}
	to, err := os.Create(filepath.Join(e.root, filepath.FromSlash(facts.Path)))
	if err != nil {
		return facts, known, err
	}
	_, err = io.Copy(to, from)
	return facts, known, errors.Join(err, to.Close())
}
