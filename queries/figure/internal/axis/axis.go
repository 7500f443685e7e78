// Package axis finds round numbers for the ticks of an axis and formats them.
package axis

import (
	"math"
	"strconv"
	"strings"
)

// Symmetric returns round values from minus to plus a limit, including zero. The step is the smallest of 1, 2
// or 5 times a power of ten that gives at most most ticks on each side, but at least one.
func Symmetric(limit float64, most int) []float64 {
	unit := math.Pow(10, math.Floor(math.Log10(limit))-1) // a tenth to a hundredth of the limit
	step, n := unit, 0
	for _, m := range []float64{1, 2, 5, 10, 20, 50} {
		k := int(math.Floor(limit/(m*unit) + 1e-9))
		if k == 0 {
			break
		}
		if step, n = m*unit, k; n <= most {
			break
		}
	}
	list := make([]float64, 0, 2*n+1)
	for i := -n; i <= n; i++ {
		list = append(list, float64(i)*step)
	}
	return list
}

// Ticks returns round values from low to high. The step is the smallest of 1, 2 or 5 times a power of ten
// that gives at most most ticks, where most must be at least 2. There can be fewer than two of them. If whole
// is set, the step is at least 1.
func Ticks(low, high float64, most int, whole bool) (list []float64, step float64) {
	span := high - low
	if !(span > 0) {
		return []float64{low}, math.Max(math.Abs(low), 1)
	}
	unit := math.Pow(10, math.Floor(math.Log10(span/float64(most)))-1)
	if whole {
		unit = max(unit, 1)
	}
	for step = unit; ; {
		for _, m := range []float64{1, 2, 5} {
			step = m * unit
			first, last := math.Ceil(low/step-1e-9), math.Floor(high/step+1e-9)
			if last-first+1 > float64(most) {
				continue
			}
			for i := first; i <= last; i++ {
				list = append(list, i*step)
			}
			return list, step
		}
		unit *= 10
	}
}

// Text formats a tick of an axis whose numbers are at most limit in size: with as many decimals as the step
// needs, or as 2×10⁻⁷ if these would be many.
func Text(x, step, limit float64) string {
	if x == 0 {
		return "0"
	}
	exponent := int(math.Floor(math.Log10(limit) + 1e-9))
	if exponent >= -4 && exponent <= 5 {
		return Plain(x, Decimals(step, 1))
	}
	unit := math.Pow(10, float64(exponent))
	mantissa := Plain(x/unit, Decimals(step/unit, 1))
	power := strings.NewReplacer("-", "⁻", "0", "⁰", "1", "¹", "2", "²", "3", "³", "4", "⁴",
		"5", "⁵", "6", "⁶", "7", "⁷", "8", "⁸", "9", "⁹").Replace(strconv.Itoa(exponent))
	return mantissa + "×10" + power
}

// Decimals returns how many decimals, at least 0, a number needs to show the given digits of size.
func Decimals(size float64, digits int) int {
	return max(0, digits-1-int(math.Floor(math.Log10(size)+1e-9)))
}

// Plain formats x with a true minus sign, but without one if x is rounded to zero.
func Plain(x float64, decimals int) string {
	s := strconv.FormatFloat(x, 'f', decimals, 64)
	if strings.Trim(s, "-0.") == "" {
		return strings.TrimPrefix(s, "-")
	}
	return strings.Replace(s, "-", "−", 1)
}
