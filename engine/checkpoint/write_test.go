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

// lensArrays is a small TransformerLens folder. Matrices are written column-major, which is how numpy saves
// the transposed views of a state dict.
func lensArrays() (members files, config []byte) {
	numbers := func(n int) []byte {
		x := make([]float32, n)
		for i := range x {
			x[i] = float32(i) / 8
		}
		return float32Bytes(x)
	}
	return files{
		"embed.W_E.npy":            npy("<f4", true, []int{5, 4}, numbers(20)),
		"blocks.0.attn.W_Q.npy":    npy("<f4", false, []int{2, 4, 3}, numbers(24)),
		"blocks.0.attn.b_Q.npy":    npy("<f2", false, []int{2, 3}, make([]byte, 12)),
		"ln_final.b.npy":           npy("<f4", false, []int{32}, numbers(32)),
		"blocks.0.attn.mask.npy":   npy("|b1", false, []int{8, 8}, make([]byte, 64)),
		"blocks.0.attn.IGNORE.npy": npy("<f4", false, nil, float32Bytes([]float32{float32(math.Inf(-1))})),
		"blocks.0.ln1.w.npy":       npy("<f8", false, []int{4}, make([]byte, 32)),
	}, []byte(`{"d_model": 4, "n_heads": 2}`)
}
