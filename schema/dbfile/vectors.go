package dbfile

import (
	"fmt"
	"reflect"
	"unsafe"

	"github.com/duckdb/duckdb-go/v2"
	"github.com/duckdb/duckdb-go/v2/mapping"
)

// The driver's appender takes any value for any column, and spends more time on finding its type than DuckDB
// spends on storing it. This file writes into the vectors directly, through the part of the driver that
// mirrors DuckDB's C interface.

// chunkRows is the number of rows in a DuckDB chunk.
var chunkRows = int(mapping.VectorSize())

// kind is the type of a column, among the types that ducklens appends.
type kind string

const (
	kindInteger kind = "an int32"
	kindFloat   kind = "a float32"
	kindDouble  kind = "a float64"
	kindText    kind = "a string"
	kindEnum    kind = "a string of an enumeration"
	kindBool    kind = "a bool"
	kindFloats  kind = "a []float32"
	kindBytes   kind = "a []byte"
)

// vectorWriter writes one column of a chunk.
type vectorWriter struct {
	kind   kind
	words  map[string]uint8 // of an enumeration
	vector mapping.Vector
	data   unsafe.Pointer // the values of vector, in DuckDB's memory
	valid  []uint64       // a bit for each row, unset for NULL; nil until the first NULL
	child  mapping.Vector // of a list column: the vector of all elements,
	list   []float32      // its memory,
	used   int            // and the number of elements in use
}

// listEntry is the range of a list among the elements of the column, with DuckDB's layout.
type listEntry struct{ offset, length uint64 }

// newVectorWriter returns a writer for a type.
func newVectorWriter(t mapping.LogicalType) (vectorWriter, error) {
	switch id := mapping.GetTypeId(t); {
	case id == duckdb.TYPE_INTEGER:
		return vectorWriter{kind: kindInteger}, nil
	case id == duckdb.TYPE_FLOAT:
		return vectorWriter{kind: kindFloat}, nil
	case id == duckdb.TYPE_DOUBLE:
		return vectorWriter{kind: kindDouble}, nil
	case id == duckdb.TYPE_BOOLEAN:
		return vectorWriter{kind: kindBool}, nil
	case id == duckdb.TYPE_VARCHAR:
		return vectorWriter{kind: kindText}, nil
	case id == duckdb.TYPE_BLOB:
		return vectorWriter{kind: kindBytes}, nil
	case id == duckdb.TYPE_ENUM && mapping.EnumInternalType(t) == duckdb.TYPE_UTINYINT:
		c := vectorWriter{kind: kindEnum, words: map[string]uint8{}}
		for i := range mapping.EnumDictionarySize(t) {
			c.words[mapping.EnumDictionaryValue(t, mapping.IdxT(i))] = uint8(i)
		}
		return c, nil
	case id == duckdb.TYPE_LIST:
		child := mapping.ListTypeChildType(t)
		defer mapping.DestroyLogicalType(&child)
		if mapping.GetTypeId(child) == duckdb.TYPE_FLOAT {
			return vectorWriter{kind: kindFloats}, nil
		}
	}
	return vectorWriter{}, fmt.Errorf("type %d of DuckDB, want INTEGER, FLOAT, DOUBLE, BOOLEAN, VARCHAR, "+
		"BLOB, an enumeration of up to 256 values, or FLOAT[]", mapping.GetTypeId(t))
}

// aim sets the vector to write to, which must be empty.
func (c *vectorWriter) aim(v mapping.Vector) {
	c.vector, c.data, c.valid = v, mapping.VectorGetData(v), nil
	if c.kind == kindFloats {
		c.child, c.list, c.used = mapping.ListVectorGetChild(v), nil, 0
	}
}

// at returns a pointer to a row of the column, which must hold values of type T.
func at[T any](c *vectorWriter, row int) *T { return &unsafe.Slice((*T)(c.data), chunkRows)[row] }

func (c *vectorWriter) putNull(row int) {
	if c.valid == nil {
		mapping.VectorEnsureValidityWritable(c.vector)
		c.valid = unsafe.Slice((*uint64)(mapping.VectorGetValidity(c.vector)), (chunkRows+63)/64)
	}
	c.valid[row/64] &^= 1 << (row % 64)
	if c.kind == kindFloats {
		*at[listEntry](c, row) = listEntry{offset: uint64(c.used)}
	}
}

func (c *vectorWriter) putList(row int, list []float32) error {
	if need := c.used + len(list); need > len(c.list) {
		room := max(need, 2*len(c.list), 64*chunkRows)
		// A reservation keeps only the elements in use.
		if mapping.ListVectorSetSize(c.vector, mapping.IdxT(c.used)) == mapping.StateError ||
			mapping.ListVectorReserve(c.vector, mapping.IdxT(room)) == mapping.StateError {
			return fmt.Errorf("no room for lists of %d numbers", room)
		}
		c.list = unsafe.Slice((*float32)(mapping.VectorGetData(c.child)), room)
	}
	*at[listEntry](c, row) = listEntry{uint64(c.used), uint64(len(list))}
	c.used += copy(c.list[c.used:], list)
	return nil
}

// finish prepares the vector for DuckDB.
func (c *vectorWriter) finish() error {
	if c.kind == kindFloats &&
		mapping.ListVectorSetSize(c.vector, mapping.IdxT(c.used)) == mapping.StateError {
		return fmt.Errorf("DuckDB refuses lists of %d numbers in all", c.used)
	}
	return nil
}

// handleOf returns DuckDB's handle of a driver's connection. The driver does not export it, and offers no
// other way to append chunks. A test checks that it is where handleOf looks for it.
func handleOf(driverConn any) (mapping.Connection, error) {
	conn, ok := driverConn.(*duckdb.Conn)
	if !ok {
		return mapping.Connection{}, fmt.Errorf("connection is a %T, want a *duckdb.Conn", driverConn)
	}
	field := reflect.ValueOf(conn).Elem().FieldByName("conn")
	if !field.IsValid() || field.Type() != reflect.TypeFor[mapping.Connection]() {
		return mapping.Connection{},
			fmt.Errorf("this version of the driver keeps no handle in its connections")
	}
	handle := mapping.Connection{Ptr: field.FieldByName("Ptr").UnsafePointer()}
	if handle.Ptr == nil {
		return mapping.Connection{}, fmt.Errorf("the connection is closed")
	}
	return handle, nil
}

// driverError converts DuckDB's error into the driver's, and releases it.
func driverError(data mapping.ErrorData) error {
	defer mapping.DestroyErrorData(&data)
	return &duckdb.Error{Type: duckdb.ErrorType(mapping.ErrorDataErrorType(data)),
		Msg: mapping.ErrorDataMessage(data)}
}
