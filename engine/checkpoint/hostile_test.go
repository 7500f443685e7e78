package checkpoint_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
)

// damaged is a folder that must be refused, with the error and a text that it must contain.
type damaged struct {
	name   string
	folder files
	kind   error
	text   []string
}

// one writes a file of a single tensor with the given entry.
func one(entry string, data int) []byte { return raw("{"+entry+"}", make([]byte, data)) }

// hostileSafetensors makes a file for each kind of inconsistency in a weight file.
func hostileSafetensors(tb testing.TB) []damaged {
	list, config := tensors(tb)
	good := safetensors(list)
	claim := func(n uint64) []byte {
		file := bytes.Clone(good)
		binary.LittleEndian.PutUint64(file, n)
		return file
	}
	twice := append(slices.Clone(list), list[2])
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
	add("pointer of Git LFS", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), format, "Git LFS")
	add("data too long", append(bytes.Clone(good), 0), format, "end at byte")
	add("large header", raw(strings.Repeat(" ", 17<<20), nil), format, "want at most")
	add("no JSON", raw("hello", nil), format, "header")
	add("a list", raw("[]", nil), format, "want {")
	add("text after the header", raw("{}{}", nil), format, "closing brace")
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
	members, config := lensArrays()
	format := checkpoint.ErrFormat
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
	// The library would misread these, or panic.
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
	text := func(name, config string, want ...string) {
		cases = append(cases, damaged{"config " + name, files{"config.json": []byte(config), "model.safetensors": good}, checkpoint.ErrConfig, want})
	}
	text("empty", "")
	text("a list", "[]")
	text("null", "null", "want an object")
	text("cut short", `{"a": "b`)
	text("deep", strings.Repeat(`{"a":`, 20000), "depth")
	text("long", strings.Repeat(" ", 2<<20), "want at most")
	text("NaN run into a number", `{"a": 1NaN}`)
	none := checkpoint.ErrNoCheckpoint
	folder := func(name string, folder files, want ...string) {
		cases = append(cases, damaged{"folder " + name, folder, none, want})
	}
	folder("without weights", files{"config.json": config}, "model.safetensors")
	folder("without config", files{"model.safetensors": good}, "config.json")
	folder("with a pickle", files{"config.json": config, "pytorch_model.bin": nil}, "no model.safetensors", "pytorch_model.bin")
	folder("with an adapter", files{"adapter_config.json": config, "adapter_model.safetensors": good}, "adapter_model.safetensors")
	folder("with Mistral's file", files{"params.json": config, "consolidated.safetensors": good}, "consolidated.safetensors")
	folder("with two forms", files{"config.json": config, "model.safetensors": good, "model.npz": nil}, "both model.safetensors and model.npz")
	folder("with an index of others", files{"config.json": config, "model.safetensors": good,
		"model.safetensors.index.json": []byte(`{"weight_map":{"wte.weight":"x.safetensors"}}`)}, "both model.safetensors and model.safetensors.index.json")
	folder("with two GGUF", files{"a.gguf": nil, "b.gguf": nil}, "2 GGUF models", "a.gguf", "b.gguf")
	return cases
}

// Every damaged folder gives the expected error, without a panic and without much memory.
func TestHostile(t *testing.T) {
	cases := slices.Concat(hostileSafetensors(t), hostileLens(t), hostileConfigs(t), hostileGGUF())
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
	members, config := lensArrays()
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
	if _, err := c.Tensor("embed.W_E"); err != nil {
		t.Error(err)
	}
	if _, err := c.Tensor("ln_final.b"); !errors.Is(err, checkpoint.ErrFormat) || !strings.Contains(fmt.Sprint(err), "checksum") {
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

// A configuration that is accepted consists of JSON values.
func FuzzKeys(f *testing.F) {
	_, config := tensors(f)
	f.Add(config)
	f.Add([]byte(`{"a": NaN, "b": [-Infinity, "Infinity \\\" NaN"], "a": 1}`))
	for _, d := range hostileConfigs(f) {
		if text := d.folder["config.json"]; len(text) < 1<<16 {
			f.Add(text)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := checkpoint.ParseKeys(text)
		if err != nil {
			if !errors.Is(err, checkpoint.ErrConfig) {
				t.Errorf("%v is not an ErrConfig", err)
			}
			return
		}
		for key, value := range keys {
			if !json.Valid(value) {
				t.Errorf("%q is %s", key, value)
			}
		}
	})
}
