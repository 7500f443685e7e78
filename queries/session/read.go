package session

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"time"

	duckdb "github.com/duckdb/duckdb-go/v2"

	"ducklens/queries"
)

// read reads rows into memory, up to limit bytes: the first most rows, or all if most is 0.
func read(rows *sql.Rows, limit int64, most int) (*queries.Result, error) {
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	result := &queries.Result{}
	for _, t := range types {
		name := t.DatabaseTypeName()
		result.Columns = append(result.Columns,
			queries.Column{Name: t.Name(), Type: columnType(name), DBType: name})
	}
	values := make([]any, len(types))
	targets := make([]any, len(types))
	for i := range values {
		targets[i] = &values[i]
	}
	var size int64
	for rows.Next() {
		if most > 0 && len(result.Rows) == most {
			result.More = true
			return result, nil
		}
		clear(values)
		if err := rows.Scan(targets...); err != nil {
			return nil, fmt.Errorf("row %d: %w", len(result.Rows)+1, err)
		}
		row := make([]any, len(values))
		size += 24
		for i, v := range values {
			row[i] = value(v, result.Columns[i])
			size += 16 + bytes(row[i])
		}
		if size > limit {
			return nil, &LimitError{Limit: ErrAnswer,
				Value:  fmt.Sprintf("more than %d MB after %d rows", limit>>20, len(result.Rows)),
				Advice: "add LIMIT or aggregate in SQL, or read the file with DuckDB's own shell"}
		}
		result.Rows = append(result.Rows, row)
	}
	return result, rows.Err()
}

// columnType maps a DuckDB type to the type in a Result.
func columnType(name string) queries.Type {
	base, _, _ := strings.Cut(name, "(")
	switch {
	case strings.HasSuffix(name, "]"):
		return queries.Nested
	case base == "BOOLEAN":
		return queries.Bool
	case base == "FLOAT" || base == "DOUBLE":
		return queries.Float
	case strings.HasSuffix(base, "INT") || strings.HasSuffix(base, "INTEGER") || base == "BIGNUM":
		return queries.Integer
	case base == "DECIMAL":
		return queries.Exact
	case base == "VARCHAR" || base == "ENUM":
		return queries.Text
	case strings.HasPrefix(base, "TIMESTAMP"):
		return queries.Time
	case base == "STRUCT" || base == "MAP" || base == "LIST" || base == "ARRAY" || base == "JSON":
		return queries.Nested
	}
	return queries.Other
}

// bytes estimates the memory of a value beyond its slot in the row.
func bytes(v any) int64 {
	switch v := v.(type) {
	case nil, bool:
		return 0
	case string:
		return 16 + int64(len(v))
	case queries.Decimal:
		return 16 + int64(len(v))
	case []any:
		n := int64(24)
		for _, e := range v {
			n += 16 + bytes(e)
		}
		return n
	case map[string]any:
		n := int64(48)
		for k, e := range v {
			n += 32 + int64(len(k)) + bytes(e)
		}
		return n
	case time.Time, *big.Int:
		return 32
	}
	return 8
}

// value converts a value of the driver for a Result.
func value(v any, column queries.Column) any {
	switch v := v.(type) {
	case nil, bool, int64, float32, float64, string:
		return v
	case int8:
		return int64(v)
	case int16:
		return int64(v)
	case int32:
		return int64(v)
	case uint8:
		return int64(v)
	case uint16:
		return int64(v)
	case uint32:
		return int64(v)
	case uint64:
		return integer(new(big.Int).SetUint64(v))
	case *big.Int:
		return integer(v)
	case duckdb.Decimal:
		return queries.Decimal(decimal(v))
	case time.Time:
		switch column.Type {
		case queries.Time:
			return v.UTC()
		case queries.Nested:
			return queries.String(v.UTC())
		}
		if column.DBType == "DATE" {
			if text, ok := queries.Endless(v); ok {
				return text
			}
			return v.UTC().Format("2006-01-02")
		}
		if column.DBType == "TIMETZ" {
			return v.Format("15:04:05.999999-07:00")
		}
		return v.UTC().Format("15:04:05.999999")
	case []byte:
		if column.DBType == "UUID" && len(v) == 16 {
			id := duckdb.UUID(v)
			return id.String()
		}
		return `\x` + hex.EncodeToString(v)
	case duckdb.Interval:
		return fmt.Sprintf("%d months %d days %v", v.Months, v.Days, time.Duration(v.Micros)*time.Microsecond)
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = value(e, queries.Column{Type: queries.Nested})
		}
		return list
	case map[string]any:
		fields := make(map[string]any, len(v))
		for k, e := range v {
			fields[k] = value(e, queries.Column{Type: queries.Nested})
		}
		return fields
	case duckdb.OrderedMap:
		return ordered(&v)
	case fmt.Stringer:
		return v.String()
	}
	return fmt.Sprint(v)
}

// ordered converts a MAP into fields. Keys become text.
func ordered(m *duckdb.OrderedMap) map[string]any {
	fields := make(map[string]any, m.Len())
	keys, values := m.Keys(), m.Values()
	for i := range keys {
		key := queries.String(value(keys[i], queries.Column{Type: queries.Nested}))
		fields[key] = value(values[i], queries.Column{Type: queries.Nested})
	}
	return fields
}

// integer keeps integers of more than 64 bits as they are.
func integer(n *big.Int) any {
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

// decimal formats value / 10^scale with all digits.
func decimal(d duckdb.Decimal) string {
	digits := new(big.Int).Abs(d.Value).String()
	scale := int(d.Scale)
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale-len(digits)+1) + digits
	}
	text := digits
	if scale > 0 {
		text = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if d.Value.Sign() < 0 {
		text = "-" + text
	}
	return text
}
