package explorer

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strconv"
	"time"

	"ducklens/queries"
)

// answer is the answer to a question, as pages read it.
type answer struct {
	Query     string   `json:"query,omitempty"` // name of the saved query
	Columns   []column `json:"columns"`
	Rows      rows     `json:"rows"`
	Truncated bool     `json:"truncated"` // there are more rows
	Seconds   float64  `json:"seconds"`
	Notes     []string `json:"notes"`
}

type column struct {
	Name   string `json:"name"`
	Type   string `json:"type"`    // a [queries.Type]
	DBType string `json:"db_type"` // DuckDB's type
}

// rows are the rows of a result, each written as a JSON list.
type rows [][]any

// newAnswer converts a result.
func newAnswer(r *queries.Result, took time.Duration, notes []string) answer {
	a := answer{Columns: []column{}, Rows: r.Rows, Truncated: r.More, Seconds: took.Seconds(),
		Notes: append([]string{}, notes...)}
	for i, c := range r.Columns {
		a.Columns = append(a.Columns, column{c.Name, c.Type.String(), c.DBType})
		if n := unwritable(r.Rows, i); n > 0 {
			a.Notes = append(a.Notes,
				fmt.Sprintf("column %s: %d of %d values are NaN or infinite, and stand as NULL",
					queries.Printable(c.Name), n, len(r.Rows)))
		}
	}
	return a
}

// unwritable counts the numbers in a column that JSON cannot represent.
func unwritable(rows [][]any, column int) (n int) {
	for _, row := range rows {
		switch v := row[column].(type) {
		case float64:
			if v-v != 0 {
				n++
			}
		case float32:
			if v-v != 0 {
				n++
			}
		}
	}
	return n
}

// MarshalJSON writes numbers in the shortest form that reads back as the same FLOAT or DOUBLE. Package json
// would take ten times as long for a large answer.
func (r rows) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 64*len(r)+2)
	b = append(b, '[')
	for i, row := range r {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendList(b, row); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendList(b []byte, list []any) ([]byte, error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendValue(b, v); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

// mostWhole is the largest integer up to which JavaScript represents all integers exactly.
const mostWhole = 1<<53 - 1

// appendValue appends a value of a [queries.Result].
func appendValue(b []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int64:
		if v > mostWhole || v < -mostWhole {
			return append(strconv.AppendInt(append(b, '"'), v, 10), '"'), nil
		}
		return strconv.AppendInt(b, v, 10), nil
	case *big.Int:
		return append(v.Append(append(b, '"'), 10), '"'), nil
	case float64:
		return appendFloat(b, v, 64), nil
	case float32:
		return appendFloat(b, float64(v), 32), nil
	case queries.Decimal:
		return append(b, v...), nil
	case []any:
		return appendList(b, v)
	case map[string]any:
		fields := make(map[string]json.RawMessage, len(v))
		for name, field := range v {
			text, err := appendValue(nil, field)
			if err != nil {
				return nil, err
			}
			fields[name] = text
		}
		text, err := json.Marshal(fields)
		return append(b, text...), err
	case string:
		text, err := json.Marshal(v)
		return append(b, text...), err
	}
	text, err := json.Marshal(queries.String(v)) // times are written as in a table
	return append(b, text...), err
}

// appendFloat appends a number, or null if it is NaN or infinite.
func appendFloat(b []byte, x float64, bits int) []byte {
	if x-x != 0 {
		return append(b, "null"...)
	}
	return strconv.AppendFloat(b, x, 'g', -1, bits)
}
