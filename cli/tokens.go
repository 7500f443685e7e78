package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ducklens/engine/checkpoint"
	"ducklens/engine/tokenizer"
	"ducklens/ingest/prompts"
	"ducklens/internal/regular"
	"ducklens/queries"
	"ducklens/queries/output"
)

// tokensFlags are the choices of `ducklens tokens`.
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
		Short: "Show the tokens of texts, as ingest reads them",
		Long: `Shows each text as the tokens that ingest makes of it, with their positions, so that a prompt file can name them. The
texts are the arguments, or those of a file as ingest takes it, or the lines of a .txt file. Of a model folder, only
the tokenizer is read: it may hold nothing else.

A token is shown with all its bytes, which need not be a whole character: in a table it is quoted, with \x.. for bytes
that are none; in CSV it is as it is; in JSON it is a text, or a list of bytes where it is no UTF-8.`,
		Example: `  ducklens tokens --model gpt2 "When Mary and John went to the store, John gave a drink to"
  ducklens tokens --model smollm2.gguf --prompts prompts.jsonl --format csv`,
		GroupID: groupMake,
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.model == "" {
				return &usageError{err: errors.New("--model is missing"), hint: `ducklens tokens --model demo "Mary and John"`}
			}
			if (len(args) > 0) == (f.prompts != "") {
				return usagef("give texts, or a file of them with --prompts")
			}
			result, err := f.list(cmd.Context(), args)
			if err != nil {
				return err
			}
			return output.Write(cmd.Context(), cmd.OutOrStdout(), f.format, result, screen(cmd.OutOrStdout()))
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&f.model, "model", "", "model `folder` (a tokenizer is enough), or a .gguf file; demo is the embedded model")
	flags.StringVar(&f.prompts, "prompts", "", "`file` of prompts: .jsonl, .csv, .tsv, .parquet; or .txt, one a line")
	wordVar(flags, &f.bos, "bos", parseOnOff, "put the token that begins a text in front (auto: as the model's tokenizer does)", auto, on, off)
	wordVar(flags, &f.format, "format", output.ParseFormat, "form of the answer", output.Table, output.CSV, output.JSON)
	return cmd
}

// list makes a row for each token.
func (f *tokensFlags) list(ctx context.Context, texts []string) (result *queries.Result, err error) {
	path, done, err := modelPath(f.model)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	t, err := openTokenizer(path)
	if err != nil {
		return nil, err
	}
	policy := map[onOff]tokenizer.BOS{auto: tokenizer.AutoBOS, on: tokenizer.WithBOS, off: tokenizer.WithoutBOS}[f.bos]
	if _, ok := t.BOS(); f.bos == on && !ok {
		return nil, fmt.Errorf("the tokenizer of %s has no token that begins a text", f.model)
	}
	result = &queries.Result{Columns: []queries.Column{
		{Name: "example_id", Type: queries.Integer}, {Name: "pos", Type: queries.Integer}, {Name: "token_id", Type: queries.Integer}, {Name: "token", Type: queries.Text},
	}}
	example := int64(0)
	add := func(text string) error {
		ids, err := t.EncodeBOS(text, policy)
		if err != nil {
			return fmt.Errorf("tokenizer of %s: example %d: %w", f.model, example, err)
		}
		for pos, id := range ids {
			result.Rows = append(result.Rows, []any{example, int64(pos), int64(id), f.token(t.Token(id))})
		}
		example++
		return nil
	}
	if f.prompts == "" {
		for _, text := range texts {
			if err := add(text); err != nil {
				return nil, err
			}
		}
		return result, nil
	}
	return result, f.read(ctx, add)
}

// token gives the bytes of a token in the form of the answer.
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

// read hands the texts of a file to add.
func (f *tokensFlags) read(ctx context.Context, add func(string) error) (err error) {
	if !strings.EqualFold(filepath.Ext(f.prompts), ".txt") {
		for p, err := range prompts.File(ctx, f.prompts) {
			if err != nil {
				return err
			}
			if err := add(p.Text); err != nil {
				return err
			}
		}
		return nil
	}
	file, err := regular.Open(f.prompts)
	if err != nil {
		return err
	}
	defer closing(file, &err)
	const longest = 16 << 20 // as in other prompt files
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, longest)
	for lines.Scan() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := add(lines.Text()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read %s: %w", f.prompts, err)
	}
	return nil
}

// openTokenizer reads the tokenizer of a model. A folder may hold nothing else.
func openTokenizer(path string) (t *tokenizer.Tokenizer, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, atModel(err)
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
