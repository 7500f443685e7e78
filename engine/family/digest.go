package family

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"ducklens/engine/model"
)

// ConfigSHA is a digest of all that a configuration says of a model's arithmetic, in whatever spelling: two
// models with one digest compute the same with the same weights. It is of the spec, without what is zero in
// it, so that a field that a later version adds changes nothing for models that do not have it.
func ConfigSHA(s *model.Spec) string {
	var fields map[string]any
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		panic(fmt.Sprintf("family: digest of a spec: %v", err)) // of numbers, words and lists
	}
	for name, value := range fields {
		if value == nil || value == 0.0 || value == false || value == "" {
			delete(fields, name)
		}
	}
	if text, err = json.Marshal(fields); err != nil { // in the order of the names
		panic(fmt.Sprintf("family: digest of a spec: %v", err))
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}
