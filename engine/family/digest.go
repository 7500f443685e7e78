package family

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"

	"ducklens/engine/model"
)

// ConfigSHA is a digest of a configuration's arithmetic: two models with one digest compute the same with the
// same weights, however their files spell it. It is the SHA-256 of [Canonical].
func ConfigSHA(s *model.Spec) string {
	sum := sha256.Sum256([]byte(Canonical(s)))
	return hex.EncodeToString(sum[:])
}

// Canonical is a text that says all of a spec: a line for each field that is not zero, with floats in the
// fewest digits that tell them apart. A field that is added later changes no text of a model without it. The
// family's name is left out.
func Canonical(s *model.Spec) string {
	var b strings.Builder
	canonical(&b, "", reflect.ValueOf(*s))
	return b.String()
}

func canonical(b *strings.Builder, path string, v reflect.Value) {
	if v.IsZero() || path == ".Family" {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		canonical(b, path, v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			canonical(b, path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			canonical(b, fmt.Sprintf("%s.%d", path, i), v.Index(i))
		}
	default:
		fmt.Fprintf(b, "%s %v\n", path[1:], v)
	}
}
