package gguf

import (
	"fmt"
	"strings"
)

// Type is how the numbers of a tensor are stored, numbered as in ggml-org/ggml:include/ggml.h (enum ggml_type).
type Type uint32

// The types that are read. The integers and F64 are known so that their place in a file can be checked; they do not widen.
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

// layout is what a block of a type consists of.
type layout struct {
	name            string
	elements, bytes int // 0 for types that are known by name only
	widen           func(dst []float32, src []byte)
	scales          []int // where the block's half-precision scales lie
}

var layouts = map[Type]layout{
	F32:  {name: "F32", elements: 1, bytes: 4},
	F16:  {name: "F16", elements: 1, bytes: 2},
	BF16: {name: "BF16", elements: 1, bytes: 2},
	I8:   {name: "I8", elements: 1, bytes: 1},
	I16:  {name: "I16", elements: 1, bytes: 2},
	I32:  {name: "I32", elements: 1, bytes: 4},
	I64:  {name: "I64", elements: 1, bytes: 8},
	F64:  {name: "F64", elements: 1, bytes: 8},
	4:    {name: "Q4_2"},
	5:    {name: "Q4_3"},
	9:    {name: "Q8_1"},
	15:   {name: "Q8_K"},
	16:   {name: "IQ2_XXS"},
	17:   {name: "IQ2_XS"},
	18:   {name: "IQ3_XXS"},
	19:   {name: "IQ1_S"},
	21:   {name: "IQ3_S"},
	22:   {name: "IQ2_S"},
	29:   {name: "IQ1_M"},
	31:   {name: "Q4_0_4_4"},
	32:   {name: "Q4_0_4_8"},
	33:   {name: "Q4_0_8_8"},
	34:   {name: "TQ1_0"},
	35:   {name: "TQ2_0"},
	36:   {name: "IQ4_NL_4_4"},
	37:   {name: "IQ4_NL_4_8"},
	38:   {name: "IQ4_NL_8_8"},
	40:   {name: "NVFP4"},
}

// String gives llama.cpp's name of the type, or its number.
func (t Type) String() string {
	if l, ok := layouts[t]; ok {
		return l.name
	}
	return fmt.Sprintf("number %d", uint32(t))
}

// Block gives how many numbers are stored together, and in how many bytes; 0 and 0 for a type that is not read.
func (t Type) Block() (elements, bytes int) { return layouts[t].elements, layouts[t].bytes }

// known lists the types that are read.
func known() string {
	var names []string
	for t := range MXFP4 + 1 {
		if elements, _ := t.Block(); elements > 0 {
			names = append(names, t.String())
		}
	}
	return strings.Join(names, ", ")
}
