package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Keys are unique across files. They are computed from content, so the same object has the same key in every
// file, and exports of several files can be mixed.

// keyDigits is the length of a key: 128 bits, so that among a billion objects no two share one.
const keyDigits = 32

// key hashes parts. They are quoted, so that different parts never give the same text.
func key(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%q\n", fmt.Sprint(p))
	}
	return hex.EncodeToString(h.Sum(nil))[:keyDigits]
}

// ModelKey returns the key of a model: a hash of its family, its weights and the arithmetic in its
// configuration. The name is not part of it, because a folder may be renamed.
func ModelKey(m Model) string { return key("model", m.Family, m.SHA256, m.ConfigSHA) }

// ComponentKey returns the key of a component of a model.
func ComponentKey(modelKey string, c Component) string {
	parts := []any{"component", modelKey, c.Kind, c.Layer, c.Head, c.Label()}
	if c.Source != "" {
		parts = append(parts, c.Source)
	}
	return key(parts...)
}

// RunKey returns the key of a run: a hash of its model and of everything that was requested, prompts
// included, but not of the user, the time or the number of threads. again distinguishes runs of the same
// question in one file; it is 0 for the first.
func RunKey(r *Run, again int) string {
	parts := []any{"run", ModelKey(r.Model), r.PromptsSHA256, r.Seed, r.BOS, r.Convention,
		r.Processing, r.Precision, r.Factors, r.Pairs, r.Logits, r.Options, again}
	for _, h := range r.Heads {
		parts = append(parts, h.Head)
	}
	for _, b := range r.Bases {
		parts = append(parts,
			fmt.Sprintf("%s %s %s %d %s", b.Side, b.Kind, b.Name, b.Dimension, b.Description))
	}
	for _, m := range r.Movers {
		parts = append(parts, "mover "+m.String())
	}
	return key(parts...)
}

// PromptKey returns the key of a prompt, which depends only on its tokens.
func PromptKey(tokens []Token) string {
	var ids strings.Builder
	for _, t := range tokens {
		fmt.Fprintf(&ids, " %d", t.ID)
	}
	return key("prompt", ids.String())
}

// OtherRunKey returns the key of a run whose own key is taken by another run in the file with other rows.
// content is a hash of its rows.
func OtherRunKey(taken, content string) string { return key("other run", taken, content) }
