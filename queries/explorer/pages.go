package explorer

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
)

// What `make web` has built.
//
//go:embed all:web/dist
var built embed.FS

// page is a file of the program that browsers load.
type page struct {
	mime    string
	content []byte
}

// kinds are the media types of the files of pages, by ending.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
	".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
	".png": "image/png", ".woff2": "font/woff2", ".json": "application/json",
	".txt": "text/plain; charset=utf-8", ".wasm": "application/wasm",
}

// pages returns all pages by path; the path of the first is "".
func pages() (map[string]page, error) {
	list := map[string]page{}
	root, err := fs.Sub(built, "web/dist")
	if err != nil {
		return nil, err
	}
	err = fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		kind, known := kinds[path.Ext(name)]
		if !known {
			return fmt.Errorf("explorer: page %s: its ending is none of those that are sent", name)
		}
		content, err := fs.ReadFile(root, name)
		list[name] = page{kind, content}
		return err
	})
	list[""] = list["index.html"]
	return list, err
}
