// Package jsonfault explains errors in a user's JSON to the person who wrote it; encoding/json names Go
// types.
package jsonfault

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Explain returns err in such words.
func Explain(err error) error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err
	}
	field := ""
	if wrong.Field != "" {
		field = wrong.Field + ": "
	}
	return fmt.Errorf("%sa JSON %s, want %s", field, wrong.Value, kind(wrong.Type))
}

// kind says what JSON a Go type is read from.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint8,
		reflect.Uint16,
		reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.String:
		return "a text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Pointer:
		return kind(t.Elem())
	}
	return "an object"
}
