package typeface

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// glyphs reads the outlines of a TrueType font.
type glyphs struct {
	glyf, loca []byte
	long       bool // 32-bit offsets in loca; else 16-bit ones, halved
}

// data returns the outline of glyph g; it is empty for a space.
func (s glyphs) data(g uint16) ([]byte, error) {
	var from, to int
	if i := int(g); s.long && 4*i+8 <= len(s.loca) {
		from, to = int(binary.BigEndian.Uint32(s.loca[4*i:])), int(binary.BigEndian.Uint32(s.loca[4*i+4:]))
	} else if !s.long && 2*i+4 <= len(s.loca) {
		from, to = 2*int(binary.BigEndian.Uint16(s.loca[2*i:])), 2*int(binary.BigEndian.Uint16(s.loca[2*i+2:]))
	} else {
		return nil, fmt.Errorf("%w: loca", errFont)
	}
	if from > to || to > len(s.glyf) || (from < to && to-from < 10) {
		return nil, fmt.Errorf("%w: glyf", errFont)
	}
	return s.glyf[from:to], nil
}

// closure adds the glyphs that composite glyphs consist of, and sorts.
func (s glyphs) closure(list []uint16) ([]uint16, error) {
	seen := make(map[uint16]bool)
	for len(list) > 0 {
		g := list[len(list)-1]
		list = list[:len(list)-1]
		if seen[g] {
			continue
		}
		seen[g] = true
		data, err := s.data(g)
		if err != nil {
			return nil, err
		}
		_, err = components(data, func(at int) {
			list = append(list, binary.BigEndian.Uint16(data[at:]))
		})
		if err != nil {
			return nil, err
		}
	}
	all := make([]uint16, 0, len(seen))
	for g := range seen {
		all = append(all, g)
	}
	slices.Sort(all)
	return all, nil
}

// rewrite copies glyph g without its instructions and with new numbers for its components.
func (s glyphs) rewrite(g uint16, renumber map[uint16]uint16) ([]byte, error) {
	data, err := s.data(g)
	if err != nil || len(data) == 0 {
		return nil, err
	}
	if contours := int(int16(binary.BigEndian.Uint16(data))); contours >= 0 {
		at := 10 + 2*contours // number of bytes of instructions, then these
		if at+2 > len(data) {
			return nil, fmt.Errorf("%w: glyf", errFont)
		}
		after := at + 2 + int(binary.BigEndian.Uint16(data[at:]))
		if after > len(data) {
			return nil, fmt.Errorf("%w: glyf", errFont)
		}
		return slices.Concat(data[:at], []byte{0, 0}, data[after:]), nil
	}
	out := slices.Clone(data)
	end, err := components(data, func(at int) {
		flags := binary.BigEndian.Uint16(data[at-2:])
		binary.BigEndian.PutUint16(out[at-2:], flags&^haveInstructions)
		binary.BigEndian.PutUint16(out[at:], renumber[binary.BigEndian.Uint16(data[at:])])
	})
	return out[:end], err
}

// components calls visit with the offset of each component's glyph number, which follows its flags, and
// returns the end of the last component. A simple glyph has none.
func components(data []byte, visit func(at int)) (end int, err error) {
	if len(data) == 0 || int16(binary.BigEndian.Uint16(data)) >= 0 {
		return len(data), nil
	}
	at := 10
	for {
		if at+4 > len(data) {
			return 0, fmt.Errorf("%w: glyf", errFont)
		}
		flags := binary.BigEndian.Uint16(data[at:])
		visit(at + 2)
		at += 6
		if flags&argsAreWords != 0 {
			at += 2
		}
		switch {
		case flags&haveScale != 0:
			at += 2
		case flags&haveXYScale != 0:
			at += 4
		case flags&haveTwoByTwo != 0:
			at += 8
		}
		if flags&moreComponents == 0 {
			break
		}
	}
	if at > len(data) {
		return 0, fmt.Errorf("%w: glyf", errFont)
	}
	return at, nil
}
