package tokenizer

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"ducklens/engine/internal/jsonfault"
	"ducklens/internal/advice"
)

// settings holds the files beside a vocabulary: tokenizer_config.json and the older ones.
type settings struct {
	keys  map[string]json.RawMessage
	added []addedToken // ordered by id
	older bool         // added is of added_tokens.json, which has ids and no flags
	whole bool         // beside tokenizer.json, which says all about the nodes
}

// readSettings reads the files in the order of transformers: special_tokens_map.json and added_tokens.json
// count only if tokenizer_config.json has no added_tokens_decoder.
func readSettings(fsys fs.FS) (*settings, error) {
	keys, err := readObject(fsys, "tokenizer_config.json")
	if err != nil {
		return nil, err
	}
	s := &settings{keys: keys}
	if raw, ok := keys["added_tokens_decoder"]; ok && !absent(raw) {
		var byID map[string]addedToken
		if err := json.Unmarshal(raw, &byID); err != nil {
			return nil, fault("tokenizer_config.json: added_tokens_decoder: %w", jsonfault.Explain(err))
		}
		return s, s.sortAdded("tokenizer_config.json", byID)
	}
	special, err := readObject(fsys, "special_tokens_map.json")
	if err != nil {
		return nil, err
	}
	if s.keys == nil {
		s.keys = map[string]json.RawMessage{}
	}
	for key, raw := range special {
		s.keys[key] = raw
	}
	s.older = true
	return s, s.readAddedFile(fsys)
}

// readAddedFile reads added_tokens.json, an object of ids by token.
func (s *settings) readAddedFile(fsys fs.FS) error {
	const name = "added_tokens.json"
	object, err := readObject(fsys, name)
	if err != nil {
		return err
	}
	special := map[string]bool{}
	for _, t := range s.special() {
		special[t.Content] = true
	}
	byID := map[string]addedToken{}
	for content, raw := range object {
		is := special[content]
		byID[string(raw)] = addedToken{Content: content, Special: is, Normalized: !is}
	}
	if len(byID) < len(object) {
		return fault("%s: two tokens have one id", name)
	}
	return s.sortAdded(name, byID)
}

func (s *settings) sortAdded(file string, byID map[string]addedToken) error {
	ids := make([]int, 0, len(byID))
	for key := range byID {
		id, err := strconv.Atoi(key)
		if err != nil || id < 0 {
			return fault("%s: %.40q is no token id", file, key)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		s.added = append(s.added, byID[strconv.Itoa(id)])
	}
	return nil
}

// specialKeys are the special tokens that transformers knows by name, in its order.
var specialKeys = []string{
	"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
}

// special returns the tokens that are special by their role. A token with several roles has the flags of the
// last.
func (s *settings) special() []addedToken {
	keys := slices.Clone(specialKeys)
	for key := range s.keys {
		if strings.HasSuffix(key, "_token") && !slices.Contains(specialKeys, key) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys[len(specialKeys):])
	var list []addedToken
	for _, key := range keys {
		if t, ok := tokenOf(s.keys[key]); ok {
			same := func(other addedToken) bool { return other.Content == t.Content }
			if i := slices.IndexFunc(list, same); i >= 0 {
				list[i] = t
			} else {
				list = append(list, t)
			}
		}
	}
	for _, key := range []string{"additional_special_tokens", "extra_special_tokens"} {
		list = append(list, tokensOf(s.keys[key])...)
	}
	return list
}

// tokenOf reads a token that is a string, or an object with flags. Other values, such as null and true, are
// not tokens.
func tokenOf(raw json.RawMessage) (addedToken, bool) {
	t := addedToken{}
	if json.Unmarshal(raw, &t.Content) != nil {
		t = addedToken{}
		if json.Unmarshal(raw, &t) != nil {
			return addedToken{}, false
		}
	}
	t.Special = true
	return t, t.Content != ""
}

// tokensOf reads a list of tokens, or an object of them by role.
func tokensOf(raw json.RawMessage) []addedToken {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		var byRole map[string]json.RawMessage
		if json.Unmarshal(raw, &byRole) != nil {
			return nil
		}
		roles := make([]string, 0, len(byRole))
		for role := range byRole {
			roles = append(roles, role)
		}
		slices.Sort(roles)
		for _, role := range roles {
			list = append(list, byRole[role])
		}
	}
	var tokens []addedToken
	for _, raw := range list {
		if t, ok := tokenOf(raw); ok {
			tokens = append(tokens, t)
		}
	}
	return tokens
}

// flag returns a setting that is true or false; said is false if it is neither.
func (s *settings) flag(key string) (value, said bool) {
	raw := s.keys[key]
	said = !absent(raw) && json.Unmarshal(raw, &value) == nil
	return value, said
}

// class returns the name of the tokenizer's class in transformers, without the suffix of the fast ones.
func (s *settings) class() string {
	var name string
	json.Unmarshal(s.keys["tokenizer_class"], &name)
	return strings.TrimSuffix(name, "Fast")
}

// apply combines what the vocabulary's files say with the settings and the model's configuration.
func (s *settings) apply(b *builder, config *modelConfig, source string) (*Tokenizer, error) {
	kind := "" // the nodes are in tokenizer.json
	if !s.whole {
		var err error
		if kind, err = s.nodes(b, config); err != nil {
			return nil, err
		}
	} else if space, ok := s.flag("add_prefix_space"); ok && s.class() == "GPT2Tokenizer" {
		b.setPrefixSpace(space)
	}
	gpt2 := kind == gpt2Kind || s.whole && config.exists && config.gpt2()
	tokens := slices.Clone(s.added)
	if s.older { // what tokenizer.json says of a token, including its flags, takes precedence
		tokens = slices.DeleteFunc(tokens, func(t addedToken) bool {
			_, known := b.addedAt[t.Content]
			return known
		})
	}
	special := s.special()
	if _, known := b.ids[EndOfTextText]; known && (gpt2 || kind != "") {
		// The default of its class, if the vocabulary has it. A new token is not added: its id would be
		// beyond the model's.
		special = append(special, addedToken{Content: EndOfTextText, Special: true})
	}
	for _, t := range special {
		_, known := b.addedAt[t.Content]
		if !known && !slices.ContainsFunc(tokens, func(a addedToken) bool { return a.Content == t.Content }) {
			tokens = append(tokens, t)
		}
	}
	if err := b.add(tokens); err != nil {
		return nil, fmt.Errorf("%s: %w", source, err)
	}
	t, err := b.finish(source)
	if err != nil {
		return nil, err
	}
	s.finishBOS(t, b, config, kind, gpt2)
	return t, nil
}

// finishBOS decides which token is BOS and whether the tokenizer adds it.
func (s *settings) finishBOS(t *Tokenizer, b *builder, config *modelConfig, kind string, gpt2 bool) {
	if t.bos == noToken {
		if named, ok := tokenOf(s.keys["bos_token"]); ok {
			t.bos = b.id(named.Content)
		}
	}
	if t.bos == noToken && gpt2 {
		t.bos = t.endOfText
	}
	if id := config.bos(); t.bos == noToken && t.Token(id) != "" {
		t.bos = id
	}
	if len(t.before) > 0 {
		return
	}
	if adds, _ := s.flag("add_bos_token"); gpt2 && config.gpt2() || kind != "" && adds {
		t.putBOS(t.bos)
	}
	if adds, _ := s.flag("add_eos_token"); kind != "" && adds {
		if named, ok := tokenOf(s.keys["eos_token"]); ok && b.id(named.Content) != noToken {
			t.after = []int{b.id(named.Content)}
		}
	}
}

// putBOS makes the tokenizer put a token in front of each text, if there is one.
func (t *Tokenizer) putBOS(id int) {
	if t.bos = id; id != noToken {
		t.before = []int{id}
	}
}

// Kinds of nodes that vocab.json and merges.txt are read with.
const (
	gpt2Kind  = "GPT-2"
	qwen2Kind = "Qwen2"
)

// nodes chooses the nodes for vocab.json and merges.txt, by the tokenizer's class or else the model's type.
func (s *settings) nodes(b *builder, config *modelConfig) (kind string, err error) {
	space, _ := s.flag("add_prefix_space")
	class := s.class()
	if t := config.modelType; class == "" &&
		(strings.HasPrefix(t, "qwen2") || strings.HasPrefix(t, "qwen3")) {
		class = "Qwen2Tokenizer"
	}
	switch class {
	case "", "GPT2Tokenizer", "CodeGenTokenizer", "PreTrainedTokenizer", "TokenizersBackend":
		b.gpt2Nodes(space)
		return gpt2Kind, nil
	case "Qwen2Tokenizer":
		b.normalizers = []step{{"NFC", always(nfc.normalize)}}
		return qwen2Kind, b.splitNodes(qwen2Pattern, space)
	}
	return "",
		advice.Add(
			fault("tokenizer_config.json: tokenizer_class is %q, want GPT2Tokenizer or Qwen2Tokenizer "+
				"for vocab.json with merges.txt", class),
			saveHint)
}

// splitNodes cuts by a pattern, and then uses the bytes as they are.
func (b *builder) splitNodes(pattern string, prefixSpace bool) error {
	compiled, err := compile(pattern)
	if err != nil {
		return err
	}
	b.gpt2Nodes(prefixSpace)
	split := &splitCutter{matches: compiled.all, behavior: isolated}
	b.cutters = []stage{{"Split", split}, {"ByteLevel", &byteLevelCutter{prefixSpace: prefixSpace}}}
	return nil
}

func (b *builder) setPrefixSpace(space bool) {
	for _, c := range b.cutters {
		if c, ok := c.cutter.(*byteLevelCutter); ok {
			c.prefixSpace = space
		}
	}
}
