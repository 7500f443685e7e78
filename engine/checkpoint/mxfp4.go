package checkpoint

import "slices"

// MXFP4 returns part i of a tensor of four-bit numbers that is stored, as in gpt-oss's safetensors, apart
// from its exponents: blocks [parts, rows, n, 16] and scales [parts, rows, n], both U8. Byte j of a block
// holds numbers 2j, in its lower half, and 2j + 1. The view is a copy, [rows, 32 n] in the layout of a GGUF.
func (c *Checkpoint) MXFP4(blocks, scales string, i int) (View, error) {
	b, err := c.Raw(blocks)
	if err != nil {
		return View{}, err
	}
	s, err := c.Raw(scales)
	if err != nil {
		return View{}, err
	}
	if err := checkMXFP4(b, s); err != nil {
		return View{}, err
	}
	if i < 0 || i >= b.Shape[0] {
		return View{}, fault(ErrTensor, "tensor %q has %d parts, want part %d", blocks, b.Shape[0], i)
	}
	b, s = b.Rows(i, i+1), s.Rows(i, i+1)
	return View{Name: blocks, DType: "MXFP4", Shape: []int{b.Shape[1], 32 * b.Shape[2]},
		data: repack(b.data, s.data)}, nil
}

func checkMXFP4(b, s View) error {
	for _, v := range []View{b, s} {
		if v.DType != "U8" {
			return fault(ErrUnsupported, "tensor %q has type %s, want U8", v.Name, v.DType)
		}
	}
	if len(b.Shape) != 4 || b.Shape[3] != 16 || !slices.Equal(b.Shape[:3], s.Shape) {
		return fault(ErrTensor, "tensors %q and %q have shapes %v and %v, want "+
			"[parts, rows, n, 16] and [parts, rows, n]", b.Name, s.Name, b.Shape, s.Shape)
	}
	return nil
}

// repack puts each exponent in front of its 16 bytes. Byte j of these then holds numbers j, in its lower
// half, and 16 + j.
func repack(blocks, scales []byte) []byte {
	out := make([]byte, 0, 17*len(scales))
	number := func(block []byte, i int) byte { return block[i/2] >> (4 * (i % 2)) & 0xf }
	for i, scale := range scales {
		block := blocks[16*i : 16*i+16]
		out = append(out, scale)
		for j := range 16 {
			out = append(out, number(block, j)|number(block, 16+j)<<4)
		}
	}
	return out
}
