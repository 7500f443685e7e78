package checkpoint

import (
	"path/filepath"

	"ducklens/engine/internal/npy"
)

// archive holds tensors of an .npz file, which are decompressed when they are asked for.
type archive struct{ *npy.Archive }

// openLens opens the arrays of a TransformerLens state dict.
func (c *Checkpoint) openLens() error {
	a, err := npy.OpenArchive(filepath.Join(c.folder, lensFile))
	if err != nil {
		return fault(ErrFormat, "%s: %w", lensFile, err)
	}
	c.form, c.files, c.weights = TransformerLens, []string{lensFile}, archive{a}
	for _, name := range a.Names() {
		h, _ := a.Header(name)
		c.infos = append(c.infos, Info{name, lensDType(h.DType), h.Shape, h.Bytes(), lensFile})
	}
	return nil
}

// lensDType returns the safetensors name of a NumPy type.
func lensDType(numpy string) DType {
	known := map[string]DType{
		"|b1": "BOOL", "|u1": "U8", "<u2": "U16", "<u4": "U32", "<u8": "U64",
		"|i1": "I8", "<i2": "I16", "<i4": "I32", "<i8": "I64",
		"<f2": F16, "<f4": F32, "<f8": "F64",
	}
	return known[numpy] // npy reads no other types
}

func (a archive) read(i Info) (View, error) {
	array, err := a.Read(i.Name)
	if err != nil {
		return View{}, fault(ErrFormat, "%s: %w", lensFile, err)
	}
	return View{Name: i.Name, DType: i.DType, Shape: i.Shape, data: array.Data}, nil
}

func (a archive) close() error { return a.Close() }
