package gguf

import (
	"fmt"
	"strings"
)

// Type is the way in which the numbers of a tensor are stored. Types are numbered as in
// ggml-org/ggml:include/ggml.h (enum ggml_type).
type Type uint32

// The supported types. The integers and F64 are known so that their place in a file can be checked; they
// cannot be widened.
const (
	F32    Type = 0
	F16    Type = 1
	Q4_0   Type = 2
	Q4_1   Type = 3
	Q5_0   Type = 6
	Q5_1   Type = 7
	Q8_0   Type = 8
	Q2_K   Type = 10
	Q3_K   Type = 11
	Q4_K   Type = 12
	Q5_K   Type = 13
	Q6_K   Type = 14
	IQ4_NL Type = 20
	IQ4_XS Type = 23
	I8     Type = 24
	I16    Type = 25
	I32    Type = 26
	I64    Type = 27
	F64    Type = 28
	BF16   Type = 30
	MXFP4  Type = 39
)

// layout describes a block of a type.
type layout struct {
	name            string
	elements, bytes int   // 0 for types that are known by name only
	scales          []int // offsets of the block's half-precision scales
}

// The layouts of blocks are those of ggml-org/ggml:src/ggml-common.h (struct block_q4_0 and so on).
var layouts = [...]layout{
	F32:    {"F32", 1, 4, nil},
	F16:    {"F16", 1, 2, nil},
	Q4_0:   {"Q4_0", 32, 18, []int{0}},
	Q4_1:   {"Q4_1", 32, 20, []int{0, 2}},
	4:      {name: "Q4_2"},
	5:      {name: "Q4_3"},
	Q5_0:   {"Q5_0", 32, 22, []int{0}},
	Q5_1:   {"Q5_1", 32, 24, []int{0, 2}},
	Q8_0:   {"Q8_0", 32, 34, []int{0}},
	9:      {name: "Q8_1"},
	Q2_K:   {"Q2_K", 256, 84, []int{80, 82}},
	Q3_K:   {"Q3_K", 256, 110, []int{108}},
	Q4_K:   {"Q4_K", 256, 144, []int{0, 2}},
	Q5_K:   {"Q5_K", 256, 176, []int{0, 2}},
	Q6_K:   {"Q6_K", 256, 210, []int{208}},
	15:     {name: "Q8_K"},
	16:     {name: "IQ2_XXS"},
	17:     {name: "IQ2_XS"},
	18:     {name: "IQ3_XXS"},
	19:     {name: "IQ1_S"},
	IQ4_NL: {"IQ4_NL", 32, 18, []int{0}},
	21:     {name: "IQ3_S"},
	22:     {name: "IQ2_S"},
	IQ4_XS: {"IQ4_XS", 256, 136, []int{0}},
	I8:     {"I8", 1, 1, nil},
	I16:    {"I16", 1, 2, nil},
	I32:    {"I32", 1, 4, nil},
	I64:    {"I64", 1, 8, nil},
	F64:    {"F64", 1, 8, nil},
	29:     {name: "IQ1_M"},
	BF16:   {"BF16", 1, 2, nil},
	31:     {name: "Q4_0_4_4"},
	32:     {name: "Q4_0_4_8"},
	33:     {name: "Q4_0_8_8"},
	34:     {name: "TQ1_0"},
	35:     {name: "TQ2_0"},
	36:     {name: "IQ4_NL_4_4"},
	37:     {name: "IQ4_NL_4_8"},
	38:     {name: "IQ4_NL_8_8"},
	MXFP4:  {"MXFP4", 32, 17, nil},
	40:     {name: "NVFP4"},
	41:     {name: "Q1_0"},
}

// MaxBlock is the largest number of elements in a block.
const MaxBlock = 256

// String returns llama.cpp's name of the type, or its number.
func (t Type) String() string {
	if t < Type(len(layouts)) {
		return layouts[t].name
	}
	return fmt.Sprintf("number %d", uint32(t))
}

// Block returns how many numbers are stored together, and in how many bytes; 0 and 0 for a type that is not
// supported.
func (t Type) Block() (elements, bytes int) {
	if t < Type(len(layouts)) {
		return layouts[t].elements, layouts[t].bytes
	}
	return 0, 0
}

// Blocks returns the type called name, and reports whether it is a block type that [Widen] supports.
func Blocks(name string) (Type, bool) {
	for t := range layouts {
		if layouts[t].name == name {
			return Type(t), layouts[t].elements > 1
		}
	}
	return 0, false
}

// known returns the names of the supported types.
func known() string {
	var names []string
	for t := range MXFP4 + 1 {
		if elements, _ := t.Block(); elements > 0 {
			names = append(names, t.String())
		}
	}
	return strings.Join(names, ", ")
}
