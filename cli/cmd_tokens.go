package cli

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ducklens/engine"
	"ducklens/engine/checkpoint"
	"ducklens/engine/tokenizer"
	"ducklens/ingest"
	"ducklens/ingest/prompts"
	"ducklens/internal/regular"
	"ducklens/queries"
	"ducklens/queries/output"
	"ducklens/schema"
)

// tokensFlags are the flags of `ducklens tokens`.
type tokensFlags struct {
	model, prompts string
	bos            onOff
	format         output.Format
}

// newTokens builds `ducklens tokens`.
func newTokens() *cobra.Command {
	f := &tokensFlags{}
	cmd := &cobra.Command{
		Use:   "tokens --model MODEL [TEXT...]",
		Short: "Show how texts are split into tokens",
		Long: `Shows how ingest splits each text into tokens, with their positions, so that a prompt file can
refer to them. The texts are the arguments, those of a prompt file, or the lines of a .txt file. For prompts
with positions, role says which token is the query, the key and the baseline; prompts with positions that
ingest would refuse are an error, after all tokens. Only the tokenizer of a model folder is read, so the
folder need not hold anything else.

A token is shown with all its bytes, which need not be a whole character. In a table it is quoted, with \x..
for bytes that are not part of a character; in CSV it is written unchanged; in JSON it is a text, or a list of
bytes if it is not UTF-8.`,
		Example: `  ducklens tokens --model gpt2 "When Mary and John went to the store, John gave a drink to"
  ducklens tokens --model smollm2.gguf --prompts prompts.jsonl --format csv`,
		GroupID: groupMake,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.model == "" {
				return &usageError{err: errors.New("--model is missing"),
					hint: `ducklens tokens --model demo "Mary and John"`}
			}
			switch {
			case len(args) > 0 && f.prompts != "":
				return usagef("both texts and a file of prompts (--prompts %s): give one of them", f.prompts)
			case len(args) == 0 && f.prompts == "":
				return usagef("there is no text: give some, or a file of them with --prompts")
			}
			result, refused, err := f.list(cmd.Context(), args)
			if err != nil {
				return err
			}
			err = output.Write(cmd.Context(), cmd.OutOrStdout(), f.format, result, screen(cmd.OutOrStdout()))
			return cmp.Or(err, refused)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model, "model", "",
		"model `folder` (a tokenizer is enough), or a .gguf file; demo is the embedded model")
	flags.StringVar(&f.prompts, "prompts", "",
		"`file` of prompts: .jsonl, .csv, .tsv, .parquet, or .txt with one per line")
	wordVar(flags, &f.bos, "bos", parseOnOff,
		"begin texts with the BOS token (auto: as the model's tokenizer does)", auto, on, off)
	formatVar(flags, &f.format, "format of the answer", output.Table, output.CSV, output.JSON)
	return cmd
}

// list returns a row for each token, and why ingest would refuse a prompt.
func (f *tokensFlags) list(ctx context.Context, texts []string) (result *queries.Result, refused, err error) {
	path, done, err := modelPath(f.model)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	t, err := openTokenizer(path)
	if err != nil {
		return nil, nil, err
	}
	policy := map[onOff]tokenizer.BOS{auto: tokenizer.AutoBOS, on: tokenizer.WithBOS,
		off: tokenizer.WithoutBOS}[f.bos]
	if _, ok := t.BOS(); f.bos == on && !ok {
		return nil, nil, fmt.Errorf("the tokenizer of %s has no BOS token", f.model)
	}
	result = &queries.Result{Columns: []queries.Column{
		{Name: "example_id", Type: queries.Integer}, {Name: "pos", Type: queries.Integer},
		{Name: "token_id", Type: queries.Integer}, {Name: "token", Type: queries.Text},
	}}
	withRoles := f.prompts != "" && !f.isLines()
	if withRoles {
		result.Columns = append(result.Columns, queries.Column{Name: "role", Type: queries.Text})
	}
	example := int64(0)
	unusable := &ingest.Unusable{Source: f.prompts}
	add := func(p schema.Prompt) error {
		ids, err := t.EncodeBOS(p.Text, policy)
		if err != nil {
			return fmt.Errorf("tokenizer of %s: example %d: %w", f.model, example, err)
		}
		tokens := make([]schema.Token, len(ids))
		for pos, id := range ids {
			tokens[pos] = schema.Token{ID: id, Text: t.Token(id)}
		}
		of, err := roles(p, tokens)
		if err != nil {
			unusable.Add(int(example)+1, err)
		}
		for pos, token := range tokens {
			row := []any{example, int64(pos), int64(token.ID), f.token(token.Text)}
			if withRoles {
				row = append(row, of[pos])
			}
			result.Rows = append(result.Rows, row)
		}
		example++
		return nil
	}
	if f.prompts == "" {
		for _, text := range texts {
			if err := add(schema.Prompt{Text: text}); err != nil {
				return nil, nil, err
			}
		}
		return result, nil, nil
	}
	err = f.read(ctx, add)
	return result, unusable.Err(), err
}

// roles says of each token whether it is the query, the key or the baseline of a prompt, or several of them.
// The others are "", and so are all tokens of a prompt that has no positions or wrong ones.
func roles(p schema.Prompt, tokens []schema.Token) ([]string, error) {
	of := make([]string, len(tokens))
	if p.Query.IsNone() && p.Key.IsNone() && p.Baseline.IsNone() {
		return of, nil
	}
	query, key, baseline, err := engine.Locate(p, tokens)
	if err != nil {
		return of, err
	}
	for _, role := range []struct {
		name string
		at   int
	}{{"query", query}, {"key", key}, {"baseline", baseline}} {
		switch {
		case role.at == schema.NoPosition:
		case of[role.at] == "":
			of[role.at] = role.name
		default:
			of[role.at] += ", " + role.name
		}
	}
	return of, nil
}

// isLines says whether the file has a text on each line.
func (f *tokensFlags) isLines() bool { return strings.EqualFold(filepath.Ext(f.prompts), ".txt") }

// token formats the bytes of a token.
func (f *tokensFlags) token(bytes string) any {
	switch {
	case f.format == output.Table:
		return strconv.Quote(bytes)
	case f.format == output.JSON && !utf8.ValidString(bytes):
		list := make([]any, len(bytes))
		for i := range len(bytes) {
			list[i] = int64(bytes[i])
		}
		return list
	}
	return bytes
}

// read calls add with each prompt of a file.
func (f *tokensFlags) read(ctx context.Context, add func(schema.Prompt) error) (err error) {
	if !f.isLines() {
		for p, err := range prompts.File(ctx, f.prompts) {
			if err != nil {
				return err
			}
			if err := add(p); err != nil {
				return err
			}
		}
		return nil
	}
	file, err := regular.Open(f.prompts)
	if err != nil {
		return fmt.Errorf("prompt file %s: %w", f.prompts, pathless(err))
	}
	defer closing(file, &err)
	const longest = 16 << 20 // as in other prompt files
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := add(schema.Prompt{Text: lines.Text()}); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", f.prompts, err)
	}
	return nil
}

// openTokenizer reads the tokenizer of a model. A folder need not contain anything else.
func openTokenizer(path string) (t *tokenizer.Tokenizer, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, atModel(fmt.Errorf("tokenizer of %s: %w", path, pathless(err)))
	}
	if info.IsDir() {
		if ggufs, err := filepath.Glob(filepath.Join(path, "*.gguf")); err != nil || len(ggufs) == 0 {
			if t, err = tokenizer.Load(regular.DirFS(path)); err != nil {
				return nil, fmt.Errorf("tokenizer of %s: %w", path, err)
			}
			return t, nil
		}
	}
	c, err := checkpoint.Open(path)
	if err != nil {
		return nil, atModel(err)
	}
	defer closing(c, &err)
	if c.Form() == checkpoint.GGUF {
		t, err = tokenizer.FromMetadata(c.Metadata())
	} else {
		t, err = tokenizer.Load(regular.DirFS(path))
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer of %s: %w", path, err)
	}
	return t, nil
}
