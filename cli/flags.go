package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"ducklens/engine/decompose"
	"ducklens/queries/output"
	"ducklens/schema"
)

// A word is a flag whose value is one of a few words. It is a [pflag.Value].
type word[T fmt.Stringer] struct {
	value *T
	parse func(string) (T, error)
	usage string // the value's name in the help, such as exact|notebook
}

var _ pflag.Value = (*word[schema.Convention])(nil)

func (w *word[T]) String() string {
	if w.value == nil {
		return ""
	}
	return (*w.value).String()
}

func (w *word[T]) Type() string { return w.usage }

func (w *word[T]) Set(s string) (err error) {
	*w.value, err = w.parse(s)
	return err
}

// wordVar adds a flag whose value is one of words.
func wordVar[T fmt.Stringer](
	flags *pflag.FlagSet, value *T, name string, parse func(string) (T, error), usage string, words ...T,
) {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = w.String()
	}
	flags.Var(&word[T]{value, parse, strings.Join(names, "|")}, name, usage)
}

// formatVar adds the flag --format, which takes one of the allowed formats.
func formatVar(flags *pflag.FlagSet, value *output.Format, usage string, allowed ...output.Format) {
	names := make([]string, len(allowed))
	for i, f := range allowed {
		names[i] = f.String()
	}
	parse := func(s string) (output.Format, error) {
		f, err := output.ParseFormat(s)
		if err != nil || !slices.Contains(allowed, f) {
			return *value, fmt.Errorf("%q, want one of %s", s, strings.Join(names, ", "))
		}
		return f, nil
	}
	wordVar(flags, value, "format", parse, usage, allowed...)
}

// onOff is a choice that can be left to the program.
type onOff uint8

const (
	auto onOff = iota
	on
	off
)

func (o onOff) String() string { return [...]string{"auto", "on", "off"}[o] }

// parseOnOff parses an onOff.
func parseOnOff(s string) (onOff, error) {
	for _, o := range []onOff{auto, on, off} {
		if s == o.String() {
			return o, nil
		}
	}
	return auto, fmt.Errorf("%q, want %s, %s or %s", s, auto, on, off)
}

// targetHeads parses the values of --head. For the single word all it returns nil.
func targetHeads(values []string) ([]schema.Head, error) {
	if len(values) == 1 && values[0] == "all" {
		return nil, nil
	}
	if len(values) == 0 {
		return nil, &usageError{err: fmt.Errorf("--head is missing: name the heads to explain"),
			hint: "--head 10.7, or several: --head 10.7,11.10, or every one: --head all"}
	}
	var heads []schema.Head
	for _, v := range values {
		h, err := schema.ParseHead(strings.TrimSpace(v))
		if err != nil {
			return nil, usagef("--head: %w (or all, alone)", err)
		}
		heads = append(heads, h)
	}
	return heads, nil
}

// baseNames lists the bases of a side for a help text.
func baseNames(side schema.Side) string {
	var names []string
	for _, d := range decompose.Definitions(side) {
		names = append(names, d.Name)
	}
	return strings.Join(names, ", ")
}

// An invocation is how the program was called.
type invocation struct {
	program string   // as the user typed it
	args    []string // the rest of the command line
}

// line returns the command line, quoted for a POSIX shell. It calls the program ducklens, wherever it is
// installed.
func (i invocation) line() string {
	words := []string{"ducklens"}
	for _, a := range i.args {
		words = append(words, quote(a))
	}
	return strings.Join(words, " ")
}

// quote quotes an argument for a POSIX shell.
func quote(arg string) string {
	const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%"
	if arg != "" && !strings.ContainsFunc(arg, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
}
