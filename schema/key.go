package schema

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Keys are unique across files and made from content, so that exports of several files can be mixed, and the same thing has the
// same key in each.

// keyDigits is the length of a key: 128 bits, so that no two of a billion things share one.
const keyDigits = 32

// key hashes the parts of what it stands for. Parts are quoted, so that they cannot run into each other.
func key(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%q\n", fmt.Sprint(p))
	}
	return hex.EncodeToString(h.Sum(nil))[:keyDigits]
}

// ModelKey is the key of a model: of its family, its weights and what its configuration says about its arithmetic. A folder may be
// renamed, so its name is no part of it.
func ModelKey(m Model) string { return key("model", m.Family, m.SHA256, m.ConfigSHA) }

// ComponentKey is the key of a component of the model with a key.
func ComponentKey(modelKey string, c Component) string {
	parts := []any{"component", modelKey, c.Kind, c.Layer, c.Head, c.Label()}
	if c.Source != "" {
		parts = append(parts, c.Source)
	}
	return key(parts...)
}

// RunKey is the key of a run: of its model and of what was asked for, prompts included. Who asked, when, and on how many
// threads is no part of it. again tells runs of one file apart that ask the same; it is 0 for the first.
func RunKey(r *Run, again int) string {
	parts := []any{"run", ModelKey(r.Model), r.PromptsSHA256, r.Seed, r.BOS, r.Convention, r.Processing, r.Precision,
		r.Factors, r.Pairs, r.Logits, r.Options, again}
	for _, h := range r.Heads {
		parts = append(parts, h.Head)
	}
	for _, b := range r.Bases {
		parts = append(parts, fmt.Sprintf("%s %s %s %d %s", b.Side, b.Kind, b.Name, b.Dimension, b.Description))
	}
	for _, m := range r.Movers {
		parts = append(parts, "mover "+m.String())
	}
	return key(parts...)
}

// PromptKey is the key of a prompt: of its tokens alone.
func PromptKey(tokens []Token) string {
	var ids strings.Builder
	for _, t := range tokens {
		fmt.Fprintf(&ids, " %d", t.ID)
	}
	return key("prompt", ids.String())
}

// OtherRunKey is the key of a run whose question another run of its file has the key of, and which holds other rows; content is
// a hash of them.
func OtherRunKey(taken, content string) string { return key("other run", taken, content) }
