package plotly

import (
	"math"
	"strconv"
	"strings"
)

// finite returns x, or null if it is not finite.
func finite(x float64) any {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return x
}

// A short number is written with a few digits; a FLOAT holds seven.
type short struct {
	x      float64
	digits int
}

func (s short) MarshalJSON() ([]byte, error) {
	if finite(s.x) == nil {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, s.x, 'g', s.digits, 64), nil
}

// A stored number is written with as many digits as identify the FLOAT or DOUBLE that it comes from.
type stored float64

func (x stored) MarshalJSON() ([]byte, error) {
	if finite(float64(x)) == nil {
		return []byte("null"), nil
	}
	bits := 64
	if float64(float32(x)) == float64(x) {
		bits = 32
	}
	return strconv.AppendFloat(nil, float64(x), 'g', -1, bits), nil
}

// number formats x with a few digits and a true minus sign.
func number(x float64, digits int) string {
	if finite(x) == nil {
		return "unknown"
	}
	return strings.Replace(strconv.FormatFloat(x, 'g', digits, 64), "-", "−", 1)
}

// measured formats a value for a tooltip: its meaning, its standard error, and the number of examples.
func measured(title string, value, se float64, count int64) string {
	text := label(title) + ": " + number(value, 5)
	if finite(se) != nil {
		text += "<br>standard error: " + number(se, 2)
	}
	if count > 0 {
		text += "<br>n = " + strconv.FormatInt(count, 10)
	}
	return text
}
