package tokenizer_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"

	"ducklens/engine/tokenizer"
)

// A small tokenizer.json that would need gigabytes or hours is refused. The error names the node.
func TestHostileNodes(t *testing.T) {
	t.Parallel()
	sequence := func(list, node string, n int) string {
		return fmt.Sprintf(`{"type": "Sequence", %q: [%s]}`, list, strings.TrimSuffix(strings.Repeat(node+", ", n), ", "))
	}
	growing := fmt.Sprintf(`{"type": "Replace", "pattern": {"String": "a"}, "content": %q}`, strings.Repeat("a", 1000))
	special := fmt.Sprintf(`{"x": {"ids": [0%s]}}`, strings.Repeat(", 0", 99))
	piece := `{"SpecialToken": {"id": "x"}}`
	doubled := `{"type": "Strip"}`
	for range 8 {
		doubled = sequence("normalizers", doubled, 2)
	}
	deepRepeat := strings.Repeat("(?:", 9) + strings.Repeat("){1000}", 9)
	var added []string
	for i := range 2000 {
		added = append(added, fmt.Sprintf(`{"content": "<%d>", "normalized": true}`, i))
	}
	for name, c := range map[string]struct{ nodes, want string }{
		"normalizers": {`"normalizer": ` + sequence("normalizers", growing, 6), "normalizer 1, Replace, makes more than"},
		"matches nothing": {`"normalizer": ` + sequence("normalizers", strings.Replace(growing, `"String": "a"`, `"String": ""`, 1), 3),
			"normalizer 1, Replace, makes more than"},
		"pre-tokenizers": {`"pre_tokenizer": ` + sequence("pretokenizers", `{"type": "ByteLevel"}, {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated"}`, 30),
			"ByteLevel, makes more than"},
		"decoders":   {`"decoder": ` + sequence("decoders", growing, 6), "decoder 2, Replace, makes more than"},
		"template":   {fmt.Sprintf(`"post_processor": {"type": "TemplateProcessing", "single": [%s{"Sequence": {"id": "A"}}], "special_tokens": %s}`, strings.Repeat(piece+", ", 1000), special), "TemplateProcessing: unusable vocabulary: puts 300 tokens around a text, want at most 256"},
		"templates":  {fmt.Sprintf(`"post_processor": %s`, sequence("processors", fmt.Sprintf(`{"type": "TemplateProcessing", "single": [%s, {"Sequence": {"id": "A"}}], "special_tokens": %s}`, piece, special), 50)), "puts 300 tokens around a text"},
		"doubled":    {`"normalizer": ` + doubled, "normalizer: unusable vocabulary: more than 64 nodes"},
		"large node": {`"decoder": {"type": "Fuse", "x": "` + strings.Repeat("x", 1<<20) + `"}`, "decoder: unusable vocabulary: 1048601 bytes, want at most 1048576"},
		"pattern":    {fmt.Sprintf(`"pre_tokenizer": {"type": "Split", "pattern": {"Regex": %q}, "behavior": "Isolated"}`, deepRepeat), "more than 16384 instructions"},
		"added":      {fmt.Sprintf(`"normalizer": {"type": "Prepend", "prepend": %q}, "added_tokens": [%s]`, strings.Repeat("a", 4000), strings.Join(added, ", ")), "added tokens: unusable vocabulary: normalizer 0, Prepend, makes more than"},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			file := `{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}, ` + c.nodes + `}`
			tok, err := tokenizer.Load(fstest.MapFS{"tokenizer.json": {Data: []byte(file)}})
			if err == nil {
				_, err = tok.Encode("aa\u00e9a")
			}
			if !errors.Is(err, tokenizer.ErrVocabulary) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%.300v, want %q", err, c.want)
			}
			if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 400<<20 {
				t.Errorf("it took %d MB", (after.TotalAlloc-before.TotalAlloc)>>20)
			}
		})
	}
}
