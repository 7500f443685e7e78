package gguf_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"ducklens/engine/checkpoint/gguf"
)

// digests are those that testdata/widen.py prints, from the gguf library's numbers.
var digests = map[gguf.Type]string{
	gguf.Q4_0:   "8d9854eaaa6a2db85f75f5457f7c869e242727d9945ebdee6e65436d54c68f95",
	gguf.Q4_1:   "29f44b255e94771a51c3bdcab73a90ae7a127a7f28c69ac830b94140eeb3bd16",
	gguf.Q5_0:   "b4500c73e65cfb8935abdb39202e769128bc08f6ae8860b935f3e17a8f895e82",
	gguf.Q5_1:   "732953673c8c063f21c329835a1936f0a3d6557eb2f9dcb0a8f7b6e59ddb3289",
	gguf.Q8_0:   "8c1b623608756404e00414bcf6bf98ef9f144242ab825d38ac38dc6a0ff299ed",
	gguf.Q2_K:   "751a50d696ed5556c1d3bb11da1fa1792d7cec68e3d8fed428ccfb74ce6cd5de",
	gguf.Q3_K:   "177afbbd9cff9eb274d74f98d768ffdf49ecb62a44741f8b23275aa9b1f9cb15",
	gguf.Q4_K:   "b8f00b75fb7955c9a384b0dab54b442ce4ae85b60c8344959c6e592339ab86e7",
	gguf.Q5_K:   "5747ec571b2f682f53f17d42db8763d8363a6f4d7be32ca58662b0443bf00544",
	gguf.Q6_K:   "9ba0ee1dba1fd60ce91caf9fa08726b4dbd86c03a1ece4f4b8f1c03aae49fbdc",
	gguf.IQ4_NL: "c8483e97a62f4bfa7b47d1498b77be9de2ba57973fe9c21b22e423706d45e1d1",
	gguf.IQ4_XS: "4553c2c2d74e700e0c8bf098aeb645d60d55974c9cf9c40f64b4edcce09994ee",
	gguf.MXFP4:  "55c7858729efa63a2d7b578d70ef2952bf00498079f67e60359ad77106feaf00",
}

// pseudoRandom gives the bytes that testdata/widen.py makes.
func pseudoRandom(n int) []byte {
	state, out := uint32(1), make([]byte, n)
	for i := range out {
		state = state*1664525 + 1013904223
		out[i] = byte(state >> 16)
	}
	return out
}

// Blocks of random bytes widen to the same numbers as in the gguf library, bit for bit.
func TestWiden(t *testing.T) {
	t.Parallel()
	for kind, want := range digests {
		elements, size := kind.Block()
		numbers := make([]float32, 256*elements)
		gguf.Widen(kind, numbers, pseudoRandom(256*size))
		h := sha256.New()
		for _, x := range numbers {
			bits := math.Float32bits(x)
			if x != x {
				bits = 0x7fc00000
			}
			h.Write(binary.LittleEndian.AppendUint32(nil, bits))
		}
		if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
			t.Errorf("%s: the numbers have digest %s, want %s", kind, got, want)
		}
	}
}

// A block with a number that is not finite is always found, whatever its bytes. All values of the scales that
// decide this are tried.
func TestMayOverflow(t *testing.T) {
	t.Parallel()
	for kind := range digests {
		elements, size := kind.Block()
		block, numbers := pseudoRandom(size), make([]float32, elements)
		missed, told, exact := 0, 0, 0
		for at := range size {
			old := block[at]
			for value := range 256 {
				block[at] = byte(value)
				gguf.Widen(kind, numbers, block)
				finite := true
				for _, x := range numbers {
					finite = finite && x-x == 0
				}
				switch may := kind.MayOverflow(block); {
				case may && finite:
					exact++
				case may:
					told++
				case !finite:
					missed++
				}
			}
			block[at] = old
		}
		if missed > 0 || told == 0 || exact > 0 && kind != gguf.MXFP4 {
			t.Errorf("%s: %d blocks missed, %d told, %d told for nothing", kind, missed, told, exact)
		}
	}
}

// Every half-precision number widens to its value.
func TestHalf(t *testing.T) {
	t.Parallel()
	for h := range 1 << 16 {
		sign, exponent, fraction := 1-2*float64(h>>15), h>>10&0x1f, float64(h&0x3ff)
		var want float64 // IEEE 754-2008, section 3.4
		switch {
		case exponent == 0x1f && fraction != 0:
			if got := gguf.Half(uint16(h)); got == got {
				t.Fatalf("%#04x widens to %v, want NaN", h, got)
			}
			continue
		case exponent == 0x1f:
			want = sign * math.Inf(1)
		case exponent == 0:
			want = sign * math.Ldexp(fraction, -24)
		default:
			want = sign * math.Ldexp(1024+fraction, exponent-25)
		}
		if got := float64(gguf.Half(uint16(h))); got != want || math.Signbit(got) != math.Signbit(want) {
			t.Fatalf("%#04x widens to %v, want %v", h, got, want)
		}
	}
}

func BenchmarkWiden(b *testing.B) {
	for kind := range digests {
		elements, size := kind.Block()
		const rows = 576
		numbers, data := make([]float32, rows*256), pseudoRandom(rows*256/elements*size)
		b.Run(kind.String(), func(b *testing.B) {
			b.SetBytes(int64(4 * len(numbers)))
			for b.Loop() {
				gguf.Widen(kind, numbers, data)
			}
		})
	}
}
