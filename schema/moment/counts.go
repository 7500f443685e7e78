package moment

import (
	"encoding/binary"
	"math"
)

// Numbers are counted by sign and magnitude. Each power of two from 2^-20 on has eight buckets of equal
// width; smaller numbers count as zero.
const (
	placeBits = 3
	leastBits = uint32(127-20) << 23 // the float32 2^-20
	places    = (0xff<<placeBits | 7) - int(leastBits>>(23-placeBits)) + 1
)

// place returns the bucket of x: 0 for zero, negative for negative numbers.
func place(x float32) int {
	pattern := math.Float32bits(x)
	magnitude := pattern &^ (1 << 31)
	if magnitude < leastBits {
		return 0
	}
	p := int(magnitude-leastBits)>>(23-placeBits) + 1
	if pattern != magnitude {
		return -p
	}
	return p
}

// bounds returns the smallest and the largest number of a bucket other than zero's.
func bounds(p int) (least, largest float32) {
	switch {
	case p == 0:
		return 0, 0
	case p < 0:
		largest, least = bounds(-p)
		return -least, -largest
	}
	return math.Float32frombits(leastBits + uint32(p-1)<<(23-placeBits)),
		math.Float32frombits(leastBits + uint32(p)<<(23-placeBits))
}

// counts holds the number of values in each bucket, from the first to the last that is not empty.
type counts struct {
	least, largest float32
	first          int
	n              []uint32
}

func (c *counts) add(x float32) {
	if len(c.n) == 0 {
		c.least, c.largest = x, x
	}
	c.least, c.largest = min(c.least, x), max(c.largest, x)
	*c.at(place(x))++
}

// at returns the count of a bucket.
func (c *counts) at(p int) *uint32 {
	switch {
	case len(c.n) == 0:
		c.first, c.n = p, make([]uint32, 1)
	case p < c.first:
		grown := make([]uint32, len(c.n)+c.first-p)
		copy(grown[c.first-p:], c.n)
		c.first, c.n = p, grown
	case p >= c.first+len(c.n):
		c.n = append(c.n, make([]uint32, p-c.first-len(c.n)+1)...)
	}
	return &c.n[p-c.first]
}

func (c *counts) merge(o *counts) {
	if len(o.n) == 0 {
		return
	}
	if len(c.n) == 0 {
		c.least, c.largest = o.least, o.largest
	}
	c.least, c.largest = min(c.least, o.least), max(c.largest, o.largest)
	for i, n := range o.n {
		if n > 0 {
			*c.at(o.first + i) += n
		}
	}
}

// quantile finds the bucket of the quantile and interpolates within it.
func (c *counts) quantile(share float64, of int64) float32 {
	rank := share * float64(of-1)
	if rank <= 0 {
		return c.least
	}
	if rank >= float64(of-1) {
		return c.largest
	}
	below := 0.0
	for i, n := range c.n {
		if n == 0 {
			continue
		}
		if rank < below+float64(n) {
			from, to := bounds(c.first + i)
			within := (rank - below + 0.5) / float64(n)
			x := float32(float64(from) + float64((float64(to)-float64(from))*within))
			return min(max(x, c.least), c.largest)
		}
		below += float64(n)
	}
	return c.largest
}

// appendTo appends the least and the largest number, the number of buckets that are not empty, and for each
// of them its distance from the one before and its count.
func (c *counts) appendTo(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(c.least))
	b = binary.LittleEndian.AppendUint32(b, math.Float32bits(c.largest))
	filled := 0
	for _, n := range c.n {
		if n > 0 {
			filled++
		}
	}
	b = binary.AppendUvarint(b, uint64(filled))
	last := -places
	for i, n := range c.n {
		if n > 0 {
			b = binary.AppendUvarint(b, uint64(c.first+i-last))
			b = binary.AppendUvarint(b, uint64(n))
			last = c.first + i
		}
	}
	return b
}

// parse is the inverse of appendTo for a known number of values.
func (c *counts) parse(b []byte, of int64) ([]byte, error) {
	if len(b) < 8 {
		return nil, errState
	}
	c.least, c.largest = math.Float32frombits(binary.LittleEndian.Uint32(b)),
		math.Float32frombits(binary.LittleEndian.Uint32(b[4:]))
	if !(c.least <= c.largest) || math.IsInf(float64(c.least), 0) || math.IsInf(float64(c.largest), 0) {
		return nil, errState
	}
	b = b[8:]
	filled, width := binary.Uvarint(b)
	if width <= 0 || filled > 2*uint64(places)+1 {
		return nil, errState
	}
	b = b[width:]
	last := -places
	for range filled {
		step, w := binary.Uvarint(b)
		if w <= 0 || step > 2*uint64(places) || last+int(step) > places {
			return nil, errState
		}
		n, v := binary.Uvarint(b[w:])
		if v <= 0 || n > uint64(of) {
			return nil, errState
		}
		b = b[w+v:]
		last += int(step)
		*c.at(last) += uint32(n)
		of -= int64(n)
	}
	if of != 0 {
		return nil, errState
	}
	return b, nil
}
