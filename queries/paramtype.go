package queries

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ParamType is the type of a [Param].
type ParamType uint8

// The parameter types, and the Go value that is bound for each.
const (
	TextParam    ParamType = iota // string
	IntegerParam                  // int64
	DoubleParam                   // float64, finite
	BooleanParam                  // bool
)

var paramTypes = [...]string{"TEXT", "INTEGER", "DOUBLE", "BOOLEAN"}

// String returns the type's word in the header.
func (t ParamType) String() string { return paramTypes[t] }

// ParseParamType is the inverse of [ParamType.String].
func ParseParamType(s string) (ParamType, error) {
	for i, w := range paramTypes {
		if w == s {
			return ParamType(i), nil
		}
	}
	return 0, fmt.Errorf("parameter type %q, want one of %s", s, strings.Join(paramTypes[:], ", "))
}

// Value parses text, as typed after --set NAME=, as a value of the type. Quotes are not needed, and not
// removed.
func (t ParamType) Value(text string) (any, error) {
	switch t {
	case IntegerParam:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			return n, nil
		}
		return nil, fmt.Errorf("%q, want a whole number such as 40", text)
	case DoubleParam:
		if x, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(x, 0) && !math.IsNaN(x) {
			return x, nil
		}
		return nil, fmt.Errorf("%q, want a finite number such as 0.5", text)
	case BooleanParam:
		switch strings.ToLower(text) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
		return nil, fmt.Errorf("%q, want true or false", text)
	}
	if !utf8.ValidString(text) {
		return nil, fmt.Errorf("%q is not UTF-8", text)
	}
	return text, nil
}
