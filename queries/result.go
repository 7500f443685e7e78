package queries

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Type is the type of a column's values.
type Type uint8

// The types; the comment gives the Go values that a [Result] holds. NULL is nil in every type.
const (
	Other   Type = iota // string, as DuckDB prints the value (DATE, TIME, UUID, INTERVAL, BLOB, ...)
	Bool                // bool
	Integer             // int64, or *big.Int if the number needs more than 64 bits
	Float               // float32 for FLOAT, float64 for DOUBLE
	Exact               // Decimal
	Text                // string; VARCHAR and ENUM
	Time                // time.Time in UTC; TIMESTAMP of every precision
	Nested              // []any or map[string]any of such values; LIST, ARRAY, STRUCT, MAP
)

var types = [...]string{"other", "bool", "integer", "float", "exact", "text", "time", "nested"}

// String returns the name of the type in lower case.
func (t Type) String() string { return types[t] }

// Numeric reports whether [Number] converts values of the type.
func (t Type) Numeric() bool { return t == Integer || t == Float || t == Exact }

// Decimal is a DECIMAL value with all its digits, such as 12.50.
type Decimal string

// Column describes one column of a [Result].
type Column struct {
	Name   string
	Type   Type
	DBType string // DuckDB's name of the type, such as DOUBLE or DECIMAL(18,3)
}

// Result is the result of a query: rows of typed values in order.
type Result struct {
	Columns []Column
	Rows    [][]any        // each as long as Columns; the types are those of [Type]
	More    bool           // there are further rows that were not requested
	Facts   []Fact         // facts about the rows; empty for SQL that does not name its run
	Bound   map[string]any // values of the query's parameters
}

// Fact is a fact about a result, such as its run_id or its convention.
type Fact struct {
	Name, Value string
}

// Index returns the index of the column with a name, or -1. As in SQL, case does not matter.
func (r *Result) Index(name string) int {
	for i, c := range r.Columns {
		if strings.EqualFold(c.Name, name) {
			return i
		}
	}
	return -1
}

// Names lists the column names in order.
func (r *Result) Names() []string {
	names := make([]string, len(r.Columns))
	for i, c := range r.Columns {
		names[i] = c.Name
	}
	return names
}

// Size returns how many prompts and edges the run of the result has; 0 if that is unknown. Standard errors
// take edges as independent, which those of one prompt are not.
func (r *Result) Size() (prompts, edges int64) {
	number := func(name string) int64 {
		value, _ := r.fact(name)
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil { // of several runs
			return 0
		}
		return n
	}
	return number("prompts"), number("edges")
}

// Undefined explains why a column of shares is NULL in every row, or returns "": the columns denominator and
// denominator_is describe the whole, which is 0.
func (r *Result) Undefined(column string) string {
	share, divisor, is := r.Index(column), r.Index("denominator"), r.Index("denominator_is")
	if share < 0 || divisor < 0 || len(r.Rows) == 0 {
		return ""
	}
	for _, row := range r.Rows {
		if x, ok := Number(row[divisor]); !ok || x != 0 || row[share] != nil {
			return ""
		}
	}
	why := "there are no shares of 0"
	if is >= 0 {
		why += ", which is the " + String(r.Rows[0][is])
	}
	return why
}

// Number converts a value of a [Result] to float64. ok is false for NULL and for values that are not numbers.
func Number(v any) (x float64, ok bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case int64:
		return float64(v), true
	case Decimal:
		x, err := strconv.ParseFloat(string(v), 64)
		return x, err == nil
	case *big.Int:
		x, _ := new(big.Float).SetInt(v).Float64()
		return x, true
	}
	return 0, false
}

// String returns a value of a [Result] with all its digits: the shortest decimal that reads back as the same
// FLOAT or DOUBLE, times as 2006-01-02 15:04:05, nested values as JSON. NULL is the empty string.
func String(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64)
	case float32:
		return strconv.FormatFloat(float64(v), 'g', -1, 32)
	case Decimal:
		return string(v)
	case *big.Int:
		return v.String()
	case time.Time:
		if text, ok := Endless(v); ok {
			return text
		}
		return v.Format("2006-01-02 15:04:05.999999999")
	case []any, map[string]any:
		text, err := json.Marshal(jsonable(v))
		if err != nil {
			return fmt.Sprint(v)
		}
		return string(text)
	}
	return fmt.Sprint(v)
}

// Endless returns the text of a date or time that stands for the infinite future or past. DuckDB's driver
// returns these as the largest number of days, or of fractions of a second, and its negative.
func Endless(t time.Time) (text string, ok bool) {
	for sign, text := range map[int64]string{1: "infinity", -1: "-infinity"} {
		for _, edge := range []time.Time{
			time.Unix(sign*math.MaxInt32*24*60*60, 0), // DATE
			time.Unix(sign*math.MaxInt64, 0), time.UnixMilli(sign * math.MaxInt64),
			time.UnixMicro(sign * math.MaxInt64), time.Unix(0, sign*math.MaxInt64),
		} {
			if edge.Equal(t) {
				return text, true
			}
		}
	}
	return "", false
}

// jsonable replaces values without a JSON form (NaN, infinities) by their text.
func jsonable(v any) any {
	switch v := v.(type) {
	case float64:
		if v-v != 0 {
			return String(v)
		}
	case float32:
		if v-v != 0 {
			return String(v)
		}
	case Decimal:
		return json.Number(v)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = jsonable(v[i])
		}
		return list
	case map[string]any:
		fields := make(map[string]any, len(v))
		for k := range v {
			fields[k] = jsonable(v[k])
		}
		return fields
	}
	return v
}
