// Package hub fetches the files of a model from the Hugging Face hub, or from another server with the same
// API, and checks them against the hashes that the server gives for the revision.
package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"ducklens/schema/draft"
)

// Host is the hub's address.
const Host = "https://huggingface.co"

// Errors for errors.Is.
var (
	ErrName    = errors.New("not the name of a model of the hub")
	ErrMissing = errors.New("the hub has no such model")
	ErrNoModel = errors.New("nothing there that ducklens reads")
	ErrHash    = errors.New("not what the hub says it is")
	ErrExists  = errors.New("it is there already")
)

var (
	repository = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$`)
	revision   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]*$`)
	// wanted matches the files of a model folder: configuration, tokenizer and weights.
	wanted = regexp.MustCompile(
		`^(config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab)\.json$|^merges\.txt$|^model(-[0-9]{5}-of-[0-9]{5})?\.safetensors(\.index\.json)?$`)
	weights = regexp.MustCompile(`\.safetensors$`)
)

// maxList limits the answer about a model, and maxFile a file of it.
const (
	maxList = 16 << 20
	maxFile = 1 << 40
)

// File is a file of a model at one revision.
type File struct {
	Name string
	Size int64
	SHA  string // of the content: 64 hexadecimal digits of SHA-256, or 40 of the SHA-1 of a git blob
}

// Model is a model at one revision.
type Model struct {
	Name   string // such as gpt2 or HuggingFaceTB/SmolLM2-135M
	Commit string
	Files  []File // that ducklens reads
}

// Client fetches from one server.
type Client struct {
	Host     string       // [Host] if empty
	HTTP     *http.Client // http.DefaultClient if nil
	Progress func(f File, done int64)
}

// Look lists the files of a model that ducklens reads. rev is a branch, a tag or a commit; "" is main.
func (c *Client) Look(ctx context.Context, name, rev string) (Model, error) {
	if rev == "" {
		rev = "main"
	}
	if !repository.MatchString(name) || !revision.MatchString(rev) || strings.Contains(rev, "..") {
		return Model{}, fmt.Errorf("%w: %q at %q", ErrName, name, rev)
	}
	body, err := c.get(ctx, "/api/models/"+name+"/revision/"+url.PathEscape(rev)+"?blobs=true")
	if err != nil {
		return Model{}, fmt.Errorf("model %s: %w", name, err)
	}
	defer body.Close()
	var answer struct {
		SHA      string `json:"sha"`
		Siblings []struct {
			Name string `json:"rfilename"`
			Size int64  `json:"size"`
			Blob string `json:"blobId"`
			LFS  *struct {
				SHA256 string `json:"sha256"`
			} `json:"lfs"`
		} `json:"siblings"`
	}
	if err := json.NewDecoder(io.LimitReader(body, maxList)).Decode(&answer); err != nil {
		return Model{}, fmt.Errorf("model %s: the answer of %s is no list of files", name, c.host())
	}
	m := Model{Name: name, Commit: answer.SHA}
	if !regexp.MustCompile(`^[0-9a-f]{40}$`).MatchString(m.Commit) {
		return Model{}, fmt.Errorf("model %s: the answer of %s names no commit", name, c.host())
	}
	for _, s := range answer.Siblings {
		if !wanted.MatchString(s.Name) {
			continue
		}
		f := File{Name: s.Name, Size: s.Size, SHA: s.Blob}
		if s.LFS != nil {
			f.SHA = s.LFS.SHA256
		}
		if newHash(f) == nil || f.Size < 0 || f.Size > maxFile {
			return Model{},
				fmt.Errorf("model %s: %s comes without a hash or with size %d", name, f.Name, f.Size)
		}
		m.Files = append(m.Files, f)
	}
	if !slices.ContainsFunc(m.Files, func(f File) bool { return f.Name == "config.json" }) ||
		!slices.ContainsFunc(m.Files, func(f File) bool { return weights.MatchString(f.Name) }) {
		return Model{}, fmt.Errorf("model %s: %w: want config.json and model.safetensors, whole or in parts",
			name, ErrNoModel)
	}
	return m, nil
}

// Fetch downloads the files of a model into a new folder, which appears when all of them are complete.
func (c *Client) Fetch(ctx context.Context, m Model, folder string) (err error) {
	if _, err := os.Lstat(folder); err == nil {
		return fmt.Errorf("%s: %w", folder, ErrExists)
	}
	d, err := draft.New(folder)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if err := os.Mkdir(d.Path(), 0o777); err != nil {
		return err
	}
	for _, f := range m.Files {
		if err := c.fetch(ctx, m, f, filepath.Join(d.Path(), f.Name)); err != nil {
			return fmt.Errorf("%s of %s: %w", f.Name, m.Name, err)
		}
	}
	return d.Publish(false)
}

// fetch downloads one file.
func (c *Client) fetch(ctx context.Context, m Model, f File, path string) (err error) {
	body, err := c.get(ctx, "/"+m.Name+"/resolve/"+m.Commit+"/"+f.Name)
	if err != nil {
		return err
	}
	defer body.Close()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	sum := newHash(f)
	meter := &meter{file: f, tell: c.Progress}
	n, err := io.Copy(io.MultiWriter(file, sum, meter), io.LimitReader(body, f.Size+1))
	switch {
	case err != nil:
		return err
	case n != f.Size:
		return fmt.Errorf("%w: %d bytes, want %d", ErrHash, n, f.Size)
	case hex.EncodeToString(sum.Sum(nil)) != f.SHA:
		return fmt.Errorf("%w: its hash is %x, want %s", ErrHash, sum.Sum(nil), f.SHA)
	}
	return file.Sync()
}

// newHash returns the hash to compute for a file, or nil if its SHA has neither length.
func newHash(f File) hash.Hash {
	switch len(f.SHA) {
	case 2 * sha256.Size:
		return sha256.New()
	case 2 * sha1.Size:
		h := sha1.New()
		fmt.Fprintf(h, "blob %d\x00", f.Size)
		return h
	}
	return nil
}

// meter reports how much of a file has arrived.
type meter struct {
	file File
	done int64
	tell func(File, int64)
}

func (m *meter) Write(p []byte) (int, error) {
	if m.done += int64(len(p)); m.tell != nil {
		m.tell(m.file, m.done)
	}
	return len(p), nil
}

func (c *Client) host() string {
	if c.Host == "" {
		return Host
	}
	return strings.TrimSuffix(c.Host, "/")
}

// get sends a request to the server.
func (c *Client) get(ctx context.Context, path string) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.host()+path, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "ducklens")
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	response, err := client.Do(request)
	if err != nil {
		if failed := new(url.Error); errors.As(err, &failed) {
			err = failed.Err
		}
		return nil, fmt.Errorf("%s does not answer: %w", c.host(), err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response.Body, nil
	case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
		err = fmt.Errorf("%w, or not for everybody (%s)", ErrMissing, response.Status)
	default:
		err = fmt.Errorf("%s answers %s", c.host(), response.Status)
	}
	return nil, errors.Join(err, response.Body.Close())
}
