package checkpoint_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
)

// damaged is a folder that has to be refused: with which error, and what its text has to name.
type damaged struct {
	name   string
	folder files
	kind   error
	text   []string
}

// one writes a file of a single tensor with the given entry.
func one(entry string, data int) []byte { return raw("{"+entry+"}", make([]byte, data)) }

// hostileSafetensors makes one file for each way in which a weight file can lie.
func hostileSafetensors(tb testing.TB) []damaged {
	list, config := tensors(tb)
	good := safetensors(list)
	claim := func(n uint64) []byte {
		file := bytes.Clone(good)
		binary.LittleEndian.PutUint64(file, n)
		return file
	}
	without := slices.Delete(slices.Clone(list), 4, 5)
	extra := append(slices.Clone(list), stored{"h.3.ln_1.bias", "F32", []int{32}, make([]byte, 128)})
	reshaped := slices.Clone(list)
	transposed := slices.Clone(list)
	integers := slices.Clone(list)
	for i, s := range list {
		switch s.name {
		case "ln_f.bias":
			reshaped[i].shape = []int{16, 2}
			integers[i].dtype = "I32"
		case "h.1.mlp.c_fc.weight":
			transposed[i].shape = []int{128, 32}
		}
	}
	head := append(slices.Clone(list), stored{"lm_head.weight", "F16", []int{1015, 32}, make([]byte, 1015*32*2)})
	twice := append(slices.Clone(list), list[2])
	both := slices.Clone(list)
	both = append(both, stored{"transformer." + list[2].name, list[2].dtype, list[2].shape, list[2].data})
	const f32 = `"dtype":"F32","shape":[2],"data_offsets":`
	var cases []damaged
	add := func(name string, file []byte, kind error, text ...string) {
		cases = append(cases, damaged{name, files{"config.json": config, "model.safetensors": file}, kind, text})
	}
	format, tensor := checkpoint.ErrFormat, checkpoint.ErrTensor
	add("empty", nil, format, "0 bytes")
	add("seven bytes", good[:7], format, "7 bytes")
	add("header of 10^18 bytes", claim(1e18), format, "1000000000000000000")
	add("header of 2^64-1 bytes", claim(1<<64-1), format, "18446744073709551615")
	add("header longer than the file", claim(uint64(len(good))), format, "claims")
	add("header cut short", claim(100), format, "header")
	add("data cut short", good[:len(good)-1], format, "ends at byte", "truncated")
	add("data too long", append(bytes.Clone(good), 0), format, "end at byte")
	add("large header", raw(strings.Repeat(" ", 17<<20), nil), format, "want at most")
	add("no JSON", raw("hello", nil), format, "header")
	add("a list", raw("[]", nil), format, "want {")
	add("text after the header", raw("{}{}", nil), format, "closing brace")
	add("nothing in it", raw("{}", nil), tensor, "missing")
	add("offsets backwards", one(`"wte.weight":{`+f32+`[8,0]}`, 8), format, "wte.weight", "before")
	add("offsets out of range", one(`"wte.weight":{`+f32+`[8,16]}`, 8), format, "wte.weight", "ends at byte 16")
	add("offsets negative", one(`"wte.weight":{`+f32+`[-8,0]}`, 8), format, "wte.weight", "-8")
	add("offsets above 2^64", one(`"wte.weight":{`+f32+`[0,99999999999999999999]}`, 8), format, "wte.weight", "99999999999999999999")
	add("offsets overlap", one(`"a":{`+f32+`[0,8]},"b":{`+f32+`[4,12]}`, 12), format, `"b"`, "inside")
	add("offsets the same", one(`"a":{`+f32+`[0,8]},"b":{`+f32+`[0,8]}`, 8), format, `"b"`, "inside")
	add("a gap", one(`"a":{`+f32+`[4,12]}`, 12), format, `"a"`, "want 0")
	add("three offsets", one(`"a":{`+f32+`[0,8,8]}`, 8), format, "more than 2")
	add("one offset", one(`"a":{`+f32+`[0]}`, 8), format, "want 2")
	add("shape lies", one(`"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}`, 8), format, "want 12")
	add("type lies", one(`"a":{"dtype":"F16","shape":[2],"data_offsets":[0,8]}`, 8), format, "want 4")
	add("type unknown", one(`"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}`, 8), format, "F31")
	add("shape overflows", one(`"a":{"dtype":"F32","shape":[1099511627776,1099511627776],"data_offsets":[0,0]}`, 0), format, "larger than any file")
	add("shape overflows to its size", one(`"a":{"dtype":"U8","shape":[1099511627776,16777216,2],"data_offsets":[0,0]}`, 0), format, "larger than any file")
	add("dimension overflows", one(`"a":{"dtype":"F32","shape":[9223372036854775808],"data_offsets":[0,0]}`, 0), format, "dimension")
	add("too many dimensions", one(`"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}`, 4), format, "more than 8")
	add("shape is text", one(`"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}`, 8), format, "whole number")
	add("shape is a fraction", one(`"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}`, 8), format, "2.0")
	add("key unknown", one(`"a":{"evil":1,`+f32+`[0,8]}`, 8), format, "evil")
	add("key twice", one(`"a":{"dtype":"F16",`+f32+`[0,8]}`, 8), format, "two keys")
	add("key missing", one(`"a":{"dtype":"F32","shape":[2]}`, 8), format, "data_offsets is missing")
	add("metadata not text", one(`"__metadata__":{"a":[1]}`, 0), format, "__metadata__")
	add("name twice", safetensors(twice), format, "two entries", list[2].name)
	add("name with and without prefix", safetensors(both), tensor, "twice", list[2].name)
	add("missing tensor", safetensors(without), tensor, "missing", list[4].name)
	add("extra tensor", safetensors(extra), tensor, "unknown", "h.3.ln_1.bias")
	add("wrong shape", safetensors(reshaped), tensor, "ln_f.bias", "[16 2]", "want [32]")
	add("transposed", safetensors(transposed), tensor, "h.1.mlp.c_fc.weight", "[128 32]", "want [32 128]")
	add("wrong type", safetensors(integers), tensor, "ln_f.bias", "I32", "want F32")
	add("another head", safetensors(head), tensor, "lm_head.weight", "differs")
	index := func(name, text string, kind error, want ...string) {
		cases = append(cases, damaged{name, files{"config.json": config, "model.safetensors.index.json": []byte(text), "x.safetensors": good}, kind, want})
	}
	index("index is no JSON", "{", format, "index.json")
	index("index is empty", `{"weight_map":{}}`, format, "weight_map")
	index("index leaves the folder", `{"weight_map":{"wte.weight":"../x.safetensors"}}`, format, "../x.safetensors")
	index("index names a path", `{"weight_map":{"wte.weight":"/etc/passwd"}}`, format, "/etc/passwd")
	index("index names no file", `{"weight_map":{"wte.weight":"y.safetensors"}}`, format, "y.safetensors")
	index("index leaves tensors out", `{"weight_map":{"wte.weight":"x.safetensors"}}`, tensor, "which the index places")
	return cases
}

// hostileLens does the same for archives.
func hostileLens(tb testing.TB) []damaged {
	members, config := lensArrays(tb)
	format, tensor := checkpoint.ErrFormat, checkpoint.ErrTensor
	var cases []damaged
	add := func(name string, file []byte, kind error, text ...string) {
		cases = append(cases, damaged{name, files{"config.json": config, "model.npz": file}, kind, text})
	}
	with := func(name string, content []byte) []byte {
		changed := files{}
		for k, v := range members {
			changed[k] = v
		}
		if content == nil {
			delete(changed, name)
		} else {
			changed[name] = content
		}
		return npz(tb, changed)
	}
	good := npz(tb, members)
	const ln = "ln_final.b.npy"
	header := func(text string) []byte {
		text += "\n"
		file := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(text)))...)
		return append(append(file, text...), make([]byte, 128)...)
	}
	add("npz empty", nil, format, "zip")
	add("npz cut short", good[:len(good)/2], format, "zip")
	add("npz with another file", with("evil.pkl", []byte("x")), format, "evil.pkl")
	add("npz of objects", with(ln, npy("|O", false, []int{32}, make([]byte, 256))), format, "ln_final.b")
	add("npz missing", with(ln, nil), tensor, "missing", "ln_final.b")
	add("npz without the last norm", with("ln_final.w.npy", nil), tensor, "unknown", "LayerNorm folded")
	add("npz extra", with("blocks.3.ln1.b.npy", npy("<f4", false, []int{32}, make([]byte, 128))), tensor, "blocks.3.ln1.b")
	add("npz wrong shape", with(ln, npy("<f4", false, []int{2, 16}, make([]byte, 128))), tensor, "[2 16]", "want [32]")
	add("npz wrong type", with(ln, npy("<f8", false, []int{32}, make([]byte, 256))), tensor, "<f8")
	add("npz big endian", with(ln, npy(">f4", false, []int{32}, make([]byte, 128))), format, ">f4")
	add("npz shape of 10^18", with(ln, npy("<f4", false, []int{1e18}, make([]byte, 128))), format, "1000000000000000000")
	add("npz shape overflows", with(ln, npy("<f4", false, []int{1 << 40, 1 << 40}, make([]byte, 128))), format, "larger than any file")
	add("npz shape negative", with(ln, npy("<f4", false, []int{-32}, make([]byte, 128))), format, "-32")
	add("npz array cut short", with(ln, npy("<f4", false, []int{32}, make([]byte, 100))), format, "takes 256 bytes")
	add("npz without magic", with(ln, []byte("hello, world")), format, "NUMPY")
	add("npz without header", with(ln, []byte("\x93NUMPY\x01\x00\xff\xff")), format, "header")
	add("npz header of 4 GB", with(ln, []byte("\x93NUMPY\x02\x00\xff\xff\xff\xff{}")), format, "4294967295")
	add("npz header empty", with(ln, []byte("\x93NUMPY\x01\x00\x00\x00")), format, "header")
	add("npz version 9", with(ln, []byte("\x93NUMPY\x09\x00\x00\x00")), format, "version 9")
	// The library behind would read these as something else, or panic.
	add("npz header without comma", with(ln, header("{'descr': '<f4', 'fortran_order': False, 'shape': (32,)}")), format, "as numpy writes it")
	add("npz header in another order", with(ln, header("{'shape': (32,), 'descr': '<f4', 'fortran_order': False, }")), format, "header")
	add("npz header with more keys", with(ln, header("{'descr': '<f4', 'fortran_order': False, 'shape': (32,), 'evil': 1, }")), format, "header")

	var bomb bytes.Buffer
	z := zip.NewWriter(&bomb)
	for range 2 {
		w, err := z.Create(ln)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write(members[ln]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	add("npz name twice", bomb.Bytes(), format, "two members")
	add("npz bomb", with("embed.W_E.npy", npy("<f4", false, []int{1 << 20, 32}, make([]byte, 1<<27))), format, "too large")
	return cases
}

// hostileConfigs does the same for config.json and for what a folder holds.
func hostileConfigs(tb testing.TB) []damaged {
	list, config := tensors(tb)
	good := safetensors(list)
	var cases []damaged
	replace := func(name, old, new string, kind error, text ...string) {
		changed := strings.Replace(string(config), old, new, 1)
		if changed == string(config) {
			tb.Fatalf("%s: no %s in config.json", name, old)
		}
		cases = append(cases, damaged{"config " + name, files{"config.json": []byte(changed), "model.safetensors": good}, kind, text})
	}
	invalid, unsupported := checkpoint.ErrConfig, checkpoint.ErrUnsupported
	replace("llama", `"gpt2"`, `"llama"`, unsupported, "llama", "gpt2")
	replace("another class", "GPT2LMHeadModel", "GPT2ForSequenceClassification", unsupported, "GPT2ForSequenceClassification")
	replace("exact GELU", "gelu_new", "gelu", unsupported, `"gelu"`, "gelu_new")
	replace("no layers", `"n_layer": 3`, `"n_layer": 0`, invalid, "n_layer is 0")
	replace("layers missing", `"n_layer": 3`, `"layers": 3`, invalid, "n_layer is missing")
	replace("layers null", `"n_layer": 3`, `"n_layer": null`, invalid, "n_layer is missing")
	replace("layers text", `"n_layer": 3`, `"n_layer": "3"`, invalid, "n_layer")
	replace("layers fraction", `"n_layer": 3`, `"n_layer": 2.5`, invalid, "n_layer")
	replace("layers negative", `"n_layer": 3`, `"n_layer": -3`, invalid, "-3")
	replace("10^18 layers", `"n_layer": 3`, `"n_layer": 1000000000000000000`, invalid, "1000000000000000000")
	replace("10^30 words", `"vocab_size": 1015`, `"vocab_size": 1e30`, invalid, "vocab_size")
	replace("more layers", `"n_layer": 3`, `"n_layer": 4`, checkpoint.ErrTensor, "h.3.", "missing")
	replace("fewer layers", `"n_layer": 3`, `"n_layer": 2`, checkpoint.ErrTensor, "h.2.", "unknown")
	replace("more words", `"vocab_size": 1015`, `"vocab_size": 1016`, checkpoint.ErrTensor, "wte.weight", "[1015 32]", "want [1016 32]")
	replace("heads do not divide", `"n_head": 4`, `"n_head": 5`, invalid, "32", "5")
	replace("contexts differ", `"n_ctx": 48`, `"n_ctx": 47`, invalid, "47", "48")
	replace("negative eps", "0.0001", "-0.0001", invalid, "layer_norm_epsilon")
	replace("scaled by layer", "{", `{"scale_attn_by_inverse_layer_idx": true,`, unsupported, "scale_attn_by_inverse_layer_idx")
	replace("not scaled", "{", `{"scale_attn_weights": false,`, unsupported, "scale_attn_weights")
	replace("cross attention", "{", `{"add_cross_attention": true,`, unsupported, "add_cross_attention")
	replace("untied", "{", `{"tie_word_embeddings": false,`, checkpoint.ErrTensor, "lm_head.weight")
	replace("two faults", `"n_head": 4,`+"\n"+`  "n_layer": 3`, `"n_head": 0, "n_layer": 0`, invalid, "n_head", "n_layer")
	lens := func(name, text string, kind error, want ...string) {
		cases = append(cases, damaged{"config of TransformerLens " + name, files{"config.json": []byte(text), "model.safetensors": good}, kind, want})
	}
	const sizes = `{"d_model":32,"n_layers":3,"n_heads":4,"n_ctx":48,"d_vocab":1015`
	lens("rotary", sizes+`,"positional_embedding_type":"rotary"}`, unsupported, "rotary")
	lens("RMS", sizes+`,"normalization_type":"RMS"}`, unsupported, "RMS")
	lens("heads", sizes+`,"d_head":9}`, unsupported, "d_head is 9")
	lens("scale", sizes+`,"attn_scale":1}`, unsupported, "attn_scale")
	lens("attention only", sizes+`,"attn_only":true}`, unsupported, "attn_only")
	text := func(name, config string, want ...string) {
		cases = append(cases, damaged{"config " + name, files{"config.json": []byte(config), "model.safetensors": good}, invalid, want})
	}
	text("empty", "")
	text("a list", "[]")
	text("deep", strings.Repeat(`{"a":`, 20000), "depth")
	text("long", strings.Repeat(" ", 2<<20), "want at most")
	none := checkpoint.ErrNoCheckpoint
	cases = append(cases,
		damaged{"folder without weights", files{"config.json": config}, none, []string{"model.safetensors"}},
		damaged{"folder without config", files{"model.safetensors": good}, none, []string{"config.json"}},
		damaged{"folder with a pickle", files{"config.json": config, "pytorch_model.bin": nil}, none, []string{"model.safetensors"}},
		damaged{"folder with two forms", files{"config.json": config, "model.safetensors": good, "model.npz": nil}, none, []string{"both"}},
	)
	return cases
}

// Every damaged folder gives its error, without a panic and without much memory.
func TestHostile(t *testing.T) {
	cases := slices.Concat(hostileSafetensors(t), hostileLens(t), hostileConfigs(t))
	for _, d := range cases {
		t.Run(d.name, func(t *testing.T) {
			dir := d.folder.write(t)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			c, err := checkpoint.Open(dir)
			runtime.ReadMemStats(&after)
			if err == nil {
				c.Close()
				t.Fatal("is opened")
			}
			if !errors.Is(err, d.kind) {
				t.Errorf("%v: want %v", err, d.kind)
			}
			for _, want := range d.text {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v: want it to name %q", err, want)
				}
			}
			if len(err.Error()) > 2000 {
				t.Errorf("the message has %d bytes", len(err.Error()))
			}
			// 16 MB is more than any of these files may cause; header and archive directory take most of it.
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%d bytes allocated", used)
			}
		})
	}
	t.Logf("%d hostile folders refused", len(cases))
	if _, err := checkpoint.Open(t.TempDir() + "/none"); !errors.Is(err, checkpoint.ErrNoCheckpoint) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
}

// An archive whose numbers do not fit their checksum is refused when they are read.
func TestChecksum(t *testing.T) {
	t.Parallel()
	members, config := lensArrays(t)
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var at int
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for k := range members {
			if !yield(k) {
				return
			}
		}
	}) {
		w, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(members[name]); err != nil {
			t.Fatal(err)
		}
		if name == "ln_final.b.npy" {
			if err := z.Flush(); err != nil {
				t.Fatal(err)
			}
			at = b.Len() - 4
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	file := b.Bytes()
	file[at] ^= 1
	c, err := checkpoint.Open(files{"config.json": config, "model.npz": file}.write(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Tensor("ln_f.weight"); err != nil {
		t.Error(err)
	}
	if _, err := c.Tensor("ln_f.bias"); !errors.Is(err, checkpoint.ErrFormat) || !strings.Contains(fmt.Sprint(err), "checksum") {
		t.Errorf("a changed number gives %v", err)
	}
}

// The parser neither panics nor accepts bytes that it has not accounted for.
func FuzzSafetensors(f *testing.F) {
	for _, d := range hostileSafetensors(f) {
		if file := d.folder["model.safetensors"]; len(file) < 1<<16 {
			f.Add(file)
		}
	}
	f.Add(safetensors([]stored{{"a", "F32", []int{2}, make([]byte, 8)}, {"b", "BF16", []int{1, 2}, make([]byte, 4)}}))
	f.Fuzz(func(t *testing.T, file []byte) {
		names, size, err := checkpoint.ParseSafetensors(file)
		if err != nil {
			if !errors.Is(err, checkpoint.ErrFormat) {
				t.Errorf("%v is not an ErrFormat", err)
			}
			return
		}
		header := int(binary.LittleEndian.Uint64(file))
		if size != len(file)-8-header {
			t.Errorf("tensors of %d bytes in %d bytes of data", size, len(file)-8-header)
		}
		if slices.Sort(names); len(slices.Compact(slices.Clone(names))) != len(names) {
			t.Errorf("names %q are not distinct", names)
		}
	})
}

// A configuration that is accepted is within its bounds.
func FuzzConfig(f *testing.F) {
	_, config := tensors(f)
	f.Add(config)
	for _, d := range hostileConfigs(f) {
		if text := d.folder["config.json"]; len(text) < 1<<16 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := checkpoint.ParseConfig(text)
		if err != nil {
			if !errors.Is(err, checkpoint.ErrConfig) && !errors.Is(err, checkpoint.ErrUnsupported) {
				t.Errorf("%v is neither ErrConfig nor ErrUnsupported", err)
			}
			return
		}
		if c.NLayers < 1 || c.NHeads < 1 || c.DHead()*c.NHeads != c.DModel || c.DMLP < 1 || c.NCtx < 1 || c.DVocab < 1 || !(c.LNEps >= 0) {
			t.Errorf("%+v", c)
		}
	})
}
