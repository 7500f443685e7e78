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
	"ducklens/internal/regular"
	"ducklens/schema"
)

// ErrFolder: the folder is damaged, hostile, or none of activations.
var ErrFolder = errors.New("unusable folder of activations")

func fault(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrFolder, fmt.Errorf(format, args...))
}

const (
	runFile     = "run.json"
	maxRunBytes = 64 << 20
	maxLine     = 64 << 20 // of the file of prompts
	openShards  = 4        // at a time
)

// Prompt is one prompt of a folder, with its positions.
type Prompt struct {
	Text                 string
	Tokens               []schema.Token
	Query, Key, Baseline int // positions; Baseline may be [schema.NoPosition]
	Fields               schema.Fields
}

// positions are the query, the key and, where there is one, the baseline.
func (p *Prompt) positions() []int {
	if p.Baseline == schema.NoPosition {
		return []int{p.Query, p.Key}
	}
	return []int{p.Query, p.Key, p.Baseline}
}

// Is tells whether an example is this prompt.
func (p *Prompt) Is(x *schema.Example) bool {
	same := func(a, b schema.Token) bool { return a.ID == b.ID }
	return x.Query == p.Query && x.Key == p.Key && x.Baseline == p.Baseline && slices.EqualFunc(x.Tokens, p.Tokens, same)
}

// Folder is an open folder of activations. It may be used from several goroutines at once.
type Folder struct {
	Run        Run
	Model      schema.Model
	Spec       *model.Spec // what a score is made by; its rotations have no angles, which are each prompt's
	Layout     schema.Layout
	Heads      []schema.Head // target heads
	Prompts    []Prompt
	Processing schema.Processing

	path    string
	layers  []int // of target heads, ascending
	first   []int // number of the first prompt of each shard, and of all at the end
	weights *checkpoint.File
	unembed map[int]int // row of W_U that a token has

	mu     sync.Mutex
	open   []*shard // those used last are last
	closed bool
}

// shard is an open file of activations. It stays open as long as somebody reads it.
type shard struct {
	number  int
	file    *checkpoint.File
	readers int
	dropped bool // nobody else will ask for it
}

// Open reads the description, the prompts and the weights of a folder. Its shards are opened, and compared with
// their sums, when their first prompt is asked for. Errors are [ErrFolder].
func Open(path string) (*Folder, error) {
	f := &Folder{path: path}
	if err := f.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("exchange: %s: %w", path, err), f.Close())
	}
	return f, nil
}

// Heads lists the target heads of a folder, whose description alone it reads.
func Heads(path string) ([]schema.Head, error) {
	f := &Folder{path: path}
	if err := f.describe(); err != nil {
		return nil, fmt.Errorf("exchange: %s: %w", path, err)
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
	f.Processing, _ = schema.ParseProcessing(f.Run.Processing) // it is one of the words
	if f.writers() == 0 {
		return fault("%s: no component writes before layer %d, the last of a head", runFile, f.stop())
	}
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
		return checkpoint.WithHint("ducklens.capture(model, ...) in Python makes such a folder; --model takes a model", fault("%w", err))
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
		return fault("%s: format %.100q, version %d, want %q, version %d", runFile, head.Format, head.Version, Format, Version)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f.Run); err != nil {
		return fault("%s: %w", runFile, err)
	}
	return nil
}

// regular opens a file of the folder that is one itself and no link.
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

// openFile opens a file of tensors and compares it with its sum.
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

// line is a line of the file of prompts.
type line struct {
	Text     string          `json:"text"`
	Tokens   []int           `json:"tokens"`
	Texts    []string        `json:"token_texts"`
	Query    *int            `json:"query"`
	Key      *int            `json:"key"`
	Baseline *int            `json:"baseline"`
	Fields   json.RawMessage `json:"fields"`
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

// prompt reads one line.
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
	case l.Query == nil || l.Key == nil:
		return Prompt{}, errors.New("query or key is missing")
	}
	p := Prompt{Text: l.Text, Query: *l.Query, Key: *l.Key, Baseline: schema.NoPosition}
	if l.Baseline != nil {
		if p.Baseline = *l.Baseline; p.Baseline < 0 {
			return Prompt{}, fmt.Errorf("baseline %d, want a position from 0, or none at all", p.Baseline)
		}
	}
	if p.Query < 0 || p.Query >= n || p.Key < 0 || p.Key > p.Query || p.Baseline > p.Query {
		return Prompt{}, fmt.Errorf("query %d, key %d, baseline %d of %d tokens, want key and baseline up to the query", p.Query, p.Key, p.Baseline, n)
	}
	for _, h := range f.Heads {
		if first := f.firstKey(h.Layer, p.Query); p.Key < first || p.Baseline != schema.NoPosition && p.Baseline < first {
			return Prompt{}, fmt.Errorf("key %d or baseline %d, and from query %d head %s sees positions %d to %[3]d", p.Key, p.Baseline, p.Query, h, first)
		}
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
	var err error
	p.Fields, err = fields(l.Fields)
	return p, err
}

// fields reads an object of the author's own values, in its order.
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
		field := schema.Field{Name: name.(string)} // what stands before a colon is a string
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

// firstKey is the first position that heads of a layer see from a query.
func (f *Folder) firstKey(layer, query int) int {
	if w := f.Spec.WindowOf(layer); w > 0 {
		return max(0, query-w+1)
	}
	return 0
}

// stop is the layer before which the components end that shards have: that of the last target head.
func (f *Folder) stop() int { return f.layers[len(f.layers)-1] }

// writers counts the components that shards have.
func (f *Folder) writers() int { return f.Layout.Below(f.stop()) }

// dtype is the type of every tensor of numbers.
func (f *Folder) dtype() checkpoint.DType {
	if f.Run.Precision == "float64" {
		return checkpoint.F64
	}
	return checkpoint.F32
}

// shard gives an open shard, which [Folder.release] gives back.
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

// Close gives all files back. Nothing may be read beside it or after it.
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
