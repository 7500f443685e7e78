package family

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"

	"ducklens/engine/model"
)

// ConfigSHA returns a digest of everything that a configuration says about a model's arithmetic, however it
// is spelt: two models with the same digest compute the same from the same weights. It hashes the spec
// without zero values, so that a field that a later version adds changes nothing for models that do not use
// it.
func ConfigSHA(s *model.Spec) string {
	var fields map[string]any
	text, err := json.Marshal(s)
	if err == nil {
		err = json.Unmarshal(text, &fields)
	}
	if err != nil {
		panic(fmt.Sprintf("family: digest of a spec: %v", err)) // cannot happen: numbers, words and lists
	}
	for name, value := range fields {
		if value == nil || value == 0.0 || value == false || value == "" {
			delete(fields, name)
		}
	}
	if text, err = json.Marshal(fields); err != nil { // sorted by name
		panic(fmt.Sprintf("family: digest of a spec: %v", err))
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}
