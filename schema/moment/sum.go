package moment

import (
	"errors"
	"math"
	"math/big"
	"math/bits"
)

// unitBits is the number of fraction bits of a sum.
const unitBits = 128

// sum is a number of units of 2^-128 in two's complement, the least significant word first.
type sum [4]uint64

// add adds a number, truncated to whole units. Its magnitude must be below 2^100, so that the sum of 2^27
// numbers fits.
func (s *sum) add(x float64) {
	pattern := math.Float64bits(x)
	exponent := int(pattern >> 52 & 0x7ff)
	mantissa := pattern&(1<<52-1) | 1<<52
	if exponent == 0 {
		return // zero, or much smaller than a unit
	}
	shift := exponent - 1075 + unitBits
	if shift < 0 {
		if shift <= -64 {
			return
		}
		mantissa, shift = mantissa>>-shift, 0
	}
	word, by := shift/64, uint(shift%64)
	low, high := mantissa<<by, mantissa>>(64-by) // shifting by 64 gives 0
	var carry uint64
	if x >= 0 {
		s[word], carry = bits.Add64(s[word], low, 0)
		for word++; word < len(s) && (high|carry) != 0; word++ {
			s[word], carry = bits.Add64(s[word], high, carry)
			high = 0
		}
		return
	}
	s[word], carry = bits.Sub64(s[word], low, 0)
	for word++; word < len(s) && (high|carry) != 0; word++ {
		s[word], carry = bits.Sub64(s[word], high, carry)
		high = 0
	}
}

// merge adds another sum.
func (s *sum) merge(o *sum) {
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], o[i], carry)
	}
}

// units returns the sum as a number of units.
func (s *sum) units() *big.Int {
	words := *s
	negative := words[3]>>63 == 1
	if negative {
		carry := uint64(1)
		for i := range words {
			words[i], carry = bits.Add64(^words[i], 0, carry)
		}
	}
	n := new(big.Int)
	for i := len(words) - 1; i >= 0; i-- {
		n.Lsh(n, 64).Or(n, new(big.Int).SetUint64(words[i]))
	}
	if negative {
		n.Neg(n)
	}
	return n
}

// appendTo appends the sum: the number of low bytes that are omitted because they are 0, the number of high
// bytes that are omitted because they repeat the sign, and the other bytes.
func (s *sum) appendTo(b []byte) []byte {
	var all [32]byte
	for i, word := range s {
		for j := range 8 {
			all[8*i+j] = byte(word >> (8 * j))
		}
	}
	first, last := 0, len(all)
	for first < last && all[first] == 0 {
		first++
	}
	for last > first+1 && all[last-1] == extension(all[last-2]) {
		last--
	}
	b = append(b, byte(first), byte(last-first))
	return append(b, all[first:last]...)
}

// extension returns the byte that repeats the sign of b.
func extension(b byte) byte {
	if b >= 0x80 {
		return 0xff
	}
	return 0
}

var errState = errors.New("it is no state of moments")

// parse is the inverse of appendTo. It returns the rest of b.
func (s *sum) parse(b []byte) ([]byte, error) {
	if len(b) < 2 {
		return nil, errState
	}
	first, n := int(b[0]), int(b[1])
	if b = b[2:]; first+n > 32 || n > len(b) {
		return nil, errState
	}
	var all [32]byte
	copy(all[first:], b[:n])
	if n > 0 {
		for i := first + n; i < len(all); i++ {
			all[i] = extension(all[i-1])
		}
	}
	for i := range s {
		s[i] = 0
		for j := range 8 {
			s[i] |= uint64(all[8*i+j]) << (8 * j)
		}
	}
	return b[n:], nil
}
