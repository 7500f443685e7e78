package gguf

import (
	"encoding/binary"
	"math"
)

// Widen writes the numbers of whole blocks, of a type for which [Blocks] reports true, to dst: len(dst)
// numbers, from the blocks at the beginning of src.
//
// A number is computed as in ggml-org/ggml:src/ggml-quants.c (dequantize_row_q4_0 and so on): by float32
// products and sums in that order, each rounded. float32(x*y) keeps the compiler from fusing a product and a
// sum.
func Widen(t Type, dst []float32, src []byte) {
	elements, bytes := t.Block()
	for ; len(dst) > 0; dst, src = dst[elements:], src[bytes:] {
		switch t {
		case Q4_0:
			widenQ4_0((*[32]float32)(dst), (*[18]byte)(src))
		case Q4_1:
			widenQ4_1((*[32]float32)(dst), (*[20]byte)(src))
		case Q5_0:
			widenQ5_0((*[32]float32)(dst), (*[22]byte)(src))
		case Q5_1:
			widenQ5_1((*[32]float32)(dst), (*[24]byte)(src))
		case Q8_0:
			widenQ8_0((*[32]float32)(dst), (*[34]byte)(src))
		case Q2_K:
			widenQ2_K((*[256]float32)(dst), (*[84]byte)(src))
		case Q3_K:
			widenQ3_K((*[256]float32)(dst), (*[110]byte)(src))
		case Q4_K:
			widenQ4_K((*[256]float32)(dst), (*[144]byte)(src))
		case Q5_K:
			widenQ5_K((*[256]float32)(dst), (*[176]byte)(src))
		case Q6_K:
			widenQ6_K((*[256]float32)(dst), (*[210]byte)(src))
		case IQ4_NL:
			widenIQ4_NL((*[32]float32)(dst), (*[18]byte)(src))
		case IQ4_XS:
			widenIQ4_XS((*[256]float32)(dst), (*[136]byte)(src))
		case MXFP4:
			widenMXFP4((*[32]float32)(dst), (*[17]byte)(src))
		default:
			panic("gguf: " + t.String() + " has no blocks")
		}
	}
}

// MayOverflow reports whether a block may hold a number that is NaN or infinite. If its scales are finite, so
// are its numbers: the largest is Q6_K's, 65,504 times 128 times 32. MXFP4's largest is 12 times 2^(e-128).
func (t Type) MayOverflow(block []byte) bool {
	if t == MXFP4 {
		return block[0] > 252
	}
	for _, at := range layouts[t].scales {
		if block[at+1]&0x7c == 0x7c {
			return true
		}
	}
	return false
}

// scale reads a half-precision number.
func scale(src []byte) float32 { return Half(binary.LittleEndian.Uint16(src)) }

// nibbles writes the values of 32 four-bit codes: first those of the lower halves of the bytes.
func nibbles(dst []float32, codes []byte, values *[16]float32) {
	low, high := dst[:16], dst[16:32]
	for i, c := range codes[:16] {
		low[i], high[i] = values[c&15], values[c>>4&15]
	}
}

func widenQ4_0(dst *[32]float32, src *[18]byte) {
	d := scale(src[:])
	var values [16]float32
	for q := range values {
		values[q] = d * float32(q-8)
	}
	nibbles(dst[:], src[2:], &values)
}

func widenQ4_1(dst *[32]float32, src *[20]byte) {
	d, m := scale(src[:]), scale(src[2:])
	var values [16]float32
	for q := range values {
		values[q] = float32(d*float32(q)) + m
	}
	nibbles(dst[:], src[4:], &values)
}

// fives returns 32 five-bit codes: 16 bytes hold the lower four bits, those of the lower halves first, and 32
// bits hold the fifth.
func fives(src []byte) (codes [32]uint8) {
	fifth := binary.LittleEndian.Uint32(src)
	for i, c := range src[4:20] {
		codes[i] = c&15 | uint8(fifth>>i&1)<<4
		codes[i+16] = c>>4 | uint8(fifth>>(i+16)&1)<<4
	}
	return codes
}

func widenQ5_0(dst *[32]float32, src *[22]byte) {
	d := scale(src[:])
	for i, q := range fives(src[2:]) {
		dst[i] = d * float32(int(q)-16)
	}
}

func widenQ5_1(dst *[32]float32, src *[24]byte) {
	d, m := scale(src[:]), scale(src[2:])
	for i, q := range fives(src[4:]) {
		dst[i] = float32(d*float32(q)) + m
	}
}

func widenQ8_0(dst *[32]float32, src *[34]byte) {
	d := scale(src[:])
	for i, q := range src[2:] {
		dst[i] = float32(int8(q)) * d
	}
}

// widenQ2_K: 16 bytes with a scale and a minimum (4 bits each) for 16 numbers each, 64 bytes of codes, d,
// dmin. A byte holds the codes of four numbers that are 32 apart.
func widenQ2_K(dst *[256]float32, src *[84]byte) {
	scales, codes := src[:16], src[16:80]
	d, dmin := scale(src[80:]), scale(src[82:])
	for part, s := range scales { // 16 numbers each
		dl, ml := d*float32(s&15), dmin*float32(s>>4)
		var values [4]float32
		for q := range values {
			values[q] = float32(dl*float32(q)) - ml
		}
		from, shift := part/8*32+part%2*16, part/2%4*2
		to := dst[16*part:][:16]
		for i, c := range codes[from:][:16] {
			to[i] = values[c>>shift&3]
		}
	}
}

// widenQ3_K: 32 bytes with the third bit of eight numbers each, 64 bytes with the other bits as in Q2_K, 16
// scales of 6 bits in 12 bytes, d.
func widenQ3_K(dst *[256]float32, src *[110]byte) {
	high, codes, scales, d := src[:32], src[32:96], src[96:108], scale(src[108:])
	for part := range 16 { // 16 numbers each
		s := scales[part%8]>>(part/8*4)&15 | scales[8+part%4]>>(part/4*2)&3<<4
		dl := d * float32(int(s)-32)
		var values [8]float32
		for q := range values {
			values[q] = dl * float32(q-4)
		}
		from, shift, bit := part/8*32+part%2*16, part/2%4*2, part/2
		third := high[part%2*16:][:16]
		to := dst[16*part:][:16]
		for i, c := range codes[from:][:16] {
			to[i] = values[c>>shift&3|third[i]>>bit&1<<2]
		}
	}
}

// scaleAndMinimum returns the scale and the minimum of a part (32 numbers) from the 12 bytes that hold eight
// of each, of 6 bits.
func scaleAndMinimum(packed []byte, part int) (s, m uint8) {
	if part < 4 {
		return packed[part] & 63, packed[part+4] & 63
	}
	return packed[part+4]&15 | packed[part-4]>>6<<4, packed[part+4]>>4 | packed[part]>>6<<4
}

// widenQ4_K: d, dmin, scales and minima, 128 bytes of codes. 32 bytes hold 64 numbers, those of the lower
// halves first.
func widenQ4_K(dst *[256]float32, src *[144]byte) {
	d, dmin, packed, codes := scale(src[:]), scale(src[2:]), src[4:16], src[16:]
	for part := range 8 { // 32 numbers each
		s, m := scaleAndMinimum(packed, part)
		dl, ml := d*float32(s), dmin*float32(m)
		var values [16]float32
		for q := range values {
			values[q] = float32(dl*float32(q)) - ml
		}
		to, shift := dst[32*part:][:32], part%2*4
		for i, c := range codes[part/2*32:][:32] {
			to[i] = values[c>>shift&15]
		}
	}
}

// widenQ5_K: like Q4_K, with 32 bytes of fifth bits before the codes; a byte has those of eight numbers that
// are 32 apart.
func widenQ5_K(dst *[256]float32, src *[176]byte) {
	d, dmin, packed, high, codes := scale(src[:]), scale(src[2:]), src[4:16], src[16:48], src[48:]
	for part := range 8 { // 32 numbers each
		s, m := scaleAndMinimum(packed, part)
		dl, ml := d*float32(s), dmin*float32(m)
		var values [32]float32
		for q := range values {
			values[q] = float32(dl*float32(q)) - ml
		}
		to, shift := dst[32*part:][:32], part%2*4
		for i, c := range codes[part/2*32:][:32] {
			to[i] = values[c>>shift&15|high[i]>>part&1<<4]
		}
	}
}

// widenQ6_K: 128 bytes with the lower four bits of the codes, 64 with the upper two, 16 scales of 8 bits, d.
// In each half of the block 64 bytes hold the lower bits of 128 numbers, those of the lower halves first, and
// 32 bytes the upper bits of four numbers that are 32 apart.
func widenQ6_K(dst *[256]float32, src *[210]byte) {
	lower, upper, scales, d := src[:128], src[128:192], src[192:208], scale(src[208:])
	for part, s := range scales { // 16 numbers each
		dl := d * float32(int8(s))
		half, quarter, odd := part/8, part/2%4, part%2
		low := lower[half*64+quarter%2*32+odd*16:][:16]
		high := upper[half*32+odd*16:][:16]
		to := dst[16*part:][:16]
		for i := range to {
			q := low[i]>>(quarter/2*4)&15 | high[i]>>(quarter*2)&3<<4
			to[i] = dl * float32(int(q)-32)
		}
	}
}

// The values of the codes of IQ4_NL and IQ4_XS.
var steps = [16]float32{-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113}

func widenIQ4_NL(dst *[32]float32, src *[18]byte) {
	d := scale(src[:])
	var values [16]float32
	for q := range values {
		values[q] = d * steps[q]
	}
	nibbles(dst[:], src[2:], &values)
}

// widenIQ4_XS: d, the upper two bits of eight scales in 2 bytes, the lower four in 4, and for each scale 16
// bytes of codes.
func widenIQ4_XS(dst *[256]float32, src *[136]byte) {
	d, upper, lower := scale(src[:]), binary.LittleEndian.Uint16(src[2:]), src[4:8]
	for part := range 8 { // 32 numbers each
		s := lower[part/2]>>(part%2*4)&15 | uint8(upper>>(2*part)&3)<<4
		dl := d * float32(int(s)-32)
		var values [16]float32
		for q := range values {
			values[q] = dl * steps[q]
		}
		nibbles(dst[32*part:], src[8+16*part:], &values)
	}
}

// Twice the values of the codes of E2M1, of the OCP Microscaling Formats (MX) Specification 1.0, section
// 5.3.3.
var doubled = [16]float32{0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12}

// widenMXFP4: an exponent e that scales by 2^(e-127), halved because the values are doubled, and 16 bytes of
// codes.
func widenMXFP4(dst *[32]float32, src *[17]byte) {
	d := math.Float32frombits(uint32(src[0]-1) << 23)
	if src[0] < 2 { // subnormal
		d = math.Float32frombits(0x00200000 << src[0])
	}
	var values [16]float32
	for q := range values {
		values[q] = d * doubled[q]
	}
	nibbles(dst[:], src[1:], &values)
}

// Half converts an IEEE 754 binary16 to binary32, exactly: sign 1, exponent 5 (bias 15), fraction 10
// against sign 1, exponent 8 (bias 127), fraction 23. NaN payloads are kept.
func Half(h uint16) float32 {
	bits := uint32(int32(int16(h))<<13) & 0x8fffffff // sign and fraction in place
	// An exponent of 1 to 30, tested in this way so that the function is inlined.
	if (h+0x400)&0x7800 != 0 {
		return math.Float32frombits(bits + (127-15)<<23)
	}
	return unusual(bits)
}

// unusual is Half for a number whose sign and fraction are in place and whose exponent is all zeros or all
// ones.
func unusual(bits uint32) float32 {
	if bits&0x0f800000 == 0 { // zero or subnormal: fraction * 2^-24, which float32 holds exactly
		f := float32(bits&0x7fffff>>13) * (1.0 / (1 << 24))
		return math.Float32frombits(bits&(1<<31) | math.Float32bits(f))
	}
	return math.Float32frombits(bits | 0x7f800000)
}
