package checkpoint_test

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ducklens/engine/checkpoint"
	"ducklens/engine/internal/refdata"
)

// This file makes model folders: the fixture model in every form that is read, and damaged ones.

// stored is a tensor to be written.
type stored struct {
	name  string
	dtype string
	shape []int
	data  []byte
}

// files is a folder by file name.
type files map[string][]byte

func (f files) write(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range f {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			tb.Fatal(err)
		}
	}
	return dir
}

// fixture opens testdata/m2.
func fixture(tb testing.TB) *checkpoint.Checkpoint {
	tb.Helper()
	c, err := checkpoint.Open(filepath.Join(refdata.M2(tb), "model"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Error(err)
		}
	})
	return c
}

// tensors gives the parameters of the fixture, and its config.json.
func tensors(tb testing.TB) (list []stored, config []byte) {
	tb.Helper()
	c := fixture(tb)
	for _, info := range c.Infos() {
		v, err := c.Tensor(info.Name)
		if err != nil {
			tb.Fatal(err)
		}
		list = append(list, stored{info.Name, string(v.DType), v.Shape, bytes.Clone(v.Bytes())})
	}
	return list, c.ConfigJSON()
}

// raw puts a header of any content before data.
func raw(header string, data []byte) []byte {
	file := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(file, header...), data...)
}

// safetensors writes a well-formed file.
func safetensors(list []stored) []byte {
	header, data := []string{`"__metadata__":{"format":"pt"}`}, []byte(nil)
	for _, t := range list {
		shape, _ := json.Marshal(t.shape)
		header = append(header, fmt.Sprintf(`%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, t.name, t.dtype, shape, len(data), len(data)+len(t.data)))
		data = append(data, t.data...)
	}
	return raw("{"+strings.Join(header, ",")+"}", data)
}

// npy writes an array as numpy does.
func npy(dtype string, fortran bool, shape []int, data []byte) []byte {
	order, dims := "False", ""
	if fortran {
		order = "True"
	}
	for i, d := range shape {
		if i > 0 {
			dims += ", "
		}
		dims += fmt.Sprint(d)
	}
	if len(shape) == 1 {
		dims += ","
	}
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': (%s), }", dtype, order, dims)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	file := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
	return append(append(file, header...), data...)
}

// npz writes an archive of the members, in the order of their names.
func npz(tb testing.TB, members files) []byte {
	tb.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(members)) {
		w, err := z.Create(name)
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write(members[name]); err != nil {
			tb.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func float32Bytes(x []float32) []byte {
	var b []byte
	for _, f := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// lensArrays rearranges the fixture's parameters as TransformerLens' convert_gpt2_weights does: heads on
// an axis of their own, W_U the transpose of W_E. Every matrix is written column-major, which is how numpy
// saves the transposed views of a state dict.
func lensArrays(tb testing.TB) (members files, config []byte) {
	tb.Helper()
	c := fixture(tb)
	s := c.Config()
	members = files{}
	values := func(name string) []float32 {
		v, err := c.Tensor(name)
		if err != nil {
			tb.Fatal(err)
		}
		return checkpoint.Values[float32](v)
	}
	put := func(name string, shape []int, x []float32) {
		if len(shape) == 2 {
			t := make([]float32, len(x))
			for i := range shape[0] {
				for j := range shape[1] {
					t[j*shape[0]+i] = x[i*shape[1]+j]
				}
			}
			members[name+".npy"] = npy("<f4", true, shape, float32Bytes(t))
			return
		}
		members[name+".npy"] = npy("<f4", false, shape, float32Bytes(x))
	}
	d, h, dh, m := s.DModel, s.NHeads, s.DHead(), s.DMLP
	wte := values("wte.weight")
	put("embed.W_E", []int{s.DVocab, d}, wte)
	put("pos_embed.W_pos", []int{s.NCtx, d}, values("wpe.weight"))
	transposed := make([]float32, len(wte))
	for t := range s.DVocab {
		for i := range d {
			transposed[i*s.DVocab+t] = wte[t*d+i]
		}
	}
	put("unembed.W_U", []int{d, s.DVocab}, transposed)
	put("unembed.b_U", []int{s.DVocab}, make([]float32, s.DVocab))
	put("ln_final.w", []int{d}, values("ln_f.weight"))
	put("ln_final.b", []int{d}, values("ln_f.bias"))
	for l := range s.NLayers {
		from, to := fmt.Sprintf("h.%d.", l), fmt.Sprintf("blocks.%d.", l)
		w, b := values(from+"attn.c_attn.weight"), values(from+"attn.c_attn.bias")
		for k, letter := range []string{"Q", "K", "V"} {
			var split []float32
			for head := range h {
				for i := range d {
					at := i*3*d + k*d + head*dh
					split = append(split, w[at:at+dh]...)
				}
			}
			put(to+"attn.W_"+letter, []int{h, d, dh}, split)
			put(to+"attn.b_"+letter, []int{h, dh}, b[k*d:(k+1)*d])
		}
		put(to+"attn.W_O", []int{h, dh, d}, values(from+"attn.c_proj.weight"))
		put(to+"attn.b_O", []int{d}, values(from+"attn.c_proj.bias"))
		put(to+"mlp.W_in", []int{d, m}, values(from+"mlp.c_fc.weight"))
		put(to+"mlp.b_in", []int{m}, values(from+"mlp.c_fc.bias"))
		put(to+"mlp.W_out", []int{m, d}, values(from+"mlp.c_proj.weight"))
		put(to+"mlp.b_out", []int{d}, values(from+"mlp.c_proj.bias"))
		for _, n := range []string{"1", "2"} {
			put(to+"ln"+n+".w", []int{d}, values(from+"ln_"+n+".weight"))
			put(to+"ln"+n+".b", []int{d}, values(from+"ln_"+n+".bias"))
		}
		members[to+"attn.mask.npy"] = npy("|b1", false, []int{s.NCtx, s.NCtx}, make([]byte, s.NCtx*s.NCtx))
		members[to+"attn.IGNORE.npy"] = npy("<f4", false, nil, float32Bytes([]float32{float32(math.Inf(-1))}))
	}
	return members, c.ConfigJSON()
}

// sameModel compares every parameter of two checkpoints, exactly.
func sameModel(tb testing.TB, got, want *checkpoint.Checkpoint, names []string) {
	tb.Helper()
	for _, name := range names {
		g, err := got.Tensor(name)
		if err != nil {
			tb.Fatal(err)
		}
		w, err := want.Tensor(name)
		if err != nil {
			tb.Fatal(err)
		}
		if !slices.Equal(g.Shape, w.Shape) || !slices.Equal(checkpoint.Values[float64](g), checkpoint.Values[float64](w)) {
			tb.Errorf("%s: %v of other values than %v", name, g.Shape, w.Shape)
		}
	}
	g, err := got.Unembedding()
	if err != nil {
		tb.Fatal(err)
	}
	w, err := want.Unembedding()
	if err != nil {
		tb.Fatal(err)
	}
	if !slices.Equal(g.Shape, w.Shape) || !slices.Equal(checkpoint.Values[float32](g), checkpoint.Values[float32](w)) {
		tb.Errorf("unembedding: %v of other values than %v", g.Shape, w.Shape)
	}
}
