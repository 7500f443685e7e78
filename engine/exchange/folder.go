package exchange

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	"ducklens/engine/checkpoint"
	"ducklens/engine/model"
	"ducklens/internal/advice"
	"ducklens/internal/regular"
	"ducklens/schema"
)

// ErrFolder is returned for a folder that is damaged, hostile, or not a folder of activations.
var ErrFolder = errors.New("unusable folder of activations")

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrFolder, fmt.Errorf(format, args...))
}

const (
	runFile     = "run.json"
	maxRunBytes = 64 << 20
	maxLine     = 64 << 20 // of the prompts file
	openShards  = 4        // at a time
)

// Edge is a query position, its key, and the baseline that the key is compared with.
type Edge struct {
	Query, Key, Baseline int // Baseline may be [schema.NoPosition]
}

// Prompt is one prompt of a folder. If it is whole, the folder has activations at all of its positions, and
// otherwise at those of its edges.
type Prompt struct {
	Text   string
	Tokens []schema.Token
	Edges  []Edge
	Whole  bool
	Fields schema.Fields

	positions []int // those with activations, ascending
}

// Place returns the index of a position among those with activations, or -1.
func (p *Prompt) Place(position int) int {
	if i, found := slices.BinarySearch(p.positions, position); found {
		return i
	}
	return -1
}

// settle sets the positions.
func (p *Prompt) settle() {
	if p.Whole {
		for i := range p.Tokens {
			p.positions = append(p.positions, i)
		}
		return
	}
	for _, e := range p.Edges {
		p.positions = append(p.positions, e.Query, e.Key)
		if e.Baseline != schema.NoPosition {
			p.positions = append(p.positions, e.Baseline)
		}
	}
	slices.Sort(p.positions)
	p.positions = slices.Compact(p.positions)
}

// Is reports whether an example is about this prompt and about positions with activations.
func (p *Prompt) Is(x *schema.Example) bool {
	if !slices.EqualFunc(x.Tokens, p.Tokens, func(a, b schema.Token) bool { return a.ID == b.ID }) {
		return false
	}
	return p.Whole || p.Place(x.Query) >= 0 && p.Place(x.Key) >= 0 &&
		(x.Baseline == schema.NoPosition || p.Place(x.Baseline) >= 0)
}

// Folder is an open folder of activations. It may be used from several goroutines at once.
type Folder struct {
	Run        Run
	Model      schema.Model
	Spec       *model.Spec // how scores are computed; rotations have no angles, as each prompt has its own
	Layout     schema.Layout
	Heads      []schema.Head // target heads
	Prompts    []Prompt
	Processing schema.Processing

	path    string
	layers  []int // of the target heads, ascending
	heads   []int // components computed from weighted values; none if all have vectors
	vectors []int // components that have vectors
	first   []int // number of the first prompt of each shard, and at the end the number of prompts
	weights *checkpoint.File
	unembed map[int]int // by token: its row of W_U

	mu     sync.Mutex
	open   []*shard // the last used are last
	closed bool
}

// shard is an open file of activations. It stays open as long as it is being read.
type shard struct {
	number  int
	file    *checkpoint.File
	readers int
	dropped bool // close it when the last reader releases it
}

// Open reads the description, the prompts and the weights of a folder. A shard is opened, and its checksum
// compared, when its first prompt is asked for. Errors are [ErrFolder].
func Open(path string) (*Folder, error) {
	f := &Folder{path: path}
	if err := f.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return f, nil
}

// Heads returns the target heads of a folder. It reads only the description.
func Heads(path string) ([]schema.Head, error) {
	f := &Folder{path: path}
	if err := f.describe(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f.Heads, nil
}

// describe reads the description.
func (f *Folder) describe() error {
	if err := f.readRun(); err != nil {
		return err
	}
	err := f.Run.check()
	if err == nil {
		f.Heads, err = f.Run.heads()
	}
	if err != nil {
		return fault("%s: %w", runFile, err)
	}
	return nil
}

func (f *Folder) load() error {
	if err := f.describe(); err != nil {
		return err
	}
	components, err := f.Run.components()
	if err != nil {
		return fault("%s: %w", runFile, err)
	}
	for _, h := range f.Heads {
		f.layers = append(f.layers, h.Layer)
	}
	slices.Sort(f.layers)
	f.layers = slices.Compact(f.layers)
	f.Layout, f.Spec, f.Model = f.Run.layout(components), f.Run.spec(), f.Run.description()
	f.Processing, _ = schema.ParseProcessing(f.Run.Processing) // it has been checked
	if f.writers() == 0 {
		return fault("%s: no component writes before layer %d, the last of a head", runFile, f.stop())
	}
	f.settleForm()
	f.first = []int{0}
	for _, s := range f.Run.Shards {
		f.first = append(f.first, f.first[len(f.first)-1]+s.Prompts)
	}
	if err := f.readPrompts(); err != nil {
		return fault("%s: %w", f.Run.Prompts.File, err)
	}
	if f.weights, err = f.openFile(f.Run.Weights); err != nil {
		return fault("%w", err)
	}
	if err := f.checkWeights(); err != nil {
		return fault("%s: %w", f.Run.Weights.File, err)
	}
	return nil
}

// readRun reads run.json.
func (f *Folder) readRun() error {
	file, err := f.regular(runFile)
	if errors.Is(err, fs.ErrNotExist) {
		return advice.Add(fault("it has no %s", runFile),
			"ducklens.capture(model, ...) in Python makes such a folder; a folder of weights is a model, "+
				"which ducklens runs itself")
	}
	if err != nil {
		return fault("%w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxRunBytes+1))
	switch {
	case err != nil:
		return fault("%w", err)
	case len(text) > maxRunBytes:
		return fault("%s has more than %d bytes", runFile, maxRunBytes)
	case !utf8.Valid(text):
		return fault("%s is not UTF-8", runFile)
	}
	var head struct {
		Format  string
		Version int
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return fault("%s: %w", runFile, err)
	}
	if head.Format != Format || head.Version != Version {
		return advice.Add(fault("%s: format %.100q, version %d, want %q, version %d", runFile, head.Format,
			head.Version, Format, Version),
			"make it again with ducklens.capture of this release")
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f.Run); err != nil {
		return fault("%s: %w", runFile, err)
	}
	return nil
}

// regular opens a file in the folder that is a regular file and not a link.
func (f *Folder) regular(name string) (*os.File, error) {
	full := filepath.Join(f.path, name)
	info, err := os.Lstat(full)
	if err != nil {
		return nil, err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return nil, fmt.Errorf("%s is a link, want the file itself", name)
	}
	if err := regular.Check(name, info.Mode()); err != nil {
		return nil, err
	}
	return regular.Open(full)
}

// openFile opens a file of tensors and compares its checksum.
func (f *Folder) openFile(named File) (*checkpoint.File, error) {
	file, err := f.regular(named.File)
	if err != nil {
		return nil, err
	}
	if err := file.Close(); err != nil {
		return nil, err
	}
	tensors, err := checkpoint.OpenFile(filepath.Join(f.path, named.File))
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(tensors.Bytes())
	if found := hex.EncodeToString(sum[:]); found != named.SHA256 {
		return nil, errors.Join(otherSum(named, found), tensors.Close())
	}
	return tensors, nil
}

func otherSum(named File, found string) error {
	return fmt.Errorf("%s has SHA-256 %s, want %s: it was changed or cut", named.File, found, named.SHA256)
}

// line is a line of the prompts file.
type line struct {
	Text   string          `json:"text"`
	Tokens []int           `json:"tokens"`
	Texts  []string        `json:"token_texts"`
	Edges  []lineEdge      `json:"edges"`
	Whole  bool            `json:"whole"`
	Fields json.RawMessage `json:"fields"`
}

type lineEdge struct {
	Query    *int `json:"query"`
	Key      *int `json:"key"`
	Baseline *int `json:"baseline"`
}

// readPrompts reads the prompts.
func (f *Folder) readPrompts() error {
	file, err := f.regular(f.Run.Prompts.File)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := sha256.New()
	scanner := bufio.NewScanner(io.TeeReader(file, sum))
	scanner.Buffer(nil, maxLine)
	all := f.first[len(f.first)-1]
	for scanner.Scan() {
		if len(f.Prompts) == all {
			return fmt.Errorf("more than %d lines, and the shards have %[1]d prompts", all)
		}
		p, err := f.prompt(scanner.Bytes())
		if err != nil {
			return fmt.Errorf("line %d: %w", len(f.Prompts)+1, err)
		}
		f.Prompts = append(f.Prompts, p)
	}
	switch err := scanner.Err(); {
	case err != nil:
		return fmt.Errorf("line %d: %w", len(f.Prompts)+1, err)
	case len(f.Prompts) < all:
		return fmt.Errorf("%d lines, want %d: one for each prompt of the shards", len(f.Prompts), all)
	}
	if found := hex.EncodeToString(sum.Sum(nil)); found != f.Run.Prompts.SHA256 {
		return otherSum(f.Run.Prompts, found)
	}
	return nil
}

// prompt parses one line.
func (f *Folder) prompt(text []byte) (Prompt, error) {
	if !utf8.Valid(text) {
		return Prompt{}, errors.New("it is not UTF-8")
	}
	var l line
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&l); err != nil {
		return Prompt{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Prompt{}, errors.New("text after the closing brace")
	}
	n := len(l.Tokens)
	switch {
	case n == 0 || n > f.Run.Model.NCtx:
		return Prompt{}, fmt.Errorf("%d tokens, want 1 to n_ctx = %d", n, f.Run.Model.NCtx)
	case l.Texts != nil && len(l.Texts) != n:
		return Prompt{}, fmt.Errorf("%d token_texts of %d tokens", len(l.Texts), n)
	case len(l.Edges) == 0 && !l.Whole:
		return Prompt{}, errors.New("no edges, and the prompt is not whole: want one of both")
	}
	p := Prompt{Text: l.Text, Whole: l.Whole}
	for i, e := range l.Edges {
		made, err := f.edge(e, n)
		if err != nil {
			return Prompt{}, fmt.Errorf("edge %d: %w", i, err)
		}
		p.Edges = append(p.Edges, made)
	}
	for i, id := range l.Tokens {
		if id < 0 || id >= f.Run.Model.DVocab {
			return Prompt{}, fmt.Errorf("token %d has id %d, want 0 to %d", i, id, f.Run.Model.DVocab-1)
		}
		t := schema.Token{ID: id, Text: "<" + strconv.Itoa(id) + ">"}
		if l.Texts != nil {
			t.Text = l.Texts[i]
		}
		p.Tokens = append(p.Tokens, t)
	}
	p.settle()
	var err error
	p.Fields, err = fields(l.Fields)
	return p, err
}

// edge parses an edge of a prompt of n tokens.
func (f *Folder) edge(l lineEdge, n int) (Edge, error) {
	if l.Query == nil || l.Key == nil {
		return Edge{}, errors.New("query or key is missing")
	}
	e := Edge{Query: *l.Query, Key: *l.Key, Baseline: schema.NoPosition}
	if l.Baseline != nil {
		if e.Baseline = *l.Baseline; e.Baseline < 0 {
			return Edge{}, fmt.Errorf("baseline %d, want a position from 0, or none at all", e.Baseline)
		}
	}
	if e.Query < 0 || e.Query >= n || e.Key < 0 || e.Key > e.Query || e.Baseline > e.Query {
		return Edge{},
			fmt.Errorf("query %d, key %d, baseline %d of %d tokens, want key and baseline up to the query",
				e.Query, e.Key, e.Baseline, n)
	}
	for _, h := range f.Heads {
		if first := f.firstKey(h.Layer, e.Query); e.Key < first || e.Baseline != schema.NoPosition &&
			e.Baseline < first {
			return Edge{},
				fmt.Errorf("key %d or baseline %d, and from query %d head %s sees positions %d to %[3]d",
					e.Key, e.Baseline, e.Query, h, first)
		}
	}
	return e, nil
}

// fields parses an object of the author's own values, and keeps its order.
func fields(text json.RawMessage) (schema.Fields, error) {
	if len(text) == 0 || string(text) == "null" {
		return nil, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if t, err := decoder.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("fields is no JSON object")
	}
	var list schema.Fields
	seen := map[string]bool{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		field := schema.Field{Name: name.(string)} // a key is always a string
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		if seen[field.Name] {
			return nil, fmt.Errorf("two fields %.100q", field.Name)
		}
		seen[field.Name] = true
		var compact bytes.Buffer
		if err := json.Compact(&compact, value); err != nil {
			return nil, err
		}
		field.Value = compact.String()
		list = append(list, field)
	}
	return list, nil
}

// firstKey returns the first position that heads of a layer see from a query.
func (f *Folder) firstKey(layer, query int) int {
	if w := f.Spec.WindowOf(layer); w > 0 {
		return max(0, query-w+1)
	}
	return 0
}

// stop returns the layer before which the components of the shards end: that of the last target head.
func (f *Folder) stop() int { return f.layers[len(f.layers)-1] }

// writers returns the number of components in the shards.
func (f *Folder) writers() int { return f.Layout.Below(f.stop()) }

// settleForm separates components that have vectors from those that are computed from weighted values and
// weights.
func (f *Folder) settleForm() {
	for i, c := range f.Layout.Components()[:f.writers()] {
		switch {
		case f.Run.Form != Parts || c.Kind != schema.HeadOut && c.Kind != schema.AttnBias:
			f.vectors = append(f.vectors, i)
		case c.Kind == schema.HeadOut:
			f.heads = append(f.heads, i)
		}
	}
}

// MadeHeads returns the components that are heads computed from weighted values. Only folders of the form
// [Parts] have any.
func (f *Folder) MadeHeads() []int { return f.heads }

// Whole reports whether every prompt is whole, so that rules may choose edges.
func (f *Folder) Whole() bool {
	return !slices.ContainsFunc(f.Prompts, func(p Prompt) bool { return !p.Whole })
}

// dtype returns the type of every tensor of numbers except W_O.
func (f *Folder) dtype() checkpoint.DType {
	if f.Run.Precision == "float64" {
		return checkpoint.F64
	}
	return checkpoint.F32
}

// shard returns an open shard, which must be passed to [Folder.release].
func (f *Folder) shard(number int) (*shard, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, fault("it is closed")
	}
	if i := slices.IndexFunc(f.open, func(s *shard) bool { return s.number == number }); i >= 0 {
		s := f.open[i]
		f.open = append(slices.Delete(f.open, i, i+1), s)
		s.readers++
		return s, nil
	}
	file, err := f.openFile(f.Run.Shards[number].File)
	if err != nil {
		return nil, fault("%w", err)
	}
	s := &shard{number: number, file: file, readers: 1}
	if f.open = append(f.open, s); len(f.open) > openShards {
		old := f.open[0]
		f.open, old.dropped = slices.Delete(f.open, 0, 1), true
		if old.readers == 0 {
			err = old.file.Close()
		}
	}
	return s, err
}

func (f *Folder) release(s *shard) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.readers--; s.readers == 0 && s.dropped {
		return s.file.Close()
	}
	return nil
}

// Close closes all files. Nothing may be read during or after it.
func (f *Folder) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	var err error
	for _, s := range f.open {
		err = errors.Join(err, s.file.Close())
	}
	f.open = nil
	if f.weights != nil {
		err = errors.Join(err, f.weights.Close())
		f.weights = nil
	}
	return err
}
